use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

use parking_lot::Mutex;
use text::TextRange;

use crate::{Item, place::Place};

/// Suggestions that are remembered.
const CAPACITY: usize = 250;
/// Declined suggestions that are remembered.
const DECLINED: usize = 250;

/// Earlier suggestions of a workspace, so that typing what one says is answered at once, and declined ones
/// are not made again at the same place.
#[derive(Default)]
pub struct CompletionCache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    /// Oldest first.
    entries: VecDeque<Entry>,
    declined: VecDeque<u64>,
}

struct Entry {
    path: String,
    /// Length and hash of the text before the cursor when the suggestions were made.
    before_bytes: usize,
    before: u64,
    /// Hash of the text after the cursor.
    after: u64,
    items: Vec<Item>,
}

impl CompletionCache {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all suggestions: the model knows other things now.
    pub fn clear(&self) {
        self.state.lock().entries.clear();
    }

    /// These files have other texts now: what was suggested in any other file may be outdated. What was
    /// suggested in a file is checked against its own text anyway.
    pub fn files_changed(&self, paths: &[&str]) {
        let mut state = self.state.lock();
        state.entries.retain(|entry| paths.iter().all(|path| *path == entry.path));
    }

    /// A suggestion was accepted, in full or its first `length` bytes: it is not offered again from here.
    pub fn accepted(&self, id: &str, length: Option<usize>) {
        if length.is_none() {
            self.state.lock().take(id);
        }
    }

    /// A suggestion was declined: it is not made again at the same place.
    pub fn rejected(&self, id: &str) {
        let mut state = self.state.lock();
        if let Some(mark) = state.take(id) {
            if state.declined.len() >= DECLINED {
                state.declined.pop_front();
            }
            state.declined.push_back(mark);
        }
    }

    /// A name for a new suggestion.
    pub(crate) fn new_id(&self) -> String {
        let mut state = self.state.lock();
        state.next_id += 1;
        state.next_id.to_string()
    }

    /// The rest of earlier suggestions that begin with what was typed since. Any other change of the
    /// document, before or after the cursor, makes them void.
    pub(crate) fn get(&self, path: &str, place: &Place<'_>) -> Vec<Item> {
        let (offset, after) = (place.before.len(), hash(place.after));
        let state = self.state.lock();
        for entry in state.entries.iter().rev() {
            if entry.path != path || entry.after != after {
                continue;
            }
            let Some((before, typed)) = place.before.split_at_checked(entry.before_bytes) else {
                continue;
            };
            let rest = |item: &Item| {
                let rest = item.insert_text.strip_prefix(typed).filter(|rest| !rest.is_empty())?;
                let range = TextRange::empty(offset);
                Some(Item { insert_text: rest.to_owned(), range, ..item.clone() })
            };
            let items: Vec<Item> = entry.items.iter().filter_map(rest).collect();
            if !items.is_empty() && hash(before) == entry.before {
                return items;
            }
        }
        Vec::new()
    }

    pub(crate) fn put(&self, path: &str, place: &Place<'_>, items: &[Item]) {
        let mut state = self.state.lock();
        if state.entries.len() >= CAPACITY {
            state.entries.pop_front();
        }
        state.entries.push_back(Entry {
            path: path.to_owned(),
            before_bytes: place.before.len(),
            before: hash(place.before),
            after: hash(place.after),
            items: items.to_vec(),
        });
    }

    /// Whether this was declined on this line of this file before.
    pub(crate) fn is_declined(&self, path: &str, place: &Place<'_>, text: &str) -> bool {
        let state = self.state.lock();
        !state.declined.is_empty()
            && state.declined.contains(&mark(path, hash(place.before), place.before.len(), text))
    }
}

impl State {
    /// Takes a suggestion out; the mark of its text and place.
    fn take(&mut self, id: &str) -> Option<u64> {
        for entry in &mut self.entries {
            if let Some(index) = entry.items.iter().position(|item| item.id == id) {
                let item = entry.items.remove(index);
                return Some(mark(
                    &entry.path,
                    entry.before,
                    entry.before_bytes,
                    &item.insert_text,
                ));
            }
        }
        None
    }
}

fn mark(path: &str, before: u64, before_bytes: usize, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (path, before, before_bytes, text).hash(&mut hasher);
    hasher.finish()
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
