//! What commits say is known after an update, and while a workspace is watched soon after they were made.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use base::CancelToken;
use gix::objs::{
    Commit, Tree,
    tree::{Entry, EntryKind},
};
use indexer::{IndexOptions, IndexSnapshot, Indexer};
use lexical_index::{Query, QueryTerm, Tokens};
use vfs::Workspace;

/// Makes a commit of these files, all in the repository's first folder, on the branch that is checked out.
fn commit(folder: &Path, message: &str, files: &[(&str, &str)]) {
    let repository = gix::open(folder).or_else(|_| gix::init(folder)).unwrap();
    let parent = repository.head_id().ok();
    let entries = files.iter().map(|(name, text)| {
        fs::write(folder.join(name), text).unwrap();
        let oid = repository.write_blob(text).unwrap().detach();
        Entry { mode: EntryKind::Blob.into(), filename: (*name).into(), oid }
    });
    let tree = Tree { entries: entries.collect() };
    let time = gix::date::Time::new(1_700_000_000, 0);
    let someone = gix::actor::Signature { name: "A".into(), email: "a@example.org".into(), time };
    let commit = Commit {
        tree: repository.write_object(tree).unwrap().detach(),
        parents: parent.into_iter().map(gix::Id::detach).collect(),
        author: someone.clone(),
        committer: someone,
        encoding: None,
        message: message.into(),
        extra_headers: Vec::new(),
    };
    let id = repository.write_object(commit).unwrap();
    fs::create_dir_all(folder.join(".git/refs/heads")).unwrap();
    fs::write(folder.join(".git/refs/heads/main"), format!("{id}\n")).unwrap();
    // As git does at the end.
    fs::write(folder.join(".git/index"), "").unwrap();
}

/// The files that commits propose for these words.
fn proposed(snapshot: &IndexSnapshot, words: &str) -> Vec<String> {
    let terms = Tokens::new().list(words).into_iter();
    let terms = terms.map(|text| QueryTerm { text, weight: 1.0, variants: Vec::new() });
    let files = snapshot.history().files(&Query { terms: terms.collect() }, |_| true);
    files.into_iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn the_commits_of_every_root_are_known() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let roots = ["one", "two", "none"].map(|name| folder.path().join(name));
    for root in &roots {
        fs::create_dir_all(root).unwrap();
    }
    commit(&roots[0], "Begin to parse dates", &[("a.rs", "1")]);
    commit(&roots[1], "Parse numbers", &[("b.rs", "1")]);
    let workspace = Workspace::open(&roots).unwrap();
    let indexer = Indexer::open(workspace, cache.path(), IndexOptions::default()).unwrap();
    assert!(proposed(&indexer.snapshot(), "parse").is_empty());
    let update = || {
        indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
        indexer.read_history(&CancelToken::new());
    };
    update();
    assert_eq!(proposed(&indexer.snapshot(), "dates"), ["a.rs"]);
    assert_eq!(proposed(&indexer.snapshot(), "numbers"), ["two/b.rs"]);
    let before = indexer.snapshot();
    update();
    assert!(std::ptr::eq(indexer.snapshot().history(), before.history()), "it is read again");
    commit(&roots[1], "Compare colours", &[("b.rs", "1"), ("c.rs", "1")]);
    update();
    assert_eq!(proposed(&indexer.snapshot(), "colours"), ["two/c.rs"]);
}

#[test]
fn a_commit_is_known_soon_after_it_was_made() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    commit(folder.path(), "Begin", &[("a.rs", "1")]);
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let on_change = move || drop(sender.lock().map(|sender| sender.send(())));
    let options = IndexOptions { on_change: Some(Arc::new(on_change)), ..IndexOptions::default() };
    let indexer = Indexer::open(workspace, cache.path(), options).unwrap();
    indexer.watch();
    let until = |words: &str, expected: &[&str]| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while proposed(&indexer.snapshot(), words) != expected {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(changes.recv_timeout(left).is_ok(), "commits are not taken up: {words}");
        }
    };
    until("begin", &["a.rs"]);
    // The walks that come with watching are over, so that only the commit itself can tell of it.
    indexer.settle();
    commit(folder.path(), "Compare colours", &[("a.rs", "1"), ("c.rs", "1")]);
    until("colours", &["c.rs"]);
}

#[test]
fn what_is_kept_is_not_read_again_and_what_is_damaged_is() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    commit(folder.path(), "Begin to parse dates", &[("a.rs", "1")]);
    let known = || {
        let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
        let indexer = Indexer::open(workspace, cache.path(), IndexOptions::default()).unwrap();
        indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
        indexer.read_history(&CancelToken::new());
        proposed(&indexer.snapshot(), "dates")
    };
    assert_eq!(known(), ["a.rs"]);
    // Without its other objects the repository says no more than which commit is checked out.
    let git = folder.path().join(".git");
    let head = fs::read_to_string(git.join("refs/heads/main")).unwrap();
    for entry in fs::read_dir(git.join("objects")).unwrap() {
        let entry = entry.unwrap();
        if !head.starts_with(entry.file_name().to_str().unwrap()) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    assert_eq!(known(), ["a.rs"]);
    let path = cache.path().join("history.json");
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(5).position(|part| part == b"dates").unwrap();
    bytes[place] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(known().is_empty());
    assert_eq!(fs::read(&path).unwrap(), bytes, "what lacks a part is not kept");
}

#[test]
fn what_cannot_be_read_leaves_what_is_known() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    commit(folder.path(), "Begin to parse dates", &[("a.rs", "1")]);
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let indexer = Indexer::open(workspace, cache.path(), IndexOptions::default()).unwrap();
    let cancelled = CancelToken::new();
    cancelled.cancel();
    indexer.read_history(&cancelled);
    assert!(proposed(&indexer.snapshot(), "dates").is_empty());
    indexer.read_history(&CancelToken::new());
    assert_eq!(proposed(&indexer.snapshot(), "dates"), ["a.rs"], "a cancelled look counts as none");
    let config = folder.path().join(".git/config");
    let text = fs::read(&config).unwrap();
    fs::write(&config, "[core\n").unwrap();
    indexer.read_history(&CancelToken::new());
    assert_eq!(proposed(&indexer.snapshot(), "dates"), ["a.rs"]);
    fs::write(&config, text).unwrap();
    commit(folder.path(), "Compare colours", &[("a.rs", "1"), ("c.rs", "1")]);
    indexer.read_history(&CancelToken::new());
    assert_eq!(proposed(&indexer.snapshot(), "colours"), ["c.rs"]);
}
