//! How the files of a workspace hang together: which file uses what another defines or imports it,
//! who calls or implements a definition, and which files and definitions matter most.
//!
//! A [`CodeGraph`] is made from the rows of an [`IndexSnapshot`](indexer::IndexSnapshot) and brought
//! up to date with a later one at the cost of what changed. Names are matched by language, kind and
//! import, not by type: an edge says that a use is likely to mean a definition, and its weight how
//! likely and how telling that is. Nothing here reads files or keeps anything on disk.

mod graph;
mod map;
mod rank;
mod resolve;
mod weight;

pub use graph::{CodeGraph, User};
pub use map::{Map, MapEntry, MapSymbol};
pub use rank::Ranks;
