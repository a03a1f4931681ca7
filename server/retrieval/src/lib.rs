//! Finds the places in a workspace that a question is about, with excerpts that are right against
//! the text as it is now, and says how well they support an answer.
//!
//! Pure functions of an [`IndexSnapshot`](indexer::IndexSnapshot): nothing here reads the index's
//! files, keeps state or writes an answer. What models add, where the person wants that, comes in as a
//! [`Deepening`].

mod deepening;
mod documentation;
mod excerpt;
mod folders;
mod hit;
mod names;
mod question;
mod ranking;
mod search;
mod symbols;
mod words;

pub use deepening::{Deepening, DeepeningCache};
pub use documentation::is_documentation;
pub use folders::{DocumentationFolders, search_documentation};
pub use hit::{Hit, SearchMode, SearchQuery, UnknownMode};
pub use ranking::Ranking;
pub use search::{is_supported, search, search_deepened, search_ranked};
pub use symbols::{SymbolHit, file_symbols, symbols};
