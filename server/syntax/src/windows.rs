use text::{LineIndex, TextRange};

use crate::chunks::{CHUNK_BYTES, CHUNK_LINES, Size};

/// Cuts `range` into windows of whole lines. Where the limit is reached, a blank line in the last
/// third is preferred as the place to cut. A line longer than a chunk is cut between characters.
///
/// `range` must begin at the start of a line and end at one or at the end of the text.
pub(crate) fn windows(text: &str, lines: &LineIndex, range: TextRange) -> Vec<TextRange> {
    let mut cut = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let first = lines.line_of(start);
        let mut end = start;
        let mut blank = None;
        for line in first.. {
            let next = lines.line_range(line).end.min(range.end);
            let size = Size::of(lines, TextRange::new(start, next));
            if end > start && !size.fits() || end == range.end {
                break;
            }
            let is_blank = text.get(end..next).is_some_and(|line| line.trim().is_empty());
            end = next;
            let late = end - start > CHUNK_BYTES * 2 / 3 || line - first > CHUNK_LINES * 2 / 3;
            if is_blank && late {
                blank = Some(end);
            }
        }
        if end < range.end {
            end = blank.unwrap_or(end);
        }
        while end - start > CHUNK_BYTES * 2 {
            let next = floor_char_boundary(text, start + CHUNK_BYTES);
            cut.push(TextRange::new(start, next));
            start = next;
        }
        cut.push(TextRange::new(start, end));
        start = end;
    }
    cut
}

/// The largest character border of `text` that is not after `offset`.
fn floor_char_boundary(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
