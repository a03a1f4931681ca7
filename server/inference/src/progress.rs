use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts the steps of an engine's work, so that whoever watches it can tell slow from stuck. An
/// engine counts at least one step each second or two: while loading, after each batch of a
/// prompt, after each generated token, after each batch of embedded texts. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    steps: Arc<AtomicU64>,
}

impl Progress {
    /// A count of zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one step.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The steps so far.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}
