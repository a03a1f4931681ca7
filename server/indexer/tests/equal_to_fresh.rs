//! Whatever happened to the files or to the stored index, it ends up holding what an index made
//! from nothing holds.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base::CancelToken;
use indexer::{IndexOptions, Indexer};
use support::{Numbers, Tree, rounds, update};
use vfs::Workspace;

#[test]
fn after_random_changes() {
    for seed in [3, 1_000_003] {
        let mut tree = Tree::new(seed, 25);
        let cache = tempfile::tempdir().unwrap();
        let mut indexer = tree.updated(cache.path());
        for round in 0..12 {
            for _ in 0..tree.numbers.next(12) {
                tree.change();
            }
            if round % 4 == 3 {
                drop(indexer);
                indexer = tree.open(cache.path());
            }
            update(&indexer);
            tree.check(&indexer.snapshot(), &format!("seed {seed}, round {round}"));
        }
    }
}

#[test]
fn when_told_of_each_change() {
    let mut tree = Tree::new(77, 25);
    let cache = tempfile::tempdir().unwrap();
    let indexer = tree.updated(cache.path());
    for round in 0..8 {
        let before = tree.files.clone();
        for _ in 0..=tree.numbers.next(6) {
            tree.change();
        }
        let mut touched = before;
        touched.extend(tree.files.iter().cloned());
        touched.push(tree.path().to_owned());
        indexer.mark_dirty(&touched);
        indexer.store();
        tree.check(&indexer.snapshot(), &format!("round {round}"));
    }
    drop(indexer);
    tree.check(&tree.open(cache.path()).snapshot(), "stored");
}

#[test]
fn after_a_cancelled_update() {
    let tree = Tree::new(5, 300);
    let cache = tempfile::tempdir().unwrap();
    let indexer = tree.open(cache.path());
    let cancel = CancelToken::new();
    let stopped = indexer.update(&cancel, &mut |progress| {
        if progress.done == 20 {
            cancel.cancel();
        }
    });
    assert!(stopped.is_err());
    update(&indexer);
    tree.check(&indexer.snapshot(), "cancelled at the twentieth file");
}

/// Every file of the stored index, deepest first.
fn stored_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.metadata().unwrap().len() > 0);
    files.sort();
    files
}

#[test]
fn after_damage_to_any_stored_file() {
    let tree = Tree::new(11, 30);
    let fresh = tree.fresh();
    let mut numbers = Numbers(99);
    let count = {
        let cache = tempfile::tempdir().unwrap();
        drop(tree.updated(cache.path()));
        stored_files(cache.path()).len()
    };
    for at in 0..count {
        for kind in ["a flipped bit", "a truncation", "zeroes"] {
            let cache = tempfile::tempdir().unwrap();
            drop(tree.updated(cache.path()));
            let files = stored_files(cache.path());
            let Some(path) = files.get(at) else { continue };
            let mut bytes = fs::read(path).unwrap();
            let place = numbers.next(bytes.len());
            match kind {
                "a flipped bit" => bytes[place] ^= 1 << numbers.next(8),
                "a truncation" => bytes.truncate(place),
                _ => bytes[place..].fill(0),
            }
            fs::remove_file(path).unwrap();
            fs::write(path, bytes).unwrap();
            let indexer = tree.updated(cache.path());
            indexer.verify();
            let found = indexer.snapshot().dump();
            let missing = fresh.iter().find(|line| !found.contains(line));
            let extra = found.iter().find(|line| !fresh.contains(line));
            let what = format!("{kind} at {place} of {}", path.display());
            assert!(found == fresh, "{what}\nmissing: {missing:?}\nextra: {extra:?}");
        }
    }
}

#[test]
fn after_a_name_was_lost_from_the_schema() {
    let (tree, cache) = (Tree::new(13, 30), tempfile::tempdir().unwrap());
    drop(tree.updated(cache.path()));
    let path = cache.path().join("index.db");
    let mut bytes = fs::read(&path).unwrap();
    let name = b"links BLOB";
    let place = bytes.windows(name.len()).position(|part| part == name).unwrap();
    bytes[place + 1] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let indexer = tree.updated(cache.path());
    indexer.verify();
    tree.check(&indexer.snapshot(), "a flipped bit in the name of a column");
}

/// Not a test: what [`after_being_killed`] kills. Does nothing unless it is told where.
#[test]
fn process_that_is_killed() {
    let told = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(folder), Some(cache)) = (told("INDEX_FOLDER"), told("INDEX_CACHE")) else { return };
    let workspace = Workspace::open(&[folder]).unwrap();
    let indexer = Indexer::open(workspace, &cache, IndexOptions::default()).unwrap();
    update(&indexer);
}

#[test]
fn after_being_killed() {
    let mut tree = Tree::new(21, 400);
    let cache = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    for round in 0..rounds(30, 200) {
        let mut child = Command::new(&program)
            .args(["--exact", "process_that_is_killed"])
            .env("INDEX_FOLDER", tree.path())
            .env("INDEX_CACHE", cache.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is the point of the test; none is wrong.
        std::thread::sleep(Duration::from_millis(tree.numbers.next(400) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 5 == 4 {
            tree.check(&tree.updated(cache.path()).snapshot(), &format!("round {round}"));
        }
        for _ in 0..30 {
            tree.change();
        }
    }
    tree.check(&tree.updated(cache.path()).snapshot(), "at the end");
}
