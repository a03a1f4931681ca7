//! Full text over code: terms, documents and their ranking, kept by tantivy.
//!
//! What is stored is a cache: it can be thrown away and filled again. This crate does not decide
//! what a document is, does not read files and knows nothing of the rows that its numbers name.

mod delta;
mod document;
mod index;
mod ranking;
mod reader;
mod tokens;

pub use delta::{Delta, DeltaDocument};
pub use document::{Document, Field};
pub use index::{LexicalError, LexicalIndex, Opened};
pub use ranking::{Query, QueryTerm};
pub use reader::{LexicalHit, LexicalReader, StoredDocument};
pub use tokens::{Tokens, is_stop_word};
