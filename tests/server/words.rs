//! The opening words of descriptions: the schema's and those of public items. `scripts/words`
//! counts them, with `--list` it prints each violation.

use crate::layers::each_source;
use crate::support::server::repository;

/// Words that begin a clause without a noun, so that a tooltip does not say what a thing is.
const OPENINGS: [&str; 24] = [
    "as",
    "from",
    "how",
    "nobody",
    "nothing",
    "since",
    "somebody",
    "someone",
    "that",
    "though",
    "what",
    "whatever",
    "when",
    "whenever",
    "where",
    "wherever",
    "whether",
    "which",
    "whichever",
    "who",
    "whoever",
    "whom",
    "whose",
    "why",
];

#[test]
fn schema_descriptions_begin_with_a_noun_or_a_verb() {
    let schema = std::fs::read_to_string(repository("schema.graphql")).unwrap();
    // Descriptions are the odd pieces: each is between two delimiters.
    let descriptions: Vec<_> = schema.split("\"\"\"").skip(1).step_by(2).collect();
    assert!(descriptions.len() > 500, "only {}", descriptions.len());
    // The descriptions of `PageInfo` are async-graphql's.
    let wrong: Vec<_> = descriptions
        .into_iter()
        .filter(|description| is_headless(description))
        .filter(|description| !description.trim().starts_with("When paginating "))
        .collect();
    assert_eq!(wrong, [""; 0], "descriptions without a noun or a verb");
}

#[test]
fn public_documentation_begins_with_a_noun_or_a_verb() {
    let (mut documented, mut wrong) = (0, Vec::new());
    each_source(&mut |path, text| {
        for (line, opening) in public_docs(text) {
            documented += 1;
            if is_headless(opening) {
                wrong.push(format!("{}:{line}: {opening}", path.display()));
            }
        }
    });
    assert!(documented > 200, "only {documented} items were looked at");
    assert_eq!(wrong, [""; 0], "documentation without a noun or a verb");
}

fn is_headless(text: &str) -> bool {
    let first = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .find(|word| !word.is_empty());
    first.is_some_and(|word| OPENINGS.contains(&word.to_ascii_lowercase().as_str()))
}

/// The first line of each doc comment before a `pub` item, with its number in the file.
fn public_docs(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut doc, mut brackets) = (None, 0);
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(comment) = line.strip_prefix("///") {
            doc.get_or_insert((number, comment.trim()));
        } else if brackets > 0 || line.starts_with("#[") {
            brackets += line.matches('[').count();
            brackets = brackets.saturating_sub(line.matches(']').count());
        } else if let Some(doc) = doc.take()
            && line.starts_with("pub")
        {
            found.push(doc);
        }
    }
    found
}

#[test]
fn documentation_is_found_before_attributes() {
    let text = "/// A.\n/// b\n#[derive(\n    Debug,\n)]\npub struct A;\n\n/// C.\nfn c() {}\n\n    \
                /// D.\n    pub(crate) d: u8,\n";
    assert_eq!(public_docs(text), [(1, "A."), (11, "D.")]);
    assert!(is_headless("`What` a thing is."));
    assert!(is_headless("How long, at most."));
    assert!(!is_headless("Whole answers."));
}
