//! Vectors of an embedding model for the chunks, made when nothing else is to be done.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use base::CancelToken;
use inference::{Embedder, InferenceError};
use parking_lot::{Condvar, Mutex, RwLock};
use static_embedding::Vector;
use store::{ChunkRow, FileRows, VectorStore};

use crate::{indexer::Shared, search_map::SearchMap, snapshot::IndexSnapshot};

/// Chunks that are embedded in one call: about a second of one slow core, after which it is asked
/// again whether there is nothing better to do.
const BATCH: usize = 4;
/// Vectors are looked up in the cache and put there so many at a time.
const LOOKUP: usize = 512;
/// Chunks of earlier searches that are embedded before others.
const MOST_PREFERRED: usize = 400;
/// How soon it is asked again whether there is time.
const BUSY: Duration = Duration::from_secs(2);
/// How soon a model is tried again that failed or is not there.
const FAILED: Duration = Duration::from_mins(1);

/// The model behind the second tier of vectors, and when it may work.
#[derive(Clone)]
pub struct EmbeddingSource {
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// Its name with its version: vectors of two models cannot be compared.
    pub model: String,
    /// Where the vectors of all workspaces are kept.
    pub folder: PathBuf,
    /// Whether there is time, and power, for work that nobody waits for.
    pub may_work: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The second tier of vectors. Chunks come to have one over time, those first that searches turned
/// up and those of files that are open.
pub struct Embeddings {
    source: EmbeddingSource,
    map: Option<&'static SearchMap>,
    /// By the hash of the content.
    held: RwLock<HashMap<[u8; 16], Held>>,
    preferred: Mutex<VecDeque<(Arc<str>, [u8; 16])>>,
    looked_up: AtomicBool,
    /// Chunks of the last snapshot that was looked at, without and with a vector.
    missing: AtomicUsize,
    woken: Mutex<bool>,
    wake: Condvar,
}

/// The vector of a chunk.
struct Held {
    /// As the model made it.
    made: Vector,
    /// As it is compared with questions; most never are.
    mapped: OnceLock<Vector>,
}

impl From<Vector> for Held {
    fn from(made: Vector) -> Self {
        Self { made, mapped: OnceLock::new() }
    }
}

/// A chunk to embed.
struct Wanted {
    rows: Arc<FileRows>,
    chunk: usize,
}

impl Wanted {
    fn row(&self) -> Option<&ChunkRow> {
        self.rows.chunks().get(self.chunk)
    }
}

impl Embeddings {
    pub(crate) fn new(source: EmbeddingSource) -> Self {
        Self {
            map: SearchMap::shipped(&source.model),
            source,
            held: RwLock::default(),
            preferred: Mutex::default(),
            looked_up: AtomicBool::new(false),
            missing: AtomicUsize::new(0),
            woken: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Whether the model is in memory, so that a query costs milliseconds.
    pub fn is_loaded(&self) -> bool {
        self.source.embedder.dimensions() > 0
    }

    /// The vector of what is looked for. Starts the model if need be.
    pub fn query(&self, text: &str, cancel: &CancelToken) -> Result<Vector, InferenceError> {
        let vectors = self.source.embedder.embed(&[text.to_owned()], cancel)?;
        let vector = vectors.first().map_or(&[][..], Vec::as_slice);
        Ok(self.map.map_or_else(|| Vector::new(vector), |map| map.question(vector)))
    }

    /// How near a chunk is to `query`: the cosine, or `None` while the chunk has no vector.
    pub fn cosine(&self, chunk: &ChunkRow, query: &Vector) -> Option<f32> {
        let held = self.held.read();
        let vector = held.get(&chunk.hash)?;
        let vector = match self.map {
            Some(map) => vector.mapped.get_or_init(|| map.code(&vector.made)),
            None => &vector.made,
        };
        Some(vector.cosine(query))
    }

    /// Whether any chunk of `snapshot` has a vector. The first call looks into the cache.
    pub fn any(&self, snapshot: &IndexSnapshot) -> bool {
        if !self.looked_up.swap(true, Ordering::Relaxed)
            && let Err(error) = self.open_store().and_then(|store| self.look_up(&store, snapshot))
        {
            tracing::warn!(%error, "the cache of vectors cannot be read");
        }
        !self.held.read().is_empty()
    }

    /// Chunks that wait for their vector.
    pub fn missing(&self) -> usize {
        self.missing.load(Ordering::Relaxed)
    }

    /// Has these chunks embedded before others: they are likely to be asked for again.
    pub fn prefer<'rows>(
        &self,
        chunks: impl IntoIterator<Item = (&'rows Arc<str>, &'rows ChunkRow)>,
    ) {
        let held = self.held.read();
        let mut preferred = self.preferred.lock();
        for (path, chunk) in chunks {
            if !held.contains_key(&chunk.hash) {
                preferred.push_back((Arc::clone(path), chunk.hash));
            }
        }
        let surplus = preferred.len().saturating_sub(MOST_PREFERRED);
        preferred.drain(..surplus);
        drop(preferred);
        drop(held);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        *self.woken.lock() = true;
        self.wake.notify_all();
    }

    /// Waits to be woken, or for `timeout`.
    fn wait(&self, timeout: Option<Duration>) {
        let mut woken = self.woken.lock();
        if !*woken {
            match timeout {
                Some(timeout) => drop(self.wake.wait_for(&mut woken, timeout)),
                None => self.wake.wait(&mut woken),
            }
        }
        *woken = false;
    }

    /// Makes every vector that is missing, as fast as it goes.
    pub(crate) fn complete(
        &self,
        snapshot: &IndexSnapshot,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), InferenceError> {
        let mut store = self.open_store()?;
        self.look_up(&store, snapshot)?;
        let total = snapshot.chunk_count();
        loop {
            cancel.check().map_err(|_| InferenceError::Cancelled)?;
            let wanted = self.next(snapshot);
            progress(total - self.missing().min(total), total);
            if wanted.is_empty() {
                return Ok(());
            }
            self.embed(&mut store, snapshot, &wanted, cancel)?;
        }
    }

    /// Makes the vectors that are missing of what the last searches turned up.
    pub(crate) fn complete_preferred(
        &self,
        snapshot: &IndexSnapshot,
        cancel: &CancelToken,
    ) -> Result<(), InferenceError> {
        let mut store = self.open_store()?;
        self.look_up(&store, snapshot)?;
        loop {
            cancel.check().map_err(|_| InferenceError::Cancelled)?;
            let wanted = self.next_preferred(snapshot);
            if wanted.is_empty() {
                return Ok(());
            }
            self.embed(&mut store, snapshot, &wanted, cancel)?;
        }
    }

    fn open_store(&self) -> Result<VectorStore, InferenceError> {
        VectorStore::open(&self.source.folder)
            .map_err(|error| InferenceError::Engine(error.to_string()))
    }

    /// Takes over the vectors that the cache knows, and forgets those of chunks that are gone.
    fn look_up(&self, store: &VectorStore, snapshot: &IndexSnapshot) -> Result<(), InferenceError> {
        snapshot.load_contents();
        let wanted: HashSet<[u8; 16]> =
            snapshot.files().flat_map(|rows| rows.chunk_hashes()).collect();
        self.looked_up.store(true, Ordering::Relaxed);
        self.held.write().retain(|hash, _| wanted.contains(hash));
        let unknown: Vec<[u8; 16]> = {
            let held = self.held.read();
            wanted.into_iter().filter(|hash| !held.contains_key(hash)).collect()
        };
        for hashes in unknown.chunks(LOOKUP) {
            let found = store
                .get(&self.source.model, hashes)
                .map_err(|error| InferenceError::Engine(error.to_string()))?;
            self.held.write().extend(found.into_iter().map(|(hash, vector)| (hash, vector.into())));
        }
        Ok(())
    }

    /// What searches turned up and still lacks a vector, at most a batch of it.
    fn next_preferred(&self, snapshot: &IndexSnapshot) -> Vec<Wanted> {
        let held = self.held.read();
        let mut batch: Vec<Wanted> = Vec::new();
        let mut taken: HashSet<[u8; 16]> = HashSet::new();
        while batch.len() < BATCH {
            let Some((path, hash)) = self.preferred.lock().pop_front() else { break };
            let Some(rows) = snapshot.file(&path) else { continue };
            let chunk = rows.chunk_hashes().position(|known| known == hash);
            if let Some(chunk) = chunk
                && !held.contains_key(&hash)
                && taken.insert(hash)
            {
                batch.push(Wanted { rows: Arc::clone(rows), chunk });
            }
        }
        batch
    }

    /// What to embed next: what searches turned up, then what is open, then what changed last.
    fn next(&self, snapshot: &IndexSnapshot) -> Vec<Wanted> {
        let mut batch = self.next_preferred(snapshot);
        let held = self.held.read();
        let mut taken: HashSet<[u8; 16]> =
            batch.iter().filter_map(Wanted::row).map(|row| row.hash).collect();
        let mut missing = 0;
        let mut newest: Option<(bool, i64, &Arc<FileRows>)> = None;
        for rows in snapshot.files() {
            let lacking = rows.chunk_hashes().filter(|hash| !held.contains_key(hash)).count();
            missing += lacking;
            let rank = (snapshot.is_open(&rows.file.path), rows.file.mtime_ns);
            let better = newest.is_none_or(|(open, time, known)| {
                (rank, &known.file.path) > ((open, time), &rows.file.path)
            });
            if lacking > 0 && better {
                newest = Some((rank.0, rank.1, rows));
            }
        }
        self.missing.store(missing, Ordering::Relaxed);
        if let Some((_, _, rows)) = newest {
            for (chunk, row) in rows.chunks().iter().enumerate() {
                if batch.len() < BATCH && !held.contains_key(&row.hash) && taken.insert(row.hash) {
                    batch.push(Wanted { rows: Arc::clone(rows), chunk });
                }
            }
        }
        batch
    }

    /// Embeds these chunks, each with its container and name before it. The path is left out: the
    /// same content has the same vector wherever it lies.
    fn embed(
        &self,
        store: &mut VectorStore,
        snapshot: &IndexSnapshot,
        wanted: &[Wanted],
        cancel: &CancelToken,
    ) -> Result<(), InferenceError> {
        let mut hashes = Vec::new();
        let mut texts = Vec::new();
        for wanted in wanted {
            let Some(row) = wanted.row() else { continue };
            let text = snapshot.text(&wanted.rows.file.path);
            // What has changed under its rows gets a vector without a direction, and another one
            // with its next rows: those have another hash.
            let current = text
                .as_deref()
                .filter(|text| IndexSnapshot::is_current(&wanted.rows, text))
                .and_then(|text| row.range.slice(text));
            let name = [row.container.as_deref(), row.symbol.as_deref(), current];
            hashes.push((row.hash, current.is_some()));
            texts.push(name.into_iter().flatten().collect::<Vec<_>>().join("\n"));
        }
        let vectors = self.source.embedder.embed(&texts, cancel)?;
        let mut made = Vec::new();
        let mut held = self.held.write();
        for ((hash, current), vector) in hashes.into_iter().zip(vectors) {
            let vector = if current { Vector::new(&vector) } else { Vector::new(&[]) };
            if current {
                made.push((hash, vector.clone()));
            }
            held.insert(hash, vector.into());
        }
        drop(held);
        store
            .put(&self.source.model, &made)
            .map_err(|error| InferenceError::Engine(error.to_string()))
    }
}

/// Starts the thread that fills in vectors until the indexer ends.
pub(crate) fn start(
    shared: Arc<Shared>,
    embeddings: Arc<Embeddings>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("embed".into()).spawn(move || {
        base::be_polite();
        let mut store = None;
        let mut looked_up = 0;
        while !shared.cancel.is_cancelled() {
            let waiting = match fill(&shared, &embeddings, &mut store, &mut looked_up) {
                Ok(Filled::Something) | Err(InferenceError::Cancelled) => continue,
                Ok(Filled::Nothing) => None,
                Ok(Filled::Later) => Some(BUSY),
                Err(error) => {
                    tracing::info!(%error, "vectors wait for their model");
                    Some(FAILED)
                }
            };
            embeddings.wait(waiting);
        }
    })
}

enum Filled {
    Something,
    Nothing,
    Later,
}

fn fill(
    shared: &Shared,
    embeddings: &Embeddings,
    store: &mut Option<VectorStore>,
    looked_up: &mut u64,
) -> Result<Filled, InferenceError> {
    if store.is_none() {
        *store = Some(embeddings.open_store()?);
    }
    let Some(store) = store else { return Ok(Filled::Later) };
    let snapshot = shared.snapshot();
    if shared.is_paused() || shared.is_updating() || !(embeddings.source.may_work)() {
        return Ok(Filled::Later);
    }
    if *looked_up != snapshot.generation() {
        embeddings.look_up(store, &snapshot)?;
        *looked_up = snapshot.generation();
    }
    let wanted = embeddings.next(&snapshot);
    if wanted.is_empty() {
        return Ok(Filled::Nothing);
    }
    embeddings.embed(store, &snapshot, &wanted, &shared.cancel)?;
    Ok(Filled::Something)
}
