use serde::{Deserialize, Serialize};

use crate::TextRange;

/// How the `character` of a [`Position`] is counted. The protocol's default is UTF-16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PositionEncoding {
    /// Bytes of UTF-8.
    Utf8,
    /// Code units of UTF-16.
    #[default]
    Utf16,
    /// Unicode scalar values.
    Utf32,
}

/// A zero-based line and a zero-based character on it, in the units of a [`PositionEncoding`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Position {
    /// Zero-based line.
    pub line: u32,
    /// Zero-based offset on the line.
    pub character: u32,
}

impl Position {
    /// A position from its parts.
    pub fn new(line: u32, character: u32) -> Self {
        Self { line, character }
    }
}

/// Where each line of one text begins. Lines end at `\n`, `\r\n` or a lone `\r`, as in the
/// language server protocol.
///
/// Conversions never fail: a line past the end means the end of the text, a character past the end
/// of its line means the end of that line (before the line break), and one inside a character is
/// moved to that character's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineIndex {
    /// Byte offset of the start of each line; the first is 0.
    starts: Vec<usize>,
    /// Length of the text in bytes.
    len: usize,
}

impl LineIndex {
    /// Scans `text` once.
    pub fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'\n' => starts.push(at),
                b'\r' if bytes.get(at) != Some(&b'\n') => starts.push(at),
                _ => {}
            }
        }
        Self { starts, len: bytes.len() }
    }

    /// Number of lines; an empty text has one.
    pub fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// The zero-based line that holds `offset` (an offset past the end is on the last line).
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The bytes of `line` with its line break; empty at the end for a line that does not exist.
    pub fn line_range(&self, line: usize) -> TextRange {
        let start = self.starts.get(line).copied().unwrap_or(self.len);
        let end = self.starts.get(line + 1).copied().unwrap_or(self.len);
        TextRange { start, end }
    }

    /// The bytes of `line` without its line break.
    pub fn line_content(&self, text: &str, line: usize) -> TextRange {
        let TextRange { start, end } = self.line_range(line);
        let content = text.get(start..end).unwrap_or_default();
        TextRange { start, end: start + content.trim_end_matches(['\n', '\r']).len() }
    }

    /// The bytes of the lines `first..=last`, line breaks included.
    pub fn lines_range(&self, first: usize, last: usize) -> TextRange {
        TextRange::new(self.line_range(first).start, self.line_range(last.max(first)).end)
    }

    /// The position of byte `offset` of `text`, which must be the text that was scanned.
    pub fn position(&self, text: &str, offset: usize, encoding: PositionEncoding) -> Position {
        let offset = floor_char_boundary(text, offset);
        let line = self.line_of(offset);
        let content = self.line_content(text, line);
        let head = text.get(content.start..offset.min(content.end)).unwrap_or_default();
        let character = match encoding {
            PositionEncoding::Utf8 => head.len(),
            PositionEncoding::Utf16 => head.chars().map(char::len_utf16).sum(),
            PositionEncoding::Utf32 => head.chars().count(),
        };
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            character: u32::try_from(character).unwrap_or(u32::MAX),
        }
    }

    /// The byte offset of `position` in `text`, which must be the text that was scanned.
    pub fn offset(&self, text: &str, position: Position, encoding: PositionEncoding) -> usize {
        let line = position.line as usize;
        if line >= self.starts.len() {
            return self.len;
        }
        let content = self.line_content(text, line);
        let head = text.get(content.start..content.end).unwrap_or_default();
        let wanted = position.character as usize;
        let mut units = 0;
        for (at, ch) in head.char_indices() {
            let width = match encoding {
                PositionEncoding::Utf8 => ch.len_utf8(),
                PositionEncoding::Utf16 => ch.len_utf16(),
                PositionEncoding::Utf32 => 1,
            };
            if units + width > wanted {
                return content.start + at;
            }
            units += width;
        }
        content.end
    }
}

/// The largest character boundary of `text` that is not after `offset`.
fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_units_of_each_encoding() {
        let text = "a😀b\r\nβ";
        let index = LineIndex::new(text);
        let at_b = text.find('b').expect("the fixture holds b");
        let at = |encoding| index.position(text, at_b, encoding);
        assert_eq!(at(PositionEncoding::Utf8), Position::new(0, 5));
        assert_eq!(at(PositionEncoding::Utf16), Position::new(0, 3));
        assert_eq!(at(PositionEncoding::Utf32), Position::new(0, 2));
        assert_eq!(index.line_count(), 2);
    }

    #[test]
    fn a_position_past_the_end_is_clamped() {
        let text = "ab\ncd";
        let index = LineIndex::new(text);
        let offset = |line, character| {
            index.offset(text, Position::new(line, character), PositionEncoding::Utf16)
        };
        assert_eq!(offset(0, 99), 2);
        assert_eq!(offset(9, 0), 5);
    }

    #[test]
    fn a_position_inside_a_surrogate_pair_moves_to_its_start() {
        let text = "x😀y";
        let index = LineIndex::new(text);
        assert_eq!(index.offset(text, Position::new(0, 2), PositionEncoding::Utf16), 1);
    }

    proptest! {
        #[test]
        fn every_boundary_survives_the_round_trip(text in "[a-z😀é\r\n\u{2028}]{0,40}") {
            let index = LineIndex::new(&text);
            for encoding in [PositionEncoding::Utf8, PositionEncoding::Utf16, PositionEncoding::Utf32] {
                for (offset, _) in text.char_indices() {
                    let line = index.line_of(offset);
                    // Inside a line break there is no position of its own.
                    if offset > index.line_content(&text, line).end {
                        continue;
                    }
                    let position = index.position(&text, offset, encoding);
                    prop_assert_eq!(index.offset(&text, position, encoding), offset);
                }
            }
        }
    }
}
