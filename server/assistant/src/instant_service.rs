use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use adaptation::{Stamp, Store};
use base::{CancelToken, Latest};
use completion::CompletionCache;
use indexer::{FileRow, IndexSnapshot};
use instant::Instant;
use parking_lot::{Mutex, RwLock};
use pdf_text::is_pdf;

use crate::{excerpts::CompletionExcerpts, index_service::IndexService};

/// Files handed to the model in one go.
const BATCH: usize = 1000;

/// What the model holds of a workspace, some 130 MB: twice what a million lines come to. Of a larger one it knows
/// the files that were changed last, and all that are changed from then on.
const MAX_TOKENS: usize = 16 << 20;

/// So many changed files at once are taken in however much there is.
const FEW: usize = 20;

/// A burst of changes is taken in once no more came for this long…
const QUIET: Duration = Duration::from_millis(100);
/// …but at the latest after this.
const LIMIT: Duration = Duration::from_secs(1);

/// Keeps the live n-gram model in step with the index.
pub struct InstantService {
    workspace: RwLock<Arc<OfWorkspace>>,
    notices: Arc<Latest<()>>,
}

/// What belongs to one workspace.
#[derive(Default)]
pub struct OfWorkspace {
    /// The model.
    pub instant: Instant,
    /// What was suggested before.
    pub cache: CompletionCache,
    /// What a completion model was shown of other files.
    pub(crate) excerpts: CompletionExcerpts,
    /// Content hash of each file that the model holds, or that there was no room for.
    held: Mutex<HashMap<Arc<str>, ContentHash>>,
    /// The priors that were learnt for it, and which of them the model has.
    adapted: Option<Store>,
    stamp: Mutex<Stamp>,
    /// The completion model that was trained for it, by its name.
    adapter: Mutex<Option<Arc<str>>>,
}

type ContentHash = [u8; 16];

impl Default for InstantService {
    fn default() -> Self {
        Self { workspace: RwLock::default(), notices: Arc::new(Latest::new()) }
    }
}

impl InstantService {
    /// Model and cache of the workspace that is open.
    pub fn current(&self) -> Arc<OfWorkspace> {
        self.workspace.read().clone()
    }

    /// Begins anew with a workspace, for which these priors were learnt.
    pub fn open(&self, adapted: Store) {
        let workspace = OfWorkspace { adapted: Some(adapted), ..OfWorkspace::default() };
        *self.workspace.write() = Arc::new(workspace);
    }

    /// The index has something new.
    pub fn notice(&self) {
        self.notices.put(());
    }

    /// Follows an index on a thread of its own, until the index or the service is gone.
    pub fn watch(self: &Arc<Self>, index: &Arc<IndexService>) {
        let (service, index) = (Arc::downgrade(self), Arc::downgrade(index));
        let notices = self.notices.clone();
        let started = thread::Builder::new().name("instant".into()).spawn(move || {
            base::stand_back();
            while notices.take_settled(QUIET, LIMIT, |(), ()| ()).is_some() {
                if follow(&service, &index).is_none() {
                    return;
                }
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread for the instant model");
        }
    }
}

impl Drop for InstantService {
    fn drop(&mut self) {
        self.notices.close();
    }
}

/// Takes in what is new; `None` when nobody needs it any more.
fn follow(service: &Weak<InstantService>, index: &Weak<IndexService>) -> Option<()> {
    let (service, index) = (service.upgrade()?, index.upgrade()?);
    if index.is_stopped() {
        return None;
    }
    if let Ok(snapshot) = index.snapshot() {
        service.current().refresh(&snapshot, index.cancel());
    }
    Some(())
}

impl OfWorkspace {
    /// Takes in every file of `snapshot` that the model does not hold as it is now, and priors that were
    /// learnt or removed meanwhile.
    pub fn refresh(&self, snapshot: &IndexSnapshot, cancel: &CancelToken) {
        self.refresh_up_to(MAX_TOKENS, snapshot, cancel);
    }

    fn refresh_up_to(&self, most: usize, snapshot: &IndexSnapshot, cancel: &CancelToken) {
        self.refresh_priors();
        let mut held = self.held.lock();
        let mut gone: Vec<Arc<str>> = held.keys().cloned().collect();
        gone.retain(|path| snapshot.file(path).is_none());
        for path in &gone {
            self.instant.remove_file(path);
            held.remove(path);
        }
        self.cache.files_changed(&gone.iter().map(|path| &**path).collect::<Vec<_>>());
        let mut changed: Vec<&FileRow> = snapshot
            .files()
            .map(|rows| &rows.file)
            // It learns from code, and to read a PDF takes long.
            .filter(|file| held.get(&file.path) != Some(&file.hash) && !is_pdf(&file.path))
            .collect();
        // A time of 0 is one too new to be trusted.
        let age =
            |file: &&FileRow| Reverse(if file.mtime_ns == 0 { i64::MAX } else { file.mtime_ns });
        changed.sort_by_key(age);
        // A person's own changes, new files among them, and no first look at a workspace.
        let few = changed.len() <= FEW;
        for batch in changed.chunks(BATCH) {
            if cancel.is_cancelled() {
                return;
            }
            let full = self.instant.size().tokens >= most;
            let wanted = batch.iter().filter(|file| few || !full || held.contains_key(&file.path));
            let texts =
                wanted.filter_map(|file| Some((file.path.to_string(), snapshot.text(&file.path)?)));
            let texts: Vec<(String, Arc<str>)> = texts.collect();
            self.instant.update_files(&texts);
            held.extend(batch.iter().map(|file| (Arc::clone(&file.path), file.hash)));
            self.cache.files_changed(&batch.iter().map(|file| &*file.path).collect::<Vec<_>>());
        }
        if changed.len() > BATCH {
            base::give_back_memory();
        }
    }

    /// The completion model that was trained for it, by its name.
    pub(crate) fn adapter(&self) -> Option<Arc<str>> {
        self.adapter.lock().clone()
    }

    fn refresh_priors(&self) {
        let Some(adapted) = &self.adapted else { return };
        let mut held = self.stamp.lock();
        let stamp = adapted.stamp();
        if stamp != *held {
            self.instant.set_priors(adapted.load());
            let chosen = adapted.adapter().unwrap_or_else(|error| {
                tracing::warn!(%error, "the model that was trained for the workspace is left out");
                None
            });
            *self.adapter.lock() = chosen.map(|chosen| chosen.model.into());
            self.cache.clear();
            *held = stamp;
        }
    }
}

#[cfg(test)]
mod tests {
    use vfs::Workspace;

    use super::*;

    #[test]
    fn of_a_workspace_that_is_too_large_the_files_that_change_are_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let workspace = Workspace::open(&[folder.path().to_owned()]).expect("opened");
        let path = |number: usize| format!("file{number}.rs");
        let text = |number: usize| format!("let value_{number} = {number};\n");
        let files: Vec<(String, String)> =
            (0..BATCH + 10).map(|number| (path(number), text(number))).collect();
        let snapshot = |files: &[(String, String)]| {
            let files: Vec<(&str, &str)> =
                files.iter().map(|(path, text)| (&**path, &**text)).collect();
            IndexSnapshot::of_texts(workspace.clone(), &files)
        };
        let of_workspace = OfWorkspace::default();
        let refresh = |files: &[(String, String)]| {
            of_workspace.refresh_up_to(100, &snapshot(files), &CancelToken::new());
            of_workspace.instant.size().files
        };
        assert_eq!(refresh(&files), BATCH, "a batch at a time");
        assert_eq!(refresh(&files), BATCH, "nothing is tried again");
        let changed: Vec<(String, String)> =
            files.iter().map(|(path, text)| (path.clone(), format!("{text}// more\n"))).collect();
        assert_eq!(refresh(&changed), files.len(), "those that are changed count");
        let new = [changed, vec![("new.rs".to_owned(), "let more = 1;\n".to_owned())]].concat();
        assert_eq!(refresh(&new), new.len(), "and those that a person adds");
    }
}
