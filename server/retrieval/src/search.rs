use std::{
    borrow::Cow,
    cmp::{Ordering, Reverse},
    collections::{HashMap, HashSet},
    sync::Arc,
    thread,
};

use base::CancelToken;
use indexer::{FileRows, Found, IndexSnapshot};
use lexical_index::Tokens;
use parking_lot::Mutex;
use static_embedding::Vector;

use crate::{
    deepening::{self, Deepening},
    excerpt::Excerpts,
    hit::{Hit, SearchMode, SearchQuery, is_under},
    names,
    question::Question,
    ranking::Ranking,
    symbols, words,
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
    support_of(hits) >= SUPPORTED
}

/// How well the best of these hits answer the question that they were found for: 0 where there are none.
pub(crate) fn support_of(hits: &[Hit]) -> f32 {
    let best = hits.get(..JUDGED).unwrap_or(hits);
    let words = best.iter().map(|hit| hit.support).fold(0.0, f32::max);
    let nearness: f32 = best.iter().map(|hit| hit.nearness).sum();
    words + MEANING * nearness / best.len().max(1) as f32
}

/// How many chunks the full text proposes.
const CANDIDATES: usize = 200;
/// A language is usual in a workspace where more than one in so many files are written in it.
const USUAL_LANGUAGE: usize = 3;
/// How many definitions each identifier proposes.
const DEFINITIONS: usize = 20;
/// So many hits of one file keep their rank; further ones say little that these do not.
const PER_FILE: usize = 2;

/// The rarities of a question's words in a name add up to this where it is sure to be meant: two rare words.
const TELLING: f32 = 8.0;

/// How many candidates the second tier of vectors judges: with a hundred nothing of the full quality
/// was lost (measured on CoSQA and on documentation of functions).
const RESCORED: usize = 100;

/// The places that `query` is about, best first. Empty when nothing fits or the work was cancelled.
/// Exact identifiers and paths always come up.
pub fn search(index: &IndexSnapshot, query: &SearchQuery, cancel: &CancelToken) -> Vec<Hit> {
    search_ranked(index, query, &Ranking::default(), cancel)
}

/// [`search`] with other weights, for measuring what each signal is worth.
pub fn search_ranked(
    index: &IndexSnapshot,
    query: &SearchQuery,
    ranking: &Ranking,
    cancel: &CancelToken,
) -> Vec<Hit> {
    search_deepened(index, query, ranking, &Deepening::default(), cancel)
}

/// [`search_ranked`] with what models add.
pub fn search_deepened(
    index: &IndexSnapshot,
    query: &SearchQuery,
    ranking: &Ranking,
    deepening: &Deepening,
    cancel: &CancelToken,
) -> Vec<Hit> {
    if query.mode == SearchMode::Symbol {
        return definitions(index, query);
    }
    let mut tokens = TOKENS.lock().pop().unwrap_or_default();
    let hits = search_signals(index, query, ranking, deepening, cancel, &mut tokens);
    TOKENS.lock().push(tokens);
    hits
}

/// Words that searches took apart, one set for each that ran at the same time; that of the last one is taken up next.
static TOKENS: Mutex<Vec<Tokens>> = Mutex::new(Vec::new());

fn search_signals(
    index: &IndexSnapshot,
    query: &SearchQuery,
    ranking: &Ranking,
    deepening: &Deepening,
    cancel: &CancelToken,
    tokens: &mut Tokens,
) -> Vec<Hit> {
    let expand = ranking.expansion && query.mode != SearchMode::Lexical;
    let text = said(index, &query.text);
    let question = Question::new(&text, expand, tokens);
    let hypothesis = deepening.hypothesis(query, &question, cancel);
    let hypothesis = hypothesis.as_deref();
    let accept = |path: &str| query.accepts(path);
    let vector =
        (query.mode != SearchMode::Lexical).then(|| deepening::first_tier(&text, hypothesis));
    let mut candidates = Candidates::default();
    let wanted = CANDIDATES.max(query.limit * 4);
    // Words and meaning at the same time: either takes some milliseconds in a large workspace.
    let ((found, rarities), nearest) = thread::scope(|scope| {
        let nearest = vector.as_ref();
        let nearest = nearest.map(|vector| scope.spawn(|| index.nearest(vector, &accept, wanted)));
        let filter = query.is_filtered().then_some(&accept as &dyn Fn(&str) -> bool);
        let found = index.find(&question.query, filter, wanted);
        (found, nearest.and_then(|nearest| nearest.join().ok()).unwrap_or_default())
    });
    if query.mode != SearchMode::Semantic {
        let weight = ranking.lexical * question.if_named(ranking.named_lexical);
        candidates.add_signal(found, weight, "lexical");
    }
    if cancel.is_cancelled() {
        return Vec::new();
    }
    if let Some(vector) = &vector {
        candidates.add_signal(nearest, ranking.nearest, "semantic");
        if hypothesis.is_some() {
            candidates.compare_with(&deepening::first_tier(&text, None));
        }
        candidates.add_names(&question, &rarities, ranking, tokens);
        rescore(index, query, &question, hypothesis, ranking, &mut candidates, cancel);
        for identifier in &question.identifiers {
            add_symbols(index, identifier, &question, ranking, &accept, &mut candidates);
        }
        // What is looked up by its name is where it is defined.
        if query.mode == SearchMode::Hybrid && !question.names_only {
            add_history(index, &question, vector, ranking, &accept, &mut candidates);
        }
        add_paths(index, &question.paths, ranking, &accept, &mut candidates);
    }
    candidates.weigh(&question, query, ranking);
    candidates.gather(ranking);
    if cancel.is_cancelled() {
        return Vec::new();
    }
    let limit = deepening.breadth(query, &question);
    let hits = hits(index, candidates, &question, &rarities, ranking, limit, tokens);
    deepening.rerank(query, &question, hits, cancel)
}

/// The question without the names of languages in which a large part of the files is written: "in
/// Python" tells no place from another where all is Python.
fn said<'text>(index: &IndexSnapshot, text: &'text str) -> Cow<'text, str> {
    let words = || text.split_whitespace();
    let named: Vec<&str> = words().filter_map(words::language).collect();
    if named.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut files = 0;
    let mut of = vec![0; named.len()];
    for rows in index.files() {
        let Some(language) = rows.file.language.as_deref() else { continue };
        files += 1;
        for (count, _) in of.iter_mut().zip(&named).filter(|(_, name)| **name == language) {
            *count += 1;
        }
    }
    let usual: Vec<&str> = named
        .into_iter()
        .zip(of)
        .filter(|(_, count)| *count * USUAL_LANGUAGE > files)
        .map(|(name, _)| name)
        .collect();
    let kept: Vec<&str> = words()
        .filter(|word| words::language(word).is_none_or(|name| !usual.contains(&name)))
        .collect();
    if kept.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(kept.join(" ")) }
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
        if weight <= 0.0 {
            return;
        }
        let lowest = if found.len() < CANDIDATES { 0.0 } else { last.score };
        let spread = (first.score - lowest).max(f32::EPSILON);
        for found in found {
            let score = weight * (found.score - lowest) / spread;
            let candidate = self.add(&found.rows, found.chunk, score, source);
            if source == "semantic" {
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
            cosine: 0.0,
            sources: Vec::new(),
        });
        candidate.score += score;
        candidate.note(source);
        candidate
    }

    /// Takes the cosines of the nearest with the question itself: what a model made up supports nothing.
    fn compare_with(&mut self, question: &Vector) {
        for candidate in self.chunks.values_mut().filter(|candidate| candidate.cosine > 0.0) {
            let mut cosines = candidate.rows.vectors().cosines(question);
            candidate.cosine = cosines.nth(candidate.chunk).unwrap_or(0.0);
        }
    }

    /// Lets those stand higher whose definition is named with words of the question: the share of the
    /// name that these make up, as far as they are rare.
    fn add_names(
        &mut self,
        question: &Question,
        rarities: &[f32],
        ranking: &Ranking,
        tokens: &mut Tokens,
    ) {
        if ranking.names <= 0.0 {
            return;
        }
        let asked: HashMap<&str, f32> = question
            .query
            .terms
            .iter()
            .zip(rarities)
            .map(|(term, rarity)| (term.text.as_str(), *rarity))
            .collect();
        for candidate in self.chunks.values_mut() {
            let chunk = candidate.rows.chunks().get(candidate.chunk);
            let Some(name) = chunk.and_then(|chunk| chunk.symbol.as_deref()) else { continue };
            let mut pieces = tokens.list(name);
            if pieces.len() > 1 {
                // The last one is the name as a whole.
                pieces.pop();
            }
            let held = pieces.iter().filter_map(|piece| asked.get(piece.as_str()));
            let (count, mass) =
                held.fold((0.0, 0.0), |(count, mass), one| (count + 1.0, mass + one));
            let share = count / pieces.len().max(1) as f32;
            candidate.score += ranking.names * share * (mass / TELLING).min(1.0);
        }
    }

    /// Lets what is known of the files count.
    fn weigh(&mut self, question: &Question, query: &SearchQuery, ranking: &Ranking) {
        let about_tests = ["test", "bench", "benchmark", "exampl", "chang", "changelog", "releas"];
        let about_tests =
            question.query.terms.iter().any(|term| about_tests.contains(&term.text.as_str()));
        for ((path, _), candidate) in &mut self.chunks {
            let chunk = candidate.rows.chunks().get(candidate.chunk);
            let is_test = chunk.is_some_and(|chunk| {
                names::is_test(chunk.symbol.as_deref(), chunk.container.as_deref())
            });
            if !about_tests && (is_test || names::is_beside_the_point(path)) {
                candidate.score *= ranking.beside_the_point;
            }
            if query.near.iter().any(|near| near.as_str() == &**path) {
                candidate.score += ranking.near * 2.0;
            } else if query.near.iter().any(|near| folder(near) == folder(path)) {
                candidate.score += ranking.near;
            }
        }
    }

    /// Lets a file stand higher that has several good places.
    fn gather(&mut self, ranking: &Ranking) {
        let mut files: HashMap<Arc<str>, Vec<&mut Candidate>> = HashMap::new();
        for candidate in self.chunks.values_mut() {
            files.entry(Arc::clone(&candidate.rows.file.path)).or_default().push(candidate);
        }
        for mut of_file in files.into_values() {
            of_file.sort_unstable_by(|a, b| b.cmp_to(a));
            if let Some((best, others)) = of_file.split_first_mut() {
                let next: f32 = others.iter().take(2).map(|other| other.score).sum();
                best.score += ranking.same_file * next;
            }
            let mut left = 1.0;
            for further in of_file.iter_mut().skip(PER_FILE) {
                left *= ranking.further;
                further.score *= left;
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
        let Some(known) = found.symbol() else { continue };
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
            container: symbol.container.as_deref().map(str::to_owned),
            score: found.score,
            sources: vec!["symbol"],
            text: body.to_owned(),
            support: if found.score >= symbols::EXACT { 1.0 } else { 0.0 },
            nearness: 0.0,
        });
    }
    hits
}

/// Lets the second tier of vectors judge the best candidates, as far as they have such vectors: what
/// brought them here counts less then. Has the others embedded soon. A search in all signals does not wait for
/// the model to be loaded.
fn rescore(
    index: &IndexSnapshot,
    query: &SearchQuery,
    question: &Question,
    hypothesis: Option<&str>,
    ranking: &Ranking,
    candidates: &mut Candidates,
    cancel: &CancelToken,
) {
    let Some(embeddings) = index.embeddings().filter(|_| ranking.model > 0.0) else { return };
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
    let vector = match deepening::second_tier(embeddings, &query.text, hypothesis, cancel) {
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
    let lowest = judged.iter().map(|(_, cosine)| *cosine).fold(1.0, f32::min).max(0.0);
    let foreign = judged.iter().filter(|(candidate, _)| is_foreign(&candidate.rows)).count();
    let foreign = foreign as f32 / judged.len().max(1) as f32;
    // One weight for all: places of two languages are to be judged alike.
    let weight = ranking.model
        * question.if_named(ranking.named_model)
        * (1.0 - foreign * (1.0 - ranking.foreign_model));
    for (candidate, cosine) in judged {
        // Squared: high cosines tell places from each other, low ones are much alike.
        let nearer = (cosine * cosine - lowest * lowest).max(0.0);
        candidate.score = ranking.before * candidate.score + weight * nearer;
        candidate.note("semantic");
    }
}

/// Whether this is code that the model of the second tier tells apart less well than Python and prose. So it
/// is in Rust, TypeScript and Go, on the development packages; the others are taken to be like them.
fn is_foreign(rows: &FileRows) -> bool {
    let language = rows.file.language.as_deref();
    language.is_some_and(|language| !matches!(language, "python" | "markdown" | "notebook"))
}

/// Adds the chunks that define `identifier`.
fn add_symbols(
    index: &IndexSnapshot,
    identifier: &str,
    question: &Question,
    ranking: &Ranking,
    accept: &dyn Fn(&str) -> bool,
    candidates: &mut Candidates,
) {
    if ranking.symbols <= 0.0 {
        return;
    }
    let mut exact = symbols::ranked(index, identifier, accept, DEFINITIONS);
    exact.retain(|found| found.score >= symbols::EXACT);
    // A name that many things have says little of which is meant, and a longer question mentions
    // names beside what it asks for; what it begins with it is often about.
    let shared = if question.brief {
        1.0
    } else if question.leading.as_deref() == Some(identifier) {
        ranking.leading
    } else {
        ranking.mentioned / exact.len().max(1) as f32
    };
    for found in exact {
        let Some(name) = found.symbol().map(|symbol| symbol.name_range) else { continue };
        let chunk = found.rows.chunks().iter().position(|chunk| chunk.range.contains_range(name));
        let Some(chunk) = chunk else { continue };
        candidates.add(&found.rows, chunk, ranking.symbols * shared * found.score, "symbol");
    }
}

/// Lets files stand higher that were changed by commits which said what is asked: by their best place so far, else by
/// that nearest in meaning.
fn add_history(
    index: &IndexSnapshot,
    question: &Question,
    vector: &Vector,
    ranking: &Ranking,
    accept: &dyn Fn(&str) -> bool,
    candidates: &mut Candidates,
) {
    if ranking.history <= 0.0 {
        return;
    }
    let mut best: HashMap<Arc<str>, (f32, usize)> = HashMap::new();
    for ((path, chunk), candidate) in &candidates.chunks {
        let place = best.entry(Arc::clone(path)).or_insert((candidate.score, *chunk));
        if (candidate.score, Reverse(*chunk)) > (place.0, Reverse(place.1)) {
            *place = (candidate.score, *chunk);
        }
    }
    let weight = ranking.history * if question.asked { ranking.asked_history } else { 1.0 };
    let wanted = |path: &str| index.file(path).is_some() && accept(path);
    for (path, share) in index.history().files(&question.query, wanted) {
        let Some(rows) = index.file(&path) else { continue };
        let nearest = || {
            let cosines = rows.vectors().cosines(vector).enumerate();
            cosines.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
        };
        let chunk = best.get(&path).map(|(_, chunk)| *chunk);
        let chunk = chunk.or_else(|| nearest().map(|(chunk, _)| chunk)).unwrap_or(0);
        if chunk < rows.chunk_count() {
            candidates.add(rows, chunk, weight * share, "history");
        }
    }
}

/// Adds the beginnings of files that are named by a path or the end of one.
fn add_paths(
    index: &IndexSnapshot,
    paths: &[String],
    ranking: &Ranking,
    accept: &dyn Fn(&str) -> bool,
    candidates: &mut Candidates,
) {
    if ranking.paths <= 0.0 {
        return;
    }
    for named in paths {
        let named = named.trim_start_matches("./").to_lowercase();
        for rows in index.files().filter(|rows| accept(&rows.file.path)) {
            let path = rows.file.path.to_lowercase();
            let ends = path.strip_suffix(&named);
            let ends = ends.is_some_and(|head| head.is_empty() || head.ends_with('/'));
            let folder = !named.is_empty() && is_under(&path, &named);
            if (ends || folder) && rows.chunk_count() > 0 {
                // A path that is named whole is meant before those that only end like it.
                let weight = if path == named { 1.0 } else { 0.8 };
                let weight = ranking.paths * if folder && !ends { 0.3 } else { weight };
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
    ranking: &Ranking,
    limit: usize,
    tokens: &mut Tokens,
) -> Vec<Hit> {
    let mut excerpts = Excerpts::new(index);
    let mut of_file = HashMap::<Arc<str>, usize>::new();
    let mut seen = HashSet::new();
    let mut hits = Vec::new();
    for candidate in candidates.sorted() {
        if hits.len() >= limit {
            break;
        }
        let path = &candidate.rows.file.path;
        let count = of_file.entry(Arc::clone(path)).or_default();
        if *count >= PER_FILE && ranking.further <= 0.0 {
            continue;
        }
        let Some(excerpt) = excerpts.get(&candidate.rows, candidate.chunk) else { continue };
        // Two chunks of an old text may have become one, and files may be copies of each other.
        if excerpt.text.trim().is_empty() || !seen.insert(excerpt.chunk.hash) {
            continue;
        }
        *count += 1;
        let support = support(path, excerpt.text, question, rarities, tokens);
        hits.push(Hit {
            path: path.to_string(),
            range: excerpt.chunk.range,
            lines: excerpt.chunk.lines.clone(),
            symbol: excerpt.chunk.symbol.as_deref().map(str::to_owned),
            kind: excerpt.chunk.kind.as_deref().map(str::to_owned),
            container: excerpt.chunk.container.as_deref().map(str::to_owned),
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
