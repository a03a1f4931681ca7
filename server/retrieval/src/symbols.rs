use std::{cmp::Ordering, ops::Range, sync::Arc};

use indexer::{FileRows, IndexSnapshot, Letters, SymbolHead, SymbolRow};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};
use serde::Serialize;
use text::TextRange;

use crate::names;

/// A definition that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SymbolHit {
    /// The file, relative to the workspace.
    pub path: String,
    /// Name as written.
    pub name: String,
    /// Kind, such as `function`.
    pub kind: String,
    /// What it stands in.
    pub container: Option<String>,
    /// Bytes of the definition.
    pub range: TextRange,
    /// Bytes of the name.
    pub name_range: TextRange,
    /// Zero-based lines of the definition, the end not included.
    pub lines: Range<u32>,
    /// Its head on one line.
    pub signature: String,
    /// The beginning of its documentation.
    pub doc: Option<String>,
    /// How well the name fits, from 0 to 1.
    pub score: f32,
}

/// The definitions of one file in the order of the text; empty for a file that is not indexed.
pub fn file_symbols(index: &IndexSnapshot, path: &str) -> Vec<SymbolHit> {
    let Some(rows) = index.file(path) else { return Vec::new() };
    rows.symbols().iter().map(|symbol| hit(rows, symbol, 1.0)).collect()
}

/// The `limit` definitions whose names fit `query` best: the name itself, however it is cased and
/// separated, then names that begin with it, then those that hold its letters in order, then, if
/// there are none, names one typing mistake away. `Type::name` asks for one in that type.
pub fn symbols(index: &IndexSnapshot, query: &str, limit: usize) -> Vec<SymbolHit> {
    let found = ranked(index, query, &|_| true, limit);
    found.iter().filter_map(|found| Some(hit(&found.rows, found.symbol()?, found.score))).collect()
}

/// A definition and how well its name fits.
pub(crate) struct Ranked {
    pub(crate) rows: Arc<FileRows>,
    at: usize,
    /// Length of its name.
    length: usize,
    pub(crate) score: f32,
}

impl Ranked {
    /// The definition itself, for which its file is unpacked.
    pub(crate) fn symbol(&self) -> Option<&SymbolRow> {
        self.rows.symbols().get(self.at)
    }

    fn order(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then_with(|| self.length.cmp(&other.length))
            .then_with(|| self.rows.file.path.cmp(&other.rows.file.path))
            .then_with(|| self.at.cmp(&other.at))
    }
}

/// Fits of the name itself score at least this much.
pub(crate) const EXACT: f32 = 0.9;

pub(crate) fn ranked(
    index: &IndexSnapshot,
    query: &str,
    accept: &dyn Fn(&str) -> bool,
    limit: usize,
) -> Vec<Ranked> {
    let query = query.trim();
    let (container, name) = names::qualified(query);
    if names::plain(name).is_empty() {
        return Vec::new();
    }
    let mut scorer = Scorer::new(name);
    let letters = Letters::of(name);
    let mut found = Vec::new();
    index.load_contents();
    for rows in index.files().filter(|rows| accept(&rows.file.path)) {
        let mut beside = None;
        for (at, symbol) in rows.symbols_with(letters, 0) {
            let Some(mut score) = scorer.score(&symbol) else { continue };
            if let Some(container) = container {
                score *= within(container, &symbol, &rows.file.path);
            }
            let path = &rows.file.path;
            if *beside.get_or_insert_with(|| names::is_beside_the_point(path)) {
                score *= 0.97;
            }
            let length = symbol.name.len();
            found.push(Ranked { rows: Arc::clone(rows), at, length, score });
        }
        if found.len() > limit.max(16) * 64 {
            found.select_nth_unstable_by(limit, Ranked::order);
            found.truncate(limit);
        }
    }
    if found.is_empty() {
        found = mistyped(index, name, accept);
    }
    found.sort_unstable_by(Ranked::order);
    found.truncate(limit);
    found
}

struct Scorer<'name> {
    name: &'name str,
    plain: String,
    pattern: Pattern,
    matcher: Matcher,
    characters: Vec<char>,
    /// The best that letters in order can reach, for this name.
    best: f32,
}

impl<'name> Scorer<'name> {
    fn new(name: &'name str) -> Self {
        let plain = names::plain(name);
        let pattern =
            Pattern::new(name, CaseMatching::Smart, Normalization::Never, AtomKind::Fuzzy);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut characters = Vec::new();
        let best = pattern.score(Utf32Str::new(name, &mut characters), &mut matcher);
        let best = best.unwrap_or(1).max(1) as f32;
        Self { name, plain, pattern, matcher, characters, best }
    }

    fn score(&mut self, symbol: &SymbolHead<'_>) -> Option<f32> {
        let name = symbol.name;
        let kind = match symbol.kind {
            "field" | "variable" | "heading" => 0.0,
            "constant" | "module" => 0.005,
            _ => 0.01,
        };
        if name == self.name {
            return Some(0.99 + kind);
        }
        if name.len() >= self.plain.len() && names::plain(name) == self.plain {
            return Some(EXACT + 0.05 + kind);
        }
        let fit =
            self.pattern.score(Utf32Str::new(name, &mut self.characters), &mut self.matcher)?;
        let fit = (fit as f32 / self.best).min(1.0);
        // Of two names with the same letters the shorter one is meant.
        let filled = self.plain.len() as f32 / name.len().max(1) as f32;
        let begins =
            name.get(..self.name.len()).is_some_and(|head| head.eq_ignore_ascii_case(self.name));
        let base = if begins { 0.7 } else { 0.3 };
        Some(base + 0.1 * fit + 0.08 * filled.min(1.0) + kind)
    }
}

/// How well the place of a definition fits what was named before its name.
fn within(container: &str, symbol: &SymbolHead<'_>, path: &str) -> f32 {
    let wanted = names::plain(names::qualified(container).1);
    let stands_in = symbol.container.map(|container| names::plain(names::qualified(container).1));
    if stands_in.is_some_and(|container| container == wanted) {
        return 1.0;
    }
    // A module is a file or a folder.
    let stem = path.rsplit('/').map(|part| part.split('.').next().unwrap_or(part));
    if stem.take(2).any(|part| names::plain(part) == wanted) { 0.97 } else { 0.75 }
}

fn mistyped(index: &IndexSnapshot, name: &str, accept: &dyn Fn(&str) -> bool) -> Vec<Ranked> {
    let wanted = names::plain(name);
    if wanted.chars().count() < 5 {
        return Vec::new();
    }
    let letters = Letters::of(name);
    let mut found = Vec::new();
    for rows in index.files().filter(|rows| accept(&rows.file.path)) {
        for (at, symbol) in rows.symbols_with(letters, 1) {
            if symbol.name.len().abs_diff(name.len()) <= 2
                && names::one_edit_apart(&names::plain(symbol.name), &wanted)
            {
                let length = symbol.name.len();
                found.push(Ranked { rows: Arc::clone(rows), at, length, score: 0.5 });
            }
        }
    }
    found
}

fn hit(rows: &FileRows, symbol: &SymbolRow, score: f32) -> SymbolHit {
    SymbolHit {
        path: rows.file.path.to_string(),
        name: symbol.name.to_string(),
        kind: symbol.kind.to_string(),
        container: symbol.container.as_deref().map(str::to_owned),
        range: symbol.range,
        name_range: symbol.name_range,
        lines: symbol.lines.clone(),
        signature: symbol.signature.to_string(),
        doc: symbol.doc.as_deref().map(str::to_owned),
        score,
    }
}
