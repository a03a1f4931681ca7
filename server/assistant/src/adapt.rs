use std::{
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use adaptation::{
    AdaptError, AdaptProgress, AdaptedPrior, Attempt, Measured, Outcome, Places, Store,
};
use base::CancelToken;
use indexer::IndexSnapshot;
use instant::PriorLanguage;
use pdf_text::is_pdf;
use serde::Serialize;

use crate::{AssistantError, AssistantSnapshot, adapter::AdapterStatus};

/// What came of an attempt to learn priors for a workspace.
#[derive(Clone, Debug, Serialize)]
pub struct AdaptReport {
    /// The workspace's first folder.
    pub workspace: PathBuf,
    /// Each language of the workspace.
    pub languages: Vec<AdaptedLanguage>,
    /// How long it took, the index apart.
    pub seconds: f64,
}

/// One language of an attempt.
#[derive(Clone, Debug, Serialize)]
pub struct AdaptedLanguage {
    /// What was tried, and how it compares.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// Whether it is used from now on. Otherwise an earlier one stays.
    pub installed: bool,
}

/// What is installed for a workspace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdaptedPriors {
    /// The workspace's first folder.
    pub workspace: PathBuf,
    /// The priors that are installed.
    pub priors: Vec<AdaptedPrior>,
    /// The languages whose prior was removed just now.
    pub removed: Vec<&'static str>,
    /// The model that was trained for the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterStatus>,
    /// The name of such a model that was removed just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_adapter: Option<String>,
}

impl AssistantSnapshot {
    /// Learns priors from the indexed files and the dependencies' sources on this machine and installs those
    /// that beat what the program brings. Runs nothing, opens no connection. The index should be up to date.
    pub fn adapt(
        &self,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(AdaptProgress),
    ) -> Result<AdaptReport, AssistantError> {
        let begun = Instant::now();
        let own = own_files(&self.current_index(cancel)?, cancel)?;
        if own.iter().all(|(path, _)| PriorLanguage::of_path(path).is_none()) {
            return Err(AssistantError::Invalid(format!(
                "{} has no file of Python, Rust, TypeScript, JavaScript or Go; priors are learnt for these",
                self.root().display()
            )));
        }
        let workspace = self.files.workspace();
        let attempts = adaptation::adapt(workspace, &own, &Places::of_user(), cancel, progress)?;
        // From here on it is a matter of moments, and half of it would be worth nothing less.
        cancel.check()?;
        let store = self.adapted();
        let mut languages = Vec::new();
        for attempt in attempts {
            let better = attempt.comparison.filter(|_| attempt.outcome == Outcome::Better);
            if let Some(comparison) = better {
                let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let Attempt { packages, tokens, .. } = attempt;
                let measured = Measured {
                    time: time.as_secs(),
                    packages,
                    tokens,
                    comparison,
                    ..Measured::default()
                };
                store.install(attempt.language, &attempt.prior, &measured)?;
            }
            languages.push(AdaptedLanguage { attempt, installed: better.is_some() });
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(AdaptReport { workspace: self.root(), languages, seconds })
    }

    /// What was learnt and trained for the workspace.
    pub fn adapted_priors(&self) -> AdaptedPriors {
        AdaptedPriors {
            workspace: self.root(),
            priors: self.adapted().list(),
            removed: Vec::new(),
            adapter: self.adapter_status(),
            removed_adapter: None,
        }
    }

    /// Goes back to the program's own priors and the person's own model.
    pub fn remove_adapted_priors(&self) -> Result<AdaptedPriors, AssistantError> {
        let removed = self.adapted().remove()?;
        let removed = removed.into_iter().map(PriorLanguage::name).collect();
        let removed_adapter = self.remove_adapter()?;
        Ok(AdaptedPriors { removed, removed_adapter, ..self.adapted_priors() })
    }

    pub(crate) fn adapted(&self) -> Store {
        Store::new(&self.shared.folders, &self.files.workspace().key())
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.files.workspace().roots().first().cloned().unwrap_or_default()
    }
}

/// The indexed files but for PDFs, by path.
pub(crate) fn own_files(
    index: &IndexSnapshot,
    cancel: &CancelToken,
) -> Result<Vec<(String, Arc<str>)>, AssistantError> {
    let mut own: Vec<(String, Arc<str>)> = Vec::new();
    for rows in index.files() {
        cancel.check()?;
        let path = &rows.file.path;
        if is_pdf(path) {
            continue;
        }
        own.extend(index.text(path).map(|text| (path.to_string(), text)));
    }
    own.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(own)
}

impl From<AdaptError> for AssistantError {
    fn from(error: AdaptError) -> Self {
        match error {
            AdaptError::Cancelled(_) => Self::Cancelled,
            AdaptError::Prior(_) => Self::Unavailable(error.to_string()),
        }
    }
}
