use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A queue of one place: a newer value takes the place of an older one that was not yet taken.
/// For work where only the latest request matters, such as completions while typing or a burst of
/// file events.
pub struct Latest<T> {
    slot: Mutex<Slot<T>>,
    filled: Condvar,
}

struct Slot<T> {
    value: Option<T>,
    closed: bool,
}

impl<T> Latest<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self { slot: Mutex::new(Slot { value: None, closed: false }), filled: Condvar::new() }
    }

    /// Puts `value` in, and hands back the one that it displaced.
    pub fn put(&self, value: T) -> Option<T> {
        let displaced = self.slot.lock().value.replace(value);
        self.filled.notify_one();
        displaced
    }

    /// Waits for a value; `None` once the queue is closed and empty.
    pub fn take(&self) -> Option<T> {
        let mut slot = self.slot.lock();
        loop {
            if let Some(value) = slot.value.take() {
                return Some(value);
            }
            if slot.closed {
                return None;
            }
            self.filled.wait(&mut slot);
        }
    }

    /// Waits for a value and then until none has come for `quiet`, but never longer than `limit`
    /// after the first: the last one put in. `merge` joins an older value into a newer one.
    pub fn take_settled(
        &self,
        quiet: Duration,
        limit: Duration,
        mut merge: impl FnMut(T, T) -> T,
    ) -> Option<T> {
        let mut value = self.take()?;
        let deadline = Instant::now() + limit;
        loop {
            let wake = (Instant::now() + quiet).min(deadline);
            let mut slot = self.slot.lock();
            if slot.value.is_none() && !slot.closed {
                self.filled.wait_until(&mut slot, wake);
            }
            match slot.value.take() {
                Some(newer) => value = merge(value, newer),
                None => return Some(value),
            }
            if Instant::now() >= deadline {
                return Some(value);
            }
        }
    }

    /// Takes what is there without waiting.
    pub fn try_take(&self) -> Option<T> {
        self.slot.lock().value.take()
    }

    /// Ends the queue: waiting takers get what is left, then `None`.
    pub fn close(&self) {
        self.slot.lock().closed = true;
        self.filled.notify_all();
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_wins_and_the_older_comes_back() {
        let queue = Latest::new();
        assert_eq!(queue.put(1), None);
        assert_eq!(queue.put(2), Some(1));
        queue.close();
        assert_eq!((queue.take(), queue.take()), (Some(2), None));
    }

    #[test]
    fn a_burst_is_merged() {
        let queue = Latest::new();
        queue.put(vec![1]);
        queue.close();
        let merged = queue.take_settled(Duration::ZERO, Duration::from_secs(1), |mut a, b| {
            a.extend(b);
            a
        });
        assert_eq!(merged, Some(vec![1]));
    }
}
