//! The texts whose counts are recorded.

const WRITTEN: &[&str] = &[
    "",
    "hello world",
    "Donaudampfschifffahrtsgesellschaft",
    "お誕生日おめでとう",
    "The quick brown fox jumps over the lazy dog.\n\nIt's 12:30, isn't it? WE'LL see.",
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": [\"city\"]}",
    "fn main() {\n    println!(\"{}\", (0..10).map(|n| n * n).sum::<u32>());\n}\n",
    "SELECT id, title FROM sessions WHERE tenant = $1 AND deleted_at IS NULL ORDER BY id;",
    "Größenwahn, naïveté, Ærøskøbing, İstanbul, ǅungla, ﬁn",
    "Привет, мир! Как дела? Всё хорошо.",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "שלום עולם, מה שלומך היום?",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "สวัสดีชาวโลก วันนี้เป็นอย่างไรบ้าง",
    "人工智能正在改变世界。今天天气很好，我们去公园散步吧！",
    "안녕하세요 세계, 오늘 날씨가 좋네요.",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ and text\u{200b}with\u{a0}odd\u{2028}spaces",
    "a\u{301}e\u{308} \u{0}\u{1}\u{7f} \u{feff}\u{fffd}\u{10ffff}",
    "   leading and trailing   \t\r\n\r\n   \n",
    "https://example.com/a/b?c=d&e=%20f#g ../../x.tar.gz //comment ///// ----- =====",
    "3.14159265358979 1,000,000 0x1F600 ½ ² Ⅷ ١٢٣",
    "<|endoftext|> <|im_start|>",
    "camelCaseWords and SHOUTING_SNAKE_CASE, don't DON'T dOn'T",
];

/// Ranges of characters of one kind, of which texts are drawn.
const ALPHABETS: &[&[(u32, u32)]] = &[
    &[(0x61, 0x7a)],
    &[(0x61, 0x62)],
    &[(0x20, 0x20), (0x61, 0x7a), (0x61, 0x7a), (0x61, 0x7a)],
    &[(0x20, 0x7e)],
    &[(0x09, 0x0a), (0x0d, 0x0d), (0x20, 0x20)],
    &[(0x27, 0x27), (0x41, 0x44), (0x61, 0x64), (0x72, 0x74)],
    &[(0x30, 0x39), (0x61, 0x66)],
    &[(0x23, 0x2f), (0x3d, 0x3d)],
    &[(0xa0, 0x24f)],
    &[(0x370, 0x4ff)],
    &[(0x5d0, 0x6ff)],
    &[(0x900, 0x97f)],
    &[(0xe01, 0xe5b)],
    &[(0x3040, 0x30ff), (0x4e00, 0x9fff)],
    &[(0xac00, 0xd7a3)],
    &[(0x1f300, 0x1faff), (0x200d, 0x200d)],
    &[(0x0, 0x10ffff)],
];
const LENGTHS: &[usize] = &[1, 2, 3, 5, 8, 13, 30, 70, 95, 100, 130, 300, 1_000, 5_000];

/// The texts in the order of their counts.
pub(crate) fn all() -> Vec<String> {
    let written = WRITTEN.iter().map(|text| (*text).to_owned());
    let mut random = Random(1);
    let drawn = ALPHABETS
        .iter()
        .flat_map(|alphabet| LENGTHS.iter().map(move |length| (alphabet, length)));
    let drawn =
        drawn.map(|(alphabet, length)| (0..*length).map(|_| random.letter(alphabet)).collect());
    written.chain(drawn).collect()
}

/// A generator that gives the same numbers for ever (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((bits * u64::from(limit)) >> 32) as u32
    }

    fn letter(&mut self, alphabet: &[(u32, u32)]) -> char {
        let (first, last) = alphabet[self.below(alphabet.len() as u32) as usize];
        char::from_u32(first + self.below(last - first + 1)).unwrap_or(' ')
    }
}
