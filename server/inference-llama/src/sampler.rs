use inference::Sampling;

/// How many of the last tokens the penalty of [`Sampling`] looks at.
const PENALTY_WINDOW: usize = 64;

/// Tokens this far below the best one have a probability under e⁻²⁰ even at temperature 1.
const NEGLIGIBLE: f32 = 20.0;

/// Chooses tokens.
pub struct Sampler {
    sampling: Sampling,
    random: u64,
    /// Kept between tokens for their memory.
    logits: Vec<f32>,
    candidates: Vec<(u32, f32)>,
}

impl Sampler {
    pub fn new(sampling: Sampling) -> Self {
        let random = u64::from(sampling.seed) ^ 0x9e37_79b9_7f4a_7c15;
        Self { sampling, random, logits: Vec::new(), candidates: Vec::new() }
    }

    /// The next token: an index into `logits`, which `allowed` may exclude. `None` when it excludes
    /// all. `recent` are the tokens so far, the last one last.
    pub fn choose(
        &mut self,
        logits: &[f32],
        recent: &[u32],
        allowed: Option<&dyn Fn(u32) -> bool>,
    ) -> Option<u32> {
        let penalty = self.sampling.repeat_penalty;
        let penalised = penalty > 1.0;
        let greedy = self.sampling.temperature <= 0.0 || self.sampling.top_k == 1;
        if greedy && !penalised && allowed.is_none() {
            return best(logits);
        }
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        if penalised {
            self.penalise(recent, penalty);
        }
        if let Some(allowed) = allowed {
            for (token, logit) in (0..).zip(&mut self.logits) {
                if !allowed(token) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        if greedy { best(&self.logits) } else { self.draw() }
    }

    fn penalise(&mut self, recent: &[u32], penalty: f32) {
        let window = recent.get(recent.len().saturating_sub(PENALTY_WINDOW)..).unwrap_or(recent);
        for (at, token) in window.iter().enumerate() {
            let seen = window.get(..at).is_some_and(|before| before.contains(token));
            if let (false, Some(logit)) = (seen, self.logits.get_mut(*token as usize)) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// One of the top-k, top-p tokens by chance.
    fn draw(&mut self) -> Option<u32> {
        let top = best(&self.logits)?;
        let highest = *self.logits.get(top as usize)?;
        let temperature = self.sampling.temperature;
        let floor = highest - NEGLIGIBLE * temperature.max(1.0);
        self.candidates.clear();
        self.candidates
            .extend((0..).zip(self.logits.iter().copied()).filter(|(_, logit)| *logit >= floor));
        let by_logit = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1);
        let k = self.sampling.top_k as usize;
        if (1..self.candidates.len()).contains(&k) {
            self.candidates.select_nth_unstable_by(k - 1, by_logit);
            self.candidates.truncate(k);
        }
        self.candidates.sort_unstable_by(by_logit);
        let mut total = 0.0;
        for (_, weight) in &mut self.candidates {
            *weight = ((*weight - highest) / temperature).exp();
            total += *weight;
        }
        let enough = total * self.sampling.top_p.clamp(0.0, 1.0);
        let mut kept = 0.0;
        let cut = self.candidates.iter().position(|(_, weight)| {
            kept += *weight;
            kept >= enough
        });
        self.candidates.truncate(cut.map_or(self.candidates.len(), |last| last + 1));
        let kept: f32 = self.candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.next_random() * kept;
        for (token, weight) in &self.candidates {
            left -= weight;
            if left <= 0.0 {
                return Some(*token);
            }
        }
        Some(top)
    }

    /// Between 0 and 1: splitmix64, the upper 24 bits.
    fn next_random(&mut self) -> f32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 40) as f32 / (1_u32 << 24) as f32
    }
}

/// Index of the largest logit, the first of equals; `None` when all are excluded or none is a
/// number. In two passes, because the first of them is then vectorised: a vocabulary of 152,000
/// tokens takes some 20 µs.
pub fn best(logits: &[f32]) -> Option<u32> {
    let highest = logits.chunks(64).fold(f32::NEG_INFINITY, |highest, chunk| {
        highest.max(chunk.iter().copied().fold(f32::NEG_INFINITY, f32::max))
    });
    if highest == f32::NEG_INFINITY {
        return None;
    }
    #[expect(clippy::float_cmp, reason = "the same number is looked for")]
    logits.iter().position(|logit| *logit == highest).map(|at| at as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 3.0, 2.0, f32::NAN, 2.9];

    fn choose(
        sampling: Sampling,
        recent: &[u32],
        allowed: Option<&dyn Fn(u32) -> bool>,
    ) -> Option<u32> {
        Sampler::new(sampling).choose(&LOGITS, recent, allowed)
    }

    #[test]
    fn greedy_takes_the_best_that_is_allowed() {
        assert_eq!(choose(Sampling::GREEDY, &[], None), Some(1));
        assert_eq!(choose(Sampling::GREEDY, &[], Some(&|token| token != 1)), Some(4));
        assert_eq!(choose(Sampling::GREEDY, &[], Some(&|_| false)), None);
    }

    #[test]
    fn the_penalty_counts_a_token_once() {
        let sampling = Sampling { repeat_penalty: 1.2, ..Sampling::GREEDY };
        assert_eq!(choose(sampling, &[1, 1, 1], None), Some(4));
        assert_eq!(choose(sampling, &[1, 4], None), Some(1), "3.0 / 1.2 against 2.9 / 1.2");
    }

    #[test]
    fn top_k_and_top_p_exclude_the_rest() {
        let mut sampling =
            Sampling { temperature: 1.0, top_k: 2, top_p: 1.0, repeat_penalty: 1.0, seed: 0 };
        let mut seen = [0; 5];
        for seed in 0..200 {
            let token = choose(Sampling { seed, ..sampling }, &[], None).expect("a token");
            seen[token as usize] += 1;
        }
        assert!(seen[1] > 50 && seen[4] > 50 && seen[0] + seen[2] == 0, "{seen:?}");
        sampling.top_k = 0;
        sampling.top_p = 0.1;
        for seed in 0..50 {
            assert_eq!(choose(Sampling { seed, ..sampling }, &[], None), Some(1));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let sampling =
            Sampling { temperature: 2.0, top_k: 0, top_p: 1.0, repeat_penalty: 1.0, seed: 7 };
        let draw = || -> Vec<_> {
            let mut sampler = Sampler::new(sampling);
            (0..20).map(|_| sampler.choose(&LOGITS, &[], None)).collect()
        };
        assert_eq!(draw(), draw());
    }
}
