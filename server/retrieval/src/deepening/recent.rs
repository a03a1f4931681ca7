use std::{collections::HashMap, hash::Hash};

/// A map of bounded size that forgets what was not used for longest.
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, (V, u64)>,
    capacity: usize,
    /// Counts uses.
    clock: u64,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity: capacity.max(1), clock: 0 }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(value.clone())
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.clock += 1;
        self.entries.insert(key, (value, self.clock));
        if self.entries.len() > self.capacity {
            // A quarter at once, so that looking for the oldest costs little each time.
            let mut uses: Vec<u64> = self.entries.values().map(|(_, used)| *used).collect();
            let kept_from = uses.len().div_ceil(4);
            let (_, oldest_kept, _) = uses.select_nth_unstable(kept_from);
            let oldest_kept = *oldest_kept;
            self.entries.retain(|_, (_, used)| *used >= oldest_kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        for capacity in [1, 2, 3, 8, 100] {
            let mut recent = Recent::new(capacity);
            for number in 0..500 {
                recent.insert(number, number);
                assert_eq!(recent.get(&number), Some(number));
                assert!(recent.entries.len() <= capacity);
                if capacity > 3 {
                    assert_eq!(recent.get(&0), Some(0), "used each time");
                }
            }
            assert_eq!(recent.get(&(499 - capacity)), None);
        }
    }
}
