//! A list that may be written as a single item, and is if it has exactly one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a string or a list of strings")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Reads a string or a list of strings.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

/// Writes a single item as a string, as earlier releases did: an unchanged agent must not seem
/// changed.
pub fn serialize<S: Serializer>(list: &[String], to: S) -> Result<S::Ok, S::Error> {
    match list {
        [one] => to.serialize_str(one),
        many => many.serialize(to),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Deserialize, Serialize)]
    struct Listed(#[serde(with = "super")] Vec<String>);

    #[test]
    fn one_and_many_are_read_and_written() {
        for (written, read) in [
            (json!("a/b"), vec!["a/b"]),
            (json!(["a/b", "c/d"]), vec!["a/b", "c/d"]),
            (json!([]), vec![]),
        ] {
            let Listed(list) = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(list, read);
            assert_eq!(serde_json::to_value(Listed(list)).unwrap(), written);
        }
        let Listed(list) = serde_json::from_value(json!(["a/b"])).unwrap();
        assert_eq!(list, ["a/b"]);
        let wrong = serde_json::from_value::<Listed>(json!(7)).err().unwrap();
        assert!(wrong.to_string().contains("a string or a list"), "{wrong}");
    }
}
