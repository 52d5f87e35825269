//! Mapping of tool names: models see other names where the server's own are not allowed.
//!
//! MCP allows up to 128 characters of any kind. Vendors accept `[a-zA-Z0-9_-]{1,64}`, and Gemini
//! only names that begin with a letter or an underscore
//! (<https://github.com/CherryHQ/cherry-studio/issues/4088>, error of its API).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::MAX_NAME_CHARS;

/// The characters between a server's name and its tool's.
pub(super) const SEPARATOR: &str = "__";

/// The hexadecimal digits of a digest that distinguish names; more only where these do not.
const DIGEST_CHARS: [usize; 3] = [8, 16, 32];

/// The stem of a name that has no allowed character.
const NO_STEM: &str = "tool";

/// A tool's name for models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The name in this server.
    pub(super) name: String,
    /// The name without the digest that makes it unique: settings may use it too.
    pub(super) plain: String,
}

/// The prefix of a server's tool names: an underscore precedes a digit or dash.
pub(super) fn prefix(server: &str) -> Cow<'_, str> {
    let fits = server.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    match fits {
        true => Cow::Borrowed(server),
        false => Cow::Owned(format!("_{server}")),
    }
}

/// Returns true when a tool's name has the form of a server's tools.
pub(super) fn may_have(server: &str, tool: &str) -> bool {
    let of = |prefix: &str| {
        let rest = tool.strip_prefix(prefix);
        let own = rest.and_then(|rest| rest.strip_prefix(SEPARATOR));
        own.is_some_and(|own| !own.is_empty())
    };
    of(&prefix(server)) || of(server)
}

/// The server among these to which a tool's name belongs. Where several fit, as `a` and `a_` do for
/// `a___b`, it is the one with the longest name.
pub(super) fn server_of<'a>(tool: &str, servers: &[&'a str]) -> Option<&'a str> {
    let of = servers.iter().filter(|server| may_have(server, tool));
    of.copied().max_by_key(|server| server.len())
}

/// The names of all tools of a server, in the order of `tools`; the error is the reason why a tool
/// has none. The order does not matter: an allowed name stays; another loses its forbidden
/// characters, and gets a digest of the original if it would not be unique or short enough.
pub(super) fn assign(
    server: &str,
    servers: &[&str],
    tools: &[&str],
) -> Vec<Result<Name, &'static str>> {
    let of = Server { server, servers };
    let distinct: HashSet<&str> = tools.iter().copied().collect();
    let exact: HashSet<String> = distinct.iter().filter_map(|tool| of.exact(tool)).collect();
    let mut plain: HashMap<String, usize> = HashMap::new();
    for tool in distinct.iter().filter(|tool| of.exact(tool).is_none()) {
        *plain.entry(of.plain(tool)).or_default() += 1;
    }
    let free = |name: &str| !exact.contains(name) && !plain.contains_key(name);
    let mut seen = HashSet::new();
    let mut name = |tool: &str| {
        if tool.is_empty() {
            return Err("its name is empty");
        }
        if !seen.insert(tool.to_owned()) {
            return Err("the server lists another tool of the same name");
        }
        if let Some(name) = of.exact(tool) {
            let plain = name.clone();
            return Ok(Name { name, plain });
        }
        let short = of.plain(tool);
        let alone = plain.get(&short) == Some(&1) && !exact.contains(&short);
        if alone && of.fits(&short) {
            let name = short.clone();
            return Ok(Name { name, plain: short });
        }
        let digested = DIGEST_CHARS.iter().map(|chars| of.digested(tool, *chars));
        let mut unique = digested.filter(|name| free(name));
        let name = unique.next().ok_or("its name is taken")?;
        Ok(Name { name, plain: short })
    };
    tools.iter().map(|tool| name(tool)).collect()
}

struct Server<'a> {
    server: &'a str,
    servers: &'a [&'a str],
}

impl Server<'_> {
    /// Returns true when a name is allowed and belongs to this server.
    fn fits(&self, name: &str) -> bool {
        crate::is_valid_name(name) && server_of(name, self.servers) == Some(self.server)
    }

    /// The name of a tool whose own name is allowed.
    fn exact(&self, tool: &str) -> Option<String> {
        let name = format!("{}{SEPARATOR}{tool}", prefix(self.server));
        (!tool.is_empty() && self.fits(&name)).then_some(name)
    }

    /// The name with an underscore for each character that is not allowed.
    fn plain(&self, tool: &str) -> String {
        let stem = stem(tool);
        format!("{}{SEPARATOR}{stem}", prefix(self.server))
    }

    /// The name with a digest of the original at its end.
    fn digested(&self, tool: &str, chars: usize) -> String {
        let mut name = self.plain(tool);
        name.truncate(MAX_NAME_CHARS - chars - 1);
        name.push('_');
        let digest = Sha256::digest(tool.as_bytes());
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
        name.extend(digits.take(chars));
        name
    }
}

/// A tool's name with allowed characters alone; leading underscores are removed because the name
/// would seem to belong to another server.
fn stem(tool: &str) -> String {
    let allowed = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => character,
        _ => '_',
    };
    let stem: String = tool.chars().map(allowed).collect();
    match stem.trim_start_matches('_') {
        "" => NO_STEM.to_owned(),
        stem => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::is_valid_name;

    fn names(server: &str, tools: &[&str]) -> Vec<String> {
        let assigned = assign(server, &[server, "crm", "crm_"], tools);
        let name = |name: Result<Name, &str>| name.map_or_else(str::to_owned, |name| name.name);
        assigned.into_iter().map(name).collect()
    }

    #[test]
    fn allowed_names_stay_and_others_are_mapped() {
        assert_eq!(
            names("srv", &["file.read", "a-b_C"]),
            ["srv__file_read", "srv__a-b_C"]
        );
        assert_eq!(
            names("srv", &["a name with spaces"]),
            ["srv__a_name_with_spaces"]
        );
        assert_eq!(names("21st", &["magic"]), ["_21st__magic"]);
        assert_eq!(names("srv", &["", "x", "x"])[0], "its name is empty");
        assert!(names("srv", &["x", "x"])[1].contains("another tool"));
    }

    #[test]
    fn collisions_are_resolved_in_any_order() {
        let one = names("srv", &["a.b", "a b", "a_b"]);
        let mut other = names("srv", &["a_b", "a b", "a.b"]);
        other.reverse();
        assert_eq!(one, other);
        assert_eq!(one[2], "srv__a_b");
        assert!(
            one[0].starts_with("srv__a_b_") && one[0] != one[1],
            "{one:?}"
        );
    }

    #[test]
    fn long_and_foreign_names_get_a_digest() {
        let long = "x".repeat(128);
        let name = &names("srv", &[long.as_str()])[0];
        assert_eq!(name.len(), MAX_NAME_CHARS);
        let name = &names("srv", &["日本"])[0];
        assert!(name.starts_with("srv__tool"), "{name}");
        // The whole name would be of another server.
        let name = &names("crm", &["_y"])[0];
        assert!(name.starts_with("crm__y"), "{name}");
    }

    proptest! {
        #[test]
        fn names_are_allowed_unique_and_independent_of_the_order(
            tools in proptest::collection::vec("[a-c._ é]{1,4}|\\PC{1,100}", 1..12),
            server in "[a-z0-9-][a-z0-9_-]{0,8}",
        ) {
            prop_assume!(!server.contains(SEPARATOR));
            let mut tools: Vec<&str> = tools.iter().map(String::as_str).collect();
            tools.sort_unstable();
            tools.dedup();
            let servers = [server.as_str(), "a_", "b"];
            let named = assign(&server, &servers, &tools);
            let mut all = HashSet::new();
            for name in named.iter().flatten() {
                prop_assert!(is_valid_name(&name.name), "{}", name.name);
                prop_assert!(!name.name.starts_with(|first: char| first.is_ascii_digit() || first == '-'));
                prop_assert_eq!(server_of(&name.name, &servers), Some(server.as_str()));
                prop_assert!(all.insert(&name.name));
            }
            prop_assert_eq!(all.len(), tools.len());
            let reversed: Vec<&str> = tools.iter().rev().copied().collect();
            let mut other = assign(&server, &servers, &reversed);
            other.reverse();
            prop_assert_eq!(named, other);
        }
    }
}
