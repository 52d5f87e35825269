//! The message of a run as it grows: its parts, and the event for each addition.

use talkgraph_domain::message::{data_of, text_of};
use talkgraph_domain::{
    EventBody, FinishReason, MessageId, Part, RunEvent, StepPurpose, ToolCallId, ToolResult,
};

/// A message under construction. Events and stored parts come from the same calls, so they cannot
/// differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MessageBuilder {
    id: MessageId,
    parts: Vec<Part>,
    text_bytes: usize,
    reasoning_bytes: usize,
    arguments_bytes: usize,
    /// The state at the start of the current step.
    step: Mark,
    /// The invalid text that the current step repairs.
    rejected: Option<String>,
    /// The number of repairs of invalid text.
    repair_attempts: u32,
    /// The number of repairs of empty output.
    empty_attempts: u32,
    /// The finish reason of the current step, if it is finished.
    ended: Option<FinishReason>,
    /// True if the previous step ended in a call that could not be parsed.
    was_unread: bool,
}

/// The size of a message at one point.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mark {
    parts: usize,
    text_bytes: usize,
    reasoning_bytes: usize,
    arguments_bytes: usize,
}

impl MessageBuilder {
    pub(crate) fn new(id: MessageId) -> Self {
        Self {
            id,
            parts: Vec::new(),
            text_bytes: 0,
            reasoning_bytes: 0,
            arguments_bytes: 0,
            step: Mark::default(),
            rejected: None,
            repair_attempts: 0,
            empty_attempts: 0,
            ended: None,
            was_unread: false,
        }
    }

    /// Applies an event of the run's log. All events of a log, in order, give the message that the
    /// log records.
    pub(crate) fn apply(&mut self, event: &RunEvent) {
        match &event.body {
            EventBody::TextDelta { delta, .. } => drop(self.add_text(delta.clone())),
            EventBody::ReasoningDelta {
                delta, signature, ..
            } => drop(self.add_reasoning(delta.clone(), signature.clone())),
            EventBody::ToolCallStarted {
                tool_call_id, name, ..
            } => drop(self.start_call(*tool_call_id, name.clone())),
            EventBody::ToolCallArgumentsDelta {
                tool_call_id,
                delta,
            } => drop(self.add_arguments(*tool_call_id, delta.clone())),
            EventBody::ToolCallCompleted { result } => drop(self.complete_call(result.clone())),
            EventBody::DataAdded { data, .. } => drop(self.add_data(data.clone())),
            EventBody::StepStarted {
                purpose: StepPurpose::Repair,
                ..
            } => self.begin_repair(),
            EventBody::InterruptResolved { interrupt } => {
                if let Some(arguments) = interrupt.edited_arguments() {
                    self.edit_arguments(interrupt.tool_call_id, arguments.to_string());
                }
            }
            EventBody::StepStarted { .. } => self.begin_step(),
            EventBody::StepFinished { finish_reason, .. } => self.end_step(*finish_reason),
            EventBody::StepRestarted { .. } => self.restart_step(),
            _ => {}
        }
    }

    /// Starts a step.
    pub(crate) fn begin_step(&mut self) {
        self.was_unread = self.is_unread();
        self.ended = None;
        self.step = Mark {
            parts: self.parts.len(),
            text_bytes: self.text_bytes,
            reasoning_bytes: self.reasoning_bytes,
            arguments_bytes: self.arguments_bytes,
        };
        self.rejected = None;
    }

    /// Starts a step that repairs the previous one, whose text is discarded.
    pub(crate) fn begin_repair(&mut self) {
        let rejected = self.step_text();
        self.restart_step();
        match rejected.trim().is_empty() {
            true => self.empty_attempts += 1,
            false => self.repair_attempts += 1,
        }
        self.rejected = Some(rejected);
        self.was_unread = false;
    }

    /// Discards the output of the current step.
    pub(crate) fn restart_step(&mut self) {
        self.ended = None;
        self.parts.truncate(self.step.parts);
        self.text_bytes = self.step.text_bytes;
        self.reasoning_bytes = self.step.reasoning_bytes;
        self.arguments_bytes = self.step.arguments_bytes;
    }

    /// The parts of the current step; parts of earlier steps do not change.
    fn current_parts(&mut self) -> &mut [Part] {
        self.parts.get_mut(self.step.parts..).unwrap_or_default()
    }

    pub(crate) fn add_text(&mut self, delta: String) -> EventBody {
        self.text_bytes += delta.len();
        match self.current_parts().last_mut() {
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

    /// Adds reasoning; a signature ends it.
    pub(crate) fn add_reasoning(&mut self, delta: String, signature: Option<String>) -> EventBody {
        self.reasoning_bytes += delta.len() + signature.as_ref().map_or(0, String::len);
        match self.current_parts().last_mut() {
            Some(Part::Reasoning {
                text,
                signature: end @ None,
            }) => {
                text.push_str(&delta);
                end.clone_from(&signature);
            }
            _ => self.parts.push(Part::Reasoning {
                text: delta.clone(),
                signature: signature.clone(),
            }),
        }
        EventBody::ReasoningDelta {
            message_id: self.id,
            delta,
            signature,
        }
    }

    pub(crate) fn start_call(&mut self, id: ToolCallId, name: String) -> EventBody {
        self.arguments_bytes += name.len();
        self.parts.push(Part::ToolCall {
            id,
            name: name.clone(),
            arguments: String::new(),
        });
        EventBody::ToolCallStarted {
            message_id: self.id,
            tool_call_id: id,
            name,
        }
    }

    pub(crate) fn add_arguments(&mut self, call: ToolCallId, delta: String) -> EventBody {
        self.arguments_bytes += delta.len();
        if let Some(arguments) = self.arguments_of(call) {
            arguments.push_str(&delta);
        }
        EventBody::ToolCallArgumentsDelta {
            tool_call_id: call,
            delta,
        }
    }

    /// Replaces the arguments of a call by those that a person has edited.
    pub(crate) fn edit_arguments(&mut self, call: ToolCallId, edited: String) {
        let now = edited.len();
        let before = self.arguments_of(call).map(|arguments| {
            let before = arguments.len();
            *arguments = edited;
            before
        });
        if let Some(before) = before {
            self.arguments_bytes = (self.arguments_bytes + now).saturating_sub(before);
        }
    }

    /// The arguments of a call of the current step.
    fn arguments_of(&mut self, call: ToolCallId) -> Option<&mut String> {
        let parts = self.current_parts().iter_mut();
        parts.rev().find_map(|part| match part {
            Part::ToolCall { id, arguments, .. } if *id == call => Some(arguments),
            _ => None,
        })
    }

    pub(crate) fn complete_call(&mut self, result: ToolResult) -> EventBody {
        self.parts.push(Part::ToolResult(result.clone()));
        EventBody::ToolCallCompleted { result }
    }

    /// Adds structured output, as JSON text.
    pub(crate) fn add_data(&mut self, json: String) -> EventBody {
        self.parts.push(Part::Data { json: json.clone() });
        EventBody::DataAdded {
            message_id: self.id,
            data: json,
        }
    }

    /// True if the message has structured output.
    pub(crate) fn has_data(&self) -> bool {
        data_of(&self.parts).is_some()
    }

    /// The calls without a result: id, tool and arguments.
    pub(crate) fn open_calls(&self) -> Vec<(ToolCallId, String, String)> {
        let has_result = |call: &ToolCallId| {
            self.parts.iter().any(
                |part| matches!(part, Part::ToolResult(result) if result.tool_call_id == *call),
            )
        };
        let call = |part: &Part| match part {
            Part::ToolCall {
                id,
                name,
                arguments,
            } if !has_result(id) => Some((*id, name.clone(), arguments.clone())),
            _ => None,
        };
        self.parts.iter().filter_map(call).collect()
    }

    /// The size of the model's output, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text_bytes + self.reasoning_bytes + self.arguments_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text of the current step.
    pub(crate) fn step_text(&self) -> String {
        text_of(self.parts.get(self.step.parts..).unwrap_or_default())
    }

    /// The invalid text that the current step repairs.
    pub(crate) fn rejected(&self) -> Option<&str> {
        self.rejected.as_deref()
    }

    /// Ends the current step.
    pub(crate) fn end_step(&mut self, reason: FinishReason) {
        self.ended = Some(reason);
    }

    /// True if the current step has text other than white space, or a call.
    pub(crate) fn has_answer(&self) -> bool {
        let mut parts = self.step_parts().iter();
        parts.any(|part| match part {
            Part::Text { text } => !text.trim().is_empty(),
            Part::Reasoning { .. } => false,
            _ => true,
        })
    }

    /// True if the current step ended in a call that could not be parsed: it ended for tool calls
    /// and has none.
    pub(crate) fn is_unread(&self) -> bool {
        let is_call = |part: &Part| matches!(part, Part::ToolCall { .. });
        self.ended == Some(FinishReason::ToolCalls) && !self.step_parts().iter().any(is_call)
    }

    /// True if the previous step ended in a call that could not be parsed.
    pub(crate) fn was_unread(&self) -> bool {
        self.was_unread
    }

    /// The number of repairs of empty output.
    pub(crate) fn empty_attempts(&self) -> u32 {
        self.empty_attempts
    }

    fn step_parts(&self) -> &[Part] {
        self.parts.get(self.step.parts..).unwrap_or_default()
    }

    /// The number of repairs of invalid text.
    pub(crate) fn repair_attempts(&self) -> u32 {
        self.repair_attempts
    }

    /// The text of all steps.
    pub(crate) fn text(&self) -> String {
        text_of(&self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use talkgraph_domain::time::now;
    use talkgraph_domain::{Interrupt, InterruptId, InterruptKind, Resolution, RunId, SessionId};

    /// An operation on a message.
    #[derive(Debug, Clone)]
    enum Act {
        Text(String),
        Reasoning(String),
        Signature(String),
        Call(String),
        Arguments(String),
        Complete(String),
        Data(String),
        Edit(String),
        Step,
        Repair,
        Restart,
    }

    fn any_act() -> impl Strategy<Value = Act> {
        let text = || prop::collection::vec(any::<char>(), 1..6).prop_map(String::from_iter);
        prop_oneof![
            4 => text().prop_map(Act::Text),
            2 => text().prop_map(Act::Reasoning),
            1 => text().prop_map(Act::Signature),
            1 => text().prop_map(Act::Call),
            2 => text().prop_map(Act::Arguments),
            1 => text().prop_map(Act::Complete),
            1 => text().prop_map(Act::Data),
            1 => Just(Act::Repair),
            1 => text().prop_map(Act::Edit),
            1 => Just(Act::Step),
            1 => Just(Act::Restart),
        ]
    }

    /// An approval of a call with edited arguments.
    fn approved_with(call: ToolCallId, arguments: serde_json::Value) -> Interrupt {
        let approved = Resolution::Approved {
            arguments: Some(arguments),
        };
        let mut interrupt = Interrupt {
            id: InterruptId::new(),
            kind: InterruptKind::ToolApproval,
            run_id: RunId::new(),
            session_id: SessionId::new(),
            tool_call_id: call,
            tool: "telephone".into(),
            arguments: serde_json::json!({}),
            created_at: now(),
            expires_at: now(),
            resolution: None,
            question: None,
        };
        interrupt.resolve(approved, now()).unwrap();
        interrupt
    }

    proptest! {
        /// The log gives the same message after any operations and wherever it is cut.
        #[test]
        fn a_log_gives_the_answer_that_it_came_from(acts in prop::collection::vec(any_act(), 0..40)) {
            let id = MessageId::new();
            let (mut answer, mut replayed) = (MessageBuilder::new(id), MessageBuilder::new(id));
            let (mut kept_before_step, mut call) = ((Vec::new(), 0), ToolCallId::new());
            for (act, sequence) in acts.into_iter().zip(1..) {
                let body = match act {
                    Act::Text(text) => answer.add_text(text),
                    Act::Reasoning(text) => answer.add_reasoning(text, None),
                    Act::Signature(text) => answer.add_reasoning(String::new(), Some(text)),
                    Act::Call(name) => {
                        call = ToolCallId::new();
                        answer.start_call(call, name)
                    }
                    Act::Arguments(text) => answer.add_arguments(call, text),
                    Act::Complete(text) => {
                        answer.complete_call(ToolResult::of_text(call, text, false))
                    }
                    Act::Edit(text) => {
                        let interrupt = approved_with(call, serde_json::json!({ "text": text }));
                        answer.edit_arguments(call, serde_json::json!({ "text": text }).to_string());
                        EventBody::InterruptResolved { interrupt: Box::new(interrupt) }
                    }
                    Act::Step => {
                        answer.begin_step();
                        kept_before_step = (answer.parts.clone(), answer.bytes());
                        EventBody::StepStarted { step: 1, model: String::new(), purpose: StepPurpose::Answer }
                    }
                    Act::Repair => {
                        answer.begin_repair();
                        prop_assert_eq!(&answer.parts, &kept_before_step.0);
                        prop_assert_eq!(answer.bytes(), kept_before_step.1);
                        EventBody::StepStarted { step: 1, model: String::new(), purpose: StepPurpose::Repair }
                    }
                    Act::Data(json) => answer.add_data(json),
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
