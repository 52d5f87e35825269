//! The cost of model calls.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of US dollars, exact to a thousand-millionth. A token of a cheap model costs some
/// hundreds of those, and sums of whole numbers have no rounding error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(u64);

const NANOS: u64 = 1_000_000_000;

impl Cost {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// The nearest amount; negative values become zero.
    pub fn from_dollars(dollars: f64) -> Self {
        // Saturates at both ends.
        Self((dollars * NANOS as f64).round() as u64)
    }

    /// Creates an amount from thousand-millionths.
    pub fn from_nanos(nanos: i64) -> Self {
        Self(u64::try_from(nanos).unwrap_or(0))
    }

    /// The amount in thousand-millionths.
    pub fn nanos(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The sum; unknown if either amount is unknown.
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        Some(Self(one?.0.saturating_add(other?.0)))
    }
}

/// Formats the amount as a decimal number without trailing zeros: `0.000226`.
impl fmt::Display for Cost {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nanos) = (self.0 / NANOS, self.0 % NANOS);
        if nanos == 0 {
            return write!(to, "{whole}");
        }
        let digits = format!("{nanos:09}");
        write!(to, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::Cost;

    #[test]
    fn amounts_are_formatted_as_decimals() {
        for (dollars, told) in [
            (0.0, "0"),
            (2.0, "2"),
            (0.1, "0.1"),
            (12.000_000_001, "12.000000001"),
            (0.000_226, "0.000226"),
            (-1.0, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(Cost::from_dollars(dollars).to_string(), told);
        }
    }

    #[test]
    fn sum_with_an_unknown_cost_is_unknown() {
        let (some, more) = (Some(Cost::from_nanos(3)), Some(Cost::from_nanos(4)));
        assert_eq!(Cost::sum(some, more), Some(Cost::from_nanos(7)));
        assert_eq!(Cost::sum(some, None), None);
        assert_eq!(Cost::sum(None, some), None);
    }
}
