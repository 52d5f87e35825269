//! Dependencies point one way: the rooms of `src/` and what each may use.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::server::repository;

/// Each room of `src/` with the rooms of `src/` that it may use besides itself. What is below
/// them is a crate of its own, where the compiler keeps the direction.
const ROOMS: [(&str, &[&str]); 10] = [
    ("config", &["guard"]),
    ("guard", &[]),
    ("telemetry", &["config"]),
    ("auth", &[]),
    ("graphql", &["auth"]),
    ("operation", &["guard", "graphql"]),
    ("http", &["guard", "auth", "graphql"]),
    (
        "app",
        &[
            "config",
            "telemetry",
            "guard",
            "auth",
            "graphql",
            "operation",
            "http",
        ],
    ),
    ("cli", &["app", "config", "graphql", "telemetry"]),
    ("lib", &[]),
];

#[test]
fn rooms_use_only_what_is_below_them() {
    let allowed: BTreeMap<_, _> = ROOMS.into_iter().collect();
    let (mut files, mut wrong) = (0, Vec::new());
    visit(Path::new(&repository("src")), &mut |path, text| {
        let inside = path.strip_prefix(repository("src")).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if room == "main" {
            return;
        }
        files += 1;
        let Some(allowed) = allowed.get(room) else {
            wrong.push(format!("{room} is not in the list of rooms"));
            return;
        };
        for used in rooms_used(text) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", inside.display()));
            }
        }
    });
    assert!(files > 50, "only {files} files were looked at");
    assert_eq!(wrong, [""; 0], "against the order of the rooms");
}

/// A run's status is changed by its own methods alone, which know what is allowed.
#[test]
fn only_the_domain_changes_a_runs_status() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let mut check = |path: &Path, text: &str| {
        // Vendors have answers and connections with a status of their own.
        if path.ends_with("domain/src/run/mod.rs") || path.starts_with(root.join("crates/llm")) {
            return;
        }
        for (number, line) in text.lines().enumerate() {
            let assigns = line.match_indices(".status").any(|(at, word)| {
                let rest = line[at + word.len()..].trim_start();
                let assigned = rest.strip_prefix('=').unwrap_or("=").trim_start();
                // `==` compares, and so does SQL.
                !assigned.starts_with(['=', '\''])
                    || rest.starts_with(", ") && line.contains(") = (")
            });
            if assigns {
                wrong.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    };
    each_source(&mut check);
    assert_eq!(wrong, [""; 0]);
}

/// Every `crate::ROOM` of a file, `use crate::{a, b::c}` included.
fn rooms_used(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, word) in text.match_indices("crate::") {
        // `x_crate::` is another word; `$crate::` is a macro's and counts.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + word.len()..];
        match rest.strip_prefix('{') {
            None => rooms.push(name(rest)),
            Some(list) => rooms.extend(top_level(list)),
        }
    }
    rooms
}

fn name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first names of a list's entries, as far as its closing brace.
fn top_level(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && depth == 0 && !c.is_whitespace() => {
                names.push(name(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

/// Looks at every source file of the root package and of the crates below it.
pub(crate) fn each_source(look: &mut impl FnMut(&Path, &str)) {
    for folder in ["src", "crates"] {
        visit(Path::new(&repository(folder)), look);
    }
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_way_to_name_a_room_is_seen() {
    let text =
        "use crate::a;\nuse crate::{b, c::{d, e}, f::g};\nlet x = crate::h::i();\n$crate::j!();";
    assert_eq!(rooms_used(text), ["a", "b", "c", "f", "h", "j"]);
}
