//! Lines of JSON: one flat object each, with unique keys.

use std::fmt::{self, Debug};

use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The event's name.
const MESSAGE: &str = "message";

/// An event's own fields, followed by those of the spans around it that no inner span has set.
/// tracing-subscriber's own format nests the spans' fields in lists of objects, where log
/// processors do not look, and repeats a key that an event repeats.
pub(super) struct FlatJson;

impl<S, N> FormatEvent<S, N> for FlatJson
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let mut line = Line::default();
        line.set("timestamp", timestamp);
        line.set("level", metadata.level().as_str());
        let mut own = Line::default();
        event.record(&mut own);
        line.set(MESSAGE, own.take(MESSAGE).unwrap_or_else(|| "".into()));
        // Events of the `log` crate have their target in a field.
        let target = own.take("log.target");
        line.set("target", target.unwrap_or_else(|| metadata.target().into()));
        for (name, value) in own.fields {
            if !name.starts_with("log.") {
                line.set(name, value);
            }
        }
        let spans = context.event_scope().into_iter().flatten();
        for span in spans {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() else {
                continue;
            };
            let fields: Map<String, Value> = serde_json::from_str(fields).unwrap_or_default();
            for (name, value) in fields {
                line.set(name, value);
            }
        }
        writeln!(writer, "{}", line.json()?)
    }
}

/// The fields of a line in order.
#[derive(Default)]
struct Line {
    fields: Vec<(String, Value)>,
}

impl Line {
    /// Sets a field that is not set.
    fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let name = name.into();
        if self.fields.iter().all(|(set, _)| *set != name) {
            self.fields.push((name, value.into()));
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|(set, _)| set == name)?;
        Some(self.fields.remove(at).1)
    }

    fn json(&self) -> Result<String, fmt::Error> {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut json);
        let mut write = || {
            let mut map = serializer.serialize_map(Some(self.fields.len()))?;
            for (name, value) in &self.fields {
                map.serialize_entry(name, value)?;
            }
            map.end()
        };
        let written: Result<(), serde_json::Error> = write();
        written.map_err(|_| fmt::Error)?;
        String::from_utf8(json).map_err(|_| fmt::Error)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines of what `log` logs.
    fn lines(log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(FlatJson)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let written = written.0.lock().unwrap();
        String::from_utf8_lossy(&written)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_innermost_field_of_a_name_is_written_and_no_other() {
        let lines = lines(|| {
            let outer =
                tracing::error_span!("outer", run = 1, model = "a", late = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("late", "yes\n");
            let _inner = tracing::error_span!("inner", model = "b").entered();
            tracing::warn!(run = 2, is = true, "said");
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let (_, rest) = line.split_once(r#","level""#).unwrap();
        assert_eq!(
            rest,
            r#":"WARN","message":"said","target":"talkgraph::telemetry::json::tests","run":2,"is":true,"model":"b","late":"yes\n"}"#
        );
    }

    #[test]
    fn an_event_without_a_message_has_an_empty_one() {
        let lines = lines(|| tracing::info!(a = 1));
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["message"], &line["a"]), (&"".into(), &1.into()));
    }
}
