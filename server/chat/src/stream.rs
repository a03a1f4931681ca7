//! The model's words on their way to the person.

use std::{collections::HashMap, ops::ControlFlow};

use base::CancelToken;
use inference::{FinishReason, GenerateRequest, InferenceError, LanguageModel, Usage};

use crate::Writer;

/// How often a sentence may come before the answer is ended: small models go round in circles.
const MOST_REPEATS: u32 = 3;
/// Shortest sentence that counts, in characters.
const SHORTEST_REPEAT: usize = 10;
/// From this length on nobody says the same thing twice.
const LONG_SENTENCE: usize = 60;

/// Lets the model speak and writes what it says. Markers beyond the `excerpts` that it saw are
/// dropped.
pub(crate) fn speak(
    model: &dyn LanguageModel,
    request: &GenerateRequest,
    excerpts: usize,
    cancel: &CancelToken,
    writer: &mut Writer<'_>,
) -> Result<Usage, InferenceError> {
    let mut cleaner = Cleaner::new(excerpts);
    let generation = model.generate(request, cancel, &mut |piece| {
        let clean = cleaner.push(piece);
        writer.write(&clean);
        if cleaner.is_looping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let rest = cleaner.finish();
    writer.write(&rest);
    if generation.finish == FinishReason::MaxTokens {
        writer.write(" …");
    }
    Ok(generation.usage)
}

/// Takes thinking and markers of excerpts that do not exist out of a stream, and notices circles.
struct Cleaner {
    /// Number of excerpts that the model saw.
    excerpts: usize,
    /// What came and may still turn out to be a marker.
    held: String,
    thinking: bool,
    started: bool,
    sentence: String,
    sentences: HashMap<String, u32>,
    looping: bool,
}

impl Cleaner {
    fn new(excerpts: usize) -> Self {
        Self {
            excerpts,
            held: String::new(),
            thinking: false,
            started: false,
            sentence: String::new(),
            sentences: HashMap::new(),
            looping: false,
        }
    }

    /// What of the text so far can be shown now.
    fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.drain(false)
    }

    /// The rest.
    fn finish(&mut self) -> String {
        self.drain(true)
    }

    fn is_looping(&self) -> bool {
        self.looping
    }

    fn drain(&mut self, all: bool) -> String {
        let mut shown = String::new();
        while !self.held.is_empty() {
            let Some(next) = self.next(&shown, all) else { break };
            shown.push_str(&next);
        }
        // An answer does not begin with white space.
        if !self.started {
            let trimmed = shown.trim_start().len();
            shown.drain(..shown.len() - trimmed);
            self.started = !shown.is_empty();
        }
        self.count(&shown);
        shown
    }

    /// Takes the next part off what is held, to follow `shown`; `None` while it is unclear.
    fn next(&mut self, shown: &str, all: bool) -> Option<String> {
        const OPEN: &str = "<think>";
        const CLOSE: &str = "</think>";
        if self.thinking {
            let Some(at) = self.held.find(CLOSE) else {
                // The end may be cut in two.
                let keep = floor(&self.held, self.held.len().saturating_sub(CLOSE.len()));
                self.held.drain(..keep);
                return None;
            };
            self.held.drain(..at + CLOSE.len());
            self.thinking = false;
            return Some(String::new());
        }
        let special = self.held.find(['[', '<']);
        match special {
            None => Some(std::mem::take(&mut self.held)),
            Some(at) if at > 0 => Some(self.held.drain(..at).collect()),
            Some(_) if self.held.starts_with(OPEN) => {
                self.held.drain(..OPEN.len());
                self.thinking = true;
                Some(String::new())
            }
            Some(_) if OPEN.starts_with(self.held.as_str()) && !all => None,
            Some(_) if self.held.starts_with('[') => self.marker(shown, all),
            Some(_) => Some(self.held.drain(..1).collect()),
        }
    }

    /// Judges what begins with `[`: a marker such as `[2]` stays when there is such an excerpt.
    fn marker(&mut self, shown: &str, all: bool) -> Option<String> {
        let inner = self.held.get(1..).unwrap_or_default();
        let digits = inner.len() - inner.trim_start_matches(|ch: char| ch.is_ascii_digit()).len();
        let after = inner.get(digits..).and_then(|rest| rest.chars().next());
        match after {
            None if digits <= 2 && !all => None,
            Some(']') if digits > 0 => {
                let known = inner
                    .get(..digits)
                    .and_then(|number| number.parse::<usize>().ok())
                    .is_some_and(|number| (1..=self.excerpts).contains(&number));
                let marker: String = self.held.drain(..digits + 2).collect();
                // After a name or in code it is an index, not a marker.
                Some(if known || !self.ends_as_prose(shown) { marker } else { String::new() })
            }
            _ => Some(self.held.drain(..1).collect()),
        }
    }

    /// Whether a marker can follow what was shown last, `shown` of it just now.
    fn ends_as_prose(&self, shown: &str) -> bool {
        let sentence = [self.sentence.as_str(), shown].concat();
        let last = sentence.rsplit('\n').next().unwrap_or_default();
        last.matches('`').count() % 2 == 0 && last.ends_with([' ', '.', ']', ',', ';', ':'])
    }

    fn count(&mut self, shown: &str) {
        for ch in shown.chars() {
            self.sentence.push(ch);
            if ch != '\n' && !(ch == ' ' && self.sentence.ends_with(". ")) {
                continue;
            }
            let sentence = std::mem::take(&mut self.sentence).to_lowercase();
            // The next item of a list has another number.
            let sentence = sentence.trim_start_matches(|ch: char| !ch.is_alphabetic()).trim_end();
            let length = sentence.chars().count();
            if length >= SHORTEST_REPEAT {
                let count = self.sentences.entry(sentence.to_owned()).or_default();
                *count += 1;
                let most = if length >= LONG_SENTENCE { 2 } else { MOST_REPEATS };
                self.looping |= *count >= most;
            }
        }
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams `text` in pieces of every size; the outcome must not depend on it.
    fn check(text: &str, expected: &str) {
        for size in 1..=text.len().max(1) {
            let mut cleaner = Cleaner::new(2);
            let mut shown = String::new();
            let letters: Vec<char> = text.chars().collect();
            for piece in letters.chunks(size) {
                shown.push_str(&cleaner.push(&piece.iter().collect::<String>()));
            }
            shown.push_str(&cleaner.finish());
            assert_eq!(shown, expected, "pieces of {size}");
        }
    }

    #[test]
    fn unknown_markers_are_dropped_and_known_ones_kept() {
        check("It is there [1], not there [7].", "It is there [1], not there .");
        check("`a[9]` and b[12] stay, [x] too [", "`a[9]` and b[12] stay, [x] too [");
    }

    #[test]
    fn thinking_is_not_shown() {
        check("<think>\nhm [1] é </think>\n\nYes < no.", "Yes < no.");
    }

    #[test]
    fn circles_are_noticed() {
        let mut cleaner = Cleaner::new(0);
        cleaner.push("The parser parses text. The parser parses text. ");
        assert!(!cleaner.is_looping());
        cleaner.push("The parser parses text. ");
        assert!(cleaner.is_looping());
        let mut list = Cleaner::new(0);
        let item = "The index holds all documents that were merged into one segment.";
        list.push(&format!("1. {item}\n2. {item}\n"));
        assert!(list.is_looping());
        let mut code = Cleaner::new(0);
        code.push("}\n}\n}\n}\n");
        assert!(!code.is_looping());
    }
}
