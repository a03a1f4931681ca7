use std::sync::OnceLock;

use rust_stemmers::{Algorithm, Stemmer};
use rustc_hash::FxHashMap;

/// Longer pieces are data (hashes, encoded bytes), not words.
const LONGEST_PIECE: usize = 40;
/// Longer identifiers are found by their pieces alone.
const LONGEST_WHOLE: usize = 64;
/// How many words a [`Tokens`] remembers before it forgets them all.
const REMEMBERED: usize = 8192;

/// English function words, which say nothing about what a text is about. Sorted.
const STOP_WORDS: &[&str] = &[
    "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been",
    "before", "being", "but", "by", "can", "could", "did", "do", "does", "doing", "done", "for",
    "from", "had", "has", "have", "having", "he", "her", "here", "him", "his", "how", "if", "in",
    "into", "is", "it", "its", "just", "may", "me", "might", "more", "most", "must", "my", "no",
    "nor", "not", "of", "on", "one", "only", "or", "other", "our", "out", "over", "own", "same",
    "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up",
    "us", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom",
    "why", "will", "with", "would", "you", "your",
];

/// Turns text and code into search terms.
///
/// Each identifier is cut at case changes, underscores and between letters and digits
/// (`readUTF8File` → read, utf, 8, file); the pieces are lower-cased and stemmed, function words
/// and single ASCII characters are left out, and an identifier of several pieces is kept whole as
/// well, without its separators, so that `tree_sitter`, `treeSitter` and `tree-sitter` meet.
#[derive(Clone, Default)]
pub struct Tokens {
    /// The places of their stems by lower-cased piece.
    known: FxHashMap<Box<str>, usize>,
    /// An empty one is left out of the terms.
    stems: Vec<Box<str>>,
    lower: String,
    whole: String,
}

impl Tokens {
    /// A tokenizer; it remembers stems, so keep it for many texts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands every term of `text` to `sink`, in order, repeated as often as it occurs.
    pub fn each(&mut self, text: &str, mut sink: impl FnMut(&str)) {
        let mut rest = text;
        while let Some(start) = rest.find(is_word_char) {
            rest = rest.get(start..).unwrap_or_default();
            let end = word_end(rest);
            let (word, tail) = rest.split_at(end);
            self.word(word, &mut sink);
            rest = tail;
        }
    }

    /// The terms of `text`, in order, repeated as often as they occur.
    pub fn list(&mut self, text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        self.each(text, |term| terms.push(term.to_owned()));
        terms
    }

    fn word(&mut self, word: &str, sink: &mut impl FnMut(&str)) {
        self.whole.clear();
        let mut pieces = 0;
        let mut whole = std::mem::take(&mut self.whole);
        each_piece(word, |piece| {
            self.lower.clear();
            self.lower.extend(piece.chars().flat_map(char::to_lowercase));
            pieces += 1;
            if whole.len() <= LONGEST_WHOLE {
                whole.push_str(&self.lower);
            }
            let stem = self.stem();
            if !stem.is_empty() {
                sink(stem);
            }
        });
        if pieces > 1 && (2..=LONGEST_WHOLE).contains(&whole.len()) {
            sink(&whole);
        }
        self.whole = whole;
    }

    /// The stem of the piece in `self.lower`, empty for what is no term.
    fn stem(&mut self) -> &str {
        let at = if let Some(at) = self.known.get(self.lower.as_str()) {
            *at
        } else {
            if self.stems.len() >= REMEMBERED {
                self.known.clear();
                self.stems.clear();
            }
            self.known.insert(self.lower.as_str().into(), self.stems.len());
            self.stems.push(stem(&self.lower).into());
            self.stems.len() - 1
        };
        self.stems.get(at).map_or("", |stem| stem)
    }
}

/// Whether `word`, lower-cased, is a function word that the index does not hold.
pub fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

fn stem(piece: &str) -> String {
    static STEMMER: OnceLock<Stemmer> = OnceLock::new();
    let mut characters = piece.chars();
    let single = characters.next().filter(|_| characters.next().is_none());
    if single.is_some_and(|c| c.is_ascii()) || piece.len() > LONGEST_PIECE || is_stop_word(piece) {
        return String::new();
    }
    if piece.len() < 3 || !piece.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return piece.to_owned();
    }
    STEMMER.get_or_init(|| Stemmer::create(Algorithm::English)).stem(piece).into_owned()
}

fn is_word_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The end of the word at the start of `text`: word characters, and hyphens between letters.
fn word_end(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    let mut last = ' ';
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let hyphen = c == '-' && last.is_alphabetic() && next.is_some_and(char::is_alphabetic);
        if !is_word_char(c) && !hyphen {
            return at;
        }
        last = c;
    }
    text.len()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    /// A character of a script without spaces between words: a piece of its own.
    Alone,
    Separator,
}

fn class(c: char) -> Class {
    match c {
        'a'..='z' => Class::Lower,
        'A'..='Z' => Class::Upper,
        '0'..='9' => Class::Digit,
        '_' | '-' => Class::Separator,
        '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' => Class::Alone,
        c if c.is_uppercase() => Class::Upper,
        c if c.is_numeric() => Class::Digit,
        _ => Class::Lower,
    }
}

/// Cuts an identifier: `HTTPServer2` → HTTP, Server, 2.
fn each_piece<'text>(word: &'text str, mut sink: impl FnMut(&'text str)) {
    let mut start = 0;
    let mut previous = Class::Separator;
    let mut characters = word.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let current = class(c);
        let next = characters.peek().map(|(_, next)| class(*next));
        let cut = match (previous, current) {
            (Class::Lower, Class::Upper) | (Class::Alone, _) | (_, Class::Alone) => true,
            (Class::Upper, Class::Upper) => next == Some(Class::Lower),
            (Class::Upper, Class::Lower) => false,
            (before, now) => before != now,
        };
        if cut {
            if previous != Class::Separator && start < at {
                sink(&word[start..at]);
            }
            start = at;
        }
        previous = current;
    }
    if previous != Class::Separator && start < word.len() {
        sink(&word[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Tokens::new().list(text).join(" "), expected, "terms of {text:?}");
    }

    #[test]
    fn identifiers_are_cut_and_kept_whole() {
        check("readUTF8File", "read utf file readutf8file");
        check("tree_sitter", "tree sitter treesitter");
        check("tree-sitter", "tree sitter treesitter");
        check("HTTPServer2x", "http server httpserver2x");
        check("__init__", "init");
        check("SHA256_DIGEST", "sha 256 digest sha256digest");
        check("a - b", "");
        check("x1", "x1");
    }

    #[test]
    fn prose_is_stemmed_and_function_words_are_left_out() {
        check("How are the queries being tokenized?", "queri token");
        check("indexes, indexing and index", "index index index");
        check("Größenänderung 索引", "größenänderung 索 引 索引");
        check("索引x", "索 引 索引x");
    }

    #[test]
    fn what_is_no_word_is_left_out() {
        check(&"deadbeef".repeat(10), "");
        check("", "");
        check("--- *** ---", "");
    }

    #[test]
    fn the_stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_without_failing(text in "\\PC{0,60}") {
            for term in Tokens::new().list(&text) {
                proptest::prop_assert!(!term.is_empty());
                proptest::prop_assert!(term.chars().all(|c| !c.is_whitespace()));
            }
        }
    }
}
