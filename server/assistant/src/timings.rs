use std::{
    collections::{BTreeMap, HashMap, VecDeque},
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

/// Fewer evaluated tokens say little about a model's speed: the fixed cost of a request is in them.
const TELLING_TOKENS: usize = 64;

/// How fast each model reads a prompt on this machine, as its answers have shown.
#[derive(Default)]
pub struct PromptSpeeds {
    models: Mutex<HashMap<String, f32>>,
}

impl PromptSpeeds {
    /// Adds what an answer has shown: so many tokens until the first one of the model's own came.
    pub fn record(&self, model: &str, tokens: usize, first_token_ms: u64) {
        if tokens < TELLING_TOKENS || first_token_ms == 0 {
            return;
        }
        let speed = tokens as f32 * 1000.0 / first_token_ms as f32;
        let mut models = self.models.lock();
        let known = models.entry(model.to_owned()).or_insert(speed);
        // One request that had to wait for others does not make a model slow.
        *known = f32::midpoint(*known, speed);
    }

    /// Prompt tokens a second; `None` for a model that has not answered yet.
    pub fn of(&self, model: &str) -> Option<f32> {
        self.models.lock().get(model).copied()
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
    fn a_model_s_speed_is_learnt_from_long_prompts() {
        let speeds = PromptSpeeds::default();
        speeds.record("small", 10, 1);
        speeds.record("small", 200, 0);
        assert_eq!(speeds.of("small"), None);
        speeds.record("small", 200, 1_000);
        speeds.record("small", 400, 1_000);
        assert_eq!(speeds.of("small"), Some(300.0));
        assert_eq!(speeds.of("other"), None);
    }

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
