use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lexical_index::Tokens;
use parking_lot::{Condvar, Mutex};
use store::FileRow;
use syntax::Syntax;
use vfs_notify::{Look, WatchEvent, Watcher, Watching};

use crate::{
    indexer::Shared,
    prepare::{self, Outcome, Parsed, Prepared},
    report::IndexError,
    snapshot::Fresh,
    writer::Role,
};

/// Saves are stored once nothing has been saved for this long; they are searchable before.
const QUIET: Duration = Duration::from_millis(700);
/// Saves wait no longer than this to be stored, and no more of them than this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const MOST_UNSTORED: usize = 256;
/// More dirty files than this are quicker found by a walk.
const STORM: usize = 1000;
/// A burst of events is let run out this long before everything is looked at.
const STORM_QUIET: Duration = Duration::from_millis(200);
/// How often everything is looked at where changes cannot be watched, and where they can.
const POLL: Duration = Duration::from_secs(20);
/// Of the time at most one part in so many goes into such looks: one at a million files takes seconds.
const POLL_SHARE: u32 = 10;
const RECHECK: Duration = Duration::from_mins(15);
/// Folders that came or went are watched anew, and everything is looked at, once more after this: the system tells of
/// a folder that is gone at any time, and takes the watch of one that was made again by its name.
const AFTERMATH: Duration = Duration::from_secs(2);
/// How often a process that only reads looks after the one that writes.
const WRITER_CHECK: Duration = Duration::from_secs(5);
/// Longer texts in the editor are not searched while they are typed.
const MAX_OPEN_BYTES: usize = 1 << 20;

/// What was said to the indexer and not yet done.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    settled: Condvar,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request of its own")]
struct State {
    dirty: HashSet<PathBuf>,
    documents: HashMap<PathBuf, Option<Arc<str>>>,
    rescan: bool,
    /// Everything is to be looked at, and nobody waits for it.
    look_around: bool,
    /// Folders came or went.
    moved: bool,
    watch: bool,
    woken: bool,
    closed: bool,
    /// Those who wait for everything to be done; counts the rounds.
    asked: u64,
    answered: u64,
    /// One of them waits for it to be stored.
    store: bool,
    /// The thread is at what it took last.
    busy: bool,
}

/// What the thread takes at once.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request of its own")]
struct Work {
    dirty: HashSet<PathBuf>,
    documents: HashMap<PathBuf, Option<Arc<str>>>,
    rescan: bool,
    look_around: bool,
    /// Folders came or went.
    moved: bool,
    watch: bool,
    closed: bool,
    /// Someone waits. The number is the round that this work answers.
    settle: Option<u64>,
    /// Someone waits for it to be stored.
    store: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), settled: Condvar::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().dirty.len()
    }

    pub(crate) fn dirty(&self, paths: &[PathBuf]) {
        self.say(|state| state.dirty.extend(paths.iter().cloned()));
    }

    pub(crate) fn document(&self, path: &Path, text: Option<Arc<str>>) {
        self.say(|state| {
            state.documents.insert(path.to_owned(), text);
        });
    }

    pub(crate) fn rescan(&self) {
        self.say(|state| state.rescan = true);
    }

    fn look_around(&self) {
        self.say(|state| state.look_around = true);
    }

    /// Says that folders may have come, gone, or been replaced.
    fn folders_moved(&self) {
        self.say(|state| (state.rescan, state.moved) = (true, true));
    }

    pub(crate) fn watch(&self) {
        self.say(|state| (state.watch, state.woken) = (true, true));
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.state.lock().watch
    }

    pub(crate) fn wake(&self) {
        self.say(|state| state.woken = true);
    }

    pub(crate) fn close(&self) {
        self.say(|state| state.closed = true);
    }

    /// Waits until everything said before is done, at most until `deadline`.
    pub(crate) fn settle(&self, store: bool, deadline: Option<Instant>) {
        let mut state = self.state.lock();
        let nothing = state.dirty.is_empty() && state.documents.is_empty() && !state.rescan;
        if nothing && !state.busy && !state.woken && !store {
            return;
        }
        state.asked += 1;
        state.store |= store;
        let round = state.asked;
        self.changed.notify_one();
        while state.answered < round && !state.closed {
            match deadline {
                None => self.settled.wait(&mut state),
                Some(deadline) => {
                    if self.settled.wait_until(&mut state, deadline).timed_out() {
                        return;
                    }
                }
            }
        }
    }

    fn say(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_one();
    }

    /// Waits for work, at most until `wake`. While paused only the editor's texts are taken.
    fn take(&self, wake: Option<Instant>, paused: impl Fn() -> bool) -> Work {
        let mut state = self.state.lock();
        state.busy = false;
        loop {
            let resting = paused();
            let disk = !resting && (!state.dirty.is_empty() || state.rescan || state.look_around);
            let settle = (state.asked > state.answered).then_some(state.asked);
            let ready = disk
                || !state.documents.is_empty()
                || settle.is_some()
                || state.closed
                || std::mem::take(&mut state.woken);
            if ready || wake.is_some_and(|wake| Instant::now() >= wake) {
                let documents = std::mem::take(&mut state.documents);
                let (dirty, rescan, look_around) = if resting {
                    Default::default()
                } else {
                    (
                        std::mem::take(&mut state.dirty),
                        std::mem::take(&mut state.rescan),
                        std::mem::take(&mut state.look_around),
                    )
                };
                let (watch, closed) = (state.watch, state.closed);
                let moved = std::mem::take(&mut state.moved);
                let store = std::mem::take(&mut state.store);
                state.busy = true;
                return Work {
                    dirty,
                    documents,
                    rescan,
                    look_around,
                    moved,
                    watch,
                    closed,
                    settle,
                    store,
                };
            }
            match wake {
                Some(wake) => drop(self.changed.wait_until(&mut state, wake)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Says that nobody has to wait for what the thread does until it takes more: it was not asked to.
    fn at_leisure(&self) {
        self.state.lock().busy = false;
    }

    fn answer(&self, round: u64) {
        self.state.lock().answered = round;
        self.settled.notify_all();
    }
}

/// Starts the thread that follows what is said.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("indexer".to_owned()).spawn(move || {
        base::be_polite();
        Live::new(shared).run();
    })
}

/// What is known of a saved file and not yet stored.
enum Unstored {
    Changed(Box<Prepared>),
    Touched(FileRow),
    Gone,
}

struct Live {
    shared: Arc<Shared>,
    tokens: Tokens,
    /// The last text and tree of each document in the editor.
    open: HashMap<PathBuf, (Arc<str>, Option<Syntax>)>,
    unstored: HashMap<Arc<str>, Unstored>,
    /// When the oldest and the latest of them came.
    since: Option<(Instant, Instant)>,
    watcher: Option<Watcher>,
    watched: Arc<HashSet<PathBuf>>,
    /// Folders came or went since they were watched: one of the same name may be another.
    moved: bool,
    /// The same, and all is to be looked at once more.
    aftermath: bool,
    polling: bool,
    scanned: Option<Instant>,
    /// When the process that writes was last looked after.
    writer_seen: Instant,
    /// Looks at what is stored.
    verifying: Option<JoinHandle<()>>,
}

impl Live {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tokens: Tokens::new(),
            open: HashMap::new(),
            unstored: HashMap::new(),
            since: None,
            watcher: None,
            watched: Arc::default(),
            moved: false,
            aftermath: false,
            polling: false,
            scanned: None,
            writer_seen: Instant::now(),
            verifying: None,
        }
    }

    fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let mut work = shared.queue.take(self.wake(), || shared.is_paused());
            if work.closed {
                self.store_when_due(true);
                if let Some(round) = work.settle {
                    shared.queue.answer(round);
                }
                if let Some(Err(_)) = self.verifying.take().map(JoinHandle::join) {
                    tracing::error!("looking at the index panicked");
                }
                return;
            }
            self.documents(std::mem::take(&mut work.documents));
            if work.dirty.len() > STORM {
                work.dirty.clear();
                work.rescan = true;
            }
            self.dirty(&work.dirty, &mut work.rescan);
            if !work.rescan && work.settle.is_none() {
                shared.queue.at_leisure();
            }
            work.rescan |= work.look_around;
            if self.aftermath && self.polling_is_due() {
                (self.aftermath, self.moved) = (false, true);
            }
            if work.watch {
                self.watch(&mut work.rescan);
            }
            // The walk that follows sees the folders as they are then; they are watched after it.
            self.moved |= work.moved;
            self.aftermath |= work.moved;
            work.rescan |= self.writer_is_gone();
            if work.rescan {
                self.rescan(work.settle.is_some());
            }
            self.store_when_due(work.store);
            if let Some(round) = work.settle {
                shared.queue.answer(round);
            }
        }
    }

    /// When to look around without being told.
    fn wake(&self) -> Option<Instant> {
        let store = self.since.map(|(first, last)| (last + QUIET).min(first + LONGEST_WAIT));
        let scan = self.scanned.filter(|_| self.watcher.is_some());
        let scan = scan.map(|at| at + self.scan_interval());
        let writer = self.looks_after_writer().then(|| self.writer_seen + WRITER_CHECK);
        store.into_iter().chain(scan).chain(writer).min()
    }

    /// What failed, for want of room for example, is tried again soon.
    fn scan_interval(&self) -> Duration {
        if self.aftermath {
            AFTERMATH
        } else if self.polling || self.shared.has_failed() {
            poll_interval(*self.shared.walk_took.lock())
        } else {
            RECHECK
        }
    }

    fn looks_after_writer(&self) -> bool {
        self.watcher.is_some() && self.shared.is_read_only() && !self.shared.is_paused()
    }

    /// Whether the index is to be taken over from a process that wrote it and is no more.
    fn writer_is_gone(&mut self) -> bool {
        if !self.looks_after_writer() || self.writer_seen.elapsed() < WRITER_CHECK {
            return false;
        }
        let gone = self.shared.look_after_writer();
        self.writer_seen = Instant::now();
        gone
    }

    /// Lays what is being typed over the index.
    fn documents(&mut self, documents: HashMap<PathBuf, Option<Arc<str>>>) {
        let mut layers = Vec::new();
        for (path, text) in documents {
            let Some(relative) = self.shared.workspace.relative(&path) else { continue };
            let key: Arc<str> = relative.as_str().into();
            let Some(text) = text.filter(|text| text.len() <= MAX_OPEN_BYTES) else {
                self.open.remove(&path);
                layers.push((key, None));
                continue;
            };
            if vfs::looks_secret(&relative) || !self.is_walked(&path) {
                continue;
            }
            let previous = self.open.remove(&path);
            let previous =
                previous.as_ref().and_then(|(text, syntax)| Some((syntax.as_ref()?, &**text)));
            let Parsed { prepared, syntax } = prepare::of_text(&relative, text, previous);
            let base = self.shared.base();
            layers.push((key, Some(Fresh::of(&prepared, &base, true, &mut self.tokens))));
            self.open.insert(path, (prepared.text, syntax));
        }
        if !layers.is_empty() {
            self.shared.lay_open(layers);
        }
    }

    /// Reads files that may have changed and lays them over the index.
    fn dirty(&mut self, paths: &HashSet<PathBuf>, rescan: &mut bool) {
        let base = self.shared.base();
        let mut layers = Vec::new();
        for path in paths {
            let Some(relative) = self.shared.workspace.relative(path) else { continue };
            let key: Arc<str> = relative.as_str().into();
            let known = self.shared.saved_hash(&relative);
            let found = match vfs_notify::look(&relative, path, &self.shared.options.walk) {
                Look::Directory => {
                    *rescan = true;
                    continue;
                }
                Look::File(found) => Some(found),
                Look::Skipped(_) | Look::Nothing => None,
            };
            let Some(found) = found else {
                if known.is_some() {
                    layers.push((Arc::clone(&key), Some(Fresh::gone(&key, &base))));
                    self.unstored.insert(key, Unstored::Gone);
                } else {
                    // It may have been a folder.
                    let prefix = format!("{relative}/");
                    *rescan |= base.files.keys().any(|path| path.starts_with(&prefix));
                }
                continue;
            };
            if known.is_none() && !self.is_wanted(path, rescan) {
                continue;
            }
            match prepare::read(&found, known, &self.shared.documents, &self.shared.cancel) {
                Outcome::Changed(prepared) => {
                    let fresh = Fresh::of(&prepared, &base, false, &mut self.tokens);
                    layers.push((Arc::clone(&key), Some(fresh)));
                    self.unstored.insert(key, Unstored::Changed(prepared));
                }
                Outcome::Same(row) => {
                    self.unstored.entry(key).or_insert(Unstored::Touched(row));
                }
                Outcome::Gone => {
                    layers.push((Arc::clone(&key), Some(Fresh::gone(&key, &base))));
                    self.unstored.insert(key, Unstored::Gone);
                }
            }
        }
        if !paths.is_empty() && !self.unstored.is_empty() {
            let now = Instant::now();
            self.since = Some((self.since.map_or(now, |(first, _)| first), now));
        }
        if !layers.is_empty() {
            self.shared.lay_over(layers);
        }
    }

    /// Whether the folder of `path` is one that a walk enters; before the first walk nothing is
    /// known and everything is let through.
    fn is_walked(&self, path: &Path) -> bool {
        let directories = self.shared.directories.lock();
        directories.is_empty() || path.parent().is_some_and(|parent| directories.contains(parent))
    }

    /// Whether a file that is not known yet is one that a walk would find.
    fn is_wanted(&self, path: &Path, rescan: &mut bool) -> bool {
        let Some(parent) = path.parent() else { return false };
        let directories = Arc::clone(&self.shared.directories.lock());
        if !directories.contains(parent) {
            // An ignored folder, or a new one that no event has told of.
            *rescan |= !directories.is_empty()
                && parent.parent().is_some_and(|above| directories.contains(above));
            return false;
        }
        let options = &self.shared.options.walk;
        vfs_notify::list(&self.shared.workspace, parent, options, &self.shared.cancel)
            .is_ok_and(|found| found.files.iter().any(|file| file.absolute == *path))
    }

    /// Watches the folders of the last walk. What happened between that walk and now has gone
    /// unseen, so a change of folders asks for another one.
    fn watch(&mut self, rescan: &mut bool) {
        let shared = Arc::clone(&self.shared);
        let watcher = self.watcher.get_or_insert_with(|| {
            *rescan = true;
            let shared = Arc::clone(&self.shared);
            Watcher::new(move |event| match event {
                WatchEvent::Dirty(paths) => shared.queue.dirty(&paths),
                WatchEvent::Rescan => shared.queue.folders_moved(),
                WatchEvent::Repository => drop(shared.history_changed.put(())),
            })
        });
        let directories = Arc::clone(&shared.directories.lock());
        if std::mem::take(&mut self.moved) {
            watcher.forget();
        } else if Arc::ptr_eq(&directories, &self.watched) {
            return;
        } else if *directories == *self.watched {
            self.watched = directories;
            return;
        }
        let list: Vec<PathBuf> = directories.iter().cloned().collect();
        let watching = watcher.set(&list, shared.workspace.roots());
        let notice = match watching {
            Watching::Events => None,
            Watching::Polling(reason) => {
                let interval = poll_interval(*shared.walk_took.lock());
                Some(format!("changes are noticed within {} s: {reason}", interval.as_secs()))
            }
        };
        self.polling = notice.is_some();
        if *shared.notice.lock() != notice {
            if let Some(notice) = &notice {
                tracing::warn!("{notice}");
            }
            *shared.notice.lock() = notice;
        }
        self.watched = directories;
        *rescan = true;
    }

    fn rescan(&mut self, hurry: bool) {
        if !hurry && self.scanned.is_some() {
            // A checkout sends thousands of events; the walk that sees its end is the one that
            // counts.
            thread::sleep(STORM_QUIET);
        }
        // What the walk finds is newer than what was read before it.
        self.unstored.clear();
        self.since = None;
        let cancel = self.shared.cancel.child();
        match self.shared.update(&cancel, &mut |_| {}) {
            Ok(_) => self.verify(),
            Err(IndexError::Cancelled(_)) => {}
            Err(error) => tracing::error!(%error, "the index is not up to date"),
        }
        self.scanned = Some(Instant::now());
    }

    /// Has what opening trusted looked at, on a thread that nobody waits for.
    fn verify(&mut self) {
        if self.verifying.as_ref().is_some_and(|thread| !thread.is_finished())
            || !self.shared.is_unverified()
        {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new().name("index-check".to_owned()).spawn(move || {
            base::stand_back();
            shared.verify();
        });
        match started {
            Ok(thread) => self.verifying = Some(thread),
            Err(error) => tracing::error!(%error, "no thread to look at the index"),
        }
    }

    fn store_when_due(&mut self, now: bool) {
        let due = self.wake().is_some_and(|wake| Instant::now() >= wake);
        if self.polling_is_due() && !now {
            self.shared.queue.look_around();
            self.scanned = Some(Instant::now());
        }
        if self.unstored.is_empty() || !(now || due || self.unstored.len() >= MOST_UNSTORED) {
            return;
        }
        let mut role = if now {
            self.shared.role.lock()
        } else if let Some(role) = self.shared.role.try_lock() {
            role
        } else {
            // An update is running; come back later.
            self.since = Some((Instant::now(), Instant::now()));
            return;
        };
        self.since = None;
        let unstored = std::mem::take(&mut self.unstored);
        let Role::Writer(writer) = &mut *role else { return };
        let (mut changed, mut touched, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (path, state) in unstored {
            match state {
                Unstored::Changed(prepared) => changed.push(*prepared),
                Unstored::Touched(row) => touched.push(row),
                Unstored::Gone => gone.push(path),
            }
        }
        match writer.write(changed, touched, &gone).and_then(|()| writer.commit()) {
            Ok(Some(base)) => self.shared.publish_base(base),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "saved files are searchable but not stored");
                self.shared.queue.rescan();
            }
        }
    }

    fn polling_is_due(&self) -> bool {
        let every = self.scan_interval();
        self.watcher.is_some() && self.scanned.is_some_and(|at| at.elapsed() >= every)
    }
}

/// How often everything is looked at where that took so long the last time.
fn poll_interval(walk: Duration) -> Duration {
    POLL.max(walk * POLL_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_workspace_is_polled_more_rarely() {
        assert_eq!(poll_interval(Duration::from_millis(500)), POLL);
        assert_eq!(poll_interval(Duration::from_secs(6)), Duration::from_mins(1));
    }

    #[test]
    fn nobody_waits_where_nothing_was_said_or_for_longer_than_they_want() {
        // No thread takes the work, so that either wait would last for ever.
        let queue = Queue::new();
        queue.settle(false, None);
        queue.dirty(&[PathBuf::from("a.rs")]);
        queue.settle(false, Some(Instant::now()));
        assert_eq!(queue.len(), 1);
    }
}
