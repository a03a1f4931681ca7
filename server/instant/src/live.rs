//! The open document around the cursor.

use rustc_hash::FxHashMap as HashMap;

use crate::{
    lexer::{self, MAX_SPACES, Token},
    mixture::Evidence,
    segment::MAX_ORDER,
    vocabulary::{BOUNDARY, Code, Id, LocalVocabulary, id, is_text},
};

/// How much of the document counts, in bytes before and after the cursor. Keeps a query in a huge file
/// at about a millisecond.
const WINDOW_BEFORE: usize = 40 << 10;
const WINDOW_AFTER: usize = 16 << 10;

/// Tokens around the cursor whose words are the fallback for places without precedent.
const WORDS: usize = 3000;
/// The words that are kept as a fallback when nothing is known of the next one.
const COMMON_WORDS: usize = 64;
/// Distance in tokens at which a word counts half as much as beside the cursor.
const WORD_DISTANCE: f32 = 300.0;
/// Weight that the fallback leaves for words never seen.
const UNSEEN: f32 = 50.0;

/// What a place in the open document counts more than one in another file, and how much more again
/// beside the cursor. Tuned with the rest on rustls, minijinja, botocore and IPython; 2 and 8 are worse.
const WEIGHT: f32 = 4.0;
const NEARNESS: f32 = 1.0;
const NEAR_DISTANCE: f32 = 200.0;

/// Places of the document that are considered at each token.
const MAX_MATCHES: usize = 256;

pub(crate) struct Live<'t> {
    /// Tokens before the cursor, a boundary, tokens after the cursor's line; a boundary first.
    codes: Vec<Code>,
    ids: Vec<Id>,
    /// For each place the one before it with the same token, and the last one of each token; 0 for none.
    previous: Vec<u32>,
    last: Vec<u32>,
    cursor: usize,
    /// The beginning of a token that stands before the cursor and could go on, and its number.
    pub partial: Option<(&'t str, Code)>,
    /// Places of words; after part of one, only of those that begin so.
    words: Vec<usize>,
    /// Tokens between the cursor and the end of its line.
    pub rest: Vec<Id>,
    /// Whether a blank stands before the cursor on its line, or nothing does.
    pub after_blank: bool,
    pub line_start: bool,
    /// Whether the next line that is not blank is indented deeper than the cursor's.
    pub next_is_deeper: bool,
}

impl<'t> Live<'t> {
    pub(crate) fn new(
        before: &'t str,
        after: &'t str,
        vocabulary: &mut LocalVocabulary<'_, 't>,
    ) -> Self {
        let before = last_bytes(before, WINDOW_BEFORE);
        let after = first_bytes(after, WINDOW_AFTER);
        let (rest, below) = after.split_at(after.find('\n').unwrap_or(after.len()));
        let current = before.rsplit('\n').next().unwrap_or_default();
        let mut tokens: Vec<Token<'t>> = lexer::tokens(before).collect();
        let grows =
            |token: &&Token<'_>| before.ends_with(token.text) && lexer::can_grow(token.text);
        let partial = tokens.last().filter(grows).copied();
        if partial.is_some() {
            tokens.pop();
        }
        let mut live = Self {
            codes: vec![BOUNDARY],
            ids: Vec::new(),
            previous: Vec::new(),
            last: Vec::new(),
            cursor: 0,
            partial: partial.map(|token| (token.text, vocabulary.encode(&token))),
            words: Vec::new(),
            rest: lexer::tokens(rest).map(|token| id(vocabulary.encode(&token))).collect(),
            after_blank: current.ends_with([' ', '\t']),
            line_start: current.trim().is_empty(),
            next_is_deeper: next_indent(below).is_some_and(|next| next > indent(current)),
        };
        for token in tokens {
            live.push(&token, vocabulary);
        }
        live.cursor = live.codes.len();
        live.codes.push(BOUNDARY);
        lexer::tokens(below).for_each(|token| live.push(&token, vocabulary));
        live.ids = live.codes.iter().map(|code| id(*code)).collect();
        live.link(vocabulary.len());
        live
    }

    fn push(&mut self, token: &Token<'t>, vocabulary: &mut LocalVocabulary<'_, 't>) {
        let fits = |(partial, _)| token.text.starts_with(partial);
        if self.partial.map_or_else(|| token.text.starts_with(lexer::is_word), fits) {
            self.words.push(self.codes.len());
        }
        self.codes.push(vocabulary.encode(token));
    }

    /// Links the places of each token.
    fn link(&mut self, vocabulary: usize) {
        self.last = vec![0; vocabulary];
        for (place, token) in self.ids.iter().enumerate() {
            let last = self.last.get_mut(*token as usize);
            self.previous.push(last.map_or(0, |last| std::mem::replace(last, place as u32)));
        }
    }

    /// The places of a token, last first.
    fn places(&self, token: Id) -> impl Iterator<Item = usize> + '_ {
        let first = self.last.get(token as usize).copied();
        std::iter::successors(first, |place| self.previous.get(*place as usize).copied())
            .take_while(|place| *place != 0)
            .map(|place| place as usize)
    }

    /// The tokens before the cursor, without a partial one.
    pub(crate) fn context(&self) -> Vec<Id> {
        self.ids.get(..self.cursor).unwrap_or_default().to_vec()
    }

    /// What may come next when nothing is known of the place: the words around the cursor, nearer ones
    /// with more weight; after part of a word all that begin so. Shares of 1, less a rest for the unseen.
    pub(crate) fn words(&self) -> Vec<(Code, f32)> {
        let near = |place: &&usize| self.partial.is_some() || place.abs_diff(self.cursor) <= WORDS;
        let mut weights: HashMap<Code, f32> = HashMap::default();
        for place in self.words.iter().filter(near) {
            if let Some(code) = self.codes.get(*place).filter(|code| is_text(id(**code))) {
                let distance = place.abs_diff(self.cursor) as f32;
                *weights.entry(*code).or_default() += 1.0 / (1.0 + distance / WORD_DISTANCE);
            }
        }
        let total: f32 = weights.values().sum::<f32>() + UNSEEN;
        let mut words: Vec<(Code, f32)> = weights.into_iter().collect();
        words.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if self.partial.is_none() {
            words.truncate(COMMON_WORDS);
        }
        for (_, weight) in &mut words {
            *weight /= total;
        }
        words
    }

    /// The places whose preceding tokens agree longest with the end of `context`.
    pub(crate) fn matches(&self, context: &[Id], evidence: &mut Vec<Evidence>) {
        let Some(last) = context.last().copied().filter(|last| *last != BOUNDARY) else { return };
        let mut found: Vec<(usize, usize)> = Vec::new();
        let mut orders = [0_usize; MAX_ORDER + 1];
        for before in self.places(last) {
            let place = before + 1;
            if self.ids.get(place).is_none_or(|token| *token == BOUNDARY) {
                continue;
            }
            let agrees = |(a, b): &(&Id, &Id)| a == b && **a != BOUNDARY;
            let preceding = self.ids.get(..place).unwrap_or_default().iter().rev();
            let order =
                preceding.zip(context.iter().rev()).take(MAX_ORDER).take_while(agrees).count();
            if let Some(count) = orders.get_mut(order) {
                *count += 1;
            }
            found.push((place, order));
        }
        // The longest agreements, down to the order at which there are enough of them.
        let mut sum = 0;
        let enough = |order: &usize| {
            sum += orders.get(*order).copied().unwrap_or_default();
            sum >= MAX_MATCHES
        };
        let shortest = (1..=MAX_ORDER).rev().find(enough).unwrap_or(1);
        for (place, order) in found.into_iter().filter(|(_, order)| *order >= shortest) {
            let distance = place.abs_diff(self.cursor) as f32;
            let weight = WEIGHT * (1.0 + NEARNESS / (1.0 + distance / NEAR_DISTANCE));
            let code = self.codes.get(place).copied().unwrap_or_default();
            evidence.push(Evidence { code, order, weight });
        }
    }

    /// How often a line of exactly these tokens stands in the document.
    pub(crate) fn count_line(&self, line: &[Id], is_break: impl Fn(Id) -> bool) -> usize {
        self.ids.split(|id| is_break(*id) || *id == BOUNDARY).filter(|other| *other == line).count()
    }
}

/// The end of `text` of about this many bytes, from the beginning of a line.
fn last_bytes(text: &str, bytes: usize) -> &str {
    let Some(start) = text.len().checked_sub(bytes) else { return text };
    let start = text.ceil_char_boundary(start);
    let line = text.get(start..).and_then(|kept| kept.find('\n'));
    text.get(line.map_or(start, |line| start + line + 1)..).unwrap_or_default()
}

fn first_bytes(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn next_indent(below: &str) -> Option<usize> {
    below.lines().find(|line| !line.trim().is_empty()).map(indent)
}

/// Blanks between two tokens of a prediction.
pub(crate) fn blanks(count: u32) -> &'static str {
    ["", " ", "  "].get(count.min(MAX_SPACES) as usize).copied().unwrap_or_default()
}
