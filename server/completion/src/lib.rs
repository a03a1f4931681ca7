//! Ghost text: what to propose at the cursor, and why nothing when nothing is proposed.
//!
//! One way through: a gate that says no at once, what was suggested before and is being typed, the
//! live model of the workspace (`instant`), a language model where one is fit for it, and filters.
//!
//! The crate is a function of its arguments and its cache. It reads no files, keeps no documents,
//! loads no model and knows no editor; excerpts of other places are the caller's to choose.

mod answer;
mod cache;
mod filter;
mod flow;
mod gate;
mod masked;
mod model;
mod place;
mod stop;

pub use answer::{CompletionAnswer, Item, Reason, Source, Stage, Timings};
pub use cache::CompletionCache;
pub use flow::{CompletionContext, CompletionOptions, CompletionParams, complete};
pub use masked::{Masked, Random, mask, maskable_lines};

#[cfg(test)]
mod tests;
