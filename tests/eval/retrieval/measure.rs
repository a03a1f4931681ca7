//! Ranks and what is made of them.

use serde_json::{Value, json};

/// How far down a list a hit still counts.
pub const DEPTH: usize = 100;
/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// Where the right answer of each question stands, from 0; none for those beyond [`DEPTH`].
pub type Ranks = Vec<Option<usize>>;

/// Mean of 1 / place.
pub fn reciprocal_rank(ranks: &Ranks) -> f64 {
    mean(&reciprocals(ranks))
}

/// The share of questions whose answer is among the first `count`.
pub fn share_within(ranks: &Ranks, count: usize) -> f64 {
    let found = ranks.iter().flatten().filter(|rank| **rank < count).count();
    found as f64 / ranks.len().max(1) as f64
}

/// What is published of a method.
pub fn summary(ranks: &Ranks) -> Value {
    json!({
        "mrr": rounded(reciprocal_rank(ranks)),
        "first": rounded(share_within(ranks, 1)),
        "in_first_5": rounded(share_within(ranks, 5)),
        "in_first_10": rounded(share_within(ranks, 10)),
    })
}

/// What `ranks` gain over `base` in mean reciprocal rank, with the 95 % interval of a bootstrap that
/// draws questions, the same for both sides.
pub fn gain(ranks: &Ranks, base: &Ranks) -> Value {
    let gains: Vec<f64> = reciprocals(ranks)
        .iter()
        .zip(reciprocals(base))
        .map(|(ours, other)| ours - other)
        .collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = gains.iter().filter_map(|_| gains.get(random.below(gains.len()))).sum();
            sum / gains.len().max(1) as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means.get((means.len() as f64 * share) as usize).copied();
    json!({
        "mrr": rounded(mean(&gains)),
        "low": rounded(at(0.025).unwrap_or_default()),
        "high": rounded(at(0.975).unwrap_or_default()),
    })
}

/// Median and 95th percentile in milliseconds.
pub fn times(mut milliseconds: Vec<f64>) -> Value {
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let found = milliseconds.get((milliseconds.len() as f64 * share) as usize);
        rounded(found.copied().unwrap_or_default())
    };
    json!({ "median": at(0.5), "p95": at(0.95) })
}

/// Three digits after the point.
pub fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn reciprocals(ranks: &Ranks) -> Vec<f64> {
    ranks.iter().map(|rank| rank.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0))).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// xorshift64*: the same intervals in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }
}
