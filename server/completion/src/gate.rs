//! The cheap no.

use crate::{
    Reason,
    place::{Place, is_word},
};

/// Why nothing may be suggested at this place, before any work is done.
pub(crate) fn refuse(path: &str, place: &Place<'_>, max_bytes: usize) -> Option<Reason> {
    if vfs::looks_secret(path) {
        return Some(Reason::SecretFile);
    }
    if place.before.len() + place.after.len() > max_bytes {
        return Some(Reason::LargeFile);
    }
    place.after.starts_with(is_word).then_some(Reason::InsideWord)
}
