//! Waits that servers request: `Retry-After` (RFC 9110, section 10.2.3) and similar headers.

use std::time::{Duration, SystemTime};

/// The longest wait; longer requests are cut to it. A setting limits how much of a wait is obeyed.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// Milliseconds since 1970 that are later than any seconds since then.
const FIRST_MILLISECONDS: f64 = 1e11;

/// The wait of a `Retry-After` value: seconds, which many servers give with a fraction, or a date;
/// none when it is neither. A past date means no wait.
pub fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Some(wait) = parse_seconds(value) {
        return Some(wait);
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(MOST))
}

/// Seconds, with or without a fraction.
pub fn parse_seconds(value: &str) -> Option<Duration> {
    number(value.trim()).map(|seconds| of_seconds(seconds, 1.0))
}

/// Milliseconds, with or without a fraction (`retry-after-ms`).
pub fn parse_milliseconds(value: &str) -> Option<Duration> {
    number(value.trim()).map(|milliseconds| of_seconds(milliseconds, 1e-3))
}

/// A duration in the form of protobuf and Go: `34.07s`, `6m0s`, `1h2m3.5s`, `20ms`.
pub fn parse_duration(value: &str) -> Option<Duration> {
    let mut rest = value.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount = number(rest.get(..end)?)?;
        rest = rest.get(end..)?;
        let units = [
            ("ms", 1e-3),
            ("h", 3600.0),
            ("m", 60.0),
            ("s", 1.0),
            ("d", 86_400.0),
        ];
        let (unit, seconds) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        total = total.saturating_add(of_seconds(amount, seconds));
        rest = rest.get(unit.len()..)?;
    }
    Some(total.min(MOST))
}

/// The wait until a time, in seconds or milliseconds since 1970 (`x-ratelimit-reset`).
pub fn until(value: &str, now: SystemTime) -> Option<Duration> {
    let moment = number(value.trim())?;
    let scale = if moment >= FIRST_MILLISECONDS {
        1e-3
    } else {
        1.0
    };
    let moment = Duration::try_from_secs_f64(moment * scale).ok()?;
    let moment = SystemTime::UNIX_EPOCH.checked_add(moment)?;
    Some(moment.duration_since(now).unwrap_or_default().min(MOST))
}

/// Digits with at most one point: no sign, no exponent.
fn number(value: &str) -> Option<f64> {
    let is_plain = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    if !is_plain || !has_digit {
        return None;
    }
    value.parse().ok()
}

/// Cuts an amount beyond any reasonable wait to the longest wait.
fn of_seconds(amount: f64, unit: f64) -> Duration {
    let wait = Duration::try_from_secs_f64(amount * unit);
    wait.map_or(MOST, |wait| wait.min(MOST))
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
        // The obsolete forms that section 5.6.7 still requires to be read.
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), Some(30));
        assert_eq!(seconds("Sun Nov  6 08:49:37 1994"), Some(30));
    }

    #[test]
    fn past_date_means_no_wait() {
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
            "1.5.2",
            "1e3",
            ".",
            "NaN",
            "soon",
            "1 s",
            "Sun, 06 Nov 1994",
        ] {
            assert_eq!(seconds(value), None, "{value}");
        }
    }

    #[test]
    fn fractions_and_other_forms_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let ms = |wait: Option<Duration>| wait.map(|wait| wait.as_millis());
        assert_eq!(ms(parse("0.5", now)), Some(500));
        assert_eq!(ms(parse(" 1.25 ", now)), Some(1_250));
        assert_eq!(ms(parse_milliseconds("1500")), Some(1_500));
        assert_eq!(ms(parse_milliseconds("0.5")), Some(0));
        assert_eq!(ms(parse_milliseconds("-1")), None);
        for (text, wait) in [
            ("34.5s", Some(34_500)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("20ms", Some(20)),
            ("1s", Some(1_000)),
            ("", None),
            ("12", None),
            ("s", None),
            ("1x", None),
            ("-1s", None),
        ] {
            assert_eq!(ms(parse_duration(text)), wait, "{text}");
        }
        assert_eq!(ms(until("1700000002", now)), Some(2_000));
        assert_eq!(ms(until("1700000002500", now)), Some(2_500));
        assert_eq!(ms(until("1600000000", now)), Some(0));
        assert_eq!(ms(until("soon", now)), None);
    }
}
