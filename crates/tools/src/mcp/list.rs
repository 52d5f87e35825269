//! Listing a server's tools, with limits on size and rate.

use std::time::Duration;

use rmcp::model::{PaginatedRequestParams, Tool as Listed};
use rmcp::{Peer, RoleClient};
use tokio::time::{Instant, sleep_until};

use super::McpServerSpec;

/// The number of shortest intervals without a change after which a server is back at its first
/// pace.
const QUIET: u32 = 4;

/// The rate at which a server's tools may be listed again. It decreases for a server that reports
/// changes without end.
pub(super) struct Pace {
    shortest: Duration,
    longest: Duration,
    interval: Duration,
    last: Instant,
}

impl Pace {
    /// The pace of a server whose tools were just listed.
    pub(super) fn new(spec: &McpServerSpec) -> Self {
        Self {
            shortest: spec.list_interval,
            longest: spec.restart_delay.max(spec.list_interval),
            interval: spec.list_interval,
            last: Instant::now(),
        }
    }

    /// Waits until the tools may be listed again.
    pub(super) async fn wait(&mut self) {
        let quiet = self.last.elapsed() > self.interval * QUIET;
        sleep_until(self.last + self.interval).await;
        self.last = Instant::now();
        self.interval = match quiet {
            true => self.shortest,
            false => (self.interval * 2).min(self.longest),
        };
    }
}

/// Lists a server's tools page by page: the first ones within the limits on their number and bytes.
pub(super) async fn list(
    peer: &Peer<RoleClient>,
    spec: &McpServerSpec,
) -> Result<Vec<Listed>, String> {
    let mut tools = Vec::new();
    let mut left = spec.message_bytes;
    let mut page = PaginatedRequestParams::default();
    // A page may be empty, and there may always be another.
    for _ in 0..spec.tools {
        let listed = peer.list_tools(Some(page)).await;
        let listed = listed.map_err(|error| format!("it does not list its tools: {error}"))?;
        for tool in listed.tools {
            let bytes = serde_json::to_vec(&tool).map_or(usize::MAX, |text| text.len());
            match left.checked_sub(bytes) {
                Some(rest) if tools.len() < spec.tools => {
                    left = rest;
                    tools.push(tool);
                }
                _ => return Ok(tools),
            }
        }
        match listed.next_cursor {
            Some(cursor) if cursor.len() <= left => {
                page = PaginatedRequestParams::default().with_cursor(Some(cursor));
            }
            _ => break,
        }
    }
    Ok(tools)
}
