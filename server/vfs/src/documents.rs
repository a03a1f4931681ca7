use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use ropey::{Rope, RopeSlice};
use text::{LineIndex, Position, PositionEncoding};
use thiserror::Error;

use crate::{Snapshot, Workspace};

/// One version of a document that an editor has open.
#[derive(Clone, Debug)]
pub struct OpenDocument {
    /// Canonical path.
    pub path: PathBuf,
    /// The editor's name for the language.
    pub language_id: String,
    /// The editor's number for this version.
    pub version: i32,
    rope: Rope,
    text: OnceLock<Arc<str>>,
    line_index: OnceLock<Arc<LineIndex>>,
}

impl OpenDocument {
    /// A document as an editor has it.
    pub fn new(path: PathBuf, language_id: String, version: i32, text: &str) -> Self {
        Self::of_rope(path, language_id, version, Rope::from_str(text))
    }

    fn of_rope(path: PathBuf, language_id: String, version: i32, rope: Rope) -> Self {
        let (text, line_index) = (OnceLock::new(), OnceLock::new());
        Self { path, language_id, version, rope, text, line_index }
    }

    /// The whole text, put together once for each version.
    pub fn text(&self) -> Arc<str> {
        self.text.get_or_init(|| String::from(&self.rope).into()).clone()
    }

    /// The text as a rope.
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Where the lines begin, found once for each version.
    pub fn line_index(&self) -> Arc<LineIndex> {
        self.line_index.get_or_init(|| Arc::new(LineIndex::new(&self.text()))).clone()
    }
}

/// One change of a document. Several apply one after the other, each to the outcome of the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is replaced; the whole text when absent. Positions past the end of a line or of the
    /// text mean that end.
    pub range: Option<(Position, Position)>,
    /// What stands there afterwards.
    pub text: String,
}

/// Why a change was refused. The document stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// No such document is open.
    #[error("{} was changed but is not open", path.display())]
    NotOpen {
        /// Its path.
        path: PathBuf,
    },
    /// The change is not newer than what we have.
    #[error("{} was changed to version {given} but stands at {current} already", path.display())]
    StaleVersion {
        /// Its path.
        path: PathBuf,
        /// The version that is held.
        current: i32,
        /// The version of the change.
        given: i32,
    },
}

/// The editor's open documents as they are now. Owned by one thread; everybody else reads
/// [snapshots](Self::snapshot).
#[derive(Clone, Debug)]
pub struct Documents {
    workspace: Workspace,
    open: Arc<HashMap<PathBuf, Arc<OpenDocument>>>,
}

impl Documents {
    /// No open document.
    pub fn new(workspace: Workspace) -> Self {
        Self { workspace, open: Arc::default() }
    }

    /// Goes on with other folders; documents stay open.
    pub fn set_workspace(&mut self, workspace: Workspace) {
        self.workspace = workspace;
    }

    /// Takes in a document, in place of one that is open under the same path.
    pub fn open(&mut self, document: OpenDocument) -> Arc<OpenDocument> {
        let document = Arc::new(document);
        Arc::make_mut(&mut self.open).insert(document.path.clone(), document.clone());
        document
    }

    /// Applies `changes` in order and hands back the new version, which must be newer than the one
    /// that is held. `path` is the canonical one.
    pub fn change(
        &mut self,
        path: &Path,
        version: i32,
        changes: &[Change],
        encoding: PositionEncoding,
    ) -> Result<Arc<OpenDocument>, ChangeError> {
        let not_open = || ChangeError::NotOpen { path: path.to_owned() };
        let current = self.open.get(path).ok_or_else(not_open)?;
        if version <= current.version {
            let (path, current) = (path.to_owned(), current.version);
            return Err(ChangeError::StaleVersion { path, current, given: version });
        }
        let mut rope = current.rope.clone();
        for change in changes {
            match change.range {
                None => rope = Rope::from_str(&change.text),
                Some((start, end)) => {
                    let start = char_index(&rope, start, encoding);
                    let end = char_index(&rope, end, encoding);
                    let (start, end) = (start.min(end), start.max(end));
                    rope.remove(start..end);
                    rope.insert(start, &change.text);
                }
            }
        }
        let language_id = current.language_id.clone();
        Ok(self.open(OpenDocument::of_rope(path.to_owned(), language_id, version, rope)))
    }

    /// Lets go of a document; `false` when it was not open.
    pub fn close(&mut self, path: &Path) -> bool {
        self.open.contains_key(path) && Arc::make_mut(&mut self.open).remove(path).is_some()
    }

    /// All documents as they are now; later changes do not reach it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of_map(self.workspace.clone(), self.open.clone())
    }
}

/// The index of the character at `position`, moved into the text where it lies beyond.
fn char_index(rope: &Rope, position: Position, encoding: PositionEncoding) -> usize {
    let line = position.line as usize;
    if line >= rope.len_lines() {
        return rope.len_chars();
    }
    let content = without_break(rope.line(line));
    let wanted = position.character as usize;
    let on_line = match encoding {
        PositionEncoding::Utf8 => content.byte_to_char(wanted.min(content.len_bytes())),
        PositionEncoding::Utf16 => content.utf16_cu_to_char(wanted.min(content.len_utf16_cu())),
        PositionEncoding::Utf32 => wanted.min(content.len_chars()),
    };
    rope.line_to_char(line) + on_line
}

fn without_break(line: RopeSlice<'_>) -> RopeSlice<'_> {
    let mut end = line.len_chars();
    for expected in ['\n', '\r'] {
        if end > 0 && line.char(end - 1) == expected {
            end -= 1;
        }
    }
    line.slice(..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn documents(text: &str) -> (tempfile::TempDir, Documents, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::open(&[folder.path().to_owned()]).expect("opens");
        let path = workspace.resolve(Path::new("a.rs")).expect("inside");
        let mut documents = Documents::new(workspace);
        documents.open(OpenDocument::new(path.clone(), "rust".into(), 1, text));
        (folder, documents, path)
    }

    fn change(range: Option<[u32; 4]>, text: &str) -> Change {
        let range = range.map(|[a, b, c, d]| (Position::new(a, b), Position::new(c, d)));
        Change { range, text: text.into() }
    }

    fn check(before: &str, change: &Change, after: &str) {
        let (_folder, mut documents, path) = documents(before);
        let changes = std::slice::from_ref(change);
        let document = documents.change(&path, 2, changes, PositionEncoding::Utf16);
        assert_eq!(&*document.expect("applies").text(), after);
    }

    #[test]
    fn ranges_count_utf16_and_stay_inside_the_text() {
        check("a😀b\n", &change(Some([0, 3, 0, 4]), "c"), "a😀c\n");
        check("a😀b\n", &change(Some([0, 2, 0, 3]), ""), "ab\n");
        check("a\r\nb", &change(Some([0, 99, 1, 0]), ""), "ab");
        check("a\nb", &change(Some([7, 0, 9, 9]), "c"), "a\nbc");
        check("a\u{2028}b\nc", &change(Some([1, 0, 1, 1]), "d"), "a\u{2028}b\nd");
        check("ab", &change(Some([0, 2, 0, 1]), "c"), "ac");
        check("ab", &change(None, "c"), "c");
    }

    #[test]
    fn stale_and_unknown_changes_are_refused() {
        let (_folder, mut documents, path) = documents("a");
        let other = path.with_file_name("b.rs");
        let refused = documents.change(&other, 2, &[], PositionEncoding::Utf16);
        assert_eq!(refused.err(), Some(ChangeError::NotOpen { path: other }));
        for given in [1, 0, -5] {
            let refused =
                documents.change(&path, given, &[change(None, "x")], PositionEncoding::Utf16);
            assert!(matches!(refused, Err(ChangeError::StaleVersion { current: 1, .. })));
        }
        assert_eq!(&*documents.snapshot().open(&path).expect("open").text(), "a");
    }

    #[test]
    fn a_snapshot_does_not_see_later_changes() {
        let (_folder, mut documents, path) = documents("a");
        let before = documents.snapshot();
        documents.change(&path, 2, &[change(None, "b")], PositionEncoding::Utf16).expect("applies");
        assert!(documents.close(&path) && !documents.close(&path));
        assert_eq!(&*before.open(&path).expect("open").text(), "a");
        assert!(documents.snapshot().open(&path).is_none());
    }

    /// The text as the editor holds it: an array of UTF-16 units in lines.
    struct Model(Vec<u16>);

    impl Model {
        fn offset(&self, position: Position) -> usize {
            let mut starts = vec![0];
            let mut at = 0;
            while at < self.0.len() {
                let crlf = self.0[at] == 13 && self.0.get(at + 1) == Some(&10);
                let is_break = self.0[at] == 10 || self.0[at] == 13;
                at += if crlf { 2 } else { 1 };
                if is_break {
                    starts.push(at);
                }
            }
            let Some(&start) = starts.get(position.line as usize) else { return self.0.len() };
            let end = starts.get(position.line as usize + 1).copied().unwrap_or(self.0.len());
            let content = self.0[start..end].iter().take_while(|u| **u != 10 && **u != 13).count();
            let offset = start + (position.character as usize).min(content);
            let inside_pair = offset > 0
                && self.0.get(offset).is_some_and(|u| (0xDC00..0xE000).contains(u))
                && (0xD800..0xDC00).contains(&self.0[offset - 1]);
            if inside_pair { offset - 1 } else { offset }
        }

        fn apply(&mut self, start: Position, end: Position, text: &str) {
            let (a, b) = (self.offset(start), self.offset(end));
            self.0.splice(a.min(b)..a.max(b), text.encode_utf16());
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        "([a-c😀é\u{2028}\u{fffd}]|\n|\r\n|\r){0,6}"
    }

    proptest! {
        #[test]
        fn random_edits_equal_those_on_an_array_of_units(
            start in piece(),
            edits in prop::collection::vec(((0..6_u32, 0..6_u32), (0..6_u32, 0..6_u32), piece()), 1..12),
        ) {
            let (_folder, mut documents, path) = documents(&start);
            let mut model = Model(start.encode_utf16().collect());
            for (version, ((a, b), (c, d), text)) in (2..).zip(&edits) {
                let (from, to) = (Position::new(*a, *b), Position::new(*c, *d));
                model.apply(from, to, text);
                let change = Change { range: Some((from, to)), text: text.clone() };
                let document = documents
                    .change(&path, version, &[change], PositionEncoding::Utf16)
                    .expect("applies");
                prop_assert_eq!(document.text().encode_utf16().collect::<Vec<_>>(), &model.0[..]);
            }
        }

        #[test]
        fn the_rope_and_the_line_index_agree(
            text in piece(), line in 0..8_u32, character in 0..8_u32,
        ) {
            let rope = Rope::from_str(&text);
            let index = LineIndex::new(&text);
            for encoding in [PositionEncoding::Utf8, PositionEncoding::Utf16, PositionEncoding::Utf32] {
                let position = Position::new(line, character);
                let by_rope = rope.char_to_byte(char_index(&rope, position, encoding));
                prop_assert_eq!(by_rope, index.offset(&text, position, encoding));
            }
        }
    }
}
