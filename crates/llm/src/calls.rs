//! Tool calls, assembled from the pieces of a stream.
//!
//! According to the documentation each piece of a call has the call's index, and the first its id
//! and name. Imitations omit the index (Gemini's OpenAI endpoint, LiteLLM), give each call the
//! index 0 (older Ollama, several gateways, also with interleaved pieces of several calls), repeat
//! id and name with every piece, give no id at all, send a call in one piece, or send whole calls
//! once more at the end. An id takes precedence over an index. A call that may be the repetition of
//! another waits until it is complete, and is dropped if it is equivalent: no call is executed
//! twice.

use uuid::Uuid;

use super::StreamPart;
use super::arguments::{Arguments, same};
use super::error::Unusable;

#[cfg(test)]
mod tests;

/// The maximum number of tool calls in one answer; one more fails the run. Models in a loop request
/// hundreds, none of which is useful.
pub const MAX_TOOL_CALLS: usize = 64;

/// The longest arguments of one tool call, in bytes of JSON; longer ones fail the run. A model
/// writes whole documents into arguments, so this is the size of the longest usual answer.
pub const MAX_ARGUMENTS_BYTES: usize = 1_048_576;

/// The longest name of a tool, in bytes. Vendors allow 64 or 128; an invented name may be longer,
/// but not without end.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// A piece of one call in one event.
#[derive(Debug, Default)]
pub(super) struct CallDelta {
    /// The vendor's index of the call in this answer, if there is one.
    pub(super) key: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    calls: Vec<Call>,
    /// The number of calls with a name, which are started.
    started: u32,
}

#[derive(Debug, Default)]
struct Call {
    key: Option<u64>,
    /// The provider's id; none if there is none.
    id: Option<String>,
    name: Option<String>,
    /// Its number, once started.
    index: Option<u32>,
    arguments: Arguments,
    /// True if it may repeat an earlier call.
    may_repeat: bool,
    completed: bool,
}

/// The call to which a piece belongs.
enum Place {
    /// This existing call.
    Known(usize),
    /// A new call.
    New {
        /// True if it may repeat an earlier call.
        may_repeat: bool,
    },
}

impl ToolCalls {
    /// Returns true if no call could be executed.
    pub(super) fn is_empty(&self) -> bool {
        self.started == 0
    }

    /// Adds a piece of a call, and emits the resulting parts.
    pub(super) fn read(
        &mut self,
        delta: CallDelta,
        mut give: impl FnMut(StreamPart),
    ) -> Result<(), Unusable> {
        let at = match self.find(&delta) {
            Place::Known(at) => at,
            // As many again may be repetitions.
            Place::New { .. } if self.calls.len() >= 2 * MAX_TOOL_CALLS => {
                return Err(Unusable::TooManyCalls);
            }
            Place::New { may_repeat: false } if self.originals() >= MAX_TOOL_CALLS => {
                return Err(Unusable::TooManyCalls);
            }
            Place::New { may_repeat } => {
                self.settle_repetitions(&mut give);
                self.calls.push(Call {
                    key: delta.key,
                    may_repeat,
                    ..Call::default()
                });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        let name = filled(delta.name);
        if name
            .as_ref()
            .is_some_and(|name| name.len() > MAX_NAME_BYTES)
        {
            return Err(Unusable::NameTooLong);
        }
        call.id = call.id.take().or_else(|| filled(delta.id));
        call.name = call.name.take().or(name);
        call.add(delta.arguments.unwrap_or_default())?;
        if !call.may_repeat {
            call.start(&mut self.started, &mut give);
            call.give_ready(&mut give);
        }
        Ok(())
    }

    /// Emits the rest of a call's arguments, which have now arrived as a whole.
    pub(super) fn settle(
        &mut self,
        key: u64,
        whole: String,
        give: impl FnMut(StreamPart),
    ) -> Result<(), Unusable> {
        let call = self.calls.iter().rfind(|call| call.key == Some(key));
        let known = call.map_or(Some(&*whole), |call| call.arguments.rest_of(&whole));
        let arguments = known.map(str::to_owned);
        let delta = CallDelta {
            key: Some(key),
            arguments,
            ..CallDelta::default()
        };
        self.read(delta, give)
    }

    /// Completes a call that the provider has marked as complete. One that is obviously not is left
    /// open.
    pub(super) fn complete(&mut self, key: u64, give: impl FnMut(StreamPart)) {
        let at = self.calls.iter().rposition(|call| call.key == Some(key));
        let is_open = |call: &Call| call.arguments.bytes() > 0 && !call.arguments.is_whole();
        if let Some(at) = at.filter(|at| !self.calls.get(*at).is_none_or(is_open)) {
            self.complete_at(at, give);
        }
    }

    fn complete_at(&mut self, at: usize, mut give: impl FnMut(StreamPart)) {
        let (before, rest) = self.calls.split_at_mut(at);
        let Some(call) = rest.first_mut().filter(|call| !call.completed) else {
            return;
        };
        if call.may_repeat {
            if before.iter().any(|earlier| call.repeats(earlier)) {
                call.completed = true;
                return;
            }
            // It is another call after all: the id is the earlier one's.
            if before.iter().any(|earlier| earlier.id == call.id) {
                call.id = None;
            }
            call.start(&mut self.started, &mut give);
        }
        call.complete(give);
    }

    /// Decides about possible repetitions that are complete, so that calls keep their order.
    fn settle_repetitions(&mut self, mut give: impl FnMut(StreamPart)) {
        for at in 0..self.calls.len() {
            let call = self.calls.get(at);
            if call.is_some_and(|call| call.may_repeat && call.arguments.is_whole()) {
                self.complete_at(at, &mut give);
            }
        }
    }

    /// The number of calls that are not repetitions.
    fn originals(&self) -> usize {
        self.calls.iter().filter(|call| !call.may_repeat).count()
    }

    /// Returns true if arguments of this call have arrived.
    pub(super) fn has_arguments(&self, key: u64) -> bool {
        let call = self.calls.iter().rfind(|call| call.key == Some(key));
        call.is_some_and(|call| call.arguments.bytes() > 0)
    }

    /// Completes every call at the end of the answer, except the one that was being written when a
    /// limit was reached.
    pub(super) fn finish(
        &mut self,
        cut: bool,
        mut give: impl FnMut(StreamPart),
    ) -> Result<(), Unusable> {
        let last = self.calls.len().saturating_sub(1);
        for at in 0..self.calls.len() {
            let Some(call) = self.calls.get(at) else {
                continue;
            };
            if call.name.is_none() && call.arguments.bytes() > 0 && !cut {
                return Err(Unusable::Nameless);
            }
            if !(cut && at == last) {
                self.complete_at(at, &mut give);
            }
        }
        match self.started as usize > MAX_TOOL_CALLS {
            true => Err(Unusable::TooManyCalls),
            false => Ok(()),
        }
    }

    /// The call to which a piece belongs.
    fn find(&self, delta: &CallDelta) -> Place {
        let id = delta.id.as_deref().filter(|id| !id.is_empty());
        let name = delta.name.as_deref().filter(|name| !name.is_empty());
        // The last one counts if an index or an id was used twice.
        let last = |is: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(is);
        if let Some(id) = id {
            let has_id = |call: &Call| call.id.as_deref() == Some(id);
            let exact = last(&|call| has_id(call) && call.key == delta.key);
            if let Some(at) = exact.or_else(|| last(&has_id)) {
                let call = self.calls.get(at);
                return match name.is_some_and(|name| call.is_some_and(|call| call.is_over(name))) {
                    true => Place::New { may_repeat: true },
                    false => Place::Known(at),
                };
            }
        }
        let found = match (delta.key, id) {
            (Some(_), _) => last(&|call| call.key == delta.key),
            // A piece with an id of its own and no name continues the existing call.
            (None, Some(_)) if name.is_some() => None,
            (None, _) => self.calls.len().checked_sub(1),
        };
        let Some((at, call)) = found.and_then(|at| Some((at, self.calls.get(at)?))) else {
            return Place::New { may_repeat: false };
        };
        match (name, id, call.id.as_deref()) {
            (Some(_), Some(id), Some(own)) if id != own => Place::New { may_repeat: false },
            // A name after complete arguments starts the next call. Before that, the name is only
            // repeated.
            (Some(name), id, _) if call.name.is_some() && call.is_over(name) => Place::New {
                may_repeat: id.is_none() && call.name.as_deref() == Some(name),
            },
            _ => Place::Known(at),
        }
    }
}

impl Call {
    /// Returns true if a piece that names a tool cannot belong to this call.
    fn is_over(&self, name: &str) -> bool {
        let is_other = self.name.as_deref().is_some_and(|own| own != name);
        is_other || self.arguments.is_whole() || self.completed
    }

    /// Returns true if it repeats an earlier call.
    fn repeats(&self, earlier: &Self) -> bool {
        let is_same = earlier.id == self.id && earlier.name == self.name;
        let says_nothing = self.arguments.bytes() == 0;
        is_same && (says_nothing || same(&earlier.arguments.meaning(), &self.arguments.meaning()))
    }

    fn add(&mut self, arguments: String) -> Result<(), Unusable> {
        if arguments.is_empty() || self.completed {
            return Ok(());
        }
        if self.arguments.bytes() + arguments.len() > MAX_ARGUMENTS_BYTES {
            return Err(Unusable::ArgumentsTooLong);
        }
        self.arguments.add(arguments);
        Ok(())
    }

    fn give_ready(&mut self, mut give: impl FnMut(StreamPart)) {
        if let Some(index) = self.index
            && let Some(delta) = self.arguments.ready()
        {
            give(StreamPart::ToolCallArguments { index, delta });
        }
    }

    /// Starts the call if it has a name and has not been started.
    fn start(&mut self, started: &mut u32, mut give: impl FnMut(StreamPart)) {
        if self.index.is_some() {
            return;
        }
        let Some(name) = self.name.clone() else {
            return;
        };
        let index = *started;
        *started += 1;
        self.index = Some(index);
        // Unique, as a history has the calls of many answers.
        let id = self.id.clone();
        let id = id.unwrap_or_else(|| format!("call_{}", Uuid::now_v7().simple()));
        give(StreamPart::ToolCallStarted { index, id, name });
    }

    fn complete(&mut self, mut give: impl FnMut(StreamPart)) {
        let Some(index) = self.index.filter(|_| !self.completed) else {
            return;
        };
        self.completed = true;
        let delta = self.arguments.rest();
        if !delta.is_empty() {
            give(StreamPart::ToolCallArguments { index, delta });
        }
        give(StreamPart::ToolCallCompleted { index });
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
