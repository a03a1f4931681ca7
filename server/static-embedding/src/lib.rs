//! Vectors of texts without a neural network: the weighted sum of one vector for each token.
//!
//! The table is distilled from a sentence model (see `models/`) and comes with the program. It
//! makes thousands of vectors a second, so every chunk of the index has one at once; the model
//! itself does better and is a thousand times slower. Deterministic, no files, no state.

mod matrix;
mod table;
mod words;

pub use matrix::{Matrix, Vector, cosine_of_bytes};
pub use table::{Scratch, StaticEmbedding, TableError};
