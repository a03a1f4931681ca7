//! Offsets, positions, edits and diffs over plain text.
//!
//! Every conversion between byte offsets and editor positions lives here, so that no other crate
//! counts UTF-16 units. Inner crates speak [`TextRange`]; only the faces (language server,
//! terminal) turn it into lines and characters.
//!
//! This crate does not read files, does not know about languages and keeps no state.

mod diff;
mod edit;
mod line_ending;
mod line_index;

pub use diff::{Hunk, hunks, merge_hunks, unified_diff};
pub use edit::{EditError, TextEdit, apply_edits};
pub use line_ending::LineEnding;
pub use line_index::{LineIndex, Position, PositionEncoding};

use serde::{Deserialize, Serialize};

/// A half-open range of byte offsets into a UTF-8 text. `start <= end` always holds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct TextRange {
    /// First byte inside the range.
    pub start: usize,
    /// First byte after the range.
    pub end: usize,
}

impl TextRange {
    /// The range from `start` to `end`; the two are swapped when given the wrong way round.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start.min(end), end: start.max(end) }
    }

    /// The empty range at `offset`.
    pub fn empty(offset: usize) -> Self {
        Self { start: offset, end: offset }
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `offset` lies in the range; the end counts as inside, as for a cursor.
    pub fn touches(self, offset: usize) -> bool {
        self.start <= offset && offset <= self.end
    }

    /// Whether the two ranges share at least one byte.
    pub fn intersects(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `other` lies wholly inside.
    pub fn contains_range(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The text at this range, or `None` when it reaches past the end or cuts a character.
    pub fn slice(self, text: &str) -> Option<&str> {
        text.get(self.start..self.end)
    }
}

impl From<std::ops::Range<usize>> for TextRange {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl From<TextRange> for std::ops::Range<usize> {
    fn from(range: TextRange) -> Self {
        range.start..range.end
    }
}
