//! Completion in a millisecond without a neural model: a cache n-gram over the workspace's own code.
//!
//! Every file is a row of lexical tokens. To continue a line, the places whose preceding tokens agree
//! longest with the text before the cursor are looked up, in the open file and in all others, and
//! their next tokens are mixed, longer agreement over shorter; a beam search does so to the end of
//! the line. What is usual in the language, learned once from other code, is mixed in where the
//! workspace itself says little. Related: Tu, Su and Devanbu, "On the localness of software" (FSE 2014); Hellendoorn and
//! Devanbu, nested caches (FSE 2017); unbounded contexts by suffix array as in Liu et al., infini-gram
//! (2024).
//!
//! The crate reads no files, knows no grammar and decides nothing about what is worth showing.

mod beam;
mod lexer;
mod live;
mod mixture;
mod prior;
mod segment;
mod vocabulary;

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};

pub use prior::{Prior, PriorError, PriorLanguage, PriorOptions, PriorTrainer, Priors};

use crate::{segment::Segment, vocabulary::Vocabulary};

/// The live model of a workspace. Shared between threads: readers take a snapshot and are never kept
/// waiting by a build.
pub struct Instant {
    priors: RwLock<Arc<Priors>>,
    parts: RwLock<Arc<Vec<Part>>>,
    vocabulary: RwLock<Vocabulary>,
    /// Where each file's tokens are. Held by writers for a whole update.
    places: Mutex<HashMap<Arc<str>, Place>>,
}

/// A segment and which of its files no longer count.
#[derive(Clone)]
struct Part {
    segment: Arc<Segment>,
    dead: Arc<Vec<bool>>,
    dead_tokens: usize,
}

/// A file's place: its segment, by address, and its number there.
#[derive(Clone)]
struct Place {
    segment: Arc<Segment>,
    file: usize,
}

/// Where to complete.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Path of the file, as given to [`Instant::update_file`]; its stored text is left out in favour of
    /// `text`.
    pub path: &'a str,
    /// The whole text as it stands in the editor.
    pub text: &'a str,
    /// Offset of the cursor in bytes, at a character's border.
    pub offset: usize,
    /// How many different completions are wanted at most.
    pub alternatives: usize,
}

impl<'a> Query<'a> {
    /// The text before and after the cursor. Without a border of characters there, all is before it.
    fn around(&self) -> (&'a str, &'a str) {
        self.text.split_at_checked(self.offset).unwrap_or((self.text, ""))
    }
}

/// A way to go on to the end of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// What to insert at the cursor; begins inside a word when the cursor stands after part of one.
    pub text: String,
    /// Estimate, from 0 to 1, that the line goes on exactly so.
    pub probability: f32,
    /// Tokens before the cursor that agree with the places, or with what the language's prior knows, that
    /// the first token comes from; 0 when it was guessed from the words of the file alone.
    pub order: usize,
}

/// How likely a model holds what stands somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Natural logarithm of the probability of all tokens together.
    pub log_probability: f64,
    /// How many they are, the end of the line among them.
    pub tokens: usize,
}

/// How much a model holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files that count.
    pub files: usize,
    /// Tokens of these and of files that were replaced but not yet swept out.
    pub tokens: usize,
    /// Different tokens.
    pub vocabulary: usize,
    /// Memory in bytes, near enough.
    pub bytes: usize,
}

/// Longest file that is taken in, in bytes. What is longer was generated, or is data.
const MAX_FILE: usize = 1 << 20;

/// A segment is merged with the one before it when that has less than this many times its tokens. So
/// there are about log2 of the files' number, and a token is moved as often.
const MERGE_FACTOR: usize = 2;

/// Merging takes twice the memory of what is merged, for a moment, so no larger segments are made of others.
const LARGEST_MERGED: usize = 2 << 20;

impl Default for Instant {
    fn default() -> Self {
        Self::new()
    }
}

impl Instant {
    /// A model that knows the languages, as far as the program brings a prior, and no workspace.
    pub fn new() -> Self {
        Self::with_priors(Priors::bundled())
    }

    /// A model with these priors and nothing else.
    pub fn with_priors(priors: Priors) -> Self {
        Self {
            priors: RwLock::new(Arc::new(priors)),
            parts: RwLock::default(),
            vocabulary: RwLock::default(),
            places: Mutex::default(),
        }
    }

    /// Goes on with other priors.
    pub fn set_priors(&self, priors: Priors) {
        *self.priors.write() = Arc::new(priors);
    }

    /// Takes in many files at once, each replacing what was known under its path. A million lines take
    /// some seconds, so this belongs on a background thread.
    pub fn update_files(&self, files: &[(String, Arc<str>)]) {
        let priors = self.priors.read().clone();
        let mut encoded: Vec<(Arc<str>, Vec<u32>)> = Vec::with_capacity(files.len());
        for (path, text) in files.iter().filter(|(_, text)| text.len() <= MAX_FILE) {
            // Read here, in the background, and not at the first keystroke.
            priors.of_path(path);
            // One file at a time, so that readers get their turn.
            let tokens = self.vocabulary.write().encode(text);
            encoded.push((path.as_str().into(), tokens));
        }
        let mut places = self.places.lock();
        let mut parts = Vec::clone(&self.parts.read());
        for (path, _) in files {
            forget(&mut parts, &mut places, path);
        }
        encoded.retain(|(_, tokens)| !tokens.is_empty());
        if !encoded.is_empty() {
            push(&mut parts, &mut places, Segment::build(encoded));
        }
        merge(&mut parts, &mut places);
        *self.parts.write() = Arc::new(parts);
    }

    /// Takes in one file, replacing what was known under its path.
    pub fn update_file(&self, path: &str, text: &str) {
        self.update_files(&[(path.to_owned(), text.into())]);
    }

    /// Forgets a file.
    pub fn remove_file(&self, path: &str) {
        let mut places = self.places.lock();
        let mut parts = Vec::clone(&self.parts.read());
        forget(&mut parts, &mut places, path);
        *self.parts.write() = Arc::new(parts);
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        let parts = self.parts.read().clone();
        let vocabulary = self.vocabulary.read();
        let tokens: usize = parts.iter().map(|part| part.segment.len()).sum();
        Size {
            files: self.places.lock().len(),
            tokens,
            vocabulary: vocabulary.len(),
            bytes: tokens * segment::BYTES_PER_TOKEN + vocabulary.bytes(),
        }
    }

    /// Ways to complete the line at the cursor, the likeliest first. Text after the cursor on the same
    /// line is kept: a prediction that does not lead up to it is not given.
    pub fn predict(&self, query: &Query<'_>) -> Vec<Prediction> {
        let parts = self.parts.read().clone();
        let priors = self.priors.read().clone();
        let vocabulary = self.vocabulary.read();
        beam::complete(&parts, &vocabulary, priors.of_path(query.path), query)
    }

    /// How likely the model holds the rest of the cursor's line, up to its end. It does not see that rest:
    /// this tells how good the model is.
    pub fn judge(&self, query: &Query<'_>) -> Judgement {
        let parts = self.parts.read().clone();
        let priors = self.priors.read().clone();
        let vocabulary = self.vocabulary.read();
        beam::judge(&parts, &vocabulary, priors.of_path(query.path), query)
    }
}

/// Joins neighbouring segments until each is twice as large as the next, and rebuilds those of which
/// half is dead.
fn merge(parts: &mut Vec<Part>, places: &mut HashMap<Arc<str>, Place>) {
    parts.retain(|part| part.dead_tokens < part.segment.len());
    loop {
        let crowded = parts.windows(2).position(|pair| {
            let [first, second] = pair else { return false };
            let (first, second) = (first.segment.len(), second.segment.len());
            first < MERGE_FACTOR * second && first + second <= LARGEST_MERGED
        });
        let wasteful = parts.iter().position(|part| 2 * part.dead_tokens > part.segment.len());
        let range = match (crowded, wasteful) {
            (Some(first), _) => first..first + 2,
            (None, Some(first)) => first..first + 1,
            (None, None) => return,
        };
        let mut files = Vec::new();
        for part in parts.get(range.clone()).unwrap_or_default() {
            let alive = part.segment.files().zip(part.dead.iter()).filter(|(_, dead)| !**dead);
            files.extend(alive.map(|(file, _)| file));
        }
        let merged = Segment::build(files);
        let tail = parts.split_off(range.end);
        parts.truncate(range.start);
        push(parts, places, merged);
        parts.extend(tail);
    }
}

/// Adds a segment and notes where its files are now.
fn push(parts: &mut Vec<Part>, places: &mut HashMap<Arc<str>, Place>, segment: Segment) {
    let segment = Arc::new(segment);
    for (file, path) in segment.paths().iter().enumerate() {
        places.insert(path.clone(), Place { segment: segment.clone(), file });
    }
    let dead = Arc::new(vec![false; segment.paths().len()]);
    parts.push(Part { segment, dead, dead_tokens: 0 });
}

/// Marks a file's tokens as dead.
fn forget(parts: &mut [Part], places: &mut HashMap<Arc<str>, Place>, path: &str) {
    let Some(place) = places.remove(path) else { return };
    let same = |part: &&mut Part| Arc::ptr_eq(&part.segment, &place.segment);
    let Some(part) = parts.iter_mut().find(same) else { return };
    if let Some(dead) = Arc::make_mut(&mut part.dead).get_mut(place.file) {
        *dead = true;
        part.dead_tokens += place.segment.file_len(place.file);
    }
}

#[cfg(test)]
mod tests;
