//! What Hearth knows of programming languages: which language a file is in, its syntax tree, the
//! definitions in it, what it uses and imports, where to cut it into chunks for search, and whether
//! an edit breaks it.
//!
//! A language is data: `grammars/<language>/` holds its names and comment tokens
//! (`language.toml`), the queries for its definitions (`tags.scm`) and for the names that it uses
//! and imports (`references.scm`), and the one for what stands alone in a chunk (`chunks.scm`). Adding a language means adding a folder and one line in
//! `language.rs`.
//!
//! This crate reads no files, resolves no names across files and knows nothing of types. It works
//! on text that may be broken or hostile: parsing is bounded in size and time, and a file that
//! cannot be parsed still has chunks.

mod chunks;
mod declarations;
mod declarator;
mod errors;
mod language;
mod lost;
mod outline;
mod parse;
mod place;
mod references;
mod signature;
mod symbols;
mod windows;

pub use chunks::{CHUNK_BYTES, CHUNK_LINES, Chunk, chunks};
pub use errors::{SyntaxError, errors, introduced_errors, introduces_errors};
pub use language::Language;
pub use parse::{ParseFailure, ParseLimits, Syntax, parse, reparse};
pub use place::{Inert, is_in_comment_or_string};
pub use references::{Import, Reference, ReferenceKind, imports, references};
pub use symbols::{Symbol, SymbolKind, enclosing, symbols};
