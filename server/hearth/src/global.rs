use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use base::{CancelToken, Folders};

/// Options that every command takes.
#[derive(Clone, clap::Args)]
pub struct Global {
    /// The folder to work on [default: the enclosing repository, else the current folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Never open a network connection
    #[arg(long, global = true)]
    pub offline: bool,
    /// Log more to standard error; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// The folder to work on, as an absolute path.
    pub fn workspace(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.workspace {
            let folder = folder
                .canonicalize()
                .with_context(|| format!("cannot open the workspace {}", folder.display()))?;
            if !folder.is_dir() {
                bail!("the workspace {} is not a folder", folder.display());
            }
            return Ok(folder);
        }
        let current =
            env::current_dir().context("the current folder is gone; change to another")?;
        Ok(enclosing_repository(&current).unwrap_or(current))
    }

    /// Where Hearth keeps its own files.
    pub fn folders() -> Result<Folders> {
        Ok(Folders::of_user()?)
    }

    /// This program, to start workers with.
    pub fn program() -> Result<PathBuf> {
        env::current_exe().context("cannot tell where this program lies")
    }

    /// A token that Ctrl-C cancels. A second Ctrl-C ends the program at once.
    pub fn interruptible() -> CancelToken {
        let token = CancelToken::new();
        let cancelled = token.clone();
        let installed = ctrlc::set_handler(move || {
            if cancelled.is_cancelled() {
                std::process::exit(130);
            }
            cancelled.cancel();
        });
        if let Err(error) = installed {
            tracing::warn!(%error, "Ctrl-C ends the program without a word");
        }
        token
    }
}

/// The nearest folder upwards that holds `.git`, a folder or, in a worktree, a file.
fn enclosing_repository(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|ancestor| ancestor.join(".git").exists()).map(Path::to_owned)
}
