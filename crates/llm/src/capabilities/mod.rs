//! The parameters that models accept and refuse, as data.
//!
//! `models.toml` contains what the vendors document: rules, each for some protocols, hosts and
//! model names, applied in order. Settings come last. The protocols read the result
//! ([`Capabilities`]) from the request and depend on nothing else.

mod adapt;
mod known;
mod name;
mod table;

use serde::Serialize;

use super::Reasoning;
use talkgraph_domain::capabilities::{
    CallIds, CapabilityOverrides, Effort, ForcedTools, LimitField, SamplingRule, SeedField,
    StructuredOutput, TablePrice, ThinkingForm, ThinkingOff, ToolsOverChat,
};

pub use adapt::LeftOut;
pub(crate) use adapt::{adapt, form, thinks};
pub use known::{Known, Origin};
pub use table::{ChatProtocol, Rule, rules};

/// The parameters that one model accepts. The default is permissive: nothing is left out for a
/// model that matches no rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capabilities {
    /// The requests in which it accepts `temperature` and `top_p`.
    pub sampling: SamplingRule,
    /// True if it accepts `temperature` and `top_p` in one request.
    pub top_p_with_temperature: bool,
    /// The highest accepted temperature.
    pub temperature_max: f32,
    /// True if it reasons, so that reasoning may be requested.
    pub reasons: bool,
    /// The accepted efforts, in ascending order; empty if it accepts no effort; `None` if that is
    /// unknown, and any effort is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<Effort>>,
    /// The effort of a request without one, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_effort: Option<Effort>,
    /// The form in which thinking is switched and bounded; `None` if unknown, and the protocol's
    /// oldest form is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingForm>,
    /// The way in which thinking is switched off.
    pub thinking_off: ThinkingOff,
    /// The highest effort that is accepted while thinking is off, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_off_effort: Option<Effort>,
    /// True if it thinks in a request that does not mention thinking.
    pub thinks_by_default: bool,
    /// True if it refuses its earlier thinking after any change to the preceding part of the
    /// request.
    pub thinking_bound: bool,
    /// True if it refuses its own tool calls without their signatures.
    pub needs_signatures: bool,
    /// True if Chat Completions accept earlier reasoning in `reasoning_content`.
    pub reasoning_in_history: bool,
    /// True if it refuses its own tool calls without the reasoning before them, signed or not.
    pub reasoning_required: bool,
    /// True if it accepts a verbosity.
    pub verbosity: bool,
    /// The requests in which it may be forced to call a tool.
    pub forced_tools: ForcedTools,
    /// The requests in which it accepts tools over Chat Completions.
    pub tools_over_chat_completions: ToolsOverChat,
    /// True if it accepts the parameter for one tool call at a time.
    pub parallel_tool_calls: bool,
    /// The field that limits an answer over Chat Completions.
    pub limit_field: LimitField,
    /// The field of the seed over Chat Completions.
    pub seed_field: SeedField,
    /// True if Chat Completions are asked for the usage at the end of a stream; some servers send
    /// it anyway, and refuse the parameter.
    pub stream_options: bool,
    /// The accepted ids of tool calls.
    pub call_ids: CallIds,
    /// True if it accepts images in the results of tools.
    pub images_in_tool_results: bool,
    /// The way in which it is made to answer in a given form.
    pub structured_output: StructuredOutput,
    /// True if it refuses two messages of one role in a row.
    pub alternates_roles: bool,
    /// The size of the context in tokens, prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Its price, if its vendor publishes one for this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<TablePrice>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            sampling: SamplingRule::Always,
            top_p_with_temperature: true,
            temperature_max: 2.0,
            reasons: false,
            efforts: None,
            default_effort: None,
            thinking: None,
            thinking_off: ThinkingOff::Disabled,
            thinking_off_effort: None,
            thinks_by_default: false,
            thinking_bound: false,
            needs_signatures: false,
            reasoning_in_history: true,
            reasoning_required: false,
            verbosity: true,
            forced_tools: ForcedTools::Always,
            tools_over_chat_completions: ToolsOverChat::Always,
            parallel_tool_calls: true,
            limit_field: LimitField::MaxTokens,
            seed_field: SeedField::Seed,
            stream_options: true,
            call_ids: CallIds::Any,
            images_in_tool_results: false,
            structured_output: StructuredOutput::Native,
            alternates_roles: false,
            context_tokens: None,
            max_output_tokens: None,
            price: None,
        }
    }
}

impl Capabilities {
    /// The capabilities of a model by the shipped table alone.
    pub fn of(protocol: Option<ChatProtocol>, host: &str, model: &str) -> Self {
        let mut capabilities = Self::default();
        for rule in table::rules_for(protocol, host, model) {
            capabilities.apply(&rule.entries);
        }
        capabilities
    }

    /// The parameters for as little reasoning as the model supports.
    pub fn least_reasoning(&self) -> Reasoning {
        adapt::least_reasoning(self)
    }

    /// Applies the overrides that are present.
    pub fn apply(&mut self, entries: &CapabilityOverrides) {
        macro_rules! replace {
            ($($field:ident),+ $(,)?) => {
                $(if let Some(value) = &entries.$field {
                    self.$field = value.clone();
                })+
            };
        }
        macro_rules! replace_option {
            ($($field:ident),+ $(,)?) => {
                $(if let Some(value) = &entries.$field {
                    self.$field = Some(value.clone());
                })+
            };
        }
        replace!(
            sampling,
            top_p_with_temperature,
            temperature_max,
            reasons,
            thinking_off,
            thinks_by_default,
            thinking_bound,
            needs_signatures,
            reasoning_in_history,
            reasoning_required,
            verbosity,
            forced_tools,
            tools_over_chat_completions,
            parallel_tool_calls,
            limit_field,
            seed_field,
            stream_options,
            call_ids,
            images_in_tool_results,
            structured_output,
            alternates_roles,
        );
        replace_option!(
            efforts,
            default_effort,
            thinking,
            thinking_off_effort,
            context_tokens,
            max_output_tokens,
            price,
        );
        if let Some(efforts) = &mut self.efforts {
            efforts.sort_unstable();
            efforts.dedup();
        }
    }
}
