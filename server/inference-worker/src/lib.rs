//! Runs a model in a process of its own, so that a crash of a native engine costs one request and
//! never the daemon.
//!
//! The child serves one engine over its standard streams ([`serve_stdio`]); the parent's
//! [`WorkerModel`], [`WorkerEmbedder`] and [`WorkerReranker`] start it when it is needed, share it
//! between requests, notice when it dies, hangs or talks nonsense, and start it again. The child sees no environment,
//! opens no connection and ends with its parent.
//!
//! No engine is linked here: whoever starts the child hands [`serve_stdio`] something that loads
//! one. What a model needs of memory is estimated before, by `model-registry`.

mod connection;
mod frame;
mod message;
mod model;
mod serve;
mod stdio;
mod supervisor;

pub use message::Served;
pub use model::{WorkerEmbedder, WorkerModel, WorkerReranker};
pub use serve::{Engine, serve};
pub use stdio::serve_stdio;
pub use supervisor::{WorkerConfig, WorkerLimits};
