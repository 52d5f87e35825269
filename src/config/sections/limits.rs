//! Limits of requests, and the documents that clients can name.

use std::path::PathBuf;

use crate::guard::Trust;

sections! {
    /// The documents that clients can name instead of sending.
    DocumentSettings {
        /// Trusted documents, approved by the operator: "off", "on" (clients may name them), or
        /// "only" (nothing else is executed, introspection and GraphiQL included).
        trusted_documents: Trust = "off",
        /// Manifest of the trusted documents, or a folder of manifests: persisted-documents.json of
        /// GraphQL Code Generator's client preset, or Apollo's persisted query manifest.
        manifest: Option<PathBuf> => "persisted-documents.json",
        /// Most bytes of text that clients register as automatic persisted queries; unused ones
        /// make room. 0: none can be registered; with "only" trusted documents none can either.
        registered_bytes: usize [0..] = 1_048_576,
    }

    /// The size and the cost of requests.
    LimitSettings {
        /// Longest message, in bytes of UTF-8.
        message_bytes: usize = 262_144,
        /// Most files of a message. 0: none.
        files: usize [0..] = 8,
        /// Largest file of a message, in bytes. Base64 adds a third to it, which has to be within
        /// `http.body_limit_bytes` (`http.websocket_message_bytes`) together with the rest.
        file_bytes: usize = 5_242_880,
        /// Longest time to fetch the files of a message that are sent by their URL, in
        /// milliseconds. They are fetched behind the guard of tools (`[tools.egress]`), and may be
        /// as large as the others. 0: no file is fetched.
        file_url_timeout_ms: u64 [0..] = 10_000,
        /// Longest session title, in characters.
        title_chars: usize = 200,
        /// Largest session metadata, in bytes of JSON.
        metadata_bytes: usize = 16_384,
        /// Largest `variables` of an agent's instructions, in bytes of JSON.
        variables_bytes: usize = 16_384,
        /// Deepest nesting of such variables.
        variables_depth: usize = 8,
        /// Most items of one page.
        page_size: u32 = 100,
        /// Items of a page if the client gives no number. At most `page_size`.
        page_size_default: u32 = 20,
        /// Longest document, in bytes. A request beyond this or one of the following limits is
        /// answered with `LIMIT_EXCEEDED` before anything is executed, over every transport alike.
        query_bytes: usize = 65_536,
        /// Most tokens of a document, without white space, commas and comments.
        query_tokens: usize = 2_000,
        /// Deepest nesting of brackets of all kinds; the parser follows no deeper than 64.
        query_nesting: usize [1..=64] = 64,
        /// Deepest nesting of fields. Here and below, fragments are counted where they are used.
        query_depth: usize = 16,
        /// Most fields of a document.
        query_fields: usize = 1_000,
        /// Most fields at the top of an operation.
        query_root_fields: usize = 30,
        /// Most aliases of a document. 0: none.
        query_aliases: usize [0..] = 30,
        /// Most directives of a document. 0: none.
        query_directives: usize [0..] = 50,
        /// Most fields that an operation resolves: each counts once for every item of the pages
        /// around it, and a field of any length (a text, data, arguments, instructions) counts
        /// five times. A client that sends the extension "complexity": true receives its own.
        query_complexity: u64 = 50_000,
        /// Deepest nesting of lists and objects in variables.
        variables_nesting: usize = 64,
        /// Most values in variables, at all levels together.
        variables_values: usize = 10_000,
        /// Most errors of one response; the extension errorsOmitted counts the rest.
        errors: usize = 10,
        /// Largest response, in bytes; of a subscription, the largest event. Texts are counted
        /// before they are copied. A larger one is answered with `data: null` and one error
        /// `LIMIT_EXCEEDED`. So is a request that reads messages of more bytes for one level of its
        /// response, whatever it selects of them.
        response_bytes: usize = 16_777_216,
    }
}
