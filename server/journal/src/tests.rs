use std::{fs, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use text::TextRange;

use super::*;

/// A workspace with one file, and its journal.
struct Fixture {
    folder: TempDir,
    journal: Journal,
    path: PathBuf,
}

impl Fixture {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("workspace");
        fs::create_dir(&root).unwrap();
        let path = root.join("main.py");
        fs::write(&path, bytes).unwrap();
        let workspace = Workspace::open(&[root]).unwrap();
        let journal = Journal::open(&folder.path().join("journal"), workspace).unwrap();
        Self { folder, journal, path }
    }

    fn change(&self, before: &str, range: TextRange, replacement: &str) -> FileChange {
        FileChange {
            path: self.path.clone(),
            expected: ContentHash::of(before),
            edits: vec![TextEdit::new(range, replacement)],
            cause: Cause { label: "test".into(), ..Cause::default() },
            allow_protected: false,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Replaces the file's whole text and returns the entry.
    fn rewrite(&self, before: &str, after: &str) -> EntryId {
        let change = self.change(before, TextRange::new(0, before.len()), after);
        self.journal.apply(&change).unwrap().entry
    }
}

#[test]
fn an_edit_is_written_and_taken_back_byte_by_byte() {
    let bytes = b"\xEF\xBB\xBFa\r\nb\r\nlast";
    let fixture = Fixture::new(bytes);
    let change = fixture.change("a\r\nb\r\nlast", TextRange::new(3, 6), "B\nC\n");
    let applied = fixture.journal.apply(&change).unwrap();
    assert_eq!(fixture.bytes(), b"\xEF\xBB\xBFa\r\nB\r\nC\r\nlast");
    fixture.journal.undo(&applied.entry).unwrap();
    assert_eq!(fixture.bytes(), bytes);
    let again = fixture.journal.undo(&applied.entry);
    assert!(matches!(again, Err(JournalError::AlreadyUndone { .. })));
}

#[test]
fn a_stale_edit_is_refused() {
    let fixture = Fixture::new(b"new\n");
    let refused = fixture.journal.apply(&fixture.change("old\n", TextRange::new(0, 3), "x"));
    assert!(matches!(refused, Err(JournalError::Stale { .. })));
    assert_eq!(fixture.bytes(), b"new\n");
    assert!(fixture.journal.entries().is_empty());
}

#[test]
fn other_encodings_survive_and_refuse_what_they_lack() {
    let fixture = Fixture::new(b"caf\xe9\nb\n");
    let text = "café\nb\n";
    fixture.journal.apply(&fixture.change(text, TextRange::new(6, 7), "ü")).unwrap();
    assert_eq!(fixture.bytes(), b"caf\xe9\n\xfc\n");
    let refused = fixture.journal.apply(&fixture.change("café\nü\n", TextRange::empty(0), "→"));
    assert!(matches!(refused, Err(JournalError::Encoding { .. })));
    assert_eq!(fixture.bytes(), b"caf\xe9\n\xfc\n");
}

#[test]
fn binary_files_are_refused() {
    let fixture = Fixture::new(b"\0\x01\x02");
    let refused = fixture.journal.apply(&fixture.change("", TextRange::empty(0), "x"));
    assert!(matches!(refused, Err(JournalError::Unreadable { .. })));
}

#[test]
fn an_edit_that_cuts_a_character_is_refused() {
    let fixture = Fixture::new("é".as_bytes());
    let refused = fixture.journal.apply(&fixture.change("é", TextRange::new(0, 1), ""));
    assert!(matches!(refused, Err(JournalError::Misfit { .. })));
}

#[test]
fn protected_files_need_consent() {
    let fixture = Fixture::new(b"");
    let path = fixture.path.with_file_name("Makefile");
    fs::write(&path, "all:\n").unwrap();
    let mut change = fixture.change("all:\n", TextRange::empty(5), "\techo\n");
    change.path.clone_from(&path);
    let refused = fixture.journal.apply(&change);
    assert!(matches!(refused, Err(JournalError::Protected { .. })));
    change.allow_protected = true;
    fixture.journal.apply(&change).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"all:\n\techo\n");
}

#[test]
fn a_path_outside_is_refused() {
    let fixture = Fixture::new(b"");
    let outside = fixture.folder.path().join("outside.txt");
    fs::write(&outside, "x").unwrap();
    let mut change = fixture.change("x", TextRange::new(0, 1), "y");
    change.path = outside.clone();
    assert!(matches!(fixture.journal.apply(&change), Err(JournalError::Workspace(_))));
    assert_eq!(fs::read(&outside).unwrap(), b"x");
}

#[test]
fn an_undo_keeps_later_edits_elsewhere() {
    let before = "one\ntwo\nthree\nfour\nfive\n";
    let fixture = Fixture::new(before.as_bytes());
    let entry = fixture.rewrite(before, "one\nTWO\nthree\nfour\nFIVE\n");
    fs::write(&fixture.path, "zero\none\nTWO\nthree\nfour and a half\nFIVE\n").unwrap();
    fixture.journal.undo(&entry).unwrap();
    assert_eq!(fixture.bytes(), b"zero\none\ntwo\nthree\nfour and a half\nfive\n");
}

#[test]
fn an_undo_of_changed_lines_is_refused() {
    let before = "one\ntwo\nthree\n";
    let fixture = Fixture::new(before.as_bytes());
    let entry = fixture.rewrite(before, "one\nTWO\nthree\n");
    fs::write(&fixture.path, "one\nTwo!\nthree\n").unwrap();
    let refused = fixture.journal.undo(&entry);
    assert!(matches!(refused, Err(JournalError::ChangedSince { line: 2, .. })));
    assert_eq!(fixture.bytes(), b"one\nTwo!\nthree\n");
}

#[test]
fn an_uncertain_place_is_refused() {
    let before = "a\n\nb\n";
    let fixture = Fixture::new(before.as_bytes());
    let entry = fixture.rewrite(before, "a\nx\nb\n");
    fs::write(&fixture.path, "x\nq\nx\n").unwrap();
    assert!(matches!(fixture.journal.undo(&entry), Err(JournalError::ChangedSince { .. })));
}

#[test]
fn deleted_lines_come_back_between_their_neighbours() {
    let before = "one\ntwo\nthree\nfour\n";
    let fixture = Fixture::new(before.as_bytes());
    let entry = fixture.rewrite(before, "one\nfour\n");
    fs::write(&fixture.path, "zero\none\nfour\n").unwrap();
    fixture.journal.undo(&entry).unwrap();
    assert_eq!(fixture.bytes(), b"zero\none\ntwo\nthree\nfour\n");
}

#[test]
fn an_edit_of_the_editor_can_be_taken_back_in_the_editor() {
    let fixture = Fixture::new(b"");
    let id = fixture
        .journal
        .record(&EditorChange {
            path: &fixture.path,
            before: "a\nb\n",
            after: "a\nB\n",
            cause: Cause { edit: Some("e1".into()), ..Cause::default() },
        })
        .unwrap();
    assert_eq!(fixture.journal.entries_of_edit("e1").len(), 1);
    let edits = fixture.journal.inverse(&id, "x\na\nB\n").unwrap();
    assert_eq!(apply_edits("x\na\nB\n", &edits).unwrap(), "x\na\nb\n");
    fixture.journal.mark_undone(&id).unwrap();
    assert!(fixture.journal.entries_of_edit("e1").is_empty());
    assert!(matches!(fixture.journal.inverse(&id, ""), Err(JournalError::AlreadyUndone { .. })));
}

#[test]
fn entries_outlive_the_process_and_the_oldest_are_forgotten() {
    let fixture = Fixture::new(b"a\n");
    let first = fixture.rewrite("a\n", "b\n");
    let second = fixture.rewrite("b\n", "c\n");
    entry::prune(&fixture.journal.folder, 1);
    let journal =
        Journal::open(&fixture.journal.folder, fixture.journal.workspace.clone()).unwrap();
    assert!(matches!(journal.entry(&first), Err(JournalError::UnknownEntry { .. })));
    assert_eq!(journal.entries().first().map(|entry| entry.id.clone()), Some(second));
    assert!(EntryId::parse("../../etc/passwd").is_none());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn mode_and_links_are_kept() {
        let fixture = Fixture::new(b"a\n");
        fs::set_permissions(&fixture.path, fs::Permissions::from_mode(0o755)).unwrap();
        let link = fixture.path.with_file_name("link.py");
        symlink("main.py", &link).unwrap();
        let mut change = fixture.change("a\n", TextRange::new(0, 1), "b");
        change.path.clone_from(&link);
        fixture.journal.apply(&change).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fixture.bytes(), b"b\n");
        assert_eq!(fs::metadata(&fixture.path).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_hard_link_stays_one_file() {
        let fixture = Fixture::new(b"a long line\n");
        let twin = fixture.path.with_file_name("twin.py");
        fs::hard_link(&fixture.path, &twin).unwrap();
        let entry = fixture.rewrite("a long line\n", "b\n");
        assert_eq!(fs::read(&twin).unwrap(), b"b\n");
        fixture.journal.undo(&entry).unwrap();
        assert_eq!(fs::read(&twin).unwrap(), b"a long line\n");
        assert!(entry::staged_files(&fixture.journal.folder).is_empty());
    }

    #[test]
    fn a_read_only_file_is_refused() {
        let fixture = Fixture::new(b"a\n");
        fs::set_permissions(&fixture.path, fs::Permissions::from_mode(0o444)).unwrap();
        let refused = fixture.journal.apply(&fixture.change("a\n", TextRange::new(0, 1), "b"));
        assert!(matches!(refused, Err(JournalError::ReadOnly { .. })));
    }

    #[test]
    fn a_link_out_of_the_workspace_is_refused() {
        let fixture = Fixture::new(b"");
        let outside = fixture.folder.path().join("outside.txt");
        fs::write(&outside, "x").unwrap();
        let link = fixture.path.with_file_name("link.txt");
        symlink(&outside, &link).unwrap();
        let mut change = fixture.change("x", TextRange::new(0, 1), "y");
        change.path = link;
        assert!(matches!(fixture.journal.apply(&change), Err(JournalError::Workspace(_))));
    }

    #[test]
    fn nothing_is_left_beside_the_file_and_entries_are_private() {
        let fixture = Fixture::new(b"a\n");
        fixture.rewrite("a\n", "b\n");
        assert_eq!(fs::read_dir(fixture.path.parent().unwrap()).unwrap().count(), 1);
        let entry = entry::files(&fixture.journal.folder).pop().unwrap();
        assert_eq!(fs::metadata(entry).unwrap().mode() & 0o777, 0o600);
    }
}

/// Texts as files have them: any mixture of line ends, with and without a last one.
fn any_text() -> impl Strategy<Value = String> {
    "([a-cé \t]{0,3}(\n|\r\n)){0,8}[a-c]{0,3}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn untouched_bytes_stay_and_an_undo_gives_the_old_bytes_back(
        text in any_text(),
        replacement in any_text(),
        (from, to) in (0usize..40, 0usize..40),
        mark in prop::bool::ANY,
    ) {
        let border = |offset: usize| (0..=offset.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let range = TextRange::new(border(from), border(to));
        let bom: &[u8] = if mark { b"\xEF\xBB\xBF" } else { b"" };
        let bytes = [bom, text.as_bytes()].concat();
        let fixture = Fixture::new(&bytes);
        let applied = fixture.journal.apply(&fixture.change(&text, range, &replacement)).unwrap();
        let now = fixture.bytes();
        let (head, tail) = (&text[..range.start], &text[range.end..]);
        prop_assert!(now.starts_with(&[bom, head.as_bytes()].concat()));
        prop_assert!(now.ends_with(tail.as_bytes()));
        if fixture.journal.entry(&applied.entry).unwrap().hunks.is_empty() {
            prop_assert_eq!(now, bytes);
        } else {
            fixture.journal.undo(&applied.entry).unwrap();
            prop_assert_eq!(fixture.bytes(), bytes);
        }
    }

    #[test]
    fn an_undo_after_another_edit_is_exact_or_refused(
        lines in prop::collection::vec("[a-c]{1,2}", 6..12),
        at in 0usize..6,
        later in 0usize..6,
        written in "[x-z]{1,3}",
        added in "[q-s]{1,3}",
    ) {
        prop_assume!(at != later);
        let text = |lines: &[String]| lines.join("\n") + "\n";
        let before = text(&lines);
        let mut edited = lines.clone();
        edited[at] = written;
        let fixture = Fixture::new(before.as_bytes());
        let entry = fixture.rewrite(&before, &text(&edited));
        let (mut with_both, mut with_later) = (edited, lines);
        with_both[later].clone_from(&added);
        with_later[later] = added;
        fs::write(&fixture.path, text(&with_both)).unwrap();
        match fixture.journal.undo(&entry) {
            Ok(_) => prop_assert_eq!(fixture.bytes(), text(&with_later).into_bytes()),
            Err(error) => {
                let refused = matches!(error, JournalError::ChangedSince { .. });
                prop_assert!(refused, "{}", error);
                prop_assert_eq!(fixture.bytes(), text(&with_both).into_bytes());
            }
        }
    }
}
