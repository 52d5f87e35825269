//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

/// The longest wait that is understood; what is asked beyond it is taken for this. How much
/// of a wait is then obeyed is a setting.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait that a value asks for; none when it is neither form. A date that has passed asks
/// for no wait.
pub(crate) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // Digits that are no u64 are more seconds than anybody waits.
        value.parse().map_or(MOST, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(value: &str) -> Option<u64> {
        // 6 November 1994, 08:49:07 UTC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_747);
        parse(value, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        // The obsolete forms that section 5.6.7 still wants read.
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), Some(30));
        assert_eq!(seconds("Sun Nov  6 08:49:37 1994"), Some(30));
    }

    #[test]
    fn a_date_that_has_passed_is_no_wait() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:48:00 GMT"), Some(0));
    }

    #[test]
    fn no_wait_is_longer_than_a_day() {
        for value in [
            "86401",
            "99999999999999999999999",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(seconds(value), Some(MOST.as_secs()), "{value}");
        }
    }

    #[test]
    fn anything_else_is_ignored() {
        for value in [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "soon",
            "1 s",
            "Sun, 06 Nov 1994",
        ] {
            assert_eq!(seconds(value), None, "{value}");
        }
    }
}
