//! Declares sections of the settings: each key once, with its text, bounds and default.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::path::PathBuf;

use secrecy::SecretString;

use super::ConfigError;
#[cfg(test)]
use super::example::Shape;

/// The numbers that a setting may have.
pub(super) type Bounds = RangeInclusive<u64>;

/// The bounds of a number that declares none: 0 is refused.
pub(super) const POSITIVE: Bounds = 1..=u64::MAX;

/// The type of a setting.
pub(super) trait Setting {
    /// Refuses a number out of its bounds, in this setting or below it.
    fn check(&self, _key: &str, _bounds: &Bounds) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The form in which the example documents it.
    #[cfg(test)]
    fn shape() -> Shape {
        Shape::Value
    }
}

/// Bounds as they are declared next to a key: `0..`, `1..=64`.
pub(super) fn bounds(range: &impl RangeBounds<u64>) -> Bounds {
    let least = match range.start_bound() {
        Bound::Included(least) | Bound::Excluded(least) => *least,
        Bound::Unbounded => 0,
    };
    let most = match range.end_bound() {
        Bound::Included(most) | Bound::Excluded(most) => *most,
        Bound::Unbounded => u64::MAX,
    };
    least..=most
}

/// The allowed numbers in words, such as "from 1 to 64".
pub(super) fn allowed(bounds: &Bounds) -> String {
    match (*bounds.start(), *bounds.end()) {
        (least, u64::MAX) => format!("at least {least}"),
        (0, most) => format!("at most {most}"),
        (least, most) => format!("from {least} to {most}"),
    }
}

/// The name of a key in its section.
pub(super) fn key_in(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        section => format!("{section}.{key}"),
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Setting for $type {
            fn check(&self, key: &str, bounds: &Bounds) -> Result<(), ConfigError> {
                match u64::try_from(*self) {
                    Ok(value) if bounds.contains(&value) => Ok(()),
                    _ => {
                        let why = format!("{self} is not allowed: must be {}", allowed(bounds));
                        Err(ConfigError::invalid(key, why))
                    }
                }
            }
        }
    )*};
}

numbers! { u16 u32 u64 usize }

/// Types of settings without bounds.
macro_rules! unbounded {
    ($($type:ty),* $(,)?) => {$(impl $crate::config::section::Setting for $type {})*};
}

unbounded!(
    bool,
    f64,
    String,
    PathBuf,
    IpAddr,
    SecretString,
    serde_json::Value,
    crate::guard::Trust,
    talkgraph_domain::CacheTtl,
    talkgraph_domain::OnRestart,
    talkgraph_domain::Scope,
    talkgraph_domain::capabilities::CapabilityOverrides,
);

impl<T: Setting> Setting for Option<T> {
    fn check(&self, key: &str, bounds: &Bounds) -> Result<(), ConfigError> {
        self.iter().try_for_each(|value| value.check(key, bounds))
    }

    #[cfg(test)]
    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn check(&self, key: &str, bounds: &Bounds) -> Result<(), ConfigError> {
        let mut values = self.iter().enumerate();
        values.try_for_each(|(at, value)| value.check(&format!("{key}[{at}]"), bounds))
    }

    #[cfg(test)]
    fn shape() -> Shape {
        T::shape().in_list()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn check(&self, key: &str, bounds: &Bounds) -> Result<(), ConfigError> {
        let mut values = self.iter();
        values.try_for_each(|(name, value)| value.check(&key_in(key, name), bounds))
    }

    #[cfg(test)]
    fn shape() -> Shape {
        T::shape().in_map()
    }
}

/// Declares sections. After a key come its type, its bounds in brackets if it may be 0 or has
/// others, and either its default (`= 8_080`) or the value of a line that the example comments
/// out (`=> "sk-..."`). Braces after a type replace texts and values of the section's keys.
/// `talkgraph.example.toml` is generated from all of it.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $(
        $(#[doc = $text:literal])*
        $(#[serde $serde:tt])*
        $key:ident: $type:ty $({ $(
            $(#[doc = $own_text:literal])*
            $own_key:ident $(= $own_default:tt)? $(=> $own_example:tt)?,
        )* })? $([$bounds:expr])? $(= $default:tt)? $(=> $example:tt)?,
    )* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {$(
            $(#[doc = $text])*
            $(#[serde $serde])*
            pub $key: $type,
        )*}

        impl $crate::config::section::Setting for $name {
            fn check(
                &self,
                section: &str,
                _: &$crate::config::section::Bounds,
            ) -> Result<(), $crate::config::ConfigError> {
                use $crate::config::section::{POSITIVE, Setting, key_in};
                $(
                    let allowed = [$($crate::config::section::bounds(&($bounds)),)? POSITIVE];
                    let [allowed, ..] = &allowed;
                    Setting::check(&self.$key, &key_in(section, stringify!($key)), allowed)?;
                )*
                Ok(())
            }

            #[cfg(test)]
            fn shape() -> $crate::config::example::Shape {
                use $crate::config::example::{Key, Shape};
                Shape::Section(|| vec![$(Key {
                    name: stringify!($key),
                    text: vec![$($text),*],
                    bounds: [$($crate::config::section::bounds(&($bounds)),)?
                        $crate::config::section::POSITIVE][0].clone(),
                    default: [$(stringify!($default),)? ""][0],
                    example: [$(stringify!($example),)? ""][0],
                    shape: <$type as $crate::config::section::Setting>::shape(),
                    own: vec![$($(Key {
                        name: stringify!($own_key),
                        text: vec![$($own_text),*],
                        bounds: $crate::config::section::POSITIVE,
                        default: [$(stringify!($own_default),)? ""][0],
                        example: [$(stringify!($own_example),)? ""][0],
                        shape: Shape::Value,
                        own: Vec::new(),
                    }),*)?],
                }),*])
            }
        }
    )*};
}
