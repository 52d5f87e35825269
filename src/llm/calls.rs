//! Tool calls, put together from what a stream says of them.
//!
//! By the book each piece of a call has the call's index, and the first its id and name.
//! Servers that imitate the book leave the index out (Gemini's OpenAI endpoint, LiteLLM),
//! give each call the index 0 (older Ollama), repeat id and name with every piece, give no
//! id at all, or send a call in one piece.

use uuid::Uuid;

use super::StreamPart;
use super::error::Unusable;

#[cfg(test)]
mod tests;

/// The most tool calls in one answer; one more fails the run. Models
/// that go round in circles ask for hundreds, none of which anybody wants.
pub const MAX_TOOL_CALLS: usize = 64;

/// The longest arguments of one tool call, in bytes of JSON; longer ones fail the
/// run. A model writes whole documents into arguments, so it is the size of
/// the longest answer there usually is.
pub const MAX_ARGUMENTS_BYTES: usize = 1_048_576;

/// The longest name of a tool, in bytes. Vendors allow 64 or 128; a name that was made up
/// may be longer, but not without end.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// What one event says of one call.
#[derive(Debug, Default)]
pub(super) struct CallDelta {
    /// What tells the call from others in this answer, where the vendor says.
    pub(super) key: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    calls: Vec<Call>,
    /// How many have a name and so are started.
    started: u32,
}

#[derive(Debug, Default)]
struct Call {
    key: Option<u64>,
    /// As the provider says it; none if it does not.
    id: Option<String>,
    name: Option<String>,
    /// Its number, once it is started.
    index: Option<u32>,
    /// Arguments that came before the name.
    early: String,
    bytes: usize,
    progress: JsonProgress,
    completed: bool,
}

impl ToolCalls {
    /// Whether there are any that could be made.
    pub(super) fn is_empty(&self) -> bool {
        self.started == 0
    }

    /// Reads a piece of a call, and gives the parts that it makes.
    pub(super) fn read(
        &mut self,
        delta: CallDelta,
        mut give: impl FnMut(StreamPart),
    ) -> Result<(), Unusable> {
        let at = match self.find(&delta) {
            Some(at) => at,
            None if self.calls.len() >= MAX_TOOL_CALLS => return Err(Unusable::TooManyCalls),
            None => {
                self.calls.push(Call {
                    key: delta.key,
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
        call.add(delta.arguments.unwrap_or_default(), &mut give)?;
        call.start(&mut self.started, &mut give);
        Ok(())
    }

    /// The provider says that a call is complete.
    pub(super) fn complete(&mut self, key: u64, give: impl FnMut(StreamPart)) {
        let call = self.calls.iter_mut().rfind(|call| call.key == Some(key));
        if let Some(call) = call {
            call.complete(give);
        }
    }

    /// Whether arguments of this call have come.
    pub(super) fn has_arguments(&self, key: u64) -> bool {
        let call = self.calls.iter().rfind(|call| call.key == Some(key));
        call.is_some_and(|call| call.bytes > 0)
    }

    /// The answer has ended, so every call is complete; but not the one that was being
    /// written when a limit was reached.
    pub(super) fn finish(
        &mut self,
        cut: bool,
        mut give: impl FnMut(StreamPart),
    ) -> Result<(), Unusable> {
        let last = self.calls.len().saturating_sub(1);
        for (at, call) in self.calls.iter_mut().enumerate() {
            if call.index.is_none() && call.bytes > 0 && !cut {
                return Err(Unusable::Nameless);
            }
            if !(cut && at == last) {
                call.complete(&mut give);
            }
        }
        Ok(())
    }

    /// The call that a piece belongs to; none if it begins one.
    fn find(&self, delta: &CallDelta) -> Option<usize> {
        let id = delta.id.as_deref().filter(|id| !id.is_empty());
        let name = delta.name.as_deref().filter(|name| !name.is_empty());
        // The last one counts where an index was used twice.
        let known = |is: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(is);
        let found = match (delta.key, id) {
            (Some(_), _) => known(&|call| call.key == delta.key),
            (None, Some(id)) => known(&|call| call.id.as_deref() == Some(id))
                // A piece with an id of its own and no name goes on with what there is.
                .or_else(|| name.is_none().then(|| self.calls.len().checked_sub(1)).flatten()),
            (None, None) => self.calls.len().checked_sub(1),
        };
        let at = found?;
        let call = self.calls.get(at)?;
        (!call.is_left_for(id, name)).then_some(at)
    }
}

impl Call {
    /// Whether a piece with this id and name, whatever its index, is another call's.
    fn is_left_for(&self, id: Option<&str>, name: Option<&str>) -> bool {
        let (Some(name), Some(own_name)) = (name, self.name.as_deref()) else {
            return false;
        };
        match (id, self.id.as_deref()) {
            (Some(id), Some(own)) => id != own,
            // Named once more after whole arguments: it is the next call. Before that, the
            // name is only repeated.
            _ => name != own_name || self.progress.is_whole,
        }
    }

    fn add(&mut self, arguments: String, mut give: impl FnMut(StreamPart)) -> Result<(), Unusable> {
        if arguments.is_empty() || self.completed {
            return Ok(());
        }
        self.bytes += arguments.len();
        if self.bytes > MAX_ARGUMENTS_BYTES {
            return Err(Unusable::ArgumentsTooLong);
        }
        self.progress.read(&arguments);
        match self.index {
            Some(index) => give(StreamPart::ToolCallArguments {
                index,
                delta: arguments,
            }),
            None => self.early.push_str(&arguments),
        }
        Ok(())
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
        let delta = std::mem::take(&mut self.early);
        if !delta.is_empty() {
            give(StreamPart::ToolCallArguments { index, delta });
        }
    }

    fn complete(&mut self, mut give: impl FnMut(StreamPart)) {
        let Some(index) = self.index.filter(|_| !self.completed) else {
            return;
        };
        self.completed = true;
        // A tool without parameters is often called with nothing.
        if self.bytes == 0 {
            let delta = "{}".to_owned();
            give(StreamPart::ToolCallArguments { index, delta });
        }
        give(StreamPart::ToolCallCompleted { index });
    }
}

/// How far an object of JSON has come, as pieces of it are read.
#[derive(Debug, Default)]
struct JsonProgress {
    depth: u32,
    in_text: bool,
    escaped: bool,
    /// Its last brace has come.
    is_whole: bool,
}

impl JsonProgress {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_whole = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
