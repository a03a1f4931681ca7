//! Language priors for one workspace: learnt from the sources of its dependencies on this machine and
//! from its own code, measured on files that they have not seen, and taken only where they beat the
//! priors that come with the program.
//!
//! The crate finds the dependencies' sources, reads them, and keeps what was learnt in the person's data
//! folder. It runs nothing, opens no connection, and writes nothing into a workspace.

mod learn;
mod measure;
pub mod packages;
mod sources;
mod store;

pub use learn::{AdaptError, AdaptProgress, AdaptStep, Attempt, Outcome, adapt};
pub use measure::{Comparison, Score};
pub use packages::{Package, Places};
pub use store::{AdaptedPrior, Measured, Stamp, Store, StoreError};
