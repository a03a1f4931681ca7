use std::{io, path::Path, slice};

use base::CancelToken;
use parking_lot::Mutex;
use static_embedding::{Vector, cosine_of_bytes};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::{
    VectorIndex, VectorIndexError,
    file::{self, Verified},
};

/// Neighbours of a vector, twice as many on the lowest level, and candidates for them: usearch's defaults. Twice as
/// many neighbours make the file a third larger and gain some hundredths of recall (docs/decisions/0007-usearch.md).
const CONNECTIVITY: usize = 16;
const EXPANSION_ADD: usize = 128;
/// Searched for at least: beyond this, as many as are wanted.
const EXPANSION_SEARCH: usize = 64;

/// An approximate index. It does not change once it is built. Searches wait for each other.
pub struct Hnsw {
    /// Of the slots that usearch gives to searches at the same time, one is reserved. Dropped before the file.
    index: Mutex<Index>,
    dimensions: usize,
    len: usize,
    file: Option<Verified>,
}

impl Hnsw {
    /// Builds an index of vectors of `dimensions` bytes each, on this thread: some thousands a second. There are no
    /// more than `capacity`; those of another length are left out. No key may come twice.
    pub fn build<'all>(
        dimensions: usize,
        capacity: usize,
        vectors: impl IntoIterator<Item = (u64, &'all [u8])>,
        cancel: &CancelToken,
    ) -> Result<Self, VectorIndexError> {
        let mut index = empty(dimensions)?;
        use_our_metric(&mut index, dimensions);
        index.reserve_capacity_and_threads(capacity.max(1), 1).map_err(refused)?;
        for (key, vector) in vectors {
            cancel.check()?;
            if vector.len() == dimensions {
                index.add(key, signed(vector)).map_err(refused)?;
            }
        }
        Ok(Self { len: index.size(), index: Mutex::new(index), dimensions, file: None })
    }

    /// Puts the index into the file at `path`, replacing it whole or not at all. It is only [opened](Self::open) again
    /// with the same `stamp`, and the `manifest` then given back. One process at a time may save to a path.
    pub fn save(&self, path: &Path, stamp: u64, manifest: &[u8]) -> Result<(), VectorIndexError> {
        let index = self.index.lock();
        file::write(path, stamp, manifest, index.serialized_length(), |path| {
            let unsupported = || io::Error::other("usearch needs a path in UTF-8");
            let text = path.to_str().ok_or_else(|| file::failed(path)(unsupported()))?;
            index.save(text).map_err(refused)
        })
    }

    /// Opens what was saved at `path` under this `stamp` after looking at every byte of it, and maps it into memory;
    /// `None` where there is no file.
    pub fn open(
        path: &Path,
        stamp: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Self>, VectorIndexError> {
        let Some(file) = file::open(path, stamp, cancel)? else { return Ok(None) };
        let metadata = Index::metadata_from_buffer(file.graph()).map_err(refused)?;
        let dimensions = usize::try_from(metadata.dimensions).unwrap_or(0);
        let mut index = empty(dimensions)?;
        // Viewing keeps the number of threads and makes room for what is in the file.
        index.reserve_capacity_and_threads(1, 1).map_err(refused)?;
        // SAFETY: the bytes stay where they are while the file is mapped, and are dropped after the index.
        unsafe { index.view_from_buffer(file.graph()) }.map_err(refused)?;
        use_our_metric(&mut index, dimensions);
        let len = index.size();
        Ok(Some(Self { index: Mutex::new(index), dimensions, len, file: Some(file) }))
    }

    /// Removes the file at `path`, and what a crash left of one. That there is none is no error.
    pub fn remove(path: &Path) -> Result<(), VectorIndexError> {
        file::remove(path)
    }

    /// What it was saved with; nothing of an index that was not opened from a file.
    pub fn manifest(&self) -> &[u8] {
        self.file.as_ref().map_or(&[], Verified::manifest)
    }
}

impl VectorIndex for Hnsw {
    fn search(&self, query: &Vector, limit: usize) -> Result<Vec<(u64, f32)>, VectorIndexError> {
        let query = query.as_bytes();
        // usearch allocates what is asked for, not what there is.
        let limit = limit.min(self.len);
        if limit == 0 || query.len() != self.dimensions {
            return Ok(Vec::new());
        }
        let found = self.index.lock().search(signed(query), limit).map_err(refused)?;
        Ok(found
            .keys
            .into_iter()
            .zip(found.distances.iter().map(|distance| 1.0 - distance))
            .collect())
    }

    fn len(&self) -> usize {
        self.len
    }
}

fn empty(dimensions: usize) -> Result<Index, VectorIndexError> {
    let options = IndexOptions {
        dimensions,
        metric: MetricKind::Cos,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: EXPANSION_SEARCH,
        multi: false,
    };
    Index::new(&options).map_err(refused)
}

/// Has vectors compared by our code, which uses what the processor has.
fn use_our_metric(index: &mut Index, dimensions: usize) {
    index.change_metric::<i8>(Box::new(move |a, b| {
        // SAFETY: usearch passes vectors of the index or a query, all of this length.
        let (a, b) = unsafe {
            (
                slice::from_raw_parts(a.cast::<u8>(), dimensions),
                slice::from_raw_parts(b.cast::<u8>(), dimensions),
            )
        };
        1.0 - cosine_of_bytes(a, b)
    }));
}

fn signed(bytes: &[u8]) -> &[i8] {
    // SAFETY: both have one byte, of which every value is allowed.
    unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<i8>(), bytes.len()) }
}

fn refused(error: impl std::fmt::Display) -> VectorIndexError {
    VectorIndexError::Refused(error.to_string())
}
