//! Keeps the index of a workspace equal to its files: finds what changed, parses it, writes rows
//! and full text, and publishes immutable [snapshots](IndexSnapshot) that others search.
//!
//! SQLite's rows are the truth; the full text, and the index of vectors that a large workspace has, are caches that are
//! made again wherever they do not match them. One process writes a workspace's index, others read it and keep what
//! they know better in memory. What the commits of the workspace say is read beside it. Nothing here ranks results; the only model that it
//! asks is that for [vectors](Embeddings).

mod approximate;
mod documents;
mod embeddings;
mod history;
mod indexer;
mod links;
mod live;
mod lock;
mod prepare;
mod reconcile;
mod report;
mod search_map;
mod snapshot;
mod writer;

pub use embeddings::{EmbeddingSource, Embeddings};
pub use history::History;
pub use indexer::{IndexOptions, Indexer};
pub use report::{
    IndexError, IndexReport, IndexState, IndexStatus, PLAIN_LISTED, Progress, Seconds, SkippedFile,
    Stage,
};
pub use snapshot::{Found, IndexSnapshot};
pub use store::{
    ChunkRow, FileRow, FileRows, ImportRow, Letters, Links, SymbolHead, SymbolRow, Uses,
};
