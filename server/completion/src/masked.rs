//! How completion is measured: the ends of lines of real code are masked, and what is proposed there is
//! compared with what stood there.
//!
//! A line of three tokens or more is cut before a random token of its first half; the rest of the file
//! stays.

/// Tokens that a line must have.
const LEAST_TOKENS: usize = 3;

/// A text without the end of one of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked<'t> {
    /// The text without that end.
    pub open: String,
    /// Where it is missing.
    pub offset: usize,
    /// What stood there, without blanks at its end.
    pub tail: &'t str,
}

/// Offsets of the lines that have tokens enough.
pub fn maskable_lines(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if tokens(line).len() >= LEAST_TOKENS {
            lines.push(start);
        }
        start += line.len();
    }
    lines
}

/// Cuts the line that begins at `start`.
pub fn mask<'t>(text: &'t str, start: usize, random: &mut Random) -> Option<Masked<'t>> {
    let line = text.get(start..)?.lines().next()?;
    let starts = tokens(line);
    let cut = *starts.get(1 + random.below((starts.len() / 2).max(1)))?;
    let open = [text.get(..start + cut)?, text.get(start + line.len()..)?].concat();
    Some(Masked { open, offset: start + cut, tail: line.get(cut..)?.trim_end() })
}

/// Offsets at which the tokens of a line begin: words, runs of operators, single brackets and quotes.
fn tokens(line: &str) -> Vec<usize> {
    let class = |char: char| match char {
        '_' => 1,
        char if char.is_alphanumeric() => 1,
        char if char.is_whitespace() => 0,
        '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | ',' | ';' => 2,
        _ => 3,
    };
    let mut starts = Vec::new();
    let mut last = 0;
    for (at, char) in line.char_indices() {
        let this = class(char);
        if this != 0 && (this != last || this == 2) {
            starts.push(at);
        }
        last = this;
    }
    starts
}

/// `SplitMix64` (Steele, Lea and Flood 2014): seeded, the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_are_not_masked() {
        assert_eq!(maskable_lines("a b\nx = 1\n\n  (a)\nend"), [4, 11]);
        assert_eq!(maskable_lines(""), [0; 0]);
    }

    #[test]
    fn a_line_is_cut_in_its_first_half_and_the_rest_stays() {
        let text = "first\nif a == b { return c; }  \nlast\n";
        for seed in 0..50 {
            let masked = mask(text, 6, &mut Random(seed)).unwrap();
            let (before, after) = masked.open.split_at(masked.offset);
            assert!(before.len() > "first\nif ".len() - 1 && masked.tail.ends_with("return c; }"));
            assert_eq!(after, "\nlast\n");
            assert_eq!(format!("{before}{}  {after}", masked.tail), text);
        }
        assert_eq!(mask(text, 1000, &mut Random(1)), None);
        assert_eq!(mask(text, text.len(), &mut Random(1)), None);
    }
}
