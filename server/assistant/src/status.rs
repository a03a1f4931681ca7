use std::{collections::BTreeMap, sync::atomic::Ordering};

use indexer::{IndexState, IndexStatus};
use serde::{Deserialize, Serialize};

use crate::{
    AssistantError, AssistantSnapshot, docs_folders::DocsFolderStatus, models::RoleStatus,
    shared::CompletionCounts, timings::Quantiles,
};

/// The state of everything, for a status bar and for `hearth status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// The index.
    pub index: IndexStatus,
    /// The folders of documentation that the person named.
    pub docs: Vec<DocsFolderStatus>,
    /// The models by role.
    pub models: Vec<RoleStatus>,
    /// Languages whose completions rest on a prior that was learnt for the workspace.
    pub priors: Vec<&'static str>,
    /// The completion model that was trained for the workspace, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// `offline`: no connection is ever opened while serving.
    pub network: &'static str,
    /// Memory of this process, without its workers.
    pub memory: Memory,
    /// What a person waits for: `idle`, `indexing`, `completing`, `thinking` or `editing`.
    pub activity: &'static str,
    /// Whether the workspace is trusted.
    pub trusted: bool,
    /// What became of suggestions.
    pub completions: CompletionCounts,
    /// How long each stage took, over the last requests.
    pub timings: BTreeMap<&'static str, Quantiles>,
}

/// Memory of a process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// Resident bytes; 0 where the system does not tell.
    pub resident: u64,
}

/// What can be done to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexAction {
    /// Rest.
    Pause,
    /// Go on.
    Resume,
    /// Begin from nothing.
    Rebuild,
}

impl AssistantSnapshot {
    /// The state of everything.
    pub fn status(&self) -> Status {
        let index = self.index.status();
        let indexing = matches!(index.state, IndexState::Starting | IndexState::Scanning);
        let idle = if indexing { "indexing" } else { "idle" };
        Status {
            version: env!("CARGO_PKG_VERSION"),
            index,
            docs: self.docs.status(),
            models: self.shared.models.status(),
            priors: self.adapted().languages(),
            adapter: self.adapted().adapter().ok().flatten().map(|adapted| adapted.model),
            network: "offline",
            memory: Memory { resident: resident() },
            activity: self.shared.activity.word().unwrap_or(idle),
            trusted: self.shared.trusted.load(Ordering::Acquire),
            completions: self.shared.completion_events.counts(),
            timings: self.shared.timings.quantiles(),
        }
    }

    /// Pauses, resumes or rebuilds the index.
    pub fn index_control(&self, action: IndexAction) -> Result<IndexStatus, AssistantError> {
        match action {
            IndexAction::Pause | IndexAction::Resume => {
                let paused = action == IndexAction::Pause;
                self.docs.pause(paused);
                self.index.pause(paused)?;
            }
            IndexAction::Rebuild => self.index.rebuild()?,
        }
        self.shared.changed();
        Ok(self.index.status())
    }
}

/// Resident bytes of this process.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(not(target_os = "linux"))]
fn resident() -> u64 {
    0
}
