//! Templates whose values cannot leave their positions.

use std::fmt::Write;

use minijinja::value::Serde;
use minijinja::{
    Environment, ErrorKind, Output, UndefinedBehavior, Value as TemplateValue, context,
};
use serde_json::Value;

use super::{Escape, Failure};

/// The limit on a template's run time: it is configuration, not a program.
const TEMPLATE_FUEL: u64 = 50_000;

/// The name of the one template in each environment.
const NAME: &str = "template";

/// A minijinja template over `args`.
pub(super) struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Parses a template. It may only use `args`.
    pub(super) fn new(source: &str, escape: Escape) -> Result<Self, Failure> {
        let mut environment = Environment::new();
        // A misspelt name must not silently disappear.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(TEMPLATE_FUEL));
        environment.set_formatter(move |out, _, value| write(out, escape, value));
        let added = environment.add_template_owned(NAME, source.to_owned());
        // Without its source, which may contain secrets.
        added.map_err(|error| Failure::Wrong(error.to_string()))?;
        let template = environment
            .get_template(NAME)
            .map_err(|error| Failure::Wrong(error.to_string()))?;
        let mut unknown = template.undeclared_variables(false);
        unknown.remove("args");
        if let Some(name) = unknown.iter().min() {
            return Err(Failure::Wrong(format!("{name:?} is not args")));
        }
        Ok(Self { environment })
    }

    /// Renders it; the error is for the log.
    pub(super) fn render(&self, arguments: &Value) -> Result<String, Failure> {
        let rendered = self
            .environment
            .get_template(NAME)
            .and_then(|template| template.render(context! { args => Serde(arguments) }));
        rendered.map_err(|error| Failure::Wrong(error.to_string()))
    }
}

fn write(
    out: &mut Output<'_>,
    escape: Escape,
    value: &TemplateValue,
) -> Result<(), minijinja::Error> {
    let text = match escape {
        _ if value.is_undefined() => return Err(ErrorKind::UndefinedError.into()),
        Escape::Url if value.is_none() => return Ok(()),
        Escape::Url => percent_encoded(&value.to_string()),
        Escape::Json => serde_json::to_string(value).map_err(|error| {
            minijinja::Error::new(ErrorKind::BadSerialization, error.to_string())
        })?,
    };
    Ok(out.write_str(&text)?)
}

/// Encodes all characters except unreserved ones (RFC 3986, section 2.3) as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stay_in_their_place() {
        let template = Template::new("https://x/{{ args.a }}?q={{ args.b }}", Escape::Url).unwrap();
        let arguments = json!({ "a": "../a?b#c/ü", "b": "1&admin=true +" });
        assert_eq!(
            template.render(&arguments).unwrap(),
            "https://x/..%2Fa%3Fb%23c%2F%C3%BC?q=1%26admin%3Dtrue%20%2B"
        );
        let body = r#"{"text": {{ args.a }}, "n": {{ args.b }}, "list": {{ args.c }}, "safe": {{ args.a|safe }}}"#;
        let template = Template::new(body, Escape::Json).unwrap();
        let arguments =
            json!({ "a": "\"}, \"admin\": true", "b": 1.5, "c": [null, { "x": false }] });
        let rendered: Value = serde_json::from_str(&template.render(&arguments).unwrap()).unwrap();
        assert_eq!(
            rendered,
            json!({ "text": arguments["a"], "n": 1.5, "list": arguments["c"], "safe": arguments["a"] })
        );
    }

    #[test]
    fn missing_argument_is_an_error() {
        for escape in [Escape::Url, Escape::Json] {
            let template = Template::new("{{ args.absent }}", escape).unwrap();
            assert!(template.render(&json!({})).is_err());
            let template = Template::new("{{ args.absent|default(7) }}", escape).unwrap();
            assert_eq!(template.render(&json!({})).unwrap(), "7");
        }
        for source in ["{{ args", "{{ url }}", "{% include 'x' %}{{ y }}"] {
            assert!(Template::new(source, Escape::Url).is_err(), "{source}");
        }
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}{{ args }}";
        match Template::new(endless, Escape::Url) {
            Ok(template) => assert!(template.render(&json!({})).is_err()),
            Err(why) => assert!(why.to_string().contains("range"), "{why}"),
        }
    }
}
