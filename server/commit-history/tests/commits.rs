//! Repositories as they occur, and what is read of them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use base::CancelToken;
use commit_history::{Commit, Commits, HistoryError, commits, head};
use gix::{
    ObjectId, Repository,
    objs::{
        Commit as CommitObject, Tree,
        tree::{Entry, EntryKind},
    },
};

/// Seconds since 1970 of the first commit.
const BEGUN: i64 = 1_700_000_000;

/// A repository that grows by commits on whole trees.
struct Fixture {
    folder: tempfile::TempDir,
    repository: Repository,
    made: i64,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = gix::init(folder.path()).unwrap();
        Self { folder, repository, made: 0 }
    }

    fn tree(&self, files: &BTreeMap<&str, &str>) -> ObjectId {
        let mut entries = Vec::new();
        let mut folders: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (path, text) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder).or_default().insert(rest, text);
                }
                None => entries.push(Entry {
                    mode: EntryKind::Blob.into(),
                    filename: (*path).into(),
                    oid: self.repository.write_blob(text).unwrap().detach(),
                }),
            }
        }
        for (folder, files) in folders {
            let oid = self.tree(&files);
            entries.push(Entry { mode: EntryKind::Tree.into(), filename: folder.into(), oid });
        }
        entries.sort();
        self.repository.write_object(Tree { entries }).unwrap().detach()
    }

    /// A commit of these files and no others, checked out as `HEAD`.
    fn commit(&mut self, message: &str, parents: &[ObjectId], files: &[(&str, &str)]) -> ObjectId {
        let tree = self.tree(&files.iter().copied().collect());
        self.commit_tree(message, parents, tree)
    }

    fn commit_tree(&mut self, message: &str, parents: &[ObjectId], tree: ObjectId) -> ObjectId {
        self.made += 1;
        let time = gix::date::Time::new(BEGUN + self.made, 0);
        let someone =
            gix::actor::Signature { name: "A".into(), email: "a@example.org".into(), time };
        let object = CommitObject {
            tree,
            parents: parents.iter().copied().collect(),
            author: someone.clone(),
            committer: someone,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let id = self.repository.write_object(object).unwrap().detach();
        fs::write(self.folder.path().join(".git/HEAD"), format!("{id}\n")).unwrap();
        id
    }

    fn check(&self, below: &str, expected: &[(&str, &[&str])]) {
        let folder = self.folder.path().join(below);
        fs::create_dir_all(&folder).unwrap();
        check(&folder, expected);
    }
}

fn check(folder: &Path, expected: &[(&str, &[&str])]) {
    let expected: Vec<Commit> = expected
        .iter()
        .map(|(message, paths)| Commit {
            message: (*message).to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        })
        .collect();
    let found = commits(folder, &CancelToken::new()).unwrap();
    assert_eq!(found, Commits { commits: expected, whole: true });
}

#[test]
fn the_newest_commit_comes_first_with_what_it_changed() {
    let mut fixture = Fixture::new();
    let first = fixture.commit("begin", &[], &[("a.rs", "1"), ("src/b.rs", "1")]);
    let second = fixture.commit("change b", &[first], &[("a.rs", "1"), ("src/b.rs", "2")]);
    let third = fixture.commit("remove a\n\nIt was wrong.\n", &[second], &[("src/b.rs", "2")]);
    fixture.check(
        "",
        &[
            ("remove a\n\nIt was wrong.", &["a.rs"]),
            ("change b", &["src/b.rs"]),
            ("begin", &["a.rs", "src/b.rs"]),
        ],
    );
    assert_eq!(head(fixture.folder.path()).unwrap(), Some(third.to_string()));
}

#[test]
fn a_folder_of_the_repository_has_the_commits_that_changed_it() {
    let mut fixture = Fixture::new();
    let first = fixture.commit("begin", &[], &[("a.rs", "1"), ("src/in/b.rs", "1")]);
    fixture.commit("change a", &[first], &[("a.rs", "2"), ("src/in/b.rs", "1")]);
    fixture.check("src", &[("begin", &["in/b.rs"])]);
    fixture.check("src/in", &[("begin", &["b.rs"])]);
    fixture.check("sr", &[]);
}

#[test]
fn merges_and_commits_of_many_files_say_nothing() {
    let mut fixture = Fixture::new();
    let names: Vec<String> = (0..16).map(|number| format!("{number}.rs")).collect();
    let of = |text: &'static str, count| -> Vec<(&str, &str)> {
        names.iter().take(count).map(|name| (name.as_str(), text)).collect()
    };
    let first = fixture.commit("sixteen", &[], &of("1", 16));
    let side =
        fixture.commit("fifteen", &[first], &[&of("2", 15)[..], &of("1", 16)[15..]].concat());
    fixture.commit("a merge", &[first, side], &of("3", 16));
    let files: Vec<&str> = {
        let mut files: Vec<&str> = names.iter().take(15).map(String::as_str).collect();
        files.sort_unstable();
        files
    };
    fixture.check("", &[("fifteen", &files)]);
}

#[test]
fn messages_lose_who_signed_them_and_end_somewhere() {
    let mut fixture = Fixture::new();
    let mut check = |raw: &str, expected: &str| {
        fixture.made += 1;
        let text = fixture.made.to_string();
        let before = fixture.repository.head_id().ok().map(gix::Id::detach);
        fixture.commit(raw, before.as_slice(), &[("a", &text)]);
        let found = commits(fixture.folder.path(), &CancelToken::new()).unwrap();
        assert_eq!(found.commits[0].message, expected, "{raw:?}");
    };
    check("a: b\n\nSigned-off-by: A <a@example.org>\nCc: B <b@example.org>\n", "a: b");
    check("tree-sitter: take empty input", "tree-sitter: take empty input");
    check("a\n\nwhy: b\nand so on\n", "a\n\nwhy: b\nand so on");
    check(&"ä".repeat(900), &"ä".repeat(500));
}

#[test]
fn without_a_commit_or_a_repository_there_is_nothing() {
    let fixture = Fixture::new();
    fixture.check("", &[]);
    assert_eq!(head(fixture.folder.path()).unwrap(), None);
    let outside = tempfile::tempdir().unwrap();
    check(outside.path(), &[]);
    assert_eq!(head(outside.path()).unwrap(), None);
}

#[test]
fn what_is_damaged_is_an_error_or_told() {
    let mut fixture = Fixture::new();
    let first = fixture.commit("begin", &[], &[("a.rs", "1")]);
    fixture.commit("change a", &[first], &[("a.rs", "2")]);
    let first = first.to_string();
    let object = fixture.folder.path().join(".git/objects").join(&first[..2]).join(&first[2..]);
    fs::remove_file(&object).unwrap();
    fs::write(&object, b"not an object").unwrap();
    let found = commits(fixture.folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(found, Commits { commits: Vec::new(), whole: false });
    fs::write(fixture.folder.path().join(".git/config"), "[core\n").unwrap();
    let error = head(fixture.folder.path()).unwrap_err();
    let HistoryError::Unreadable { folder, reason } = &error else { panic!("{error}") };
    assert_eq!(folder, fixture.folder.path());
    assert!(!reason.is_empty());
}

#[test]
fn a_file_in_place_of_the_repository_names_it() {
    let mut fixture = Fixture::new();
    fixture.commit("begin", &[], &[("a.rs", "1")]);
    let elsewhere = tempfile::tempdir().unwrap();
    let git = elsewhere.path().join("its.git");
    fs::rename(fixture.folder.path().join(".git"), &git).unwrap();
    let name = |text: String| fs::write(fixture.folder.path().join(".git"), text).unwrap();
    name(format!("gitdir: {}\n", git.display()));
    fixture.check("", &[("begin", &["a.rs"])]);
    for text in ["gitdir: /nowhere\n", "something else\n", ""] {
        name(text.to_owned());
        assert_eq!(head(fixture.folder.path()).unwrap(), None, "{text:?}");
    }
}

#[test]
fn a_tree_without_end_is_passed_over() {
    let mut fixture = Fixture::new();
    let mut oid = fixture.tree(&BTreeMap::from([("a.rs", "1")]));
    for _ in 0..12 {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let entries =
            names.map(|name| Entry { mode: EntryKind::Tree.into(), filename: name.into(), oid });
        oid = fixture.repository.write_object(Tree { entries: entries.into() }).unwrap().detach();
    }
    let first = fixture.commit_tree("ten to the twelfth", &[], oid);
    fixture.commit("one", &[first], &[("a.rs", "1")]);
    let found = commits(fixture.folder.path(), &CancelToken::new()).unwrap();
    assert_eq!(found, Commits { commits: Vec::new(), whole: true });
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_opened() {
    let names = [
        "HEAD",
        "config",
        "packed-refs",
        "shallow",
        "commondir",
        "refs/heads/main",
        "refs/heads/other",
        "objects/pack/pack-1.idx",
        "objects/ab/cdef",
    ];
    for name in names {
        let mut fixture = Fixture::new();
        fixture.commit("begin", &[], &[("a.rs", "1")]);
        let git = fixture.folder.path().join(".git");
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        if name.ends_with("other") {
            fs::write(git.join("refs/heads/main"), "ref: refs/heads/other\n").unwrap();
        }
        let path = git.join(name);
        drop(fs::remove_file(&path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(head(fixture.folder.path()).unwrap(), None, "{name}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(head(fixture.folder.path()).unwrap(), None, "{name}");
    }
}

#[test]
fn cancelled_work_ends() {
    let mut fixture = Fixture::new();
    fixture.commit("begin", &[], &[("a.rs", "1")]);
    let cancel = CancelToken::new();
    cancel.cancel();
    let ended = commits(fixture.folder.path(), &cancel);
    assert!(matches!(ended, Err(HistoryError::Cancelled(_))));
}
