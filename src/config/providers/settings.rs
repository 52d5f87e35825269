//! The settings of a provider, and of one with a name, which has most of them from its kind.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{OpenAiProtocol, ProviderKind};
use crate::config::SecretSetting;
use crate::config::capabilities::ExtraBody;
use crate::config::sections::{UrlSetting, hide, hide_all};
use talkgraph_domain::CacheTtl;
use talkgraph_domain::capabilities::CapabilityOverrides;

/// Declares the keys of a provider once for both of its types: `inherited` ones are optional
/// where a provider has a name, `own` ones are each provider's own.
macro_rules! provider_settings {
    (
        section { $($section:tt)* }
        named { $($named:tt)* }
        inherited { $(
            $(#[doc = $text:literal])*
            $key:ident: $type:ty $([$bounds:expr])? $(= $default:tt)? $(=> $example:tt)?,
        )* }
        own { $(
            $(#[doc = $own_text:literal])*
            $(#[serde $serde:tt])*
            $own:ident: $own_type:ty $(= $own_default:tt)? $(=> $own_example:tt)?,
        )* }
    ) => {
        sections! {
            /// A provider.
            ProviderSettings {
                $($section)*
                $(
                    $(#[doc = $text])*
                    $key: $type $([$bounds])? $(= $default)? $(=> $example)?,
                )*
                $(
                    $(#[doc = $own_text])*
                    $(#[serde $serde])*
                    $own: $own_type $(= $own_default)? $(=> $own_example)?,
                )*
            }

            /// A provider with a name. An absent key has the value of the section of its kind.
            NamedProviderSettings {
                $($named)*
                $(
                    $(#[doc = $own_text])*
                    $(#[serde $serde])*
                    $own: $own_type,
                )*
                $(
                    $(#[doc = $text])*
                    $key: Option<$type> $([$bounds])?,
                )*
            }
        }

        impl NamedProviderSettings {
            /// The settings with those of its kind where it has none.
            pub(super) fn over(&self, kin: &ProviderSettings) -> ProviderSettings {
                ProviderSettings {
                    protocol: None,
                    $($own: self.$own.clone(),)*
                    $($key: self.$key.clone().unwrap_or_else(|| kin.$key.clone()),)*
                }
            }
        }
    };
}

provider_settings! {
    section {
        /// Protocol: "responses" or "chat-completions". Absent: Responses where `base_url` is OpenAI's
        /// own (api.openai.com and its regions, such as eu.api.openai.com) or ends in /responses,
        /// Chat Completions elsewhere.
        protocol: Option<OpenAiProtocol> => "chat-completions",
    }
    named {
        /// Protocol.
        kind: ProviderKind,
        /// Variable with the API key, in the environment or in .env.
        api_key_env: Option<String>,
    }
    inherited {
        /// Address of the server. The path of the endpoint at its end is optional. Also:
        /// `OPENAI_BASE_URL`.
        base_url: UrlSetting = "https://api.openai.com/v1",
        /// Most calls at once; more wait.
        concurrency: usize = 1_024,
        /// Most waiting calls; one more is a `MODEL_BUSY` error, or goes to the agent's next model. 0:
        /// none waits.
        queue: usize [0..] = 1_024,
        /// Longest wait of a call, in milliseconds.
        queue_timeout_ms: u64 = 30_000,
        /// Longest time to connect, in milliseconds.
        connect_timeout_ms: u64 = 5_000,
        /// Longest wait for the first token, in milliseconds. Reasoning models think for minutes, and
        /// a local server loads its model first. Each event, ping or comment of the provider starts
        /// it again. Models that think for longer without a sign of life (OpenAI's pro models: ten
        /// minutes and more) need more, in `[models.providers.NAME]`; docs/timeouts.md has examples.
        first_token_timeout_ms: u64 = 300_000,
        /// Longest silence after that, in milliseconds. Some providers send nothing while a model
        /// writes the arguments of a call: more than five minutes were measured for large ones.
        idle_timeout_ms: u64 = 600_000,
        /// Longest time of a call as a whole, in milliseconds, whatever signs of life come.
        total_timeout_ms: u64 = 1_800_000,
        /// Largest single event in a provider's stream, in bytes; also the largest answer that comes
        /// in one piece. Of a compressed answer 64 times as much is read.
        event_limit_bytes: usize = 1_048_576,
        /// Number of tokens that its models take, prompt and answer together. Of a longer conversation
        /// the newest turns that fit are sent; `max_output_tokens` of them are kept free. Absent: the
        /// number of each model in the table of capabilities (docs/models.md), 128,000 where it has
        /// none.
        context_tokens: Option<u64> [256..] => 128_000,
        /// Types of files that its models take in messages.
        files: Vec<String> = ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/*", "application/json"],
        /// Lifetime of prompts in the provider's cache from their last use: "5m", "1h" (writing costs
        /// more, see `cache_write_1h_per_million`) or "off". Only providers of the kind "anthropic"
        /// have it.
        cache_ttl: Option<CacheTtl>,
    }
    own {
        /// API key. Also: `OPENAI_API_KEY`.
        #[serde(
            default,
            serialize_with = "hide",
            skip_serializing_if = "Option::is_none"
        )]
        api_key: Option<SecretString> => "sk-...",
        /// Further keys, up to 64: when one meets a rate limit the next is used at once.
        #[serde(default, serialize_with = "hide_all")]
        api_keys: Vec<SecretString> = [],
        /// Header of the key, in place of `Authorization: Bearer`; Azure's is "api-key".
        api_key_header: Option<String> => "api-key",
        /// Headers of each call, in place of the protocol's own of the same name; { env = "NAME" }
        /// takes the value from the environment. At most 32. The connection's own, such as Host,
        /// cannot be set.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, SecretSetting> => { "x-portkey-virtual-key" = { env = "PORTKEY_KEY" } },
        /// Parameters that are added to the URL of each call, in the form of headers. At most 32.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        query: BTreeMap<String, SecretSetting> => { api-version = "preview" },
        /// Asks Chat Completions for the usage at the end of a stream (`stream_options`). A server
        /// that refuses it with an error needs no setting: the call is repeated without it.
        stream_options: Option<bool> => false,
        /// Entries of the table of capabilities that differ for all models of this server. `talkgraph
        /// models` prints the capabilities of each model; docs/models.md explains the entries.
        /// ```toml
        /// [models.openai.capabilities]
        /// limit_field = "max_completion_tokens"
        /// ```
        #[serde(default, skip_serializing_if = "super::is_empty")]
        capabilities: CapabilityOverrides,
        /// Fields that are added to the body of each request; objects are merged, and an existing
        /// field is replaced. At most 65,536 bytes of JSON.
        /// ```toml
        /// [models.openai.extra_body]
        /// service_tier = "flex"
        /// ```
        #[serde(default, skip_serializing_if = "ExtraBody::is_empty")]
        extra_body: ExtraBody,
        /// Models that differ, by their names at the provider.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        per_model: BTreeMap<String, PerModelSettings> => "my-deployment",
        /// Prices of models, in US dollars for a million tokens.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        prices: BTreeMap<String, PriceSettings> => "my-deployment",
    }
}

sections! {
    /// The settings of a model that differs from its provider's others.
    PerModelSettings {
        /// Number of tokens that it takes, prompt and answer together.
        context_tokens: Option<u64> [256..] => 272_000,
        /// Types of files that it takes in messages.
        files: Option<Vec<String>> => [],
        /// Model whose rules in the table of capabilities it has, if its name does not tell.
        same_as: Option<String> => "gpt-5.6-luna",
        /// Entries of the table of capabilities that differ for it.
        /// ```toml
        /// [models.openai.per_model."my-deployment".capabilities]
        /// sampling = "never"
        /// efforts = ["low", "medium", "high"]
        /// ```
        #[serde(default, skip_serializing_if = "super::is_empty")]
        capabilities: CapabilityOverrides,
        /// Fields that are added to the body of each of its requests.
        /// ```toml
        /// [models.openai.per_model."my-deployment".extra_body]
        /// service_tier = "priority"
        /// ```
        #[serde(default, skip_serializing_if = "ExtraBody::is_empty")]
        extra_body: ExtraBody,
    }

    /// The price of a model, in US dollars for a million tokens.
    #[derive(Copy)]
    PriceSettings {
        /// Tokens of the prompt.
        input_per_million: f64 => 0.59,
        /// Tokens of the prompt that are read from a cache; `input_per_million` when absent.
        cached_input_per_million: Option<f64> => 0.3,
        /// Tokens that are written to a cache for some minutes, as the provider reports them; 1.25
        /// times `input_per_million` when absent, as Anthropic and OpenAI charge.
        cache_write_per_million: Option<f64> => 0.74,
        /// Tokens that are written to a cache for an hour; 2 times `input_per_million` when absent, as
        /// Anthropic charges.
        cache_write_1h_per_million: Option<f64> => 1.18,
        /// Tokens of the answer, reasoning included.
        output_per_million: f64 => 0.79,
    }
}
