use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use base::CancelToken;
use indexer::{IndexSnapshot, IndexState};
use parking_lot::Mutex;
use retrieval::DocumentationFolders;
use serde::Serialize;
use vfs::{Workspace, looks_secret};

use crate::{
    AssistantError,
    index_service::{FIRST_PASS, IndexService},
};

/// Makes the index of a folder, which is not opened yet.
pub type MakeIndex = Box<dyn Fn(Workspace) -> IndexService + Send + Sync>;

/// The folders of documentation outside the workspace that the person's settings name. Each has an index of its own, as
/// if it were a workspace: opened when documentation is first asked for, and then followed.
pub struct DocsFolders {
    folders: Vec<DocsFolder>,
    make: MakeIndex,
    /// Background threads keep the indexes up to date; otherwise that is done when they are asked.
    watch: bool,
}

struct DocsFolder {
    /// As the person wrote it.
    named: String,
    /// Once it could be opened.
    opened: OnceLock<Opened>,
    /// Why that failed the last time.
    refusal: Mutex<Option<String>>,
}

struct Opened {
    path: PathBuf,
    index: Arc<IndexService>,
    started: AtomicBool,
}

/// The state of a folder of documentation, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocsFolderStatus {
    /// As it is written in the settings.
    pub folder: String,
    /// What its index is doing; `None` while nothing was asked of it.
    pub state: Option<IndexState>,
    /// Indexed files.
    pub files: usize,
    /// Why it cannot be searched, or why changes are noticed late.
    pub detail: Option<String>,
}

impl DocsFolders {
    /// The folders that `named` names. Those that cannot be used are told in the log, and tried again when documentation
    /// is asked for.
    pub fn new(named: &[String], make: MakeIndex, watch: bool) -> Self {
        let folder = |named: &String| DocsFolder {
            named: named.clone(),
            opened: OnceLock::new(),
            refusal: Mutex::default(),
        };
        let this = Self { folders: named.iter().map(folder).collect(), make, watch };
        for folder in &this.folders {
            if let Err(reason) = this.open(folder) {
                tracing::warn!(
                    "hearth.toml: the folder of documentation {}: {reason}",
                    folder.named
                );
            }
        }
        this
    }

    /// Whether none are named.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// The documentation as it is now, as seen from `workspace`. Waits for the first pass over folders that are asked for
    /// the first time, but not for long. A folder that fails is left out.
    pub fn current(
        &self,
        workspace: &Workspace,
        cancel: &CancelToken,
    ) -> Result<DocumentationFolders, AssistantError> {
        let mut within = Vec::new();
        let mut outside: Vec<&Opened> = Vec::new();
        for folder in &self.folders {
            let Ok(opened) = self.open(folder) else { continue };
            if workspace.roots().iter().any(|root| opened.path.starts_with(root)) {
                within.extend(workspace.relative(&opened.path));
            } else if !outside.iter().any(|known| opened.path.starts_with(&known.path)) {
                outside.retain(|known| !known.path.starts_with(&opened.path));
                outside.push(opened);
            }
        }
        if self.watch {
            // All at once, before any is waited for.
            for opened in &outside {
                opened.start();
            }
        }
        let deadline = Instant::now() + FIRST_PASS;
        let mut found = DocumentationFolders { within, outside: Vec::new() };
        for opened in outside {
            match self.index_of(opened, deadline, cancel) {
                Ok(index) => found.outside.push(index),
                Err(AssistantError::Cancelled) => return Err(AssistantError::Cancelled),
                Err(error) => {
                    let path = opened.path.display();
                    tracing::error!(%error, %path, "this folder of documentation is left out");
                }
            }
        }
        Ok(found)
    }

    fn index_of(
        &self,
        opened: &Opened,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<IndexSnapshot, AssistantError> {
        if !self.watch {
            opened.index.update(false, cancel, &mut |_| {})?;
        }
        opened.index.current_by(deadline, cancel)
    }

    /// The folder, if it is one that may be searched; else why not.
    fn open<'here>(&self, folder: &'here DocsFolder) -> Result<&'here Opened, String> {
        if let Some(opened) = folder.opened.get() {
            return Ok(opened);
        }
        let mut refusal = folder.refusal.lock();
        match usable(&folder.named) {
            Ok(workspace) => {
                *refusal = None;
                Ok(folder.opened.get_or_init(|| Opened {
                    path: workspace.roots().first().cloned().unwrap_or_default(),
                    index: Arc::new((self.make)(workspace)),
                    started: AtomicBool::new(false),
                }))
            }
            Err(reason) => {
                *refusal = Some(reason.clone());
                Err(reason)
            }
        }
    }

    /// Rests, or goes on, as far as anything was asked.
    pub fn pause(&self, paused: bool) {
        let opened = self.folders.iter().filter_map(|folder| folder.opened.get());
        for opened in opened.filter(|opened| opened.is_asked()) {
            if let Err(error) = opened.index.pause(paused) {
                tracing::debug!(%error, "an index of documentation cannot be paused");
            }
        }
    }

    /// Ends background work.
    pub fn stop(&self) {
        for opened in self.folders.iter().filter_map(|folder| folder.opened.get()) {
            opened.index.stop();
        }
    }

    /// The state of each folder, in the order of the settings.
    pub fn status(&self) -> Vec<DocsFolderStatus> {
        let status = |folder: &DocsFolder| {
            let asked = folder.opened.get().filter(|opened| opened.is_asked());
            let index = asked.map(|opened| opened.index.status());
            let refusal = || folder.refusal.lock().clone();
            DocsFolderStatus {
                folder: folder.named.clone(),
                state: index.as_ref().map(|index| index.state),
                files: index.as_ref().map_or(0, |index| index.files),
                detail: index.map_or_else(refusal, |index| index.detail),
            }
        };
        self.folders.iter().map(status).collect()
    }
}

impl Opened {
    fn start(&self) {
        if !self.started.swap(true, Ordering::AcqRel) {
            self.index.start();
        }
    }

    fn is_asked(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }
}

/// A folder as a workspace of its own, or why it is none that is searched.
fn usable(named: &str) -> Result<Workspace, String> {
    let path = match named.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().ok_or("no home folder is known")?.join(rest),
        None => PathBuf::from(named),
    };
    if !path.is_absolute() {
        return Err("is no absolute path, nor one below the home folder (~/)".to_owned());
    }
    let workspace = Workspace::open(&[path]).map_err(|error| error.to_string())?;
    let root: &Path = workspace.roots().first().map_or(Path::new(""), PathBuf::as_path);
    let Some(name) = root.to_str() else { return Err("is no name in Unicode".to_owned()) };
    if looks_secret(&format!("{name}/_")) {
        return Err("may hold keys or passwords".to_owned());
    }
    if root.parent().is_none() {
        return Err("is the whole file system".to_owned());
    }
    Ok(workspace)
}
