//! Shapes that the faces show as they are: positions instead of offsets, camelCase names.

use std::{ops::Range as Lines, path::PathBuf};

use serde::{Deserialize, Serialize};
use text::{LineIndex, Position, PositionEncoding, TextEdit, TextRange};

/// A range of a document in positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Where it begins.
    pub start: Position,
    /// Where it ends; not part of it.
    pub end: Position,
}

impl Range {
    /// A range of bytes in positions of `text`.
    pub fn of(range: TextRange, text: &str, index: &LineIndex, encoding: PositionEncoding) -> Self {
        Self {
            start: index.position(text, range.start, encoding),
            end: index.position(text, range.end, encoding),
        }
    }

    /// Whole lines, zero-based and half-open, whose text is `text`: from the start of the first to
    /// the end of the last, so that both exist.
    pub fn of_lines(lines: &Lines<u32>, text: &str, encoding: PositionEncoding) -> Self {
        let last = text.lines().last().unwrap_or_default();
        let character = match encoding {
            PositionEncoding::Utf8 => last.len(),
            PositionEncoding::Utf16 => last.encode_utf16().count(),
            PositionEncoding::Utf32 => last.chars().count(),
        };
        Self {
            start: Position::new(lines.start, 0),
            end: Position::new(lines.end.saturating_sub(1).max(lines.start), character as u32),
        }
    }
}

/// One replacement in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WireEdit {
    /// What is replaced.
    pub range: Range,
    /// What stands there afterwards.
    pub new_text: String,
}

/// The edits of one file, all relative to the same text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEdit {
    /// Canonical path.
    pub path: PathBuf,
    /// Version of the open document; `None` for a file that is not open.
    pub version: Option<i32>,
    /// The edits.
    pub edits: Vec<WireEdit>,
}

impl FileEdit {
    /// Edits in bytes of `text`, in positions.
    pub fn new(
        path: PathBuf,
        version: Option<i32>,
        text: &str,
        edits: &[TextEdit],
        encoding: PositionEncoding,
    ) -> Self {
        let index = LineIndex::new(text);
        let edits = edits.iter().map(|edit| WireEdit {
            range: Range::of(edit.range, text, &index, encoding),
            new_text: edit.replacement.clone(),
        });
        Self { path, version, edits: edits.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_end_where_their_last_line_ends() {
        let range =
            Range::of_lines(&(3..5), "let a = 1;\nlet b = \"é😀\";\n", PositionEncoding::Utf16);
        assert_eq!(range.start, Position::new(3, 0));
        assert_eq!(range.end, Position::new(4, 14));
    }
}
