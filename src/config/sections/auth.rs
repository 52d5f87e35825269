//! API keys.

use std::path::PathBuf;

use crate::config::ConfigError;
use talkgraph_domain::Scope;
use talkgraph_domain::principal::is_valid_name;

sections! {
    /// API keys.
    AuthSettings {
        /// Keys of the callers. In the environment `TALKGRAPH_AUTH__KEYS` is the whole list as JSON:
        /// `[{"name": "web", "tenant": "acme", "owner": "alice", "sha256": "2cf2…"}]`.
        #[serde(default)]
        keys: Vec<KeySettings>,
        /// File of further keys, such as a mounted secret: `[[keys]]` with the keys of
        /// `[[auth.keys]]`, or the list as JSON.
        keys_file: Option<PathBuf> => "/run/secrets/talkgraph-keys",
        /// Folder of further keys, each in a file of its own: tenant, owner, sha256 and scopes, as
        /// TOML or JSON. Without a name the key has the name of the file. Hidden files are not read.
        keys_folder: Option<PathBuf> => "/etc/talkgraph/keys",
        /// Interval at which the settings file, `keys_file` and `keys_folder` are checked for
        /// changed keys, in milliseconds; SIGHUP checks at once. A removed key ends its event
        /// streams and WebSockets. Keys of the environment stay as they were at start. 0: only
        /// SIGHUP checks.
        reload_interval_ms: u64 [0..] = 2_000,
    }

    /// An API key.
    KeySettings {
        /// Name of the key in logs.
        name: String = "web",
        /// Tenant of its callers.
        tenant: String = "acme",
        /// Owner of the sessions that its callers create.
        owner: String = "alice",
        /// SHA-256 of the key, as `printf %s "$KEY" | sha256sum` prints it. The key itself is not
        /// stored.
        sha256: String = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        /// Permissions besides the owner's sessions: "tools:call" (the callTool mutation),
        /// "agents:write" (create, change and delete the tenant's agents), "operator" (counts
        /// over all tenants: server.activeRuns, and sockets and streams in /health/ready). A server
        /// without keys allows everything.
        #[serde(default)]
        scopes: Vec<Scope> = ["tools:call"],
    }
}

impl KeySettings {
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        for (key, name) in [
            ("auth.keys.tenant", &self.tenant),
            ("auth.keys.owner", &self.owner),
            ("auth.keys.name", &self.name),
        ] {
            if !is_valid_name(name) {
                return Err(ConfigError::invalid(
                    key,
                    format!("{name:?} must be 1 to 128 of letters, digits and . _ @ -"),
                ));
            }
        }
        let hex = self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.sha256.len() != 64 || !hex {
            return Err(ConfigError::invalid(
                "auth.keys.sha256",
                format!("of key {:?} must be 64 hexadecimal digits", self.name),
            ));
        }
        Ok(())
    }
}
