//! What every other crate may need: cancellation, threads by class of latency, the one-slot queue,
//! files written whole, the folders where Hearth keeps what is its own, and
//! whether the machine runs on its battery.
//!
//! This crate knows nothing of code, models or editors, and never touches a user's files.

mod cancel;
mod files;
mod folders;
mod latest;
mod pool;
mod power;

pub use cancel::{CancelToken, Cancelled};
pub use files::write_atomic;
pub use folders::{Folders, FoldersError};
pub use latest::Latest;
pub use pool::{Latency, ThreadPool};
pub use power::{be_polite, give_back_memory, is_polite, on_battery, stand_back, standing_back};
