//! Hunks between the selected lines and their replacement, in bytes of the document.

use std::ops::Range;

use text::{LineEnding, TextRange, hunks};

use crate::ProposedHunk;

/// The selected lines of a document.
pub(crate) struct Selected<'a> {
    text: &'a str,
    /// Byte offset of the selection in the document.
    start: usize,
    lines: Vec<&'a str>,
    ending: LineEnding,
}

impl<'a> Selected<'a> {
    /// The lines of `selection` in `document`.
    pub(crate) fn new(document: &'a str, selection: TextRange) -> Self {
        let text = selection.slice(document).unwrap_or_default();
        let ending = LineEnding::only_one_of(text).unwrap_or_else(|| LineEnding::of(document));
        Self { text, start: selection.start, lines: text.split_inclusive('\n').collect(), ending }
    }

    /// The lines without their breaks.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &'a str> + Clone + '_ {
        self.lines.iter().map(|line| line.trim_end_matches(['\n', '\r']))
    }

    /// The hunks that turn the selection into `new`, whole lines without breaks. Line breaks and
    /// white space at line ends are no difference, unless there is no other.
    pub(crate) fn hunks(&self, new: &[String]) -> Vec<ProposedHunk> {
        let found = self.differences(new, str::trim_end);
        if found.is_empty() { self.differences(new, |line| line) } else { found }
    }

    /// What can be shown while lines still come: the certain hunks, and the last one as if the
    /// lines that came replaced as many old ones.
    pub(crate) fn hunks_so_far(&self, new: &[String]) -> Vec<ProposedHunk> {
        let old: Vec<&str> = self.contents().map(str::trim_end).collect();
        let trimmed: Vec<&str> = new.iter().map(|line| line.trim_end()).collect();
        let mut ranges = line_hunks(&old, &trimmed);
        if let Some((old_lines, new_lines)) = ranges.last_mut()
            && new_lines.end == new.len()
        {
            // The rest of the old lines may still come.
            old_lines.end = old_lines.end.min(old_lines.start + new_lines.len());
        }
        ranges.retain(|(old_lines, new_lines)| !(old_lines.is_empty() && new_lines.is_empty()));
        self.name(ranges, new)
    }

    fn differences(&self, new: &[String], key: fn(&str) -> &str) -> Vec<ProposedHunk> {
        let old: Vec<&str> = self.contents().map(key).collect();
        let keys: Vec<&str> = new.iter().map(|line| key(line)).collect();
        self.name(line_hunks(&old, &keys), new)
    }

    fn name(&self, ranges: Vec<(Range<usize>, Range<usize>)>, new: &[String]) -> Vec<ProposedHunk> {
        ranges
            .into_iter()
            .enumerate()
            .map(|(index, (old, new_lines))| {
                let range = self.bytes(&old);
                ProposedHunk {
                    id: format!("h{}", index + 1),
                    range,
                    old_text: self.slice(range).to_owned(),
                    new_text: self.text_of(&old, new.get(new_lines).unwrap_or_default()),
                }
            })
            .collect()
    }

    /// The bytes of the document that these selected lines take.
    fn bytes(&self, lines: &Range<usize>) -> TextRange {
        let length = |lines: &[&str]| lines.iter().map(|line| line.len()).sum::<usize>();
        let before = length(self.lines.get(..lines.start).unwrap_or(&self.lines));
        let own = length(self.lines.get(lines.clone()).unwrap_or_default());
        TextRange::new(self.start + before, self.start + before + own)
    }

    fn slice(&self, range: TextRange) -> &'a str {
        self.text.get(range.start - self.start..range.end - self.start).unwrap_or_default()
    }

    /// `lines` as they stand in the document in place of the old lines `at`. A selection without a
    /// last line break gets none.
    fn text_of(&self, at: &Range<usize>, lines: &[String]) -> String {
        let ending = self.ending.as_str();
        let unfinished = !self.text.is_empty() && !self.text.ends_with('\n');
        let mut text = String::new();
        if unfinished && at.start == self.lines.len() && !lines.is_empty() {
            text.push_str(ending);
        }
        for line in lines {
            text.push_str(line);
            text.push_str(ending);
        }
        if unfinished && at.end == self.lines.len() && !lines.is_empty() {
            text.truncate(text.len() - ending.len());
        }
        text
    }
}

/// Where two lists of lines differ.
fn line_hunks(old: &[&str], new: &[&str]) -> Vec<(Range<usize>, Range<usize>)> {
    let joined = |lines: &[&str]| {
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            // A lone `\r` inside a line would end it for the differ.
            text.push_str(&line.replace('\r', "\u{0}"));
            text.push('\n');
        }
        text
    };
    hunks(&joined(old), &joined(new))
        .into_iter()
        .map(|hunk| (hunk.old_lines, hunk.new_lines))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merged;

    fn check(document: &str, selection: Range<usize>, new: &[&str], expected: &str) {
        let selected = Selected::new(document, selection.into());
        let new: Vec<String> = new.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(merged(document, &selected.hunks(&new)), expected);
    }

    #[test]
    fn endings_and_the_missing_last_one_stay() {
        check("a\r\nb\r\nc", 3..7, &["B", "c"], "a\r\nB\r\nc");
        check("a\r\nb\r\nc", 3..7, &["b", "c", "d"], "a\r\nb\r\nc\r\nd");
        check("a\nb", 0..3, &["a", "B"], "a\nB");
        check("a\nb\n", 0..2, &["x", "y"], "x\ny\nb\n");
        check("", 0..0, &["x"], "x\n");
    }

    #[test]
    fn trailing_blanks_are_no_difference_unless_they_are_the_only_one() {
        check("a  \nb\n", 0..6, &["a", "B"], "a  \nB\n");
        check("a  \nb\n", 0..6, &["a", "b"], "a\nb\n");
    }

    #[test]
    fn lines_that_have_not_come_yet_are_not_shown_as_deleted() {
        let document = "a\nb\nc\nd\n";
        let selected = Selected::new(document, TextRange::new(0, 8));
        let so_far = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            merged(document, &selected.hunks_so_far(&lines))
        };
        assert_eq!(so_far(&["a"]), document);
        assert_eq!(so_far(&["a", "B"]), "a\nB\nc\nd\n");
        assert_eq!(so_far(&["a", "B", "c"]), "a\nB\nc\nd\n");
    }

    proptest! {
        #[test]
        fn all_hunks_make_the_new_lines_and_nothing_else_changes(
            lines in prop::collection::vec(("[ab\t]{0,2}[cd]", prop::bool::ANY), 1..10),
            last in prop::bool::ANY,
            (from, to) in (0usize..10, 0usize..10),
            new in prop::collection::vec("[ab\t]{0,2}[cd]", 0..8),
        ) {
            let mut document = String::new();
            for (line, windows) in &lines {
                document.push_str(line);
                document.push_str(if *windows { "\r\n" } else { "\n" });
            }
            if !last {
                document.truncate(document.trim_end_matches(['\r', '\n']).len());
            }
            let index = text::LineIndex::new(&document);
            let (from, to) = (from.min(lines.len() - 1), to.min(lines.len() - 1));
            let selection = index.lines_range(from.min(to), from.max(to));
            let selected = Selected::new(&document, selection);
            let hunks = selected.hunks(&new);
            let merged = merged(&document, &hunks);
            prop_assert!(merged.starts_with(&document[..selection.start]));
            prop_assert!(merged.ends_with(&document[selection.end..]));
            let middle = &merged[selection.start..merged.len() - (document.len() - selection.end)];
            let found: Vec<&str> = middle.split_inclusive('\n').map(|line| line.trim_end_matches(['\r', '\n'])).collect();
            prop_assert_eq!(found, new);
            for hunk in &hunks {
                prop_assert_eq!(hunk.range.slice(&document), Some(hunk.old_text.as_str()));
            }
        }
    }
}
