use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffOp, TextDiff};

use crate::{TextEdit, TextRange, apply_edits};

/// One place where two texts differ, in whole lines. Ranges are byte ranges that begin and end at
/// line borders; lines are zero-based and half-open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// Replaced bytes of the old text.
    pub old: TextRange,
    /// Bytes of the new text that stand there instead.
    pub new: TextRange,
    /// Replaced lines of the old text.
    pub old_lines: std::ops::Range<usize>,
    /// Their replacement, in lines of the new text.
    pub new_lines: std::ops::Range<usize>,
}

/// The places where `new` differs from `old`, in order. Equal texts have none.
pub fn hunks(old: &str, new: &str) -> Vec<Hunk> {
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(old, new);
    let old_starts = starts(diff.iter_old_slices());
    let new_starts = starts(diff.iter_new_slices());
    let bytes = |starts: &[usize], lines: &std::ops::Range<usize>| {
        let at = |line: usize| starts.get(line).or(starts.last()).copied().unwrap_or(0);
        TextRange::new(at(lines.start), at(lines.end))
    };
    diff.ops()
        .iter()
        .filter(|op| !matches!(op, DiffOp::Equal { .. }))
        .map(|op| {
            let (old_lines, new_lines) = (op.old_range(), op.new_range());
            Hunk {
                old: bytes(&old_starts, &old_lines),
                new: bytes(&new_starts, &new_lines),
                old_lines,
                new_lines,
            }
        })
        .collect()
}

/// `old` with only the hunks of `accepted` (indices into `hunks(old, new)`) taken from `new`.
/// Indices that do not exist are ignored.
pub fn merge_hunks(old: &str, new: &str, accepted: &[usize]) -> String {
    let edits: Vec<TextEdit> = hunks(old, new)
        .iter()
        .enumerate()
        .filter(|(index, _)| accepted.contains(index))
        .map(|(_, hunk)| TextEdit::new(hunk.old, hunk.new.slice(new).unwrap_or_default()))
        .collect();
    apply_edits(old, &edits).expect("hunks are ordered, disjoint and end at line borders")
}

/// The unified diff of two versions of `path`, with three lines of context; empty when they are
/// equal.
pub fn unified_diff(path: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    TextDiff::configure()
        .algorithm(Algorithm::Patience)
        .diff_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}

/// Byte offset of each slice, and of the end.
fn starts<'a>(slices: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut at = 0;
    for slice in slices {
        at += slice.len();
        offsets.push(at);
    }
    offsets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hunks_name_lines_and_bytes() {
        let found = hunks("a\nb\nc\n", "a\nB\nc\nd\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].old, found[0].new), (TextRange::new(2, 4), TextRange::new(2, 4)));
        assert_eq!((found[1].old_lines.clone(), found[1].new_lines.clone()), (3..3, 3..4));
    }

    #[test]
    fn one_hunk_can_be_taken_without_the_other() {
        assert_eq!(merge_hunks("a\nb\nc\n", "a\nB\nc\nd\n", &[1]), "a\nb\nc\nd\n");
    }

    proptest! {
        #[test]
        fn all_hunks_make_the_new_text_and_none_the_old(
            old in "([a-c]{0,2}(\n|\r\n)){0,8}[a-c]{0,2}",
            new in "([a-c]{0,2}(\n|\r\n)){0,8}[a-c]{0,2}",
        ) {
            let all: Vec<usize> = (0..hunks(&old, &new).len()).collect();
            prop_assert_eq!(merge_hunks(&old, &new, &all), new.clone());
            prop_assert_eq!(merge_hunks(&old, &new, &[]), old);
        }
    }
}
