//! With an approximate index of vectors as much is found as by looking at all of them, whatever changes after it was
//! built and whatever becomes of its file.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use base::CancelToken;
use indexer::{IndexOptions, IndexSnapshot, Indexer};
use static_embedding::{Scratch, StaticEmbedding, Vector};
use support::{Tree, rounds};
use vector_index::Hnsw;

/// Chunks from which on there is an index here.
const FROM: usize = 20;
/// More than there are chunks.
const ALL: usize = 250;

struct Watched {
    indexer: Indexer,
    changes: mpsc::Receiver<()>,
}

impl Watched {
    fn open(tree: &Tree, cache: &Path, approximate_from: usize) -> Self {
        let watched = Self::new(tree, cache, approximate_from);
        support::update(&watched.indexer);
        watched.indexer.watch();
        watched
    }

    fn new(tree: &Tree, cache: &Path, approximate_from: usize) -> Self {
        let (sender, changes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let on_change = move || drop(sender.lock().map(|sender| sender.send(())));
        let options = IndexOptions {
            on_change: Some(Arc::new(on_change)),
            approximate_from,
            ..IndexOptions::default()
        };
        Self { indexer: Indexer::open(tree.workspace(), cache, options).unwrap(), changes }
    }

    /// Waits until a snapshot is as it is wanted.
    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&IndexSnapshot) -> bool) -> IndexSnapshot {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let snapshot = self.indexer.snapshot();
            if wanted(&snapshot) {
                return snapshot;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.changes.recv_timeout(left).is_ok(), "{what}");
        }
    }

    #[track_caller]
    fn covered(&self) -> IndexSnapshot {
        self.wait("all chunks come to be in the index", is_covered)
    }
}

fn is_covered(snapshot: &IndexSnapshot) -> bool {
    snapshot.approximate_chunks() >= FROM && snapshot.approximate_chunks() == snapshot.chunk_count()
}

fn queries() -> Vec<Vector> {
    let texts = ["parse the header", "cache of tokens", "merge", "fn write_index(value: u32)", ""];
    texts
        .iter()
        .map(|text| StaticEmbedding::shipped().query(text, &mut Scratch::default()))
        .collect()
}

fn nearest(
    snapshot: &IndexSnapshot,
    query: &Vector,
    accept: &dyn Fn(&str) -> bool,
    limit: usize,
) -> Vec<(String, usize, u32)> {
    let found = snapshot.nearest(query, accept, limit);
    let one = |found: &indexer::Found| {
        (found.rows.file.path.to_string(), found.chunk, found.score.to_bits())
    };
    found.iter().map(one).collect()
}

/// All that has any likeness with a query is found as by a scan of an index made from nothing, and what is nearest is
/// nearly that, in every file and in some.
#[track_caller]
fn check(tree: &Tree, snapshot: &IndexSnapshot, what: &str) {
    let cache = tempfile::tempdir().unwrap();
    let exact = tree.updated(cache.path()).snapshot();
    assert_eq!(exact.approximate_chunks(), 0);
    let filters: [&dyn Fn(&str) -> bool; 4] =
        [&|_| true, &|path| path.starts_with("src/"), &|path| path.len() % 7 == 0, &|_| false];
    for (query, filter) in queries().iter().flat_map(|query| filters.map(|filter| (query, filter)))
    {
        let all = nearest(&exact, query, filter, ALL);
        assert_eq!(nearest(snapshot, query, filter, ALL), all, "{what}");
        let near = nearest(snapshot, query, filter, 10);
        let worst = all.get(9).map_or(0, |worst| worst.2);
        let as_good = near.iter().filter(|near| near.2 >= worst && all.contains(near)).count();
        assert!(as_good * 10 >= all.len().min(10) * 8, "{what}: {near:?} of {all:?}");
        assert!(near.iter().all(|near| all.contains(near)), "{what}: {near:?} of {all:?}");
        assert!(near.is_sorted_by_key(|near| std::cmp::Reverse(near.2)), "{what}: {near:?}");
    }
}

fn file(cache: &Path) -> PathBuf {
    cache.join("vectors.hnsw")
}

#[test]
fn what_changes_after_it_was_built_is_found_as_it_is() {
    for seed in 0..rounds(2, 40) as u64 {
        let (mut tree, cache) = (Tree::new(seed * 77 + 5, 120), tempfile::tempdir().unwrap());
        let watched = Watched::open(&tree, cache.path(), FROM);
        check(&tree, &watched.covered(), "built");
        for round in 0..12 {
            tree.change();
            watched.indexer.rescan();
            watched.indexer.settle();
            let what = format!("seed {seed}, round {round}");
            check(&tree, &watched.indexer.snapshot(), &what);
        }
    }
}

#[test]
fn what_is_typed_or_saved_counts_before_it_is_stored() {
    let (mut tree, cache) = (Tree::new(9, 120), tempfile::tempdir().unwrap());
    let watched = Watched::open(&tree, cache.path(), FROM);
    let before = watched.covered();
    // Not the file that says what is left out: what it says counts once it is saved.
    let is_source = |path: &str| Path::new(path).extension().is_some_and(|end| end == "rs");
    let mut paths = before.files().filter(|rows| rows.chunk_count() > 0);
    let chosen = paths.find(|rows| is_source(&rows.file.path)).unwrap();
    let path = chosen.file.path.to_string();
    let absolute = tree.workspace().absolute(&path).unwrap();
    let text = tree.numbers.source();
    watched.indexer.document_changed(Path::new(&absolute), text.clone().into());
    watched.indexer.settle();
    let typed = watched.indexer.snapshot();
    fs::write(&absolute, text).unwrap();
    check(&tree, &typed, "typed");
    watched.indexer.document_closed(Path::new(&absolute));
    watched.indexer.mark_dirty(&[PathBuf::from(&absolute)]);
    watched.indexer.settle();
    check(&tree, &watched.indexer.snapshot(), "saved");
    watched.indexer.store();
    check(&tree, &watched.indexer.snapshot(), "stored");
}

#[test]
fn after_many_changes_it_is_built_anew() {
    let (mut tree, cache) = (Tree::new(21, 120), tempfile::tempdir().unwrap());
    let watched = Watched::open(&tree, cache.path(), FROM);
    watched.covered();
    let first = fs::read(file(cache.path())).unwrap();
    for _ in 0..60 {
        tree.create();
    }
    watched.indexer.rescan();
    watched.indexer.settle();
    check(&tree, &watched.covered(), "built anew");
    assert_ne!(fs::read(file(cache.path())).unwrap(), first);
}

/// What `damage` did to the stored index between two runs costs no answer, and it is there again afterwards.
#[track_caller]
fn check_reopened(what: &str, kept: bool, damage: impl FnOnce(&Path)) {
    let (tree, cache) = (Tree::new(33, 120), tempfile::tempdir().unwrap());
    let path = file(cache.path());
    Watched::open(&tree, cache.path(), FROM).covered();
    let whole = fs::read(&path).unwrap();
    damage(&path);
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let before = path.is_file().then(modified);
    let watched = Watched::open(&tree, cache.path(), FROM);
    check(&tree, &watched.covered(), what);
    drop(watched);
    assert_eq!(before == Some(modified()), kept, "{what}");
    assert_eq!(fs::metadata(&path).unwrap().len(), whole.len() as u64, "{what}");
}

#[test]
fn it_is_opened_again_or_made_anew_where_it_is_damaged() {
    let change = |change: &dyn Fn(&mut Vec<u8>), path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    check_reopened("untouched", true, |_| {});
    check_reopened("gone", false, |path| fs::remove_file(path).unwrap());
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
    };
    check_reopened("a flipped bit", false, |path| change(&flip, path));
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    check_reopened("cut off", false, |path| change(&cut, path));
    check_reopened("of another stamp", false, |path| {
        let vector = [1; 256];
        let keyed = [(1 << 20, &vector[..])];
        let other = Hnsw::build(256, 1, keyed, &CancelToken::new()).unwrap();
        other.save(path, 1, &[]).unwrap();
    });
    check_reopened("a crash while it was written", true, |path| {
        fs::write(path.with_extension("unfinished"), b"half of it").unwrap();
    });
}

#[test]
fn below_its_size_there_is_none() {
    let (tree, cache) = (Tree::new(45, 120), tempfile::tempdir().unwrap());
    // One that is left from larger days is taken away by the first look.
    fs::write(file(cache.path()), b"of another time").unwrap();
    let watched = Watched::open(&tree, cache.path(), IndexOptions::default().approximate_from);
    let deadline = Instant::now() + Duration::from_mins(1);
    while file(cache.path()).exists() {
        assert!(Instant::now() < deadline, "nobody looks");
        watched.indexer.settle();
    }
    watched.indexer.settle();
    assert_eq!(watched.indexer.snapshot().approximate_chunks(), 0);
    drop(watched);
    assert!(!file(cache.path()).exists());
}

#[test]
fn a_workspace_that_becomes_small_loses_it() {
    let (mut tree, cache) = (Tree::new(57, 120), tempfile::tempdir().unwrap());
    let watched = Watched::open(&tree, cache.path(), FROM);
    watched.covered();
    for path in tree.files.split_off(4) {
        fs::remove_file(path).unwrap();
    }
    watched.indexer.rescan();
    watched.indexer.settle();
    let snapshot = watched.wait("the index goes", |snapshot| snapshot.approximate_chunks() == 0);
    check(&tree, &snapshot, "small");
    drop(watched);
    assert!(!file(cache.path()).exists());
}

#[test]
fn another_window_finds_the_same() {
    let (tree, cache) = (Tree::new(69, 120), tempfile::tempdir().unwrap());
    let writer = Watched::open(&tree, cache.path(), FROM);
    writer.covered();
    let reader = Watched::open(&tree, cache.path(), FROM);
    check(&tree, &reader.covered(), "opened by another");
}

#[test]
fn while_paused_none_is_built() {
    let (tree, cache) = (Tree::new(81, 120), tempfile::tempdir().unwrap());
    let watched = Watched::new(&tree, cache.path(), FROM);
    watched.indexer.pause(true);
    support::update(&watched.indexer);
    watched.indexer.watch();
    watched.indexer.settle();
    assert_eq!(watched.indexer.snapshot().approximate_chunks(), 0);
    assert!(!file(cache.path()).exists());
    watched.indexer.pause(false);
    watched.covered();
}
