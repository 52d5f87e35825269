//! A run as one subscriber sees it: puts the answer together and checks every event.

use serde_json::Value;

/// What a piece of an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Text,
    Reasoning,
}

struct Piece {
    sequence: u64,
    part: Part,
    text: String,
}

/// What one subscriber knows of a run.
pub(crate) struct View {
    run: String,
    last: u64,
    /// Put together from `delta`. None for somebody who did not see the first ones.
    pieces: Option<Vec<Piece>>,
    /// The last `message.text`. None while it is not known.
    text: Option<String>,
    end: Option<String>,
}

impl View {
    /// Somebody who sees the run from its first event.
    pub(crate) fn from_the_start(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            last: 0,
            pieces: Some(Vec::new()),
            text: Some(String::new()),
            end: None,
        }
    }

    /// Somebody who comes when the events up to `last` are past.
    pub(crate) fn after(run: &str, last: u64) -> Self {
        Self {
            last,
            pieces: None,
            text: None,
            ..Self::from_the_start(run)
        }
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// The last sequence that was seen.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The type of the terminal event, once it was seen.
    pub(crate) fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// The text that was put together, as far as it is known.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The answer's parts as they came, if all were seen.
    pub(crate) fn parts(&self) -> Option<Vec<(Part, String)>> {
        let mut parts: Vec<(Part, String)> = Vec::new();
        for piece in self.pieces.as_ref()? {
            match parts.last_mut() {
                Some((part, text)) if *part == piece.part => *text += &piece.text,
                _ => parts.push((piece.part, piece.text.clone())),
            }
        }
        Some(parts)
    }

    fn assembled(&self) -> Option<String> {
        let texts = self.pieces.as_ref()?.iter();
        let texts = texts.filter(|piece| piece.part == Part::Text);
        Some(texts.map(|piece| piece.text.as_str()).collect())
    }

    /// Takes the next event; an error says which promise it breaks.
    pub(crate) fn take(&mut self, event: &Value) -> Result<(), String> {
        if event["run"]["id"] != self.run {
            return Err(format!("it is not of {}", self.run));
        }
        if let Some(end) = &self.end {
            return Err(format!("it comes after {end}"));
        }
        let sequence = event["sequence"].as_u64().ok_or("it has no sequence")?;
        let first = event["firstSequence"].as_u64().unwrap_or(sequence);
        if first != self.last + 1 || sequence < first {
            return Err(format!("it comes after the sequence {}", self.last));
        }
        self.last = sequence;
        match event["__typename"].as_str().unwrap_or_default() {
            "TextDelta" => {
                self.add(sequence, Part::Text, &event["delta"]);
                self.told(&event["message"]["text"])
            }
            "ReasoningDelta" => {
                self.add(sequence, Part::Reasoning, &event["delta"]);
                Ok(())
            }
            "StepRestarted" => self.discard(event["discardAfter"].as_u64()),
            "MessageCompleted" => self.told(&event["message"]["text"]),
            end @ ("RunCompleted" | "RunFailed" | "RunCancelled") => {
                self.end = Some(end.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, sequence: u64, part: Part, delta: &Value) {
        let text = delta.as_str().unwrap_or_default().to_owned();
        if let Some(pieces) = &mut self.pieces {
            pieces.push(Piece {
                sequence,
                part,
                text,
            });
        }
    }

    /// Takes the text so far, which must be what the pieces come to.
    fn told(&mut self, text: &Value) -> Result<(), String> {
        let text = text.as_str().ok_or("it has no text")?;
        self.text = Some(text.to_owned());
        match self.assembled() {
            Some(assembled) if assembled != text => Err(format!(
                "its text is not what its deltas were: {assembled:?}"
            )),
            _ => Ok(()),
        }
    }

    fn discard(&mut self, after: Option<u64>) -> Result<(), String> {
        let after = after.ok_or("it does not say after what to discard")?;
        if after >= self.last {
            return Err("it discards what comes after it".to_owned());
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.retain(|piece| piece.sequence <= after);
        }
        self.text = self.assembled();
        Ok(())
    }
}

/// A check that lets everything pass would prove nothing.
mod tests {
    use serde_json::{Value, json};

    use super::{Part, View};

    fn event(sequence: u64, kind: &str, mut more: Value) -> Value {
        more["run"] = json!({ "id": "run_1" });
        more["sequence"] = sequence.into();
        more["__typename"] = kind.into();
        more
    }

    fn delta(sequence: u64, delta: &str, text: &str) -> Value {
        let more = json!({ "delta": delta, "message": { "text": text } });
        event(sequence, "TextDelta", more)
    }

    fn view(events: &[Value]) -> (View, Result<(), String>) {
        let mut view = View::from_the_start("run_1");
        let taken = events.iter().try_for_each(|event| view.take(event));
        (view, taken)
    }

    #[test]
    fn what_a_died_step_said_is_dropped() {
        let thought = json!({ "delta": "hm" });
        let (view, taken) = view(&[
            event(1, "StepStarted", json!({})),
            event(2, "ReasoningDelta", thought.clone()),
            delta(3, "old", "old"),
            event(4, "StepRestarted", json!({ "discardAfter": 1 })),
            event(5, "ReasoningDelta", thought),
            delta(6, "n", "n"),
            delta(7, "ew", "new"),
            event(8, "RunCompleted", json!({})),
        ]);
        assert_eq!(taken, Ok(()));
        let expected = [(Part::Reasoning, "hm".into()), (Part::Text, "new".into())];
        assert_eq!(view.parts().unwrap(), expected);
        assert_eq!(view.text(), Some("new"));
        assert_eq!((view.end(), view.last()), (Some("RunCompleted"), 8));
    }

    #[test]
    fn broken_promises_are_noticed() {
        let end = |sequence| event(sequence, "RunCompleted", json!({}));
        let coalesced = |first: u64, last| {
            let mut event = delta(last, "a", "a");
            event["firstSequence"] = first.into();
            event
        };
        for (events, why) in [
            (vec![end(1), end(2)], "it comes after RunCompleted"),
            (vec![end(2)], "it comes after the sequence 0"),
            (
                vec![delta(1, "a", "a"), delta(1, "a", "aa")],
                "it comes after the sequence 1",
            ),
            (
                vec![delta(1, "a", "a"), coalesced(1, 3)],
                "it comes after the sequence 1",
            ),
            (
                vec![coalesced(1, 3), end(5)],
                "it comes after the sequence 3",
            ),
            (
                vec![delta(1, "a", "b")],
                "its text is not what its deltas were: \"a\"",
            ),
            (
                vec![event(1, "StepRestarted", json!({ "discardAfter": 1 }))],
                "it discards what comes after it",
            ),
        ] {
            assert_eq!(view(&events).1, Err(why.to_owned()));
        }
    }
}
