//! Indexes of folders, made as in the program, and the ways to search them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use base::{CancelToken, Folders};
use indexer::{EmbeddingSource, IndexOptions, IndexSnapshot, Indexer};
use inference::{Embedder, InferenceError, LanguageModel as _};
use inference_worker::{WorkerConfig, WorkerEmbedder, WorkerModel, WorkerReranker};
use lexical_index::Tokens;
use model_registry::{Registry, Role};
use retrieval::{Deepening, Hit, Ranking, SearchMode, SearchQuery, search_deepened};
use static_embedding::Vector;
use vfs::Workspace;

use crate::measure::DEPTH;

/// BM25's usual numbers.
const SATURATION: f32 = 1.2;
const LENGTH: f32 = 0.75;

/// The model of the second tier, installed as for the program; it answers the same question once.
pub struct Model {
    worker: WorkerEmbedder,
    asked: Mutex<HashMap<String, Vec<f32>>>,
}

impl Model {
    /// The installed embedding model with its name; none where none is installed.
    pub fn installed(program: &Path) -> Result<Option<(Arc<Self>, String)>> {
        let registry = Registry::open(&Folders::of_user()?)?;
        let (Ok(model), Ok(runtime)) =
            (registry.find(Role::Embedding), registry.find(Role::Runtime))
        else {
            return Ok(None);
        };
        let config = onnx_worker(program, "--embedding", &model.path, &runtime.path);
        let version = model.sha256.get(..12).unwrap_or_default();
        let name = format!("{}-{version}", model.id);
        let model = Self { worker: WorkerEmbedder::new(patient(config)), asked: Mutex::default() };
        // A search does not wait for the model: without this it would do without.
        model.worker.load(&CancelToken::new())?;
        Ok(Some((Arc::new(model), name)))
    }
}

/// How a worker on ONNX Runtime is started.
fn onnx_worker(program: &Path, kind: &str, model: &Path, runtime: &Path) -> WorkerConfig {
    WorkerConfig::new(program, model)
        .with_argument(kind)
        .with_argument("--runtime")
        .with_argument(runtime)
}

/// The installed cross-encoder; none where none is installed.
pub fn reranker(program: &Path) -> Result<Option<Deepening>> {
    let registry = Registry::open(&Folders::of_user()?)?;
    let (Ok(model), Ok(runtime)) = (registry.find(Role::Rerank), registry.find(Role::Runtime))
    else {
        return Ok(None);
    };
    let config = patient(onnx_worker(program, "--reranker", &model.path, &runtime.path));
    let worker = WorkerReranker::new(config);
    // A search would do without a model that cannot be loaded.
    worker.load(&CancelToken::new())?;
    let reranker = Some((Arc::new(worker) as _, model.id));
    Ok(Some(Deepening { reranker, waits: true, ..Deepening::default() }))
}

/// The installed chat model, to write hypothetical answers; none where none is installed.
pub fn expander(program: &Path) -> Result<Option<Deepening>> {
    let registry = Registry::open(&Folders::of_user()?)?;
    let Ok(model) = registry.find(Role::Chat) else { return Ok(None) };
    let config =
        WorkerConfig::new(program, &model.path).with_argument("--id").with_argument(model.id);
    let worker = WorkerModel::new(patient(config));
    worker.load(&CancelToken::new())?;
    let expander = Some(Arc::new(worker) as _);
    Ok(Some(Deepening { expander, waits: true, ..Deepening::default() }))
}

/// Nobody waits at a keyboard here.
fn patient(mut config: WorkerConfig) -> WorkerConfig {
    config.limits.silence = std::time::Duration::from_mins(5);
    config
}

impl Embedder for Model {
    fn dimensions(&self) -> usize {
        self.worker.dimensions()
    }

    fn embed(
        &self,
        texts: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        let [text] = texts else { return self.worker.embed(texts, cancel) };
        let known = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(known) = known {
            return Ok(vec![known]);
        }
        let vectors = self.worker.embed(texts, cancel)?;
        if let Some(vector) = vectors.first() {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert(text.clone(), vector.clone());
        }
        Ok(vectors)
    }
}

/// Where indexes and vectors are kept from run to run, and the model if there is one.
pub struct Place {
    pub cache: PathBuf,
    pub model: Option<(Arc<Model>, String)>,
    /// The fusion with what a model adds to it, by name.
    pub deepened: Vec<(&'static str, Deepening)>,
    /// The weights of the fusions.
    pub ranking: Ranking,
    /// The methods to compare; all when absent.
    pub methods: Option<Vec<String>>,
}

/// The index of one folder.
pub struct Corpus {
    pub indexer: Indexer,
}

impl Corpus {
    /// Opens the index of `folder` and brings it up to date.
    pub fn open(folder: &Path, place: &Place) -> Result<Self> {
        let workspace = Workspace::open(&[folder.to_owned()])?;
        let cache = place.cache.join("indexes").join(workspace.key());
        let vectors = place.cache.join("vectors");
        std::fs::create_dir_all(&cache)?;
        std::fs::create_dir_all(&vectors)?;
        let embedding = place.model.as_ref().map(|(model, name)| EmbeddingSource {
            embedder: Arc::clone(model) as Arc<dyn Embedder>,
            model: name.clone(),
            folder: vectors,
            // Only what is asked for: the figures must not depend on how far a thread came.
            may_work: Arc::new(|| false),
        });
        let options = IndexOptions { embedding, ..IndexOptions::default() };
        let corpus = Self { indexer: Indexer::open(workspace, &cache, options)? };
        corpus.update()?;
        Ok(corpus)
    }

    /// Takes over what has changed on disk.
    pub fn update(&self) -> Result<()> {
        let report = self.indexer.update(&CancelToken::new(), &mut |_| {});
        self.indexer.read_history(&CancelToken::new());
        report.context("the index cannot be made")?;
        Ok(())
    }

    pub fn snapshot(&self) -> IndexSnapshot {
        self.indexer.snapshot()
    }

    /// Fills in the second tier.
    pub fn embed(&self, told: &mut dyn FnMut(usize, usize)) -> Result<()> {
        Ok(self.indexer.embed(&CancelToken::new(), told)?)
    }
}

/// A way to search.
#[derive(Clone)]
pub enum Method {
    /// The program's search with these weights and models.
    Search(SearchMode, Ranking, Deepening),
    /// The second tier alone: every chunk compared with the question.
    Model,
}

impl Method {
    /// The first hits for a question and the milliseconds that they took.
    pub fn hits(&self, index: &IndexSnapshot, ask: &str) -> (Vec<Hit>, f64) {
        let begun = Instant::now();
        let cancel = CancelToken::new();
        let hits = match self {
            Self::Search(mode, ranking, deepening) => {
                let query = SearchQuery {
                    text: ask.to_owned(),
                    limit: DEPTH,
                    mode: *mode,
                    ..SearchQuery::default()
                };
                search_deepened(index, &query, ranking, deepening, &cancel)
            }
            Self::Model => by_model(index, ask, &cancel),
        };
        (hits, begun.elapsed().as_secs_f64() * 1e3)
    }
}

/// The sources of candidates, each alone, then all, then all but one in turn. Those that need the
/// second tier are left out without it.
pub fn methods(place: &Place, with_model: bool) -> Vec<(&'static str, Method)> {
    let ranking = &place.ranking;
    let first = Ranking { model: 0.0, ..ranking.clone() };
    let nothing = Ranking {
        lexical: 0.0,
        named_lexical: 1.0,
        expansion: false,
        nearest: 0.0,
        model: 0.0,
        named_model: 1.0,
        foreign_model: 1.0,
        before: 0.0,
        names: 0.0,
        symbols: 0.0,
        mentioned: 1.0,
        leading: 1.0,
        history: 0.0,
        asked_history: 1.0,
        paths: 0.0,
        same_file: 0.0,
        further: 1.0,
        near: 0.0,
        beside_the_point: 1.0,
    };
    let search =
        |ranking: Ranking| Method::Search(SearchMode::Hybrid, ranking, Deepening::default());
    let mut methods = vec![
        ("words", search(Ranking { lexical: 1.0, ..nothing.clone() })),
        ("first_tier", search(Ranking { nearest: 1.0, ..nothing })),
        ("fused_first_tier", search(first.clone())),
    ];
    let all = if with_model {
        methods.push(("second_tier", Method::Model));
        methods.push(("fused", search(ranking.clone())));
        ranking.clone()
    } else {
        first
    };
    methods.extend(place.deepened.iter().map(|(name, deepening)| {
        (*name, Method::Search(SearchMode::Hybrid, all.clone(), deepening.clone()))
    }));
    let off: [(&str, Ranking); 10] = [
        ("without_words", Ranking { lexical: 0.0, ..all.clone() }),
        ("without_expansion", Ranking { expansion: false, ..all.clone() }),
        ("without_first_tier", Ranking { nearest: 0.0, ..all.clone() }),
        ("without_names", Ranking { names: 0.0, ..all.clone() }),
        ("without_symbols", Ranking { symbols: 0.0, ..all.clone() }),
        ("without_history", Ranking { history: 0.0, ..all.clone() }),
        ("without_paths", Ranking { paths: 0.0, ..all.clone() }),
        ("without_same_file", Ranking { same_file: 0.0, ..all.clone() }),
        ("without_fewer_of_a_file", Ranking { further: 1.0, ..all.clone() }),
        ("without_beside_the_point", Ranking { beside_the_point: 1.0, ..all }),
    ];
    methods.extend(off.map(|(name, ranking)| (name, search(ranking))));
    if let Some(wanted) = &place.methods {
        methods.retain(|(name, _)| wanted.iter().any(|one| one == name));
    }
    methods
}

fn by_model(index: &IndexSnapshot, ask: &str, cancel: &CancelToken) -> Vec<Hit> {
    let Some(embeddings) = index.embeddings() else { return Vec::new() };
    let vector = match embeddings.query(ask, cancel) {
        Ok(vector) => vector,
        Err(_) => Vector::new(&[]),
    };
    let scored = index.files().flat_map(|rows| {
        let score = |chunk| embeddings.cosine(chunk, &vector);
        rows.chunks().iter().filter_map(move |chunk| Some((score(chunk)?, rows, chunk)))
    });
    best(scored.map(|(score, rows, chunk)| (score, &*rows.file.path, chunk)))
}

/// Plain BM25 over the chunks' texts, as a measure of how hard the questions are.
pub struct Bm25 {
    terms: HashMap<String, Vec<(usize, f32)>>,
    chunks: Vec<(Arc<str>, indexer::ChunkRow)>,
    tokens: Tokens,
}

impl Bm25 {
    pub fn new(index: &IndexSnapshot) -> Self {
        let mut tokens = Tokens::new();
        let mut counts: Vec<HashMap<String, f32>> = Vec::new();
        let mut chunks = Vec::new();
        for rows in index.files() {
            let Some(text) = index.text(&rows.file.path) else { continue };
            for chunk in rows.chunks() {
                let mut count = HashMap::new();
                tokens.each(chunk.range.slice(&text).unwrap_or_default(), |term| {
                    *count.entry(term.to_owned()).or_insert(0.0) += 1.0;
                });
                counts.push(count);
                chunks.push((Arc::clone(&rows.file.path), chunk.clone()));
            }
        }
        let lengths: Vec<f32> = counts.iter().map(|count| count.values().sum()).collect();
        let average = lengths.iter().sum::<f32>() / lengths.len().max(1) as f32;
        let mut terms: HashMap<String, Vec<(usize, f32)>> = HashMap::new();
        for (at, (count, length)) in counts.into_iter().zip(lengths).enumerate() {
            let penalty = SATURATION * (1.0 - LENGTH + LENGTH * length / average.max(1.0));
            for (term, count) in count {
                let weight = count * (SATURATION + 1.0) / (count + penalty);
                terms.entry(term).or_default().push((at, weight));
            }
        }
        Self { terms, chunks, tokens }
    }

    pub fn hits(&mut self, ask: &str) -> Vec<Hit> {
        let mut scores: HashMap<usize, f32> = HashMap::new();
        let all = self.chunks.len() as f32;
        self.tokens.each(ask, |term| {
            let Some(found) = self.terms.get(term) else { return };
            let with = found.len() as f32;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            for (at, weight) in found {
                *scores.entry(*at).or_default() += rarity * weight;
            }
        });
        let found = scores.into_iter().filter_map(|(at, score)| {
            let (path, chunk) = self.chunks.get(at)?;
            Some((score, &**path, chunk))
        });
        best(found)
    }
}

/// The best chunks as hits, as far as ranks need them.
fn best<'index>(
    scored: impl Iterator<Item = (f32, &'index str, &'index indexer::ChunkRow)>,
) -> Vec<Hit> {
    let mut scored: Vec<_> = scored.collect();
    scored.sort_unstable_by(|a, b| {
        b.0.total_cmp(&a.0).then_with(|| (a.1, a.2.range.start).cmp(&(b.1, b.2.range.start)))
    });
    scored.truncate(DEPTH);
    let hit = |(score, path, chunk): (f32, &str, &indexer::ChunkRow)| Hit {
        path: path.to_owned(),
        range: chunk.range,
        lines: chunk.lines.clone(),
        symbol: None,
        kind: None,
        container: None,
        score,
        sources: Vec::new(),
        text: String::new(),
        support: 0.0,
        nearness: 0.0,
    };
    scored.into_iter().map(hit).collect()
}
