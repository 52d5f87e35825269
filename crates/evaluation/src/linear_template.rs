//! Detection of templates and expressions whose cost is linear in their size, without evaluating
//! them.

/// The maximum number of values in a simple template.
const PLACEHOLDERS: usize = 32;

/// The longest path of one of them, in bytes, and the maximum number of names in it.
const PATH_BYTES: usize = 256;
const PATH_NAMES: usize = 8;

/// The longest simple expression, in bytes, which also limits its recursion.
const EXPRESSION_BYTES: usize = 256;

/// Returns true for a template of text and a few `{{ name.name }}`, which writes each value once.
pub(super) fn is_simple_template(template: &str) -> bool {
    let (mut rest, mut placeholders) = (template, 0);
    while let Some(at) = rest.find('{') {
        let found = rest.get(at..).unwrap_or_default();
        let Some(inside) = found.strip_prefix("{{") else {
            if found.starts_with("{%") || found.starts_with("{#") {
                return false;
            }
            rest = found.get(1..).unwrap_or_default();
            continue;
        };
        placeholders += 1;
        let Some((path, after)) = inside.split_once("}}") else {
            return false;
        };
        if placeholders > PLACEHOLDERS || !is_path(path.trim()) {
            return false;
        }
        rest = after;
    }
    true
}

fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    path.len() <= PATH_BYTES
        && path.split('.').count() <= PATH_NAMES
        && path.split('.').all(is_name)
}

/// Returns true for a short expression of names, numbers, texts without escapes and comparisons: it
/// has no calls and loops, and creates no values.
pub(super) fn is_simple_expression(text: &str) -> bool {
    if text.len() > EXPRESSION_BYTES {
        return false;
    }
    let mut quote = None;
    text.chars().all(|letter| match quote {
        Some(open) => {
            if letter == open {
                quote = None;
            }
            letter != '\\'
        }
        None if matches!(letter, '\'' | '"') => {
            quote = Some(letter);
            true
        }
        None => letter.is_ascii_alphanumeric() || "_. <>=![],".contains(letter),
    }) && quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_placeholders_are_simple() {
        for simple in [
            "",
            "text { with } braces }}",
            "Today is {{ date }}; {{variables.a.b}}.",
            "{ {{ owner }} }",
        ] {
            assert!(is_simple_template(simple), "{simple}");
        }
        for costly in [
            "{{ a + b }}",
            "{{ -a }}",
            "{{ a|upper }}",
            "{{ a() }}",
            "{{ a[0] }}",
            "{{ 'a' }}",
            "{{ 1 }}",
            "{{ }}",
            "{{ a",
            "{% set a = 1 %}",
            "{# comment #}",
            "{{{ a }}}",
            "{{ a.b.c.d.e.f.g.h.i }}",
            &"{{ a }}".repeat(PLACEHOLDERS + 1),
            &format!("{{{{ {} }}}}", "a".repeat(PATH_BYTES + 1)),
        ] {
            assert!(!is_simple_template(costly), "{costly}");
        }
    }

    #[test]
    fn only_comparisons_are_simple() {
        for simple in [
            "args.amount > 100",
            "args.kind in ['delete', 'drop']",
            "args.dry_run is not defined or not args.dry_run",
            "args.to is endingwith '@example.com'",
        ] {
            assert!(is_simple_expression(simple), "{simple}");
        }
        for costly in [
            "args.a ~ 'a'",
            "args.a|length > 1",
            "'x' * 9999",
            "range(9)",
            "'a",
            "'\\''",
            &"not ".repeat(100),
        ] {
            assert!(!is_simple_expression(costly), "{costly}");
        }
    }
}
