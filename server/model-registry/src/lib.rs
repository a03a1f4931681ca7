//! Which models there are, which of them are on this machine, and how they get here: the manifest,
//! downloads that resume, verification, import, the choice of a model for each role, the check of a
//! header before native code sees the file, and what a machine has room for.
//!
//! It loads no model and runs none; quantising and merging are asked of a [`Converter`], and training an adapter of
//! the pipeline that the person names. Nothing here is read from a workspace: the manifest is part of the program,
//! the rest stands in the person's own folders.

mod adapter;
mod choose;
mod cross_encoder;
mod error;
mod fetch;
pub mod gguf;
mod hardware;
mod hash;
mod import;
mod install;
mod manifest;
mod process;
mod progress;
mod pull;
mod record;
mod registry;
mod role;
mod script;
mod settings;
mod space;
mod training;
mod verify;

pub use choose::Recommendation;
pub use error::RegistryError;
pub use hardware::{Hardware, MemoryEstimate, estimate_memory};
pub use manifest::{Derivation, Manifest, Member, ModelEntry, Source, Wheel};
pub use progress::{Progress, Step};
pub use pull::{Converter, WorkerConverter};
pub use record::Derived;
pub use registry::{Installed, ModelStatus, Registry, State};
pub use role::Role;
pub use training::{Trainer, TrainingOptions};
pub use verify::{FileCheck, Verification};
