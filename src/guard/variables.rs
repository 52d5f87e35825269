//! Variables: counted as text, then parsed.

use std::fmt;

use async_graphql::Variables;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{GuardError, GuardLimits};

/// Parses a request's variables, unless they exceed the limits on nesting or number.
pub(crate) fn parse(text: &RawValue, limits: &GuardLimits) -> Result<Variables, GuardError> {
    let text = text.get();
    let mut counter = Counter {
        values: 0,
        levels: 0,
        limits,
        exceeded: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    if let Err(error) = counter.deserialize(&mut json) {
        return Err(counter
            .exceeded
            .take()
            .unwrap_or_else(|| unreadable(&error)));
    }
    if !text.starts_with('{') {
        return Err(GuardError::Parameter {
            field: "variables",
            message: "must be an object".to_owned(),
        });
    }
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> GuardError {
    GuardError::Parameter {
        field: "variables",
        message: format!("cannot be read: {error}"),
    }
}

/// Counts the values of JSON without parsing it, and stops at a limit.
struct Counter<'a> {
    values: usize,
    levels: usize,
    limits: &'a GuardLimits,
    exceeded: Option<GuardError>,
}

impl Counter<'_> {
    fn stop<E: serde::de::Error>(&mut self, what: &'static str, most: usize) -> E {
        self.exceeded = Some(GuardError::limit_exceeded(what, most));
        E::custom(what)
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.levels += 1;
        let most = self.limits.variables_nesting;
        if self.levels > most {
            return Err(self.stop("levels of variables", most));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.values += 1;
        let most = self.limits.variables_values;
        if self.values > most {
            return Err(self.stop("values in variables", most));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Counter<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.enter()?;
        while items.next_element_seed(&mut *self)?.is_some() {}
        self.levels -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.enter()?;
        while entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value_seed(&mut *self)?;
        }
        self.levels -= 1;
        Ok(())
    }
}
