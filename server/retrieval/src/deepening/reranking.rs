use std::cmp::Ordering;

use base::CancelToken;
use inference::{InferenceError, Reranker};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    deepening::{Key, key},
    hit::Hit,
};

/// What the fused order counts beside the reranker's, each spread from its lowest to its highest. Half:
/// no model was measured yet that would say otherwise.
const FUSED: f32 = 0.5;
/// Signals of a place that the question names.
const EXACT: [&str; 2] = ["symbol", "path"];

/// The reranker, a name that changes with its model, and whether to wait until it is loaded.
pub(super) type Ask<'a> = (&'a dyn Reranker, &'a str, bool);

/// The score of each hit, known from before or asked for; `None` when that would take loading.
pub(super) fn scores(
    (model, name, waits): Ask<'_>,
    question: &str,
    hits: &[Hit],
    known: &Mutex<LruCache<Key, f32>>,
    cancel: &CancelToken,
) -> Result<Option<Vec<f32>>, InferenceError> {
    let mut passages: Vec<String> = hits.iter().map(passage).collect();
    let keys: Vec<Key> = passages.iter().map(|passage| key([name, question, passage])).collect();
    let mut scores: Vec<Option<f32>> = {
        let mut known = known.lock();
        keys.iter().map(|key| known.get(key).copied()).collect()
    };
    let mut lacking = scores.iter().map(Option::is_none);
    passages.retain(|_| lacking.next().unwrap_or(false));
    if !passages.is_empty() {
        if !model.prepare() && !waits {
            return Ok(None);
        }
        let asked = model.score(question, &passages, cancel)?;
        if asked.len() != passages.len() || !asked.iter().all(|score| score.is_finite()) {
            return Err(InferenceError::Engine("the reranker gave scores that are none".into()));
        }
        let mut asked = asked.into_iter();
        let mut known = known.lock();
        for (score, key) in scores.iter_mut().zip(keys).filter(|(score, _)| score.is_none()) {
            *score = asked.next();
            if let Some(score) = *score {
                known.put(key, score);
            }
        }
    }
    Ok(scores.into_iter().collect())
}

/// What the model reads: where the text stands, then the text.
fn passage(hit: &Hit) -> String {
    let head = [Some(hit.path.as_str()), hit.container.as_deref(), hit.symbol.as_deref()];
    let mut passage: String = head.into_iter().flatten().flat_map(|part| [part, "\n"]).collect();
    passage.push_str(&hit.text);
    passage
}

/// The hits in their new order, the first of them judged by `scores`, the rest as they were. Each place
/// keeps its score, so that scores still fall from hit to hit.
pub(super) fn reordered(hits: Vec<Hit>, scores: &[f32]) -> Vec<Hit> {
    let fused: Vec<f32> = hits.iter().take(scores.len()).map(|hit| hit.score).collect();
    let exact = |hit: &Hit| hit.sources.iter().any(|source| EXACT.contains(source));
    let exact: Vec<bool> = hits.iter().take(scores.len()).map(exact).collect();
    let order = order(&fused, scores, &exact);
    let mut left: Vec<Option<Hit>> = hits.into_iter().map(Some).collect();
    let judged: Vec<Hit> =
        order.iter().filter_map(|place| left.get_mut(*place).and_then(Option::take)).collect();
    let judged = judged.into_iter().zip(fused).map(|(hit, score)| Hit { score, ..hit });
    judged.chain(left.into_iter().flatten()).collect()
}

/// Which place of the fused order comes first, which second, and so on: each place once. By the blend of
/// both scores, except that a place that the question names never falls.
fn order(fused: &[f32], scores: &[f32], exact: &[bool]) -> Vec<usize> {
    let blend: Vec<f32> = spread(fused)
        .zip(spread(scores))
        .map(|(fused, score)| FUSED * fused + (1.0 - FUSED) * score)
        .collect();
    let by_blend = |a: &usize, b: &usize| -> Ordering {
        let of = |place: &usize| blend.get(*place).copied().unwrap_or(0.0);
        of(b).total_cmp(&of(a)).then(a.cmp(b))
    };
    let mut left: Vec<usize> = (0..fused.len()).collect();
    left.sort_unstable_by(by_blend);
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_due =
            |place: &usize| *place <= order.len() && exact.get(*place).copied().unwrap_or(false);
        let next = left.iter().position(is_due).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

/// From 0 for the lowest to 1 for the highest.
fn spread(scores: &[f32]) -> impl Iterator<Item = f32> {
    let lowest = scores.iter().copied().fold(f32::MAX, f32::min);
    let highest = scores.iter().copied().fold(f32::MIN, f32::max);
    scores.iter().map(move |score| (score - lowest) / (highest - lowest).max(f32::EPSILON))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blended_scores_decide_and_ties_leave_the_order() {
        let check = |fused: &[f32], scores: &[f32], expected: &[usize]| {
            assert_eq!(order(fused, scores, &vec![false; fused.len()]), expected);
        };
        check(&[1.0, 0.9, 0.0], &[0.0, 3.0, 1.0], &[1, 0, 2]);
        check(&[1.0, 0.9, 0.8], &[7.0, 7.0, 7.0], &[0, 1, 2]);
        check(&[0.5, 0.5], &[-9.0, -8.0], &[1, 0]);
        check(&[], &[], &[]);
    }

    proptest! {
        #[test]
        fn each_place_comes_once_and_what_is_named_never_falls(
            places in proptest::collection::vec((-3.0_f32..3.0, -20.0_f32..20.0, any::<bool>()), 0..60)
        ) {
            let mut fused: Vec<f32> = places.iter().map(|(fused, _, _)| *fused).collect();
            fused.sort_unstable_by(|a, b| b.total_cmp(a));
            let scores: Vec<f32> = places.iter().map(|(_, score, _)| *score).collect();
            let exact: Vec<bool> = places.iter().map(|(_, _, exact)| *exact).collect();
            let order = order(&fused, &scores, &exact);
            for (place, before) in order.iter().enumerate() {
                prop_assert!(!exact[*before] || place <= *before, "{order:?}");
            }
            let mut seen = order;
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..places.len()).collect::<Vec<_>>());
        }
    }
}
