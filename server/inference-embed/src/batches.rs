//! Texts put together so that little is padded and memory stays bounded.

use std::ops::Range;

/// Most texts computed at once.
const MAX_TEXTS: usize = 16;
/// Most bytes computed at once, padding included: about 16 texts of 128 tokens. Attention takes memory
/// in proportion to this and to the longest text.
const MAX_BYTES: usize = 8192;

/// An order of the texts, shortest first, and the runs of it that are computed together.
pub(crate) struct Batches {
    pub(crate) order: Vec<usize>,
    pub(crate) runs: Vec<Range<usize>>,
}

impl Batches {
    /// Batches of texts with these lengths in bytes. No length counts more than `limit`, beyond which
    /// a text is cut by the tokenizer.
    pub(crate) fn new(lengths: &[usize], limit: usize) -> Self {
        let length =
            |index: usize| lengths.get(index).map_or(0, |length| (*length).clamp(1, limit));
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|index| length(*index));
        let mut runs = Vec::new();
        let mut start = 0;
        for (position, index) in order.iter().enumerate() {
            let texts = position - start + 1;
            // Sorted, so this text is the longest of its run, to which the others are padded.
            if position > start && (texts > MAX_TEXTS || texts * length(*index) > MAX_BYTES) {
                runs.push(start..position);
                start = position;
            }
        }
        if start < order.len() {
            runs.push(start..order.len());
        }
        Self { order, runs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_in_one_run_and_no_run_is_too_large(
            lengths in proptest::collection::vec(0_usize..20_000, 0..200)
        ) {
            let batches = Batches::new(&lengths, 1024);
            let mut seen = batches.order.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            let mut next = 0;
            for run in &batches.runs {
                prop_assert_eq!(run.start, next);
                prop_assert!(!run.is_empty() && run.len() <= MAX_TEXTS);
                let longest = run.clone().map(|at| lengths[batches.order[at]].clamp(1, 1024)).max();
                prop_assert!(run.len() == 1 || run.len() * longest.unwrap_or(0) <= MAX_BYTES);
                next = run.end;
            }
            prop_assert_eq!(next, lengths.len());
        }
    }
}
