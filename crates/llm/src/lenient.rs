//! Lenient parsing of JSON from other servers.
//!
//! A field of the wrong type is treated as absent, so that an odd field never makes an answer
//! unreadable. Each decoder lists the fields that it needs with [`object!`]. No tree is built:
//! fields that are not listed are skipped.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json_repair::repair;

/// A type that is parsed from one kind of JSON, and is absent in place of any other.
pub(super) trait Loose: Sized {
    /// Converts a text.
    fn of_text(_: &str) -> Option<Self> {
        None
    }

    /// Converts a boolean.
    fn of_bool(_: bool) -> Option<Self> {
        None
    }

    /// Converts a whole number that is not negative.
    fn of_whole(_: u64) -> Option<Self> {
        None
    }

    /// Converts any other number.
    fn of_number(_: f64) -> Option<Self> {
        None
    }

    /// Converts a list.
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// Converts an object.
    fn of_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// Converts the value of a field.
    fn of_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(map.next_value::<Seen<Self>>()?.0)
    }
}

/// A value, or none if it was of the wrong type.
pub(super) struct Seen<T>(pub(super) Option<T>);

impl<'de, T: Loose> Deserialize<'de> for Seen<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader(PhantomData)).map(Self)
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Loose> Visitor<'de> for Reader<T> {
    type Value = Option<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<T>, E> {
        Ok(T::of_bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<T>, E> {
        Ok(T::of_whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<T>, E> {
        Ok(u64::try_from(value).map_or_else(|_| T::of_number(value as f64), T::of_whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<T>, E> {
        Ok(T::of_number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<T>, E> {
        Ok(T::of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Option<T>, A::Error> {
        T::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::of_object(map)
    }
}

/// The name of a field, converted by its text.
pub(super) struct Named<F>(pub(super) F);

impl<'de, K, F: FnOnce(&str) -> K> DeserializeSeed<'de> for Named<F> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<K, D::Error> {
        from.deserialize_str(self)
    }
}

impl<K, F: FnOnce(&str) -> K> Visitor<'_> for Named<F> {
    type Value = K;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<K, E> {
        Ok((self.0)(text))
    }
}

/// Declares a struct that is parsed from an object. Each field has a list of names, is absent if
/// its value is of another type, and may be repeated: the last valid one counts.
macro_rules! object {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty = $($key:literal)|+, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: Option<$type>, )*
        }

        impl $crate::lenient::Loose for $name {
            fn of_object<'de, A: serde::de::MapAccess<'de>>(
                mut map: A,
            ) -> Result<Option<Self>, A::Error> {
                #[allow(non_camel_case_types)]
                enum Key { $( $field, )* Other_ }
                let mut object = Self::default();
                let key = || $crate::lenient::Named(|text: &str| match text {
                    $( $($key)|+ => Key::$field, )*
                    _ => Key::Other_,
                });
                while let Some(key) = map.next_key_seed(key())? {
                    match key {
                        $( Key::$field => {
                            let value = <$type as $crate::lenient::Loose>::of_field(&mut map)?;
                            if value.is_some() {
                                object.$field = value;
                            }
                        } )*
                        Key::Other_ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Some(object))
            }
        }
    };
}
pub(super) use object;

/// Parses JSON. Forms that JSON does not allow but servers write (split characters, `NaN`) are
/// repaired first if they prevent parsing.
///
/// # Errors When it is not JSON even then.
pub(super) fn parse<T: Loose + Default>(text: &str) -> serde_json::Result<T> {
    let read = |text: &str| serde_json::from_str::<Seen<T>>(text);
    let parsed = match read(text) {
        Ok(parsed) => parsed,
        Err(error) => read(&repair(text).ok_or(error)?)?,
    };
    Ok(parsed.0.unwrap_or_default())
}

impl Loose for String {
    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Loose for bool {
    fn of_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

/// An index.
impl Loose for u64 {
    fn of_whole(value: u64) -> Option<Self> {
        Some(value)
    }
}

/// Lists skip entries of another type. A single entry is a list of one.
impl<T: Loose> Loose for Vec<T> {
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut read = Self::new();
        while let Some(Seen(entry)) = list.next_element()? {
            read.extend(entry);
        }
        Ok(Some(read))
    }

    fn of_object<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Ok(T::of_object(map)?.map(|entry| vec![entry]))
    }
}

/// The id of a call or an item, which some servers write as a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id(pub(super) String);

impl Loose for Id {
    fn of_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    fn of_whole(value: u64) -> Option<Self> {
        Some(Self(value.to_string()))
    }
}

/// Any value but null, as JSON text; a string is replaced by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Json(pub(super) String);

impl Loose for Json {
    fn of_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Self>, A::Error> {
        let raw = map.next_value::<&RawValue>()?.get();
        Ok(match raw.as_bytes().first() {
            Some(b'n') => None,
            Some(b'"') => Some(Self(unquoted(raw))),
            _ => Some(Self(raw.to_owned())),
        })
    }
}

/// The content of a JSON string.
fn unquoted(raw: &str) -> String {
    let read = serde_json::from_str(raw);
    read.unwrap_or_else(|_| {
        let mended = repair(raw).and_then(|mended| serde_json::from_str(&mended).ok());
        mended.unwrap_or_else(|| raw.to_owned())
    })
}

/// Any value but null.
impl Loose for Value {
    fn of_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Self>, A::Error> {
        let raw = map.next_value::<&RawValue>()?.get();
        let value = serde_json::from_str::<Self>(raw).ok();
        Ok(value.filter(|value| !value.is_null()))
    }
}

/// An error, unless it is empty: some servers write `""`, `{}` or `false` for none.
#[derive(Debug)]
pub(super) struct Problem(pub(super) Value);

impl Loose for Problem {
    fn of_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Self>, A::Error> {
        let raw = map.next_value::<&RawValue>()?.get();
        let value = serde_json::from_str(raw).unwrap_or_else(|_| Value::String(raw.to_owned()));
        Ok(says_something(&value).then_some(Self(value)))
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => list.iter().any(says_something),
        Value::Object(object) => object.values().any(says_something),
    }
}

/// A number of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// A valid number.
    Of(u64),
    /// Something else: negative, a fraction, a text. It makes the usage unknown.
    Odd,
}

/// The error of a usage with an invalid number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OddCount;

impl Loose for Count {
    fn of_text(_: &str) -> Option<Self> {
        Some(Self::Odd)
    }

    fn of_bool(_: bool) -> Option<Self> {
        Some(Self::Odd)
    }

    fn of_whole(value: u64) -> Option<Self> {
        Some(Self::Of(value))
    }

    fn of_number(value: f64) -> Option<Self> {
        // Servers in languages without integers write 2.0; 2^53 is where that is no longer exact.
        let is_whole = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
        Some(if is_whole {
            Self::Of(value as u64)
        } else {
            Self::Odd
        })
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Self::Odd))
    }

    fn of_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Self::Odd))
    }
}

/// A count that is required.
pub(super) fn required(count: Option<Count>) -> Result<u64, OddCount> {
    match count {
        Some(Count::Of(count)) => Ok(count),
        Some(Count::Odd) | None => Err(OddCount),
    }
}

/// A count that defaults to 0.
pub(super) fn or_zero(count: Option<Count>) -> Result<u64, OddCount> {
    match count {
        None => Ok(0),
        count => required(count),
    }
}
