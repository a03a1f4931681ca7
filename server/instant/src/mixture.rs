//! Turns places that agree with a context into probabilities of the next token.

use rustc_hash::FxHashMap as HashMap;

use crate::{prior::Guess, segment::MAX_ORDER, vocabulary::Code};

/// One place: the token there, how many tokens before it agree, and what the place counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    pub code: Code,
    pub order: usize,
    pub weight: f32,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub code: Code,
    pub probability: f32,
    /// Longest agreement among the places it comes from; 0 for none.
    pub order: usize,
}

/// How strongly an order leans on the next shorter one: so many counts, and so many for each different
/// token seen (Witten and Bell's observation that variety tells how likely something new is).
const LEAN: f32 = 0.3;
const LEAN_PER_TYPE: f32 = 0.5;

/// Share of a token without any weight in the fallback.
const FLOOR: f32 = 1e-3;

/// Mixes the evidence of all orders, each order smoothed by the shorter ones and in the end by the
/// shares of `words`. The sum is at most 1.
pub(crate) fn mix(words: &[(Code, f32)], evidence: &[Evidence]) -> Vec<Candidate> {
    let mut indices: HashMap<Code, usize> = HashMap::default();
    let mut candidates: Vec<Candidate> = Vec::with_capacity(words.len() + evidence.len());
    for (code, probability) in words {
        indices.insert(*code, candidates.len());
        candidates.push(Candidate { code: *code, probability: *probability, order: 0 });
    }
    // Evidence by order, longest first, each with its candidate's index.
    let mut sorted: Vec<(usize, usize, f32)> = Vec::with_capacity(evidence.len());
    for Evidence { code, order, weight } in evidence {
        let index = *indices.entry(*code).or_insert_with(|| {
            candidates.push(Candidate { code: *code, probability: FLOOR, order: 0 });
            candidates.len() - 1
        });
        if let Some(candidate) = candidates.get_mut(index) {
            candidate.order = candidate.order.max(*order);
        }
        sorted.push((*order, index, *weight));
    }
    sorted.sort_unstable_by_key(|(order, ..)| *order);
    // From the shortest order to the longest: an order's counts are those of all places that agree at
    // least so far.
    let mut counts = vec![0.0_f32; candidates.len()];
    let mut places = vec![0_u32; candidates.len()];
    let (mut total, mut types) = (0.0_f32, 0_usize);
    for (_, index, weight) in &sorted {
        if let (Some(count), Some(places)) = (counts.get_mut(*index), places.get_mut(*index)) {
            types += usize::from(*places == 0);
            *places += 1;
            *count += weight;
            total += weight;
        }
    }
    let mut shorter = sorted.as_slice();
    for order in 1..=MAX_ORDER {
        if shorter.is_empty() || types == 0 {
            break;
        }
        let lean = LEAN + LEAN_PER_TYPE * types as f32;
        for (candidate, count) in candidates.iter_mut().zip(&counts) {
            candidate.probability = (count + lean * candidate.probability) / (total + lean);
        }
        let (gone, rest) = shorter.split_at(shorter.partition_point(|(it, ..)| *it <= order));
        for (_, index, weight) in gone {
            if let (Some(count), Some(places)) = (counts.get_mut(*index), places.get_mut(*index)) {
                *places -= 1;
                total -= weight;
                // Exactly nothing when the last one goes, in spite of rounding.
                *count = if *places == 0 { 0.0 } else { *count - weight };
                types -= usize::from(*places == 0);
            }
        }
        shorter = rest;
    }
    candidates
}

/// Share of the prior in the mixture, by how long the workspace's own places agree, by whether these are
/// sure of themselves (below), and by how sure the prior is. Fitted by expectation maximisation on the
/// development packages of Python, Rust, TypeScript and JavaScript together.
const PRIOR_SHARES: [[[f32; 5]; 7]; 2] = [
    [
        [0.32, 0.56, 0.75, 0.92, 0.92],
        [0.13, 0.32, 0.51, 0.73, 0.80],
        [0.11, 0.19, 0.31, 0.40, 0.65],
        [0.13, 0.19, 0.30, 0.33, 0.52],
        [0.11, 0.16, 0.26, 0.31, 0.37],
        [0.12, 0.16, 0.16, 0.18, 0.18],
        [0.09, 0.14, 0.14, 0.14, 0.16],
    ],
    [
        [0.32, 0.56, 0.75, 0.92, 0.92],
        [0.21, 0.40, 0.63, 0.79, 0.89],
        [0.11, 0.17, 0.23, 0.23, 0.45],
        [0.13, 0.17, 0.22, 0.30, 0.34],
        [0.09, 0.13, 0.17, 0.17, 0.18],
        [0.08, 0.12, 0.12, 0.12, 0.12],
        [0.03, 0.04, 0.04, 0.04, 0.07],
    ],
];
/// The row of places that agree on three tokens or more and on a word among them that the language does not
/// know: they say what this program does, of which the prior has no notion.
const SPECIFIC: usize = 6;
/// From this share of their likeliest token on the workspace's places are sure of themselves.
const SURE: f32 = 0.8;

/// Share of the priors at least where the one that was learnt for the workspace knows a context that is
/// one, two, three or more tokens longer than what agrees in the workspace itself, and how long that must be.
/// Fitted on Flask, Celery, ureq and tantivy with their dependencies.
const LONGER_SHARES: [f32; 3] = [0.4, 0.6, 0.8];
const LEAST_ADAPTED: usize = 3;

/// Mixes what a prior expects into `candidates`.
pub(crate) fn mix_prior(candidates: &mut Vec<Candidate>, order: usize, prior: &Guess) {
    if prior.shares.is_empty() {
        return;
    }
    let best = candidates.iter().map(|it| it.probability).fold(0.0, f32::max);
    let expected = prior.shares.iter().map(|it| it.1).fold(0.0, f32::max);
    let row = match order {
        0..=2 => order,
        _ if prior.unknown.is_some_and(|distance| distance <= order) => SPECIFIC,
        3 => 3,
        4..=5 => 4,
        6..=8 => 5,
        _ => 6,
    };
    let column = ((expected * 5.0) as usize).min(4);
    let share = PRIOR_SHARES.get(usize::from(best >= SURE)).and_then(|it| it.get(row)?.get(column));
    let mut share = share.copied().unwrap_or_default();
    if let (LEAST_ADAPTED.., Some(longer)) =
        (prior.adapted_order, prior.adapted_order.checked_sub(order + 1))
    {
        let least = LONGER_SHARES.get(longer).or(LONGER_SHARES.last());
        share = share.max(least.copied().unwrap_or_default());
    }
    let mut indices: HashMap<Code, usize> = HashMap::default();
    for (index, candidate) in candidates.iter_mut().enumerate() {
        candidate.probability *= 1.0 - share;
        indices.insert(candidate.code, index);
    }
    for (code, expected) in &prior.shares {
        let index = *indices.entry(*code).or_insert_with(|| {
            candidates.push(Candidate { code: *code, probability: 0.0, order: 0 });
            candidates.len() - 1
        });
        if let Some(candidate) = candidates.get_mut(index) {
            candidate.probability += share * expected;
            candidate.order = candidate.order.max(prior.order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probability(words: &[(Code, f32)], evidence: &[(Code, usize, f32)], of: Code) -> f32 {
        let evidence: Vec<Evidence> = evidence
            .iter()
            .map(|(code, order, weight)| Evidence { code: *code, order: *order, weight: *weight })
            .collect();
        let candidates = mix(words, &evidence);
        let sum: f32 = candidates.iter().map(|it| it.probability).sum();
        assert!(sum <= 1.01, "{sum}");
        candidates.iter().find(|it| it.code == of).map_or(0.0, |it| it.probability)
    }

    #[test]
    fn longer_agreement_outweighs_more_of_shorter() {
        let evidence = [(1, 5, 1.0), (2, 1, 1.0), (2, 1, 1.0), (2, 1, 1.0)];
        assert!(probability(&[], &evidence, 1) > 0.5);
        assert!(probability(&[], &evidence, 2) < 0.3);
    }

    #[test]
    fn of_equal_agreement_the_heavier_wins() {
        let evidence = [(1, 2, 4.0), (2, 2, 1.0), (2, 2, 1.0)];
        assert!(probability(&[], &evidence, 1) > probability(&[], &evidence, 2));
    }

    #[test]
    fn without_evidence_the_words_remain() {
        assert!((probability(&[(1, 0.5)], &[], 1) - 0.5).abs() < 1e-6);
        assert!(probability(&[(1, 0.5)], &[(2, 3, 4.0)], 1) < 0.1);
    }
}
