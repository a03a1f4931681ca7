use hayro_interpret::kurbo::{Affine, Point, Vec2};

use crate::pages::PAGE_END;

/// Further from the line than this, in heights of a letter, is another line.
const OTHER_LINE: f64 = 0.5;
/// A line further away than this begins a paragraph.
const PARAGRAPH: f64 = 1.9;
/// A gap as wide as this is a space that was not written.
const SPACE: f64 = 0.18;
/// A step back by more than this begins another line, or a column.
const BACK: f64 = 0.6;

/// Puts letters, as they are drawn, together to words, lines and pages.
#[derive(Default)]
pub(crate) struct Lines {
    text: String,
    page_start: usize,
    last: Option<Letter>,
    mapped: usize,
    unmapped: usize,
}

/// Where the last letter ended.
struct Letter {
    end: Point,
    /// One em along the line, in the coordinates of the page.
    em: Vec2,
}

impl Lines {
    /// Adds a letter at the origin of `place`, which maps 1000 units to an em; `advance` is its width
    /// in these units.
    pub(crate) fn letter(&mut self, content: &str, place: Affine, advance: Option<f32>) {
        self.mapped += 1;
        let start = place * Point::ZERO;
        let em = (place * Point::new(1000.0, 0.0)) - start;
        let advance = advance.map_or(0.5, |width| f64::from(width) / 1000.0);
        let end = start + em * advance;
        if let Some(last) = &self.last {
            self.gap(last.end, last.em, start);
        }
        let separated = self.text.len() == self.page_start || self.text.ends_with([' ', '\n']);
        for ch in content.chars() {
            match ch {
                ' ' | '\t' | '\n' | '\r' | '\u{a0}' | PAGE_END if separated => {}
                ' ' | '\t' | '\n' | '\r' | '\u{a0}' | PAGE_END => self.text.push(' '),
                '\u{ad}' => self.text.push('-'),
                ch if ch.is_control() => {}
                ch => match ligature(ch) {
                    Some(letters) => self.text.push_str(letters),
                    None => self.text.push(ch),
                },
            }
        }
        self.last = Some(Letter { end, em });
    }

    /// Counts a letter of which nobody knows what it is.
    pub(crate) fn unknown(&mut self) {
        self.unmapped += 1;
    }

    /// What stands between a letter that ended at `end` and one that begins at `start`.
    fn gap(&mut self, end: Point, em: Vec2, start: Point) {
        let size = em.hypot();
        if size <= f64::EPSILON || !size.is_finite() {
            return;
        }
        let step = start - end;
        let along = step.dot(em) / (size * size);
        let across = (step.cross(em) / (size * size)).abs();
        if across > OTHER_LINE || along < -BACK {
            self.end_line();
            if across > PARAGRAPH && self.text.len() > self.page_start {
                self.text.push('\n');
            }
        } else if along > SPACE && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    fn end_line(&mut self) {
        let kept = self.text.trim_end_matches(' ').len().max(self.page_start);
        self.text.truncate(kept);
        if self.text.len() > self.page_start && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Ends a page.
    pub(crate) fn end_page(&mut self) {
        let kept = self.text.trim_end_matches([' ', '\n']).len().max(self.page_start);
        self.text.truncate(kept);
        self.text.push(PAGE_END);
        self.text.push('\n');
        self.page_start = self.text.len();
        self.last = None;
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether most letters are not known.
    pub(crate) fn is_unmapped(&self) -> bool {
        self.unmapped > self.mapped
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Letters that are printed as one, which nobody types.
fn ligature(ch: char) -> Option<&'static str> {
    Some(match ch {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}
