use super::Draft;
use crate::{Reason, place::Place};

/// How far back open brackets are looked for, in bytes: some hundred lines.
const REACH: usize = 8 << 10;

/// A suggestion must not close a bracket that is not open, counting the ones that the rest of the line
/// will close: the text ends before such a bracket.
pub(super) fn check(place: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    let start = place.before.ceil_char_boundary(place.before.len().saturating_sub(REACH));
    // Only parentheses are seldom open over more than that.
    let whole = start == 0;
    let lifetimes = place.language.is_some_and(|language| language.name() == "rust");
    let mut open: Vec<char> = Vec::new();
    // What the rest of the line closes is not the suggestion's to close.
    for text in [place.before.get(start..).unwrap_or_default(), place.rest] {
        for (_, char) in code(text, lifetimes) {
            step(&mut open, char);
        }
    }
    let mut unopened =
        |(_, char): &(usize, char)| !step(&mut open, *char) && (whole || *char == ')');
    let end = code(&draft.text, lifetimes).find(|it| unopened(it)).map(|(at, _)| at);
    if let Some(end) = end {
        draft.text.truncate(end);
        if draft.text.trim().is_empty() {
            return Err(Reason::UnbalancedBrackets);
        }
    }
    Ok(())
}

/// The characters of `text` that stand in no string of one line, with their offsets. With `lifetimes` a
/// single quote only begins a string that is closed after one character.
fn code(text: &str, lifetimes: bool) -> impl Iterator<Item = (usize, char)> {
    let mut end_of_string = 0;
    text.char_indices().filter(move |(at, char)| {
        if *at < end_of_string {
            return false;
        }
        if let Some(end) = string_end(text.get(at + 1..).unwrap_or_default(), *char, lifetimes) {
            end_of_string = at + 1 + end;
        }
        true
    })
}

/// Where the string that `quote` begins ends in what follows it.
fn string_end(text: &str, quote: char, lifetimes: bool) -> Option<usize> {
    if !matches!(quote, '"' | '\'') {
        return None;
    }
    let mut escaped = false;
    let mut length = 0;
    for (at, char) in text.char_indices() {
        match char {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => {
                let short = length <= 1 && at > 0;
                return (quote == '"' || !lifetimes || short).then_some(at + 1);
            }
            _ => {}
        }
        if !escaped {
            length += 1;
        }
    }
    None
}

/// Follows one character; `false` for a closing bracket whose partner is nowhere open. A partner further
/// out closes what is inside, as when a string held an opening bracket.
fn step(open: &mut Vec<char>, char: char) -> bool {
    if matches!(char, '(' | '[' | '{') {
        open.push(char);
    } else if let Some(opener) = opener(char) {
        let Some(partner) = open.iter().rposition(|other| *other == opener) else { return false };
        open.truncate(partner);
    }
    true
}

fn opener(closing: char) -> Option<char> {
    match closing {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    }
}
