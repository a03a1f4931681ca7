//! The client's requests that have no answer yet. Every request gets exactly one: an entry is
//! removed when it is answered, and without an entry nothing is sent.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base::CancelToken;
use tower_lsp::jsonrpc::Id;

/// Requests that may wait for an answer at a time; a further one is told that the server is busy.
const MAX_PENDING: usize = 256;

/// Requests that may hold a thread for long at a time, so that quick ones always find a thread.
const MAX_SLOW: usize = 6;

/// Set by whoever gets hold of a request's work first: the thread that does it, or the event loop
/// that answers it undone.
#[derive(Clone, Default)]
pub struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Whether the caller is the first.
    pub fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// A request in work.
pub struct Entry {
    /// What was asked.
    pub method: &'static str,
    /// Stops the work.
    pub cancel: CancelToken,
    /// Whether the client does not want the answer any more.
    pub cancelled: bool,
    /// Who has the work.
    pub claim: Claim,
    /// Whether it may take long.
    pub slow: bool,
}

/// All requests in work, by id.
#[derive(Default)]
pub struct Pending {
    entries: HashMap<Id, Entry>,
}

impl Pending {
    /// Whether another request can be taken.
    pub fn has_room(&self, slow: bool) -> bool {
        self.entries.len() < MAX_PENDING
            && (!slow || self.entries.values().filter(|entry| entry.slow).count() < MAX_SLOW)
    }

    /// Whether a request of this id is in work.
    pub fn contains(&self, id: &Id) -> bool {
        self.entries.contains_key(id)
    }

    /// Whether a request of this id is in work and still wanted.
    pub fn is_wanted(&self, id: &Id) -> bool {
        self.entries.get(id).is_some_and(|entry| !entry.cancelled)
    }

    /// Takes in a request.
    pub fn insert(&mut self, id: Id, entry: Entry) {
        self.entries.insert(id, entry);
    }

    /// Stops the work on earlier requests of this method, which the next one replaces.
    pub fn supersede(&self, method: &str) {
        for entry in self.entries.values().filter(|entry| entry.method == method) {
            entry.cancel.cancel();
        }
    }

    /// Stops the work on a request that the client does not want any more. `true` when nobody has
    /// begun it, so that it must be answered now.
    pub fn cancel(&mut self, id: &Id) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        entry.cancelled = true;
        entry.cancel.cancel();
        entry.claim.take()
    }

    /// Takes out a request that is about to be answered; `None` when it has been already.
    pub fn complete(&mut self, id: &Id) -> Option<Entry> {
        self.entries.remove(id)
    }

    /// Stops all work and hands back the requests that are left without an answer.
    pub fn cancel_all(&mut self) -> Vec<Id> {
        self.entries
            .drain()
            .map(|(id, entry)| {
                entry.cancel.cancel();
                id
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(method: &'static str) -> Entry {
        let (cancel, claim) = (CancelToken::new(), Claim::default());
        Entry { method, cancel, cancelled: false, claim, slow: true }
    }

    #[test]
    fn work_that_has_begun_is_answered_when_it_ends_and_other_work_at_once() {
        let mut pending = Pending::default();
        let begun = entry("a");
        assert!(begun.claim.take(), "a thread begins");
        pending.insert(Id::from(1), begun);
        pending.insert(Id::from(2), entry("a"));
        assert!(!pending.cancel(&Id::from(1)) && pending.cancel(&Id::from(2)));
        assert!(!pending.cancel(&Id::from(3)), "an unknown request is no matter");
        assert!(pending.complete(&Id::from(1)).is_some_and(|entry| entry.cancelled));
        assert!(pending.complete(&Id::from(1)).is_none(), "one answer only");
    }

    #[test]
    fn slow_requests_leave_room_for_quick_ones() {
        let mut pending = Pending::default();
        for id in 0..MAX_SLOW {
            pending.insert(Id::from(id as i64), entry("a"));
        }
        assert!(!pending.has_room(true) && pending.has_room(false));
    }

    #[test]
    fn a_superseded_request_stops_and_is_still_wanted() {
        let mut pending = Pending::default();
        let old = entry("a");
        let token = old.cancel.clone();
        pending.insert(Id::from(1), old);
        pending.supersede("b");
        assert!(!token.is_cancelled());
        pending.supersede("a");
        assert!(token.is_cancelled() && pending.is_wanted(&Id::from(1)));
    }
}
