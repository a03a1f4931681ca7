//! The approximate index of the static vectors of a large workspace: opened or made in the background, and which of
//! the committed rows it knows.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustc_hash::FxHashMap;
use static_embedding::Vector;
use store::FileRows;
use vector_index::{Hnsw, VectorIndex as _, VectorIndexError};

use crate::{indexer::Shared, snapshot::Base, writer};

/// Chunks from which on an index pays: below, looking at all vectors is as fast (docs/decisions/0007-usearch.md).
pub(crate) const FROM: usize = 200_000;
/// So many candidates are looked at for each chunk that is wanted: then 0.96 to 0.98 of the 200 nearest of 200,000 to
/// 575,000 chunks are among them.
const OVERSAMPLING: usize = 4;
/// More candidates than this cost as much as looking at all vectors of the smallest workspace that has an index.
const MOST_CANDIDATES: usize = 1200;
/// The index is made anew when more than one in so many chunks is another than when it was made: those that it does
/// not know are all looked at.
const STALE_ONE_IN: usize = 10;
/// Bits of a key that tell the chunk; the others are the row id of its file.
const CHUNK_BITS: u32 = 20;

/// An index, and what it was made of.
pub(crate) struct Built {
    index: Hnsw,
    /// What tells the vectors of each file in it, by row id.
    files: FxHashMap<i64, [u8; 8]>,
    /// Number of chunks that these files had.
    chunks: usize,
}

/// An index over one state of the committed rows.
#[derive(Clone)]
pub(crate) struct Approximate {
    built: Arc<Built>,
    /// Files whose vectors it does not have as they are.
    uncovered: Arc<[Arc<FileRows>]>,
    /// Chunks of those, and chunks in the index that are no more.
    changed: usize,
    covered: usize,
}

impl Approximate {
    pub(crate) fn new(built: Arc<Built>, base: &Base) -> Self {
        let mut covered = 0;
        let mut uncovered = Vec::new();
        for rows in base.files.values().filter(|rows| rows.chunk_count() > 0) {
            if built.holds(rows) {
                covered += rows.chunk_count();
            } else {
                uncovered.push(Arc::clone(rows));
            }
        }
        let new: usize = uncovered.iter().map(|rows| rows.chunk_count()).sum();
        let changed = new + built.chunks.saturating_sub(covered);
        Self { built, uncovered: uncovered.into(), changed, covered }
    }

    /// The same index over other rows.
    pub(crate) fn over(&self, base: &Base) -> Self {
        Self::new(Arc::clone(&self.built), base)
    }

    /// The committed files whose chunks are not among the [candidates](Self::candidates).
    pub(crate) fn uncovered(&self) -> &[Arc<FileRows>] {
        &self.uncovered
    }

    /// Number of chunks that are.
    pub(crate) fn covered(&self) -> usize {
        self.covered
    }

    /// Chunks that it [covers](Self::covered) and among which the `limit` nearest `query` of those are likely to be.
    /// `None` when so many are wanted that looking at all vectors is as fast.
    pub(crate) fn candidates<'base>(
        &self,
        base: &'base Base,
        query: &Vector,
        limit: usize,
    ) -> Option<Candidates<'base>> {
        let wanted = limit.saturating_mul(OVERSAMPLING);
        if wanted > MOST_CANDIDATES {
            return None;
        }
        let found = match self.built.index.search(query, wanted) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the index of vectors cannot be searched");
                return None;
            }
        };
        let all = found.len() == self.built.index.len()
            || found.last().is_some_and(|(_, cosine)| *cosine <= 0.0);
        let chunks = found.into_iter().filter_map(|(key, _)| {
            let chunk = usize::try_from(key & ((1 << CHUNK_BITS) - 1)).ok()?;
            let rows = base.rows(key >> CHUNK_BITS)?;
            self.built.holds(rows).then_some((rows, chunk))
        });
        Some(Candidates { chunks: chunks.collect(), all })
    }
}

/// What an index takes for the nearest chunks.
pub(crate) struct Candidates<'base> {
    /// Files, and which of their chunks.
    pub(crate) chunks: Vec<(&'base Arc<FileRows>, usize)>,
    /// No other chunk of the index has any likeness with the query.
    pub(crate) all: bool,
}

impl Built {
    /// Whether the vectors of this file are in the index as they are.
    fn holds(&self, rows: &FileRows) -> bool {
        self.files.get(&rows.file.id) == Some(&rows.vectors_digest())
    }

    fn manifest(&self) -> Vec<u8> {
        let mut bytes = (self.chunks as u64).to_le_bytes().to_vec();
        for (id, digest) in &self.files {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(digest);
        }
        bytes
    }

    /// An opened index with the files in its manifest.
    fn of_opened(index: Hnsw) -> Self {
        let (chunks, files) = index.manifest().split_first_chunk().unwrap_or((&[0; 8], &[]));
        let chunks = usize::try_from(u64::from_le_bytes(*chunks)).unwrap_or(0);
        let file = |entry: &[u8]| {
            let (id, digest) = entry.split_first_chunk()?;
            Some((i64::from_le_bytes(*id), <[u8; 8]>::try_from(digest).ok()?))
        };
        let files = files.chunks_exact(16).filter_map(file).collect();
        Self { index, files, chunks }
    }
}

/// The key of a file's first chunk; `None` for one whose chunks cannot be told by their keys.
fn first_key(rows: &FileRows) -> Option<u64> {
    let id = u64::try_from(rows.file.id).ok().filter(|id| *id < 1 << (u64::BITS - CHUNK_BITS))?;
    (rows.chunk_count() <= 1 << CHUNK_BITS).then_some(id << CHUNK_BITS)
}

/// Starts the thread that keeps the index.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("vector-index".to_owned()).spawn(move || {
        base::be_polite();
        Keeper { shared, opened: false, failed: false }.run();
    })
}

struct Keeper {
    shared: Arc<Shared>,
    /// It was looked whether there is an index from before.
    opened: bool,
    /// It could not be built and is not tried again.
    failed: bool,
}

impl Keeper {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while shared.vectors_changed.take().is_some() {
            match self.look() {
                Ok(()) | Err(VectorIndexError::Cancelled(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "searches look at all vectors");
                    self.failed = true;
                }
            }
        }
    }

    /// Opens, makes or drops the index, as the published rows want it.
    fn look(&mut self) -> Result<(), VectorIndexError> {
        let shared = &self.shared;
        shared.cancel.check()?;
        // A command that ends soon would not live to see it.
        if !shared.queue.is_watched() || shared.is_paused() {
            return Ok(());
        }
        let (base, _) = shared.committed();
        let large = base.chunk_count() >= shared.options.approximate_from;
        if !large && shared.is_starting() {
            // The rows are still to come.
            return Ok(());
        }
        if !self.opened {
            self.opened = true;
            if large {
                self.open()?;
            } else {
                self.remove();
            }
        }
        let (base, approximate) = shared.committed();
        if !large {
            if approximate.is_some() {
                shared.publish_approximate(None);
                self.remove();
            }
            return Ok(());
        }
        let stale = approximate
            .is_none_or(|approximate| approximate.changed * STALE_ONE_IN > base.chunk_count());
        let at_rest = !shared.is_starting() && !shared.is_updating();
        if stale && at_rest && !self.failed && !shared.is_read_only() {
            self.build(&base)?;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.shared.folder.join("vectors.hnsw")
    }

    fn open(&self) -> Result<(), VectorIndexError> {
        match Hnsw::open(&self.path(), writer::derivation(), &self.shared.cancel) {
            Ok(None) => {}
            Ok(Some(index)) => {
                self.shared.publish_approximate(Some(Arc::new(Built::of_opened(index))));
            }
            Err(VectorIndexError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => {
                tracing::warn!(%error, "the index of vectors is made anew");
                self.remove();
            }
        }
        Ok(())
    }

    fn build(&self, base: &Base) -> Result<(), VectorIndexError> {
        let shared = &self.shared;
        let mut files: Vec<&Arc<FileRows>> = base.vectors().iter().map(|(_, rows)| rows).collect();
        files.sort_unstable_by_key(|rows| rows.file.id);
        let dimensions = files.first().map_or(0, |rows| rows.vectors().dimensions());
        files.retain(|rows| {
            rows.vectors().dimensions() == dimensions
                && rows.vectors().len() == rows.chunk_count()
                && first_key(rows).is_some()
        });
        let keyed = files.iter().flat_map(|rows| {
            let keys = first_key(rows).into_iter().flat_map(|first| first..);
            keys.zip(rows.vectors().as_bytes().chunks_exact(dimensions.max(1)))
        });
        let chunks = files.iter().map(|rows| rows.chunk_count()).sum();
        let keyed = keyed.take_while(|_| !shared.is_paused());
        // Not this thread: a search may wait for the vectors that it reads.
        let index = base::standing_back(|| Hnsw::build(dimensions, chunks, keyed, &shared.cancel))?;
        if index.len() < chunks {
            // Paused: begun again when work goes on.
            return Ok(());
        }
        let files = files.iter().map(|rows| (rows.file.id, rows.vectors_digest())).collect();
        let mut built = Built { index, files, chunks };
        let (path, stamp) = (self.path(), writer::derivation());
        let saved = built.index.save(&path, stamp, &built.manifest());
        match saved.and_then(|()| Hnsw::open(&path, stamp, &shared.cancel)) {
            // What is mapped goes and comes as memory is wanted.
            Ok(Some(index)) => built.index = index,
            Ok(None) => {}
            Err(VectorIndexError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => tracing::warn!(%error, "the index of vectors is not kept"),
        }
        shared.publish_approximate(Some(Arc::new(built)));
        base::give_back_memory();
        Ok(())
    }

    fn remove(&self) {
        if !self.shared.is_read_only()
            && let Err(error) = Hnsw::remove(&self.path())
        {
            tracing::debug!(%error, "an old index of vectors stays");
        }
    }
}
