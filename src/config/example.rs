//! Generates `talkgraph.example.toml` from the declarations of the settings.

use super::section::{Bounds, POSITIVE, Setting, key_in};
use super::{EXAMPLE, Settings};

/// The longest line of a comment.
const WIDTH: usize = 98;

const HEAD: &str = "Every setting of Talkgraph with its default. Copy this file to talkgraph.toml \
    and keep the settings to change. The environment overrides it: TALKGRAPH_ and the key in \
    capitals, with __ between section and key, for example TALKGRAPH_HTTP__PORT=9000; a .env file \
    is read too. A variable's name with _FILE names a file that has the value, for example \
    DATABASE_URL_FILE=/run/secrets/database-url. `talkgraph config` prints the settings in force. \
    A number must be at least 1 unless its text says otherwise.";

/// The form in which a type is documented.
pub(super) enum Shape {
    Value,
    Section(fn() -> Vec<Key>),
    List(fn() -> Vec<Key>),
    Map(fn() -> Vec<Key>),
}

/// A key as it is declared.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) text: Vec<&'static str>,
    pub(super) bounds: Bounds,
    /// TOML in Rust's words; empty if there is none.
    pub(super) default: &'static str,
    pub(super) example: &'static str,
    pub(super) shape: Shape,
    /// Keys of the section below it that differ here.
    pub(super) own: Vec<Key>,
}

impl Shape {
    pub(super) fn in_list(self) -> Self {
        match self {
            Self::Section(keys) => Self::List(keys),
            other => other,
        }
    }

    pub(super) fn in_map(self) -> Self {
        match self {
            Self::Section(keys) => Self::Map(keys),
            other => other,
        }
    }
}

/// The keys that `Settings` declares, one section inside the other.
pub(super) fn keys_of<T: Setting>() -> Vec<Key> {
    match T::shape() {
        Shape::Section(keys) => keys(),
        _ => Vec::new(),
    }
}

fn generate() -> String {
    let mut lines = wrapped(HEAD);
    section(&mut lines, "", keys_of::<Settings>(), &[]);
    lines.join("\n") + "\n"
}

/// The values of a section, and after them its sections and lists, as TOML wants it.
fn section(lines: &mut Vec<String>, path: &str, keys: Vec<Key>, own: &[Key]) {
    let (values, tables): (Vec<_>, _) = keys
        .into_iter()
        .partition(|key| matches!(key.shape, Shape::Value) && !is_fenced(&key.text));
    for key in &values {
        match own.iter().find(|own| own.name == key.name) {
            Some(own) => {
                lines.extend(text(own));
                lines.extend(line(own));
            }
            None if own.is_empty() => {
                lines.extend(text(key));
                lines.extend(line(key));
            }
            // The section's own text says where they are explained.
            None if key.default.is_empty() => {}
            None => lines.extend(line(key)),
        }
    }
    if !own.is_empty() {
        return;
    }
    for key in tables {
        let path = key_in(path, key.name);
        lines.push(String::new());
        lines.extend(text(&key));
        match key.shape {
            Shape::Value => {}
            Shape::Section(keys) => {
                lines.push(format!("[{path}]"));
                section(lines, &path, keys(), &key.own);
            }
            Shape::List(keys) => commented(lines, &format!("[[{path}]]"), keys()),
            Shape::Map(_) if key.example.is_empty() => {}
            Shape::Map(keys) => commented(lines, &format!("[{path}.{}]", key.example), keys()),
        }
    }
}

/// A section that is commented out as a whole.
fn commented(lines: &mut Vec<String>, head: &str, keys: Vec<Key>) {
    lines.push(format!("# {head}"));
    for key in keys {
        let text = text(&key);
        let assigned = line(&key);
        if assigned.is_some() || is_fenced(&key.text) {
            lines.extend(text);
        }
        lines.extend(assigned.map(|line| match line.starts_with('#') {
            true => line,
            false => format!("# {line}"),
        }));
    }
}

fn line(key: &Key) -> Option<String> {
    match (key.default, key.example) {
        ("", "") => None,
        ("", example) => Some(format!("# {} = {}", key.name, toml_of(example))),
        (default, _) => Some(format!("{} = {}", key.name, toml_of(default))),
    }
}

/// A Rust literal as TOML; a raw string becomes a literal one.
fn toml_of(rust: &str) -> String {
    let words: Vec<_> = rust.split_whitespace().collect();
    let one_line = words.join(" ");
    match one_line.strip_prefix("r#\"") {
        Some(raw) => format!("'{}'", raw.trim_end_matches("\"#")),
        None => one_line,
    }
}

fn is_fenced(text: &[&str]) -> bool {
    text.iter().any(|line| line.trim().starts_with("```"))
}

/// The text of a key as comments: paragraphs are wrapped, TOML in fences stays as it is.
fn text(key: &Key) -> Vec<String> {
    let is_shown = !(key.default.is_empty() && key.example.is_empty())
        || !matches!(key.shape, Shape::Value)
        || is_fenced(&key.text);
    if !is_shown {
        return Vec::new();
    }
    let (mut lines, mut words, mut is_toml) = (Vec::new(), String::new(), false);
    for line in &key.text {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            lines.extend(wrapped(&std::mem::take(&mut words)));
            is_toml = !is_toml;
        } else if is_toml {
            lines.push(format!("# {line}"));
        } else {
            words = format!("{words} {line}");
        }
    }
    words += &bounds_in_words(&key.bounds);
    lines.extend(wrapped(&words));
    lines
}

fn bounds_in_words(bounds: &Bounds) -> String {
    let (least, most) = (grouped(*bounds.start()), grouped(*bounds.end()));
    match (*bounds.start(), *bounds.end()) {
        _ if *bounds == POSITIVE => String::new(),
        (0, u64::MAX) => String::new(),
        (_, u64::MAX) => format!(" At least {least}."),
        (0, _) => format!(" At most {most}."),
        _ => format!(" From {least} to {most}."),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() + 1 > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        line += if line.is_empty() { "#" } else { "" };
        line += " ";
        line += word;
    }
    lines.extend((!line.is_empty()).then_some(line));
    lines
}

#[test]
fn the_example_is_up_to_date() {
    let generated = generate();
    if generated != EXAMPLE {
        let to = concat!(env!("CARGO_MANIFEST_DIR"), "/talkgraph.example.toml");
        let new = format!("{to}.new");
        std::fs::write(&new, generated).unwrap();
        panic!("talkgraph.example.toml is out of date: `mv {new} {to}`");
    }
}
