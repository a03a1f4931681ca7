//! When a language model has written enough.

use crate::place::Place;

/// Longest suggestion of several lines.
const MAX_LINES: usize = 12;

/// Where a suggestion ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// At the end of the line.
    Line,
    /// With the block: at a line that is indented less than the block's first.
    Block,
}

impl Extent {
    /// Several lines are only proposed where a block begins and nothing follows on the line.
    pub(crate) fn at(place: &Place<'_>, multi_line: bool) -> Self {
        if multi_line && place.rest.is_empty() && place.opens_block() {
            Self::Block
        } else {
            Self::Line
        }
    }
}

/// The part of `text` that belongs to the suggestion, and whether it is complete.
pub(crate) fn cut<'t>(place: &Place<'_>, extent: Extent, text: &'t str) -> (&'t str, bool) {
    match extent {
        Extent::Line => {
            // A text that begins with the line break goes on below, which no single line does.
            text.find('\n').map_or((text, false), |end| (text.get(..end).unwrap_or(text), true))
        }
        Extent::Block => cut_block(place, text),
    }
}

fn cut_block<'t>(place: &Place<'_>, text: &'t str) -> (&'t str, bool) {
    let next = place.lines_below().next().map(str::trim);
    let mut least = place.line.trim().is_empty().then(|| indent(place.line));
    let mut end = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let complete = line.ends_with('\n');
        let content = line.trim();
        let own_line = number > 0 && !content.is_empty();
        if own_line {
            let floor = *least.get_or_insert_with(|| indent(line));
            let shallower = indent(line) < floor && !content.starts_with(['}', ')', ']']);
            if shallower || Some(content) == next || number >= MAX_LINES {
                return (text.get(..end).unwrap_or(text), true);
            }
            if complete && indent(line) < floor {
                // The bracket that closes the block.
                return (text.get(..end + line.len()).unwrap_or(text), true);
            }
        } else if number > 0
            && complete
            && end > 0
            && text.get(..end).is_some_and(|it| it.ends_with("\n\n"))
        {
            return (text.get(..end).unwrap_or(text), true);
        }
        end += line.len();
    }
    (text, false)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}
