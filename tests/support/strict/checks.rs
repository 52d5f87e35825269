//! The refusals that depend on more than single fields.

use serde::Deserialize;
use serde_json::Value;

use super::asked::Asked;
use super::rules::{Broken, Protocol, Rule};
use super::{binding, pairs, schema};

/// What a rule looks at beside its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// Thinking blocks that something before has changed, or that another account made.
    UnboundThinking,
    /// Calls of the current turn without their thought signatures.
    UnsignedCall,
    /// Thought signatures of another model or account.
    ForeignSignature,
    /// Reasoning that another organisation has encrypted.
    ForeignReasoning,
    /// Reasoning without the item that it led to.
    LonelyReasoning,
    /// Calls without results.
    Unanswered,
    /// Results without calls.
    Uncalled,
    /// A conversation that ends with the assistant.
    Prefill,
    /// Roles that do not alternate.
    Repeated,
    /// A person who speaks right after the results of tools.
    UserAfterResults,
    /// Anything else next to the results of tools.
    BesideResults,
    /// The calls of the current turn without the thinking that led to them, with thinking on.
    LoopWithoutThinking,
    /// Images in the results of tools.
    ImageInResult,
    /// Calls in the history where no tools are declared.
    UndeclaredTools,
    /// Names of tools that are too long, or have other characters; two of one name.
    ToolNames,
    /// A schema of a tool that the vendor does not take.
    ToolSchema,
    /// A schema of the answer that the vendor cannot hold a model to.
    AnswerSchema,
}

impl Check {
    pub(crate) fn broken_by(self, rule: &Rule, asked: &Asked<'_>) -> Option<Broken> {
        match self {
            Self::UnboundThinking => binding::unbound_thinking(asked),
            Self::UnsignedCall => binding::unsigned_call(asked),
            Self::ForeignSignature => binding::foreign_signature(asked),
            Self::ForeignReasoning => binding::foreign_reasoning(asked),
            Self::LonelyReasoning => binding::lonely_reasoning(asked),
            Self::Unanswered => pairs::unanswered(asked),
            Self::Uncalled => pairs::uncalled(asked),
            Self::Prefill => pairs::prefill(asked),
            Self::Repeated => pairs::repeated(asked),
            Self::UserAfterResults => pairs::user_after_results(asked),
            Self::BesideResults => pairs::beside_results(asked),
            Self::LoopWithoutThinking => pairs::loop_without_thinking(asked),
            Self::ImageInResult => pairs::image_in_result(asked),
            Self::UndeclaredTools => undeclared_tools(asked),
            Self::ToolNames => tool_names(rule, asked),
            Self::ToolSchema => schema::tools(rule, asked),
            Self::AnswerSchema => schema::answer(rule, asked),
        }
    }
}

fn undeclared_tools(asked: &Asked<'_>) -> Option<Broken> {
    let mut blocks = asked
        .conversation()
        .iter()
        .flat_map(|one| one["content"].as_array());
    let calls = blocks.any(|blocks| blocks.iter().any(|one| one["type"] == "tool_use"));
    (calls && asked.tools().is_empty()).then(Broken::default)
}

fn tool_names(rule: &Rule, asked: &Asked<'_>) -> Option<Broken> {
    let tools = asked.tools();
    let longest = rule.longest.unwrap_or(usize::MAX);
    let marks = match asked.protocol {
        Protocol::Gemini => "_-.:",
        _ => "_-",
    };
    let is_taken = |name: &str| {
        let mut chars = name.chars();
        let begins = asked.protocol != Protocol::Gemini
            || name.starts_with(|one: char| one.is_ascii_alphabetic() || one == '_');
        (1..=longest).contains(&name.len())
            && begins
            && chars.all(|one| one.is_ascii_alphanumeric() || marks.contains(one))
    };
    let mut names = tools.iter().enumerate();
    let (index, tool) = names.find(|(index, tool)| {
        let earlier = tools.iter().take(*index);
        !is_taken(tool.name) || earlier.map(|one| one.name).any(|name| name == tool.name)
    })?;
    Some(Broken {
        path: index.to_string(),
        key: tool.name.to_owned(),
        ..Broken::default()
    })
}

/// The name of what an answer's schema is for.
pub(crate) fn schema_name(body: &Value) -> String {
    let name = [
        &body["response_format"]["json_schema"]["name"],
        &body["text"]["format"]["name"],
    ];
    let found = name.iter().find_map(|name| name.as_str());
    found.unwrap_or_default().to_owned()
}
