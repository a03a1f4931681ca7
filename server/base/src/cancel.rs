use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    time::Duration,
};

use parking_lot::Mutex;
use thiserror::Error;

/// The answer of an operation that was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("cancelled")]
pub struct Cancelled;

/// A flag that asks work to stop. Clones share it; a [child](Self::child) is cancelled with its
/// parent but not the other way round. Cancelling is final.
#[derive(Clone, Default)]
pub struct CancelToken {
    node: Arc<Node>,
}

#[derive(Default)]
struct Node {
    cancelled: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    children: Vec<Weak<Node>>,
    callbacks: Vec<Box<dyn FnOnce() + Send>>,
}

impl CancelToken {
    /// A token that nothing has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop, and that of every child.
    pub fn cancel(&self) {
        self.node.cancel();
    }

    /// Whether the work should stop. Costs one atomic load.
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.load(Ordering::Acquire)
    }

    /// `Err` when the work should stop, for use with `?` between steps.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Waits for `time`, or until the token is cancelled, and says whether it is.
    pub fn wait(&self, time: Duration) -> bool {
        let (sender, receiver) = sync_channel(1);
        // A child, so that nothing of the wait is left on this token.
        let waiting = self.child();
        waiting.on_cancel(move || {
            let _ = sender.try_send(());
        });
        // Both ways for it to end mean the same here.
        let _ = receiver.recv_timeout(time);
        self.is_cancelled()
    }

    /// A token that is cancelled with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        {
            let mut listeners = self.node.listeners.lock();
            listeners.children.retain(|node| node.strong_count() > 0);
            listeners.children.push(Arc::downgrade(&child.node));
        }
        if self.is_cancelled() {
            child.cancel();
        }
        child
    }

    /// Runs `callback` once when the token is cancelled, at once if it already is. It runs on the
    /// thread that cancels, so it must be short and must not block.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        {
            let mut listeners = self.node.listeners.lock();
            if !self.is_cancelled() {
                listeners.callbacks.push(Box::new(callback));
                return;
            }
        }
        callback();
    }
}

impl Node {
    fn cancel(&self) {
        let listeners = {
            let mut listeners = self.listeners.lock();
            self.cancelled.store(true, Ordering::Release);
            std::mem::take(&mut *listeners)
        };
        for child in listeners.children.iter().filter_map(Weak::upgrade) {
            child.cancel();
        }
        for callback in listeners.callbacks {
            callback();
        }
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CancelToken").field(&self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_wait_ends_with_its_time_or_when_it_is_cancelled() {
        let token = CancelToken::new();
        assert!(!token.wait(Duration::from_millis(1)));
        let other = token.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_hours(1)));
        token.cancel();
        assert!(waiting.join().expect("no panic"));
        assert!(token.wait(Duration::from_hours(1)));
    }

    #[test]
    fn a_child_follows_its_parent_and_not_the_reverse() {
        let parent = CancelToken::new();
        let (first, second) = (parent.child(), parent.child());
        first.cancel();
        assert!(first.is_cancelled() && !parent.is_cancelled() && !second.is_cancelled());
        parent.cancel();
        assert!(second.is_cancelled());
        assert!(parent.child().is_cancelled(), "a child of a cancelled token is born cancelled");
    }

    #[test]
    fn a_callback_runs_once_whenever_it_was_added() {
        let (sender, receiver) = mpsc::channel();
        let token = CancelToken::new();
        let early = sender.clone();
        token.on_cancel(move || early.send("early").expect("the receiver lives"));
        token.cancel();
        token.cancel();
        token.on_cancel(move || sender.send("late").expect("the receiver lives"));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["early", "late"]);
    }
}
