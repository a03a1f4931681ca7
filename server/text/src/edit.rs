use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::TextRange;

/// Replaces the bytes of `range` by `replacement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextEdit {
    /// What is replaced; empty for an insertion.
    pub range: TextRange,
    /// What stands there afterwards.
    pub replacement: String,
}

impl TextEdit {
    /// An edit from its parts.
    pub fn new(range: TextRange, replacement: impl Into<String>) -> Self {
        Self { range, replacement: replacement.into() }
    }
}

/// Why a set of edits does not fit a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// Two edits replace the same bytes.
    #[error("edits overlap at byte {offset}")]
    Overlap {
        /// Where the second begins.
        offset: usize,
    },
    /// An edit reaches past the end of the text or cuts a character in two.
    #[error("edit of bytes {}..{} does not fit a text of {len} bytes", range.start, range.end)]
    OutOfBounds {
        /// The range of the edit.
        range: TextRange,
        /// Length of the text in bytes.
        len: usize,
    },
}

/// Applies `edits`, given in any order and all relative to `text`, and leaves every other byte as
/// it was. Insertions at one place keep their order.
pub fn apply_edits(text: &str, edits: &[TextEdit]) -> Result<String, EditError> {
    let mut ordered: Vec<&TextEdit> = edits.iter().collect();
    ordered.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in ordered {
        let out_of_bounds = || EditError::OutOfBounds { range: edit.range, len: text.len() };
        if edit.range.start < at {
            return Err(EditError::Overlap { offset: edit.range.start });
        }
        if !text.is_char_boundary(edit.range.end) {
            return Err(out_of_bounds());
        }
        out.push_str(text.get(at..edit.range.start).ok_or_else(out_of_bounds)?);
        out.push_str(&edit.replacement);
        at = edit.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_applied_in_order_of_place() {
        let edits = [
            TextEdit::new(TextRange::new(4, 7), "two"),
            TextEdit::new(TextRange::new(0, 1), "A"),
            TextEdit::new(TextRange::empty(8), "!"),
        ];
        assert_eq!(apply_edits("a b 123 c", &edits).as_deref(), Ok("A b two !c"));
    }

    #[test]
    fn overlap_and_cut_characters_are_refused() {
        let overlap =
            [TextEdit::new(TextRange::new(0, 3), ""), TextEdit::new(TextRange::new(2, 4), "")];
        assert_eq!(apply_edits("abcdef", &overlap), Err(EditError::Overlap { offset: 2 }));
        let cut = [TextEdit::new(TextRange::new(0, 1), "")];
        assert!(matches!(apply_edits("é", &cut), Err(EditError::OutOfBounds { .. })));
    }
}
