use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use assistant::{Assistant, AssistantOptions, Trust};
use base::CancelToken;
use indexer::Progress;

use crate::{global::Global, output};

/// One command's view of the workspace: the façade and the token that Ctrl-C cancels.
pub struct Session {
    /// Everything that can be asked.
    pub assistant: Assistant,
    /// Cancelled by Ctrl-C.
    pub cancel: CancelToken,
}

impl Session {
    /// Opens the workspace with its index as it is.
    pub fn open(global: &Global) -> Result<Self> {
        let root = global.workspace()?;
        let folders = global.folders()?;
        let trusted = Trust::open(&folders)?.is_trusted(&root);
        let assistant = Assistant::open(AssistantOptions {
            roots: vec![root],
            folders,
            program: Global::program()?,
            trusted,
            offline: global.offline,
            watch: false,
        })?;
        Ok(Self { assistant, cancel: Global::interruptible() })
    }

    /// Opens the workspace and brings its index up to date.
    pub fn ready(global: &Global) -> Result<Self> {
        let session = Self::open(global)?;
        session.assistant.update_index(false, &session.cancel, &mut show_progress())?;
        output::progress_done();
        Ok(session)
    }

    /// Paths that the person gave, relative to the current folder, as absolute ones.
    pub fn absolute(&self, files: &[PathBuf]) -> Result<Vec<PathBuf>> {
        files.iter().map(|file| self.absolute_one(file)).collect()
    }

    /// A path that the person gave, relative to the current folder, as an absolute one.
    pub fn absolute_one(&self, file: &Path) -> Result<PathBuf> {
        let current = env::current_dir().context("the current folder is gone")?;
        Ok(current.join(file))
    }
}

/// Shows the index's progress on one line, from the second on: quicker work needs no announcement.
pub fn show_progress() -> impl FnMut(&Progress) {
    let start = Instant::now();
    let mut shown = start;
    move |progress| {
        let now = Instant::now();
        if now - start < Duration::from_secs(1) || now - shown < Duration::from_millis(100) {
            return;
        }
        shown = now;
        output::progress(&format!("indexing {}/{}", progress.done, progress.total));
    }
}
