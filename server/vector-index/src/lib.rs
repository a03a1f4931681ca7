//! Finds the vectors nearest a query without looking at all of them: an HNSW graph over vectors of one byte a
//! dimension, which are compared by the cosine.
//!
//! The graph is a cache of rows that are kept elsewhere. It is built once, saved to a file and used from there through
//! a mapping; what it does not know is for the caller to look at. usearch, whose graph it is, does not survive damaged
//! input: it is shown no file that is not byte for byte what was saved.

mod exact;
mod file;
mod hnsw;

use base::Cancelled;
use static_embedding::Vector;
use std::{io, path::PathBuf};
use thiserror::Error;

pub use exact::Exact;
pub use hnsw::Hnsw;

/// Vectors under keys, to be searched for those nearest a query.
pub trait VectorIndex: Send + Sync {
    /// The keys of `limit` vectors near `query` with their cosines, nearest first; all of them where there are no
    /// more. Those of an approximate index are most of the nearest.
    fn search(&self, query: &Vector, limit: usize) -> Result<Vec<(u64, f32)>, VectorIndexError>;

    /// Number of vectors.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why an index was not built, saved, opened or searched. Nothing is lost by it: the rows are elsewhere.
#[derive(Debug, Error)]
pub enum VectorIndexError {
    /// It was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was saved.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        reason: &'static str,
    },
    /// The file was saved under another stamp.
    #[error("{path} was made of other vectors", path = path.display())]
    OtherStamp {
        /// The file.
        path: PathBuf,
    },
    /// usearch refused, for want of memory for example.
    #[error("usearch: {0}")]
    Refused(String),
}

impl VectorIndexError {
    /// Whether the file is of no use and should be deleted.
    pub fn is_useless_file(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::OtherStamp { .. })
    }
}
