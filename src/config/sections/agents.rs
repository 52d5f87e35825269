//! Agents: from files and from the API.

use std::path::PathBuf;

sections! {
    /// Agents: from files and from the API.
    AgentsSettings {
        /// Folder of agent files, read at start and on SIGHUP.
        folder: PathBuf = "agents",
        /// Agent that answers a client that names none.
        default: String = "research",
        /// Most agents of a tenant that are created through the API; one more is refused with
        /// `LIMIT_EXCEEDED`, until some are deleted. 0: none can be created.
        per_tenant: u32 [0..] = 100,
        /// Most versions of such an agent; a further change is refused with `LIMIT_EXCEEDED`.
        versions: u32 = 1_000,
    }
}
