//! The shipped agents as today's models: tools, forced tools, files, answers in a form.

use serde_json::{Value, json};

use crate::house::{House, Talk, results};

const COMPUTE: &str = "How much is it?\ncall calculator {\"expression\": \"6*7\"}";

/// Small files whose first bytes say what they are, in Base64.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";
const PDF: &str = "JVBERi0xLjcK";
const TEXT: &str = "bmFtZSxhZ2UKQW5uLDMwCg==";

/// A form with what vendors do not take: bounds, formats, alternatives, optional properties.
fn form() -> Value {
    json!({
        "type": "object",
        "properties": {
            "steps": { "type": "array", "minItems": 1, "maxItems": 5, "items": {
                "type": "object",
                "properties": {
                    "title": { "type": "string", "minLength": 1, "maxLength": 40 },
                    "minutes": { "type": "integer", "minimum": 1, "maximum": 90 },
                },
                "required": ["title"],
            } },
            "mood": { "oneOf": [{ "type": "string", "enum": ["glad", "sad"] }, { "type": "null" }] },
            "day": { "type": "string", "format": "date" },
            "tags": { "type": "array", "uniqueItems": true, "items": { "type": "string" } },
            "source": { "$ref": "#/$defs/source" },
            "answer": { "type": "string" },
        },
        "required": ["steps", "answer"],
        "$defs": { "source": {
            "type": "object",
            "properties": { "page": { "type": "string", "pattern": "^[a-z]+$" } },
            "required": ["page"],
        } },
    })
}

/// Everything that people ask of an agent, with one model. `forced`: it can be forced to call a
/// tool.
pub(crate) async fn everything(kind: &'static str, model: &'static str, forced: bool) -> House {
    let house = House::of(kind, model).await;
    let process = house.open(0, &[]).await;
    for agent in ["research", "support"] {
        let mut talk = Talk::new(&house, &process, agent);
        let answer = talk.says("Hello", &json!({})).await;
        assert_eq!(answer["text"], "You said: Hello", "{model}: {answer}");
        let answer = talk.says(COMPUTE, &json!({})).await;
        assert!(results(&answer)[0].contains("42"), "{model}: {answer}");
        // Two at once.
        let two = format!("{COMPUTE}\ncall current_time {{}}");
        let answer = talk.says(&two, &json!({})).await;
        assert_eq!(results(&answer).len(), 2, "{model}: {answer}");

        // A tool that must be called, by name or any. A model that cannot be forced is asked.
        for choice in [
            json!({ "tool": "calculator" }),
            json!({ "mode": "REQUIRED" }),
        ] {
            let text = if forced { "How much?" } else { COMPUTE };
            let answer = talk.says(text, &json!({ "toolChoice": choice })).await;
            assert!(!results(&answer).is_empty(), "{model}: {answer}");
        }
        let none = talk
            .says(COMPUTE, &json!({ "toolChoice": { "mode": "NONE" } }))
            .await;
        assert!(results(&none).is_empty(), "{model}: {none}");

        let files = json!({ "files": [
            { "name": "cat.png", "mimeType": "image/png", "data": PNG },
            { "name": "bill.pdf", "data": PDF },
            { "name": "people.csv", "mimeType": "text/csv", "data": TEXT },
        ] });
        talk.says("What is this?", &files).await;

        let answer = talk
            .says("A plan, please", &json!({ "outputSchema": form() }))
            .await;
        assert_eq!(
            answer["data"]["steps"][0]["title"], "text",
            "{model}: {answer}"
        );
        let keys: Vec<_> = answer["data"].as_object().unwrap().keys().collect();
        assert_eq!(keys.first().unwrap().as_str(), "steps", "{model}: {answer}");
        // With a tool's call before the answer.
        let answer = talk.says(COMPUTE, &json!({ "outputSchema": form() })).await;
        assert!(results(&answer)[0].contains("42"), "{model}: {answer}");
        assert!(answer["data"].is_object(), "{model}: {answer}");
        talk.says("Thank you", &json!({})).await;
    }
    house
}
