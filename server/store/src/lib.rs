//! Hearth's SQLite databases: opening them safely, their schemas, and their rows.
//!
//! The index database ([`IndexStore`]) and the cache of vectors ([`VectorStore`]) hold what can be
//! derived from the user's files and are thrown away when damaged; [`Conversations`] hold what must
//! never be lost. Nothing here parses, searches or knows about editors; no other crate speaks SQL.

mod conversations;
mod database;
mod index;
mod links;
mod packed;
mod rows;
mod stored;
mod vectors;

pub use conversations::{
    Author, ConversationSummary, Conversations, MessageState, NewMessage, StoredConversation,
    StoredMessage,
};
pub use database::StoreError;
pub use index::{IndexBatch, IndexStore, LoadedIndex, Opened};
pub use links::{ImportRow, Links, Uses};
pub use rows::{ChunkRow, FileRow, FileRows, Letters, SymbolHead, SymbolRow};
pub use stored::{load_contents, load_vectors};
pub use vectors::VectorStore;
