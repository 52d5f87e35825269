//! The answer as it grows: the parts that will be stored, and the event for each piece.

use crate::domain::message::text_of;
use crate::domain::{EventBody, MessageId, Part, RunEvent};

/// An answer being written. What is streamed and what is stored come from the same calls,
/// so they cannot differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    id: MessageId,
    parts: Vec<Part>,
    text_bytes: usize,
    reasoning_bytes: usize,
    /// Where the current step began.
    step: Mark,
}

/// How far an answer had got.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mark {
    parts: usize,
    /// Bytes of the last of those parts: a step may go on writing the one before it.
    last_part_bytes: usize,
    text_bytes: usize,
    reasoning_bytes: usize,
}

impl Answer {
    pub(crate) fn new(id: MessageId) -> Self {
        Self {
            id,
            parts: Vec::new(),
            text_bytes: 0,
            reasoning_bytes: 0,
            step: Mark::default(),
        }
    }

    /// Takes in an event of its run's log. The events of a log, taken in one after the other,
    /// give the answer that the log tells of.
    pub(crate) fn apply(&mut self, event: &RunEvent) {
        match &event.body {
            EventBody::TextDelta { delta, .. } => drop(self.add_text(delta.clone())),
            EventBody::ReasoningDelta { delta, .. } => drop(self.add_reasoning(delta.clone())),
            EventBody::StepStarted { .. } => self.begin_step(),
            EventBody::StepRestarted { .. } => self.restart_step(),
            _ => {}
        }
    }

    /// A step begins here.
    pub(crate) fn begin_step(&mut self) {
        self.step = Mark {
            parts: self.parts.len(),
            last_part_bytes: self.parts.last().map_or(0, |part| text(part).len()),
            text_bytes: self.text_bytes,
            reasoning_bytes: self.reasoning_bytes,
        };
    }

    /// The step begins once more: what it has written is gone.
    pub(crate) fn restart_step(&mut self) {
        self.parts.truncate(self.step.parts);
        if let Some(last) = self.parts.last_mut() {
            text_mut(last).truncate(self.step.last_part_bytes);
        }
        self.text_bytes = self.step.text_bytes;
        self.reasoning_bytes = self.step.reasoning_bytes;
    }

    pub(crate) fn add_text(&mut self, delta: String) -> EventBody {
        self.text_bytes += delta.len();
        match self.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(&delta),
            _ => self.parts.push(Part::Text {
                text: delta.clone(),
            }),
        }
        EventBody::TextDelta {
            message_id: self.id,
            delta,
            end: self.text_bytes as u64,
        }
    }

    pub(crate) fn add_reasoning(&mut self, delta: String) -> EventBody {
        self.reasoning_bytes += delta.len();
        match self.parts.last_mut() {
            Some(Part::Reasoning { text }) => text.push_str(&delta),
            _ => self.parts.push(Part::Reasoning {
                text: delta.clone(),
            }),
        }
        EventBody::ReasoningDelta {
            message_id: self.id,
            delta,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text_bytes + self.reasoning_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// All its text.
    pub(crate) fn text(&self) -> String {
        text_of(&self.parts)
    }
}

fn text(part: &Part) -> &String {
    match part {
        Part::Text { text } | Part::Reasoning { text } => text,
    }
}

fn text_mut(part: &mut Part) -> &mut String {
    match part {
        Part::Text { text } | Part::Reasoning { text } => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RunId;
    use crate::domain::time::now;
    use proptest::prelude::*;

    /// What a run may do to its answer.
    #[derive(Debug, Clone)]
    enum Act {
        Text(String),
        Reasoning(String),
        Step,
        Restart,
    }

    fn any_act() -> impl Strategy<Value = Act> {
        let text = || prop::collection::vec(any::<char>(), 1..6).prop_map(String::from_iter);
        prop_oneof![
            4 => text().prop_map(Act::Text),
            2 => text().prop_map(Act::Reasoning),
            1 => Just(Act::Step),
            1 => Just(Act::Restart),
        ]
    }

    proptest! {
        /// Whatever a run does, and wherever its log is cut: the log gives the same answer.
        #[test]
        fn a_log_gives_the_answer_that_it_came_from(acts in prop::collection::vec(any_act(), 0..40)) {
            let id = MessageId::new();
            let (mut answer, mut replayed) = (Answer::new(id), Answer::new(id));
            let mut kept_before_step = (Vec::new(), 0);
            for (act, sequence) in acts.into_iter().zip(1..) {
                let body = match act {
                    Act::Text(text) => answer.add_text(text),
                    Act::Reasoning(text) => answer.add_reasoning(text),
                    Act::Step => {
                        answer.begin_step();
                        kept_before_step = (answer.parts.clone(), answer.bytes());
                        EventBody::StepStarted { step: 1, model: String::new() }
                    }
                    Act::Restart => {
                        answer.restart_step();
                        prop_assert_eq!(&answer.parts, &kept_before_step.0);
                        prop_assert_eq!(answer.bytes(), kept_before_step.1);
                        EventBody::StepRestarted { step: 1, discard_after: 0 }
                    }
                };
                let event = RunEvent { run_id: RunId::new(), sequence, first_sequence: sequence, at: now(), body };
                replayed.apply(&event);
                prop_assert_eq!(&answer, &replayed);
                if let EventBody::TextDelta { end, .. } = event.body {
                    prop_assert_eq!(end, answer.text().len() as u64);
                }
            }
        }
    }
}
