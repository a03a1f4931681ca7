use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
    thread,
};

use base::CancelToken;
use indexer::{FileRows, Found, IndexSnapshot};
use lexical_index::Tokens;
use static_embedding::{Scratch, StaticEmbedding};

use crate::{
    excerpt::Excerpts,
    hit::{Hit, SearchMode, SearchQuery, is_under},
    names,
    question::Question,
    symbols,
};

/// Hits that together reach less share words with a question but do not answer it. Calibrated on
/// the development questions of `tests/eval/retrieval`: 39 of 40 that their repositories do not
/// answer stay below, 82 in 100 of the others do not.
const SUPPORTED: f32 = 0.84;
/// What nearness in meaning counts beside the share of the question's words.
const MEANING: f32 = 2.0;
/// So many hits are looked at: as many as an answer cites.
const JUDGED: usize = 5;

/// Whether the best of these hits answer the question that they were found for, rather than being
/// what is least far from it.
pub fn is_supported(hits: &[Hit]) -> bool {
    let best = hits.get(..JUDGED).unwrap_or(hits);
    let words = best.iter().map(|hit| hit.support).fold(0.0, f32::max);
    let nearness: f32 = best.iter().map(|hit| hit.nearness).sum();
    words + MEANING * nearness / best.len().max(1) as f32 >= SUPPORTED
}

/// How many chunks the full text proposes.
const CANDIDATES: usize = 200;
/// How many definitions each identifier proposes.
const DEFINITIONS: usize = 20;
/// Hits of one file in an answer: more say little that the first ones do not.
const PER_FILE: usize = 2;

/// How many candidates the second tier of vectors judges: with a hundred nothing of the full quality
/// was lost (measured on CoSQA and on documentation of functions).
const RESCORED: usize = 100;

/// How much the best of each signal counts. Chosen on the development questions, where words alone
/// find the file in about 70 of 100 cases and vectors alone, or both so, in almost 80.
const LEXICAL: f32 = 0.2;
const NEAREST: f32 = 0.8;
/// The second tier, in place of the first.
const MODEL: f32 = 0.8;
/// What the next two places of a file add to its best one.
const SAME_FILE: f32 = 0.1;
const EXACT_SYMBOL: f32 = 1.0;
const PATH: f32 = 1.2;
const NEAR: f32 = 0.08;
/// What is left of the rank of a test, an example or a changelog.
const BESIDE_THE_POINT: f32 = 0.5;

/// The places that `query` is about, best first. Empty when nothing fits or the work was cancelled.
/// Exact identifiers and paths always come up.
pub fn search(index: &IndexSnapshot, query: &SearchQuery, cancel: &CancelToken) -> Vec<Hit> {
    if query.mode == SearchMode::Symbol {
        return definitions(index, query);
    }
    let question = Question::new(&query.text, query.mode != SearchMode::Lexical);
    let accept = |path: &str| query.accepts(path);
    let mut candidates = Candidates::default();
    let wanted = CANDIDATES.max(query.limit * 4);
    // Words and meaning at the same time: either takes some milliseconds in a large workspace.
    let ((found, rarities), nearest) = thread::scope(|scope| {
        let nearest = (query.mode != SearchMode::Lexical).then(|| {
            let vector = StaticEmbedding::shipped().query(&query.text, &mut Scratch::default());
            scope.spawn(move || index.nearest(&vector, &accept, wanted))
        });
        let found = index.find(&question.query, &accept, wanted);
        (found, nearest.and_then(|nearest| nearest.join().ok()).unwrap_or_default())
    });
    if query.mode != SearchMode::Semantic {
        candidates.add_signal(found, LEXICAL, "lexical");
    }
    if cancel.is_cancelled() {
        return Vec::new();
    }
    if query.mode != SearchMode::Lexical {
        candidates.add_signal(nearest, NEAREST, "semantic");
        rescore(index, query, &mut candidates, cancel);
        for identifier in &question.identifiers {
            add_symbols(index, identifier, &accept, &mut candidates);
        }
        add_paths(index, &question.paths, &accept, &mut candidates);
    }
    candidates.weigh(&question, query);
    candidates.gather();
    if cancel.is_cancelled() {
        return Vec::new();
    }
    hits(index, candidates, &question, &rarities, query.limit)
}

/// Chunks that may be the answer.
#[derive(Default)]
struct Candidates {
    chunks: HashMap<(Arc<str>, usize), Candidate>,
}

struct Candidate {
    rows: Arc<FileRows>,
    chunk: usize,
    score: f32,
    /// What of the score comes from the first tier of vectors.
    nearest: f32,
    /// Its cosine in the first tier; 0 when it is not among the nearest.
    cosine: f32,
    sources: Vec<&'static str>,
}

impl Candidate {
    fn note(&mut self, source: &'static str) {
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
    }

    /// By score, then by place.
    fn cmp_to(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| {
            (&other.rows.file.path, other.chunk).cmp(&(&self.rows.file.path, self.chunk))
        })
    }
}

impl Candidates {
    /// Adds what one signal found, best first: its best counts `weight`, its last nothing.
    fn add_signal(&mut self, found: Vec<Found>, weight: f32, source: &'static str) {
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return };
        let lowest = if found.len() < CANDIDATES { 0.0 } else { last.score };
        let spread = (first.score - lowest).max(f32::EPSILON);
        for found in found {
            let score = weight * (found.score - lowest) / spread;
            let candidate = self.add(&found.rows, found.chunk, score, source);
            if source == "semantic" {
                candidate.nearest = score;
                candidate.cosine = found.score;
            }
        }
    }

    fn add(
        &mut self,
        rows: &Arc<FileRows>,
        chunk: usize,
        score: f32,
        source: &'static str,
    ) -> &mut Candidate {
        let key = (Arc::clone(&rows.file.path), chunk);
        let candidate = self.chunks.entry(key).or_insert_with(|| Candidate {
            rows: Arc::clone(rows),
            chunk,
            score: 0.0,
            nearest: 0.0,
            cosine: 0.0,
            sources: Vec::new(),
        });
        candidate.score += score;
        candidate.note(source);
        candidate
    }

    /// Lets what is known of the files count.
    fn weigh(&mut self, question: &Question, query: &SearchQuery) {
        let about_tests = ["test", "bench", "benchmark", "exampl", "chang", "changelog", "releas"];
        let about_tests =
            question.query.terms.iter().any(|term| about_tests.contains(&term.text.as_str()));
        for ((path, _), candidate) in &mut self.chunks {
            let chunk = candidate.rows.chunks().get(candidate.chunk);
            let is_test = chunk.is_some_and(|chunk| {
                names::is_test(chunk.symbol.as_deref(), chunk.container.as_deref())
            });
            if !about_tests && (is_test || names::is_beside_the_point(path)) {
                candidate.score *= BESIDE_THE_POINT;
            }
            if query.near.iter().any(|near| near.as_str() == &**path) {
                candidate.score += NEAR * 2.0;
            } else if query.near.iter().any(|near| folder(near) == folder(path)) {
                candidate.score += NEAR;
            }
        }
    }

    /// Lets a file stand higher that has several good places.
    fn gather(&mut self) {
        let mut files: HashMap<Arc<str>, Vec<&mut Candidate>> = HashMap::new();
        for candidate in self.chunks.values_mut() {
            files.entry(Arc::clone(&candidate.rows.file.path)).or_default().push(candidate);
        }
        for mut of_file in files.into_values() {
            of_file.sort_unstable_by(|a, b| b.cmp_to(a));
            if let Some((best, others)) = of_file.split_first_mut() {
                let next: f32 = others.iter().take(2).map(|other| other.score).sum();
                best.score += SAME_FILE * next;
            }
        }
    }

    fn sorted(self) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = self.chunks.into_values().collect();
        candidates.sort_unstable_by(|a, b| b.cmp_to(a));
        candidates
    }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The definitions themselves whose names fit, in their current text.
fn definitions(index: &IndexSnapshot, query: &SearchQuery) -> Vec<Hit> {
    let accept = |path: &str| query.accepts(path);
    let mut texts = HashMap::<Arc<str>, Option<Arc<str>>>::new();
    let mut hits = Vec::new();
    for found in symbols::ranked(index, &query.text, &accept, query.limit) {
        let path = &found.rows.file.path;
        let text = texts.entry(Arc::clone(path)).or_insert_with(|| index.text(path));
        let Some(text) = text else { continue };
        let rows = if IndexSnapshot::is_current(&found.rows, text) {
            Arc::clone(&found.rows)
        } else {
            Arc::new(index.rows_of(path, text))
        };
        let known = found.symbol();
        let current = rows
            .symbols()
            .iter()
            .filter(|symbol| symbol.name == known.name && symbol.container == known.container)
            .min_by_key(|symbol| symbol.lines.start.abs_diff(known.lines.start));
        let Some(symbol) = current else { continue };
        let Some(body) = symbol.range.slice(text) else { continue };
        hits.push(Hit {
            path: path.to_string(),
            range: symbol.range,
            lines: symbol.lines.clone(),
            symbol: Some(symbol.name.to_string()),
            kind: Some(symbol.kind.to_string()),
            score: found.score,
            sources: vec!["symbol"],
            text: body.to_owned(),
            support: if found.score >= symbols::EXACT { 1.0 } else { 0.0 },
            nearness: 0.0,
        });
    }
    hits
}

/// Lets the second tier of vectors judge the best candidates instead of the first, as far as they
/// have such vectors, and has the others embedded soon. A search in all signals does not wait for
/// the model to be loaded.
fn rescore(
    index: &IndexSnapshot,
    query: &SearchQuery,
    candidates: &mut Candidates,
    cancel: &CancelToken,
) {
    let Some(embeddings) = index.embeddings() else { return };
    let mut best: Vec<&mut Candidate> = candidates.chunks.values_mut().collect();
    best.sort_unstable_by(|a, b| b.cmp_to(a));
    best.truncate(RESCORED);
    embeddings.prefer(best.iter().filter_map(|candidate| {
        Some((&candidate.rows.file.path, candidate.rows.chunks().get(candidate.chunk)?))
    }));
    let asked = query.mode == SearchMode::Semantic || embeddings.is_loaded();
    if !asked || !embeddings.any(index) {
        return;
    }
    let vector = match embeddings.query(&query.text, cancel) {
        Ok(vector) => vector,
        Err(error) => {
            tracing::debug!(%error, "searched without the embedding model");
            return;
        }
    };
    let mut judged: Vec<(&mut Candidate, f32)> = Vec::new();
    for candidate in best {
        let chunk = candidate.rows.chunks().get(candidate.chunk);
        if let Some(cosine) = chunk.and_then(|chunk| embeddings.cosine(chunk, &vector)) {
            judged.push((candidate, cosine));
        }
    }
    let highest = judged.iter().map(|(_, cosine)| *cosine).fold(f32::MIN, f32::max);
    let lowest = judged.iter().map(|(_, cosine)| *cosine).fold(f32::MAX, f32::min);
    for (candidate, cosine) in judged {
        let share = (cosine - lowest) / (highest - lowest).max(f32::EPSILON);
        candidate.score += MODEL * share - candidate.nearest;
        candidate.note("semantic");
    }
}

/// Adds the chunks that define `identifier`.
fn add_symbols(
    index: &IndexSnapshot,
    identifier: &str,
    accept: &dyn Fn(&str) -> bool,
    candidates: &mut Candidates,
) {
    for found in symbols::ranked(index, identifier, accept, DEFINITIONS) {
        if found.score < symbols::EXACT {
            continue;
        }
        let name = found.symbol().name_range;
        let chunk = found.rows.chunks().iter().position(|chunk| chunk.range.contains_range(name));
        let Some(chunk) = chunk else { continue };
        candidates.add(&found.rows, chunk, EXACT_SYMBOL * found.score, "symbol");
    }
}

/// Adds the beginnings of files that are named by a path or the end of one.
fn add_paths(
    index: &IndexSnapshot,
    paths: &[String],
    accept: &dyn Fn(&str) -> bool,
    candidates: &mut Candidates,
) {
    for named in paths {
        let named = named.trim_start_matches("./").to_lowercase();
        for rows in index.files().filter(|rows| accept(&rows.file.path)) {
            let path = rows.file.path.to_lowercase();
            let ends = path.strip_suffix(&named);
            let ends = ends.is_some_and(|head| head.is_empty() || head.ends_with('/'));
            let folder = !named.is_empty() && is_under(&path, &named);
            if (ends || folder) && !rows.chunks().is_empty() {
                // A path that is named whole is meant before those that only end like it.
                let weight = if path == named { PATH } else { PATH * 0.8 };
                let weight = if folder && !ends { PATH * 0.3 } else { weight };
                let best = candidates
                    .chunks
                    .values()
                    .filter(|candidate| candidate.rows.file.path == rows.file.path)
                    .max_by(|a, b| a.score.total_cmp(&b.score))
                    .map_or(0, |candidate| candidate.chunk);
                candidates.add(rows, best, weight, "path");
            }
        }
    }
}

/// The best candidates with their current text, few of each file.
fn hits(
    index: &IndexSnapshot,
    candidates: Candidates,
    question: &Question,
    rarities: &[f32],
    limit: usize,
) -> Vec<Hit> {
    let mut excerpts = Excerpts::new(index);
    let mut of_file = HashMap::<Arc<str>, usize>::new();
    let mut seen = HashSet::new();
    let mut tokens = Tokens::new();
    let mut hits = Vec::new();
    for candidate in candidates.sorted() {
        if hits.len() >= limit {
            break;
        }
        let path = &candidate.rows.file.path;
        let count = of_file.entry(Arc::clone(path)).or_default();
        if *count >= PER_FILE {
            continue;
        }
        let Some(excerpt) = excerpts.get(&candidate.rows, candidate.chunk) else { continue };
        // Two chunks of an old text may have become one, and files may be copies of each other.
        if excerpt.text.trim().is_empty() || !seen.insert(excerpt.chunk.hash) {
            continue;
        }
        *count += 1;
        let support = support(path, excerpt.text, question, rarities, &mut tokens);
        hits.push(Hit {
            path: path.to_string(),
            range: excerpt.chunk.range,
            lines: excerpt.chunk.lines.clone(),
            symbol: excerpt.chunk.symbol.as_deref().map(str::to_owned),
            kind: excerpt.chunk.kind.as_deref().map(str::to_owned),
            score: candidate.score,
            sources: candidate.sources,
            text: excerpt.text.to_owned(),
            support,
            nearness: candidate.cosine,
        });
    }
    hits
}

/// The share of the question's essential terms, counted by their rarity, that occur in an excerpt
/// or its path. A term that occurs nowhere in the workspace is as rare as can be.
fn support(
    path: &str,
    text: &str,
    question: &Question,
    rarities: &[f32],
    tokens: &mut Tokens,
) -> f32 {
    let mut held: HashSet<String> = HashSet::new();
    for part in [path, text] {
        tokens.each(part, |term| {
            if !held.contains(term) {
                held.insert(term.to_owned());
            }
        });
    }
    let rarest = rarities.iter().copied().fold(0.0, f32::max).max(6.0);
    let (mut covered, mut all) = (0.0, 0.0);
    for (number, term) in question.query.terms.iter().enumerate() {
        if !question.essential.get(number).copied().unwrap_or(false) {
            continue;
        }
        let rarity = match rarities.get(number) {
            Some(rarity) if *rarity > 0.0 => *rarity,
            _ => rarest,
        };
        all += rarity;
        if held.contains(&term.text) {
            covered += rarity;
        } else if term.variants.iter().any(|(variant, _)| held.contains(variant)) {
            covered += rarity * 0.5;
        }
    }
    if all > 0.0 { covered / all } else { 0.0 }
}

#[cfg(test)]
mod tests;
