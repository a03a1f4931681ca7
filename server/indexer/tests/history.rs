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

/// Makes a commit of these files, all in the repository's first folder, on top of what is checked out.
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
    fs::write(folder.join(".git/HEAD"), format!("{id}\n")).unwrap();
}

/// The files that commits propose for these words.
fn proposed(snapshot: &IndexSnapshot, words: &str) -> Vec<String> {
    let terms = Tokens::new().list(words).into_iter();
    let terms = terms.map(|text| QueryTerm { text, weight: 1.0, variants: Vec::new() });
    let files = snapshot.history().files(&Query { terms: terms.collect() });
    files.into_iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn an_update_knows_the_commits_of_every_root() {
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
    let update = || indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
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
    commit(folder.path(), "Compare colours", &[("a.rs", "1"), ("c.rs", "1")]);
    indexer.rescan();
    until("colours", &["c.rs"]);
}
