//! An index that follows the file system ends up right whatever comes over the files at once.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use indexer::{IndexOptions, Indexer};
use support::{Numbers, Tree, rounds};

/// An index that watches, and what tells of its changes.
struct Watched {
    indexer: Indexer,
    changes: mpsc::Receiver<()>,
    _cache: tempfile::TempDir,
}

impl Watched {
    fn new(tree: &Tree) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let (sender, changes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let on_change = move || drop(sender.lock().map(|sender| sender.send(())));
        let options =
            IndexOptions { on_change: Some(Arc::new(on_change)), ..IndexOptions::default() };
        let indexer = Indexer::open(tree.workspace(), cache.path(), options).unwrap();
        support::update(&indexer);
        indexer.watch();
        Self { indexer, changes, _cache: cache }
    }

    /// Waits until the index equals one that is made from nothing.
    fn check(&self, tree: &Tree, what: &str) {
        let fresh = tree.fresh();
        let deadline = Instant::now() + Duration::from_mins(2);
        while self.indexer.snapshot().dump() != fresh {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.changes.recv_timeout(left).is_err() {
                tree.check(&self.indexer.snapshot(), what);
            }
        }
    }
}

#[test]
fn renames_of_many_files_and_of_their_folder() {
    let count = rounds(1_000, 10_000);
    let tree = Tree::new(31, 0);
    let mut numbers = Numbers(32);
    let folder = tree.path().join("many");
    fs::create_dir(&folder).unwrap();
    for file in 0..count {
        let text = format!("pub fn made_{file}() -> u32 {{ {} }}\n", numbers.next(1000));
        fs::write(folder.join(format!("f{file}.rs")), text).unwrap();
    }
    let watched = Watched::new(&tree);
    for file in 0..count {
        let (from, to) = (format!("f{file}.rs"), format!("renamed_{file}.rs"));
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    }
    watched.check(&tree, "each file has another name");
    fs::rename(&folder, tree.path().join("elsewhere")).unwrap();
    watched.check(&tree, "their folder has another name");
}

fn git(folder: &Path, args: &[&str]) {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn checkouts_between_distant_branches() {
    let files = rounds(200, 2_000);
    let mut tree = Tree::new(41, files);
    git(tree.path(), &["init", "--quiet", "--initial-branch", "one"]);
    let commit = |tree: &Tree| {
        git(tree.path(), &["add", "--all"]);
        git(tree.path(), &["commit", "--quiet", "--message", "a state"]);
    };
    commit(&tree);
    git(tree.path(), &["checkout", "--quiet", "-b", "two"]);
    for _ in 0..files {
        tree.change();
    }
    commit(&tree);
    let watched = Watched::new(&tree);
    for branch in ["one", "two", "one"] {
        git(tree.path(), &["checkout", "--quiet", branch]);
        watched.check(&tree, branch);
    }
}

#[test]
fn everything_is_removed_and_comes_back() {
    let tree = Tree::new(51, rounds(100, 3_000));
    let copies: Vec<_> =
        tree.files.iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let watched = Watched::new(&tree);
    for entry in fs::read_dir(tree.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    watched.check(&tree, "nothing is left");
    for (path, text) in copies {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    watched.check(&tree, "all came back");
}

/// What git prints in this repository, if it is one.
fn of_this_repository(args: &[&str]) -> Option<String> {
    let output =
        Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Replays this repository's own history, as far as it is at hand: a copy without it, as a package has it, has
/// nothing to replay.
#[test]
fn after_each_of_the_last_commits() {
    let count = rounds(5, 200).to_string();
    let log = of_this_repository(&["log", "--first-parent", "--format=%H", "--max-count", &count]);
    let Some((log, history)) = log.zip(of_this_repository(&["rev-parse", "--absolute-git-dir"]))
    else {
        return;
    };
    let commits: Vec<&str> = log.lines().rev().collect();
    let tree = Tree::new(61, 0);
    let staged = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let indexer = tree.open(cache.path());
    for (number, commit) in commits.iter().enumerate() {
        let output = Command::new("git")
            .args(["read-tree", "--reset", "-u", commit])
            .env("GIT_DIR", &history)
            .env("GIT_WORK_TREE", tree.path())
            .env("GIT_INDEX_FILE", staged.path().join("index"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        support::update(&indexer);
        if number % 20 == 0 || number + 1 == commits.len() {
            tree.check(&indexer.snapshot(), commit);
        }
    }
}
