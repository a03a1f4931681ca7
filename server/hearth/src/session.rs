use std::{
    env,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use assistant::{Assistant, AssistantOptions, AssistantSnapshot, Trust};
use base::CancelToken;
use indexer::Progress;

use crate::{global::Global, output};

/// One command's view of the workspace: the façade and the token that Ctrl-C cancels.
pub struct Session {
    /// The host.
    pub assistant: Assistant,
    /// Cancelled by Ctrl-C.
    pub cancel: CancelToken,
    root: PathBuf,
    trust: Trust,
}

impl Session {
    /// Opens the workspace with its index as it is.
    pub fn open(global: &Global) -> Result<Self> {
        let root = global.workspace()?;
        let folders = Global::folders()?;
        let trust = Trust::open(&folders)?;
        let assistant = Assistant::open(AssistantOptions {
            trusted: trust.is_trusted(&root),
            offline: global.offline,
            ..AssistantOptions::new(vec![root.clone()], folders, Global::program()?)
        })?;
        Ok(Self { assistant, cancel: Global::interruptible(), root, trust })
    }

    /// Everything that can be asked.
    pub fn snapshot(&self) -> AssistantSnapshot {
        self.assistant.snapshot()
    }

    /// Asks a person at the terminal, once, whether this workspace is trusted. Elsewhere an
    /// untrusted one stays so.
    pub fn ask_for_trust(&mut self) -> Result<()> {
        let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        if self.snapshot().is_trusted() || !terminal {
            return Ok(());
        }
        output::note(&format!("Do you trust the authors of {}? [y/N]", self.root.display()));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).context("cannot read the answer")?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            self.trust.set(&self.root, true)?;
            self.assistant.set_trusted(true);
        }
        Ok(())
    }

    /// Opens the workspace and brings its index up to date.
    pub fn ready(global: &Global) -> Result<Self> {
        let session = Self::open(global)?;
        session.assistant.update_index(false, &session.cancel, &mut show_progress())?;
        output::progress_done();
        Ok(session)
    }

    /// Paths that the person gave, relative to the current folder, as absolute ones.
    pub fn absolute(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
        files.iter().map(|file| Self::absolute_one(file)).collect()
    }

    /// A path that the person gave, relative to the current folder, as an absolute one.
    pub fn absolute_one(file: &Path) -> Result<PathBuf> {
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
