use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;

/// Samples that are kept for each stage.
const KEPT: usize = 512;

/// How long each stage took, over the last requests.
#[derive(Default)]
pub struct Timings {
    stages: Mutex<BTreeMap<&'static str, VecDeque<f32>>>,
}

/// Quantiles of one stage, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of the requests took at most this.
    pub p50: f32,
    /// 95 in a hundred.
    pub p95: f32,
    /// 99 in a hundred.
    pub p99: f32,
}

impl Timings {
    /// Adds a sample.
    pub fn record(&self, stage: &'static str, duration: Duration) {
        let mut stages = self.stages.lock();
        let samples = stages.entry(stage).or_default();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(duration.as_secs_f32() * 1000.0);
    }

    /// The quantiles of every stage that has a sample.
    pub fn quantiles(&self) -> BTreeMap<&'static str, Quantiles> {
        let stages = self.stages.lock();
        stages.iter().filter_map(|(stage, samples)| Some((*stage, quantiles(samples)?))).collect()
    }
}

fn quantiles(samples: &VecDeque<f32>) -> Option<Quantiles> {
    let mut sorted: Vec<f32> = samples.iter().copied().collect();
    sorted.sort_by(f32::total_cmp);
    // Nearest rank.
    let at = |share: f32| {
        let rank = (share * sorted.len() as f32).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    };
    Some(Quantiles { p50: at(0.50)?, p95: at(0.95)?, p99: at(0.99)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank_over_the_last_samples() {
        let timings = Timings::default();
        for ms in 1..=600_u64 {
            timings.record("search", Duration::from_millis(ms));
        }
        // 89 to 600 are kept.
        let search = timings.quantiles()["search"];
        assert_eq!((search.p50, search.p95, search.p99), (344.0, 575.0, 595.0));
    }
}
