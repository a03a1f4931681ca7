//! Language priors for one workspace: learnt from the sources of its dependencies on this machine and
//! from its own code, measured on files that they have not seen, and taken only where they beat the
//! priors that come with the program. And what an adapter for the workspace is trained on, whether the
//! model that came of it is better on files that it has not seen, and which one was taken.
//!
//! The crate finds the dependencies' sources, reads them, and keeps what was learnt in the person's data
//! folder. It runs nothing, opens no connection, and writes nothing into a workspace.

mod adapter;
mod learn;
mod measure;
pub mod packages;
mod shards;
mod sources;
mod store;

pub use adapter::{AdapterComparison, Corpus, Shown, compare_models};
pub use learn::{AdaptError, AdaptProgress, AdaptStep, Attempt, Outcome, adapt};
pub use measure::{Comparison, Contest, Score};
pub use packages::{Package, Places};
pub use store::{AdaptedModel, AdaptedPrior, Measured, Stamp, Store, StoreError};
