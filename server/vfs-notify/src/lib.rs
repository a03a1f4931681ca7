//! Which files of a workspace there are, and which may have changed: the sole owner of `ignore`
//! and `notify`.
//!
//! Nothing is read here but names, sizes and times. An event never says more than that a path may
//! have changed; whoever gets it looks at the file.

mod limits;
mod walk;
mod watch;

pub use limits::{generated_content, generated_name};
pub use walk::{FoundFile, Look, Skipped, Walk, WalkOptions, list, look, walk};
pub use watch::{WatchEvent, Watcher, Watching};
