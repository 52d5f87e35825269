//! The settings of tools.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::secret::{ArgumentSetting, HIDDEN, HiddenSetting, UrlSetting};
use crate::config::ConfigError;
use crate::config::environment::Variables;
use talkgraph_domain::redact;

sections! {
    /// Tools.
    ToolSettings {
        /// Built-in tools that are offered: `current_time`, calculator, `http_fetch`, `memory_save`,
        /// `memory_search`.
        builtin: Vec<String> = ["current_time", "calculator", "http_fetch", "memory_save", "memory_search"],
        /// Most tool calls in progress at once; one more waits, within its own time.
        calls: usize = 64,
        /// Longest time of a call whose tool sets no other, in milliseconds.
        timeout_ms: u64 = 30_000,
        /// Longest time of a call whose tool reports progress (MCP), in milliseconds: each report
        /// gives the call its `timeout_ms` again, up to this. Log messages do not.
        progress_timeout_ms: u64 = 600_000,
        /// Most events `ToolCallProgress` of one call in a second. Of more reports the latest counts.
        progress_events_per_second: u32 = 2,
        /// Longest message of a report of progress, in bytes; a longer one is cut. 0: no message is
        /// kept.
        progress_message_bytes: usize [0..] = 500,
        /// Largest arguments of a call, in bytes of JSON.
        argument_bytes: usize = 65_536,
        /// Largest output of a call, in bytes of UTF-8; a longer one is cut, and marked. It applies
        /// to the results of a client's own tools, too.
        output_bytes: usize = 65_536,
        /// Most parts of a result: texts, data, files and resources. More are left out, with a note.
        output_parts: usize = 64,
        /// Most files of a result, such as images. Each further one is replaced by a note, which the
        /// model reads as well. 0: no file of a result is stored.
        output_files: usize [0..] = 8,
        /// Largest file of a result, in bytes; a larger one is replaced by a note, too.
        output_file_bytes: usize = 4_194_304,
        /// Most bytes of files of all results of one run. 0: no file of a result is stored.
        output_file_bytes_per_run: u64 [0..] = 33_554_432,
        /// Longest wait of a call for the answer to a question that an MCP server asks the person
        /// during it (`InputRequest`), in seconds. The time of the tool stands still meanwhile, that
        /// of the run does not (`runs.timeout_s`).
        input_timeout_s: u64 = 300,
        /// Largest response to an HTTP tool, in bytes, as sent and once decompressed.
        response_bytes: usize = 4_194_304,
        /// Most memories of an owner (`memory_save`); the oldest make room.
        memories: u32 = 500,
        /// Longest wait for an MCP server that is reached for the first time, in milliseconds: of
        /// /health/ready after the start, and of a run or callTool that names its tools. A run then
        /// goes on without them. The start itself and /health/live never wait. 0: no wait.
        mcp_wait_ms: u64 [0..] = 10_000,
        /// Longest time to start an MCP server and list its tools, in milliseconds.
        mcp_start_timeout_ms: u64 = 20_000,
        /// Longest wait before an MCP server that is gone is reached again, in milliseconds.
        mcp_restart_delay_ms: u64 = 30_000,
        /// Most tools of one MCP server; those listed after them are left out.
        mcp_tools: usize = 128,
        /// Shortest time between two listings of an MCP server's tools, in milliseconds. While a
        /// server reports changes again and again it doubles, up to `tools.mcp_restart_delay_ms`.
        mcp_list_interval_ms: u64 = 1_000,
        /// Largest message of an MCP server, over stdio and HTTP, and the largest listing of its
        /// tools, in bytes. A longer message ends the connection, which is then opened again.
        mcp_message_bytes: usize = 8_388_608,
        /// Most messages a second that are read of an MCP server over stdio; it waits to send more.
        mcp_messages_per_second: u32 = 1_000,
        /// Most lines a second of an MCP server's standard error that are logged; of more, only
        /// their bytes.
        mcp_log_lines_per_second: u32 = 20,
        /// Calls that a person has to approve first, by the tool's name: "always", "never", or a
        /// minijinja expression over the arguments. A call whose expression cannot be computed needs
        /// approval.
        /// ```toml
        /// [tools.approval]
        /// calculator = "args.expression is containing('!')"
        /// ```
        #[serde(default)]
        approval: BTreeMap<String, String>,
        /// Pages that the tool `http_fetch` reads.
        http_fetch: HttpFetchSettings,
        /// Reach of tools, and of files that clients send by their URL: the public internet alone;
        /// not this machine, not private, link-local or otherwise special networks, and no cloud's
        /// metadata, however the address is written or comes out of a name or a redirect.
        egress: EgressSettings,
        /// Tools that are HTTP requests. A redirect is not followed: the headers are for one host
        /// alone.
        #[serde(default)]
        http: Vec<HttpToolSettings>,
        /// Operations of this server's own schema as tools. Each is executed in the server as the
        /// caller of the run, and may cost as much as a caller's request (`[limits]`); its variables
        /// are its arguments. Subscriptions, and operations that start runs or answer interrupts,
        /// are refused.
        #[serde(default)]
        operations: Vec<OperationToolSettings>,
        /// MCP servers. Their tools are named `name__tool`. Models take names of 1 to 64 letters,
        /// digits, _ and -, so a tool with another name gets one derived from it: file.read of files
        /// is `files__file_read`. Names that would then be the same, or too long, end in a digest of
        /// the original, which the tool's description has. Agents, approvals and history use that
        /// name. Servers are reached in the background when this server starts, and again, ever more
        /// slowly, when they are gone.
        #[serde(default)]
        mcp: Vec<McpServerSettings>,
    }

    /// Pages that the tool `http_fetch` reads.
    HttpFetchSettings {
        /// Most bytes of a page that are read, as they are sent; a longer page is cut.
        body_bytes: usize = 2_097_152,
        /// Most bytes of a page that are kept once it is decompressed.
        decoded_bytes: usize = 8_388_608,
        /// Most redirects that are followed; each is checked like the URL itself. 0: none.
        redirects: usize [0..] = 5,
    }

    /// The reach of tools, and of files that clients send by their URL.
    EgressSettings {
        /// Exceptions: addresses, networks such as "10.0.0.0/8", and host names, such as
        /// "intranet.example".
        allow: Vec<String> = [],
        /// Ports that may be connected to; with an empty list every port.
        ports: Vec<u16> = [80, 443],
        /// Longest time to connect, the name's resolution included, in milliseconds.
        connect_timeout_ms: u64 = 5_000,
        /// Use of the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` name, except those
        /// that `NO_PROXY` lists, by tools, files by URL and MCP servers: "off" ignores the proxies;
        /// "address" asks them for the address that was checked here; "name" asks them for the
        /// host's name, for proxies that allow names alone: they then resolve it, and have to keep
        /// private networks out themselves (docs/security.md).
        proxy: ProxyUse = "address",
    }

    /// A tool that is an HTTP request.
    HttpToolSettings {
        /// Name for models and people: 1 to 64 of letters, digits, _ and -.
        name: String = "order_status",
        /// Description for models: its purpose and the occasions to use it.
        description: String = "Returns the state of an order. Needs the order's number.",
        /// GET, POST, PUT, PATCH or DELETE.
        method: String = "GET",
        /// Minijinja template over args; values are percent-encoded. A host that is written out
        /// needs no tools.egress.allow, one that comes out of an argument does.
        url: UrlSetting = "https://orders.example/v1/orders/{{ args.number }}?lang={{ args.lang|default('en') }}",
        /// Minijinja template that gives JSON; values are written as JSON, strings with their
        /// quotes.
        body: Option<HiddenSetting> = r#"{"reason": {{ args.reason }}}"#,
        /// Headers; { env = "NAME" } takes the value from the environment.
        #[serde(default)]
        headers: BTreeMap<String, SecretSetting> = { authorization = { env = "ORDERS_TOKEN" } },
        /// Headers of the caller's own request that are passed on.
        #[serde(default)]
        forward_headers: Vec<String> = ["x-customer"],
        /// JSON Schema of the arguments, as a table or as JSON in a string.
        parameters: Value = r#"{"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}"#,
        /// Part of a JSON response that is the output, as a JSON Pointer; all of it when absent.
        response_pointer: Option<String> = "/order/status",
        /// Longest time of a call, in milliseconds; `tools.timeout_ms` when absent.
        timeout_ms: Option<u64> = 5_000,
        /// Allows to repeat a call whose outcome is not known. Any method but GET also carries an
        /// Idempotency-Key.
        #[serde(default)]
        idempotent: bool = true,
    }

    /// A tool that is an operation of the server's own schema.
    OperationToolSettings {
        /// Name for models and people: 1 to 64 of letters, digits, _ and -.
        name: String = "my_sessions",
        /// Description for models: its purpose and the occasions to use it.
        description: String = "Lists the titles of the person's latest conversations.",
        /// The document itself, or its id in documents.manifest.
        document: Option<String> = "query($first: Int! = 5) { sessions(first: $first) { nodes { title updatedAt } } }",
        /// Id of the document in documents.manifest, instead of the document.
        document_id: Option<String> = "sha256:…",
        /// Operation of the document; needed only where there are several.
        operation: Option<String> = "MySessions",
        /// Part of `data` that is the output, as a JSON Pointer; all of it when absent.
        response_pointer: Option<String> = "/sessions/nodes",
        /// Longest time of a call, in milliseconds; `tools.timeout_ms` when absent.
        timeout_ms: Option<u64> = 5_000,
        /// Allows to repeat a mutation whose outcome is not known. Queries always may be repeated.
        #[serde(default)]
        idempotent: bool = false,
    }

    /// An MCP server.
    McpServerSettings {
        /// Name before those of its tools: 1 to 24 of letters, digits, _ and -, without __. Before a
        /// digit or dash at its beginning its tools have an underscore, because Gemini requires one.
        name: String = "files",
        /// Program to start and talk to through its standard input and output; or the URL below. It
        /// has a process group of its own, which ends as a whole: its input is closed, after 2 s it
        /// gets SIGTERM, and after 2 s more SIGKILL. If this server is killed, a process named
        /// "talkgraph guard" does that.
        command: Option<PathBuf> = "node",
        /// Arguments of the program.
        #[serde(default)]
        args: Vec<ArgumentSetting> = ["files-server.js", "/srv/files"],
        /// Environment of the program besides PATH, HOME and the like; { env = "NAME" } takes the
        /// value from this server's own.
        #[serde(default)]
        env: BTreeMap<String, SecretSetting> = { FILES_TOKEN = { env = "FILES_TOKEN" } },
        /// URL of a server that speaks streamable HTTP, instead of a program.
        url: Option<UrlSetting> = "https://mcp.example/mcp",
        /// Headers of each request to it.
        #[serde(default)]
        headers: BTreeMap<String, SecretSetting> = { authorization = { env = "MCP_TOKEN" } },
        /// Headers of the caller's own request that go with its calls. Over a WebSocket these are
        /// the headers of the upgrade request.
        #[serde(default)]
        forward_headers: Vec<String> = ["x-customer"],
        /// Longest time of a call of one of its tools, in milliseconds; `tools.timeout_ms` when
        /// absent.
        timeout_ms: Option<u64> = 60_000,
        /// Longest time of a call that reports progress, in milliseconds;
        /// `tools.progress_timeout_ms` when absent.
        progress_timeout_ms: Option<u64> = 1_800_000,
        /// Makes this server not ready (/health/ready) while the MCP server is missing. Other
        /// missing servers are only listed there.
        #[serde(default)]
        required: bool = true,
    }
}

/// The use of the environment's proxies by tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyUse {
    /// Without proxies.
    Off,
    /// A proxy is asked for the address that was checked.
    Address,
    /// A proxy is asked for the name.
    Name,
}

unbounded!(ProxyUse, SecretSetting);

/// A secret, as it is or as the name of the environment variable that has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum SecretSetting {
    /// Itself.
    Value(SecretString),
    /// `{ env = "NAME" }`.
    Environment {
        /// The variable.
        env: String,
    },
}

impl Serialize for SecretSetting {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(HIDDEN)
    }
}

impl ToolSettings {
    /// Replaces names of environment variables with their values.
    pub(in crate::config) fn resolve(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        let of_http = self.http.iter_mut().map(|tool| {
            let secrets = tool.headers.iter_mut();
            ("tools.http.headers", &tool.name, secrets)
        });
        let of_mcp = self.mcp.iter_mut().flat_map(|server| {
            let (name, headers, env) = (&server.name, &mut server.headers, &mut server.env);
            [
                ("tools.mcp.headers", name, headers.iter_mut()),
                ("tools.mcp.env", name, env.iter_mut()),
            ]
        });
        for (key, name, secrets) in of_http.chain(of_mcp) {
            for (_, secret) in secrets {
                let SecretSetting::Environment { env } = secret else {
                    continue;
                };
                let missing = || {
                    let why = format!("of {name}: the variable {} is not set", redact::name(env));
                    ConfigError::invalid(key, why)
                };
                let value = variables.get(env)?.ok_or_else(missing)?;
                *secret = SecretSetting::Value(value.into_owned().into());
            }
        }
        Ok(())
    }
}
