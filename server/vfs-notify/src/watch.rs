use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use notify::{
    ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{ModifyKind, RemoveKind},
};

/// The share of the system's watches that we take at most: other programs need theirs.
const SHARE: usize = 4;
/// What is taken where the system does not say how many there are.
const DEFAULT_WATCHES: usize = 8192;

/// What may have happened on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Files that may have changed, come or gone.
    Dirty(Vec<PathBuf>),
    /// Folders came or went, events were lost, or rules changed: everything has to be looked at.
    Rescan,
    /// A repository was worked with: another commit may be checked out.
    Repository,
}

/// How changes are noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watching {
    /// Every folder is watched.
    Events,
    /// The system would not watch them all, for this reason: look at everything now and then.
    Polling(String),
}

/// Watches the folders that a walk entered, one by one, so that ignored trees cost nothing.
pub struct Watcher {
    events: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    limit: usize,
}

impl Watcher {
    /// A watcher of nothing yet. `sink` gets the events as they come, on a thread of the watcher's
    /// own, and must not wait.
    pub fn new(sink: impl Fn(WatchEvent) + Send + 'static) -> Self {
        Self::with_limit(watch_limit(), sink)
    }

    fn with_limit(limit: usize, sink: impl Fn(WatchEvent) + Send + 'static) -> Self {
        let handler = move |event| handle(event, &sink);
        let events = notify::recommended_watcher(handler)
            .inspect_err(|error| tracing::warn!(%error, "no file events"))
            .ok();
        Self { events, watched: HashSet::new(), limit }
    }

    /// Has the next [`set`](Self::set) watch every folder anew: one that was removed and made again has lost its
    /// watch, whatever its name says.
    pub fn forget(&mut self) {
        self.watched.clear();
    }

    /// Watches exactly these folders from now on, besides what git keeps of each root's branch.
    pub fn set(&mut self, directories: &[PathBuf], roots: &[PathBuf]) -> Watching {
        let Some(watcher) = &mut self.events else {
            return Watching::Polling("this system reports no file events".to_owned());
        };
        let git = roots.iter().map(|root| root.join(".git")).filter(|path| path.is_dir());
        let wanted: HashSet<PathBuf> = directories.iter().cloned().chain(git).collect();
        if wanted.len() > self.limit {
            self.watched.drain().for_each(|path| drop(watcher.unwatch(&path)));
            let (count, limit) = (wanted.len(), self.limit);
            return Watching::Polling(format!("{count} folders, {limit} may be watched"));
        }
        self.watched.retain(|path| {
            // A folder that is gone has lost its watch already.
            wanted.contains(path) || {
                drop(watcher.unwatch(path));
                false
            }
        });
        for path in wanted {
            if self.watched.contains(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path);
                }
                Err(error) if is_exhausted(&error) => {
                    self.watched.drain().for_each(|path| drop(watcher.unwatch(&path)));
                    return Watching::Polling(format!("the system's watches are used up: {error}"));
                }
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "a folder is not watched");
                }
            }
        }
        Watching::Events
    }
}

fn is_exhausted(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        // ENOSPC (no watches left) and EMFILE (no descriptors left).
        ErrorKind::Io(error) => matches!(error.raw_os_error(), Some(28 | 24)),
        _ => false,
    }
}

fn watch_limit() -> usize {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .unwrap_or(DEFAULT_WATCHES * SHARE)
        / SHARE
}

fn handle(event: notify::Result<Event>, sink: &impl Fn(WatchEvent)) {
    let message = match event {
        Ok(event) => match read(&event) {
            Some(message) => message,
            None => return,
        },
        Err(error) => {
            tracing::warn!(%error, "file events may have been lost");
            WatchEvent::Rescan
        }
    };
    sink(message);
}

fn read(event: &Event) -> Option<WatchEvent> {
    if event.need_rescan() {
        return Some(WatchEvent::Rescan);
    }
    if matches!(event.kind, EventKind::Access(_) | EventKind::Other) {
        return None;
    }
    let git = |path: &PathBuf| path.components().any(|part| part.as_os_str() == ".git");
    let (inside, paths): (Vec<_>, Vec<_>) = event.paths.iter().cloned().partition(git);
    // Of git's own files only the one that names the branch says something about ours.
    if inside.iter().any(|path| path.file_name().is_some_and(|name| name == "HEAD")) {
        return Some(WatchEvent::Rescan);
    }
    if paths.is_empty() {
        // A commit ends with its writing the list of staged files.
        let staged = inside.iter().any(|path| path.file_name().is_some_and(|name| name == "index"));
        return staged.then_some(WatchEvent::Repository);
    }
    let folder_gone = matches!(event.kind, EventKind::Remove(RemoveKind::Folder));
    let folder = |path: &PathBuf| path.is_dir();
    let renamed = matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
    if folder_gone || paths.iter().any(|path| changes_rules(path) || folder(path)) {
        return Some(WatchEvent::Rescan);
    }
    // What was renamed away may have been a folder: its name alone does not say.
    if renamed && paths.iter().any(|path| path.extension().is_none() && !path.exists()) {
        return Some(WatchEvent::Rescan);
    }
    Some(WatchEvent::Dirty(paths))
}

fn changes_rules(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore")
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::mpsc::{self, Receiver},
        time::Duration,
    };

    use super::*;

    /// Long enough for any machine; a test that passes does not wait for it.
    const LONG: Duration = Duration::from_secs(20);

    fn watcher(limit: usize) -> (Watcher, Receiver<WatchEvent>) {
        let (sender, events) = mpsc::channel();
        (Watcher::with_limit(limit, move |event| drop(sender.send(event))), events)
    }

    fn wait(events: &Receiver<WatchEvent>, wanted: &WatchEvent) {
        while events.recv_timeout(LONG).expect("the event arrives") != *wanted {}
    }

    #[test]
    fn a_written_file_is_dirty_and_a_new_folder_asks_for_a_walk() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (mut watcher, events) = watcher(100);
        let watching = watcher.set(std::slice::from_ref(&root), std::slice::from_ref(&root));
        assert_eq!(watching, Watching::Events);
        let file = root.join("a.rs");
        fs::write(&file, "fn a() {}").unwrap();
        wait(&events, &WatchEvent::Dirty(vec![file.clone()]));
        fs::create_dir(root.join("new")).unwrap();
        wait(&events, &WatchEvent::Rescan);
    }

    #[test]
    fn a_folder_that_was_made_again_is_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let inner = root.join("inner");
        let folders = [root.clone(), inner.clone()];
        fs::create_dir(&inner).unwrap();
        let (mut watcher, events) = watcher(100);
        watcher.set(&folders, std::slice::from_ref(&root));
        fs::remove_dir(&inner).unwrap();
        wait(&events, &WatchEvent::Rescan);
        fs::create_dir(&inner).unwrap();
        watcher.forget();
        watcher.set(&folders, std::slice::from_ref(&root));
        let file = inner.join("a.rs");
        fs::write(&file, "fn a() {}").unwrap();
        wait(&events, &WatchEvent::Dirty(vec![file]));
    }

    #[test]
    fn a_commit_is_told_and_a_checkout_asks_for_a_walk() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        let (mut watcher, events) = watcher(100);
        watcher.set(std::slice::from_ref(&root), std::slice::from_ref(&root));
        fs::write(root.join(".git/description"), "").unwrap();
        fs::write(root.join(".git/index"), "").unwrap();
        let first = events.recv_timeout(LONG).unwrap();
        assert_eq!(first, WatchEvent::Repository, "what is staged says nothing of the files");
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/other").unwrap();
        wait(&events, &WatchEvent::Rescan);
    }

    #[test]
    fn too_many_folders_are_polled() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let directories: Vec<PathBuf> =
            (0..3).map(|number| root.join(number.to_string())).collect();
        for directory in &directories {
            fs::create_dir(directory).unwrap();
        }
        let (mut watcher, _events) = watcher(2);
        let watching = watcher.set(&directories, std::slice::from_ref(&root));
        assert!(matches!(watching, Watching::Polling(_)), "{watching:?}");
    }
}
