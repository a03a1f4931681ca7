use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use base::CancelToken;
use serde::Serialize;

use crate::{
    GenerateRequest, Generation, InferenceError, LanguageModel, Priority, PromptPiece, Sampling,
    Sequence,
};

/// What a few keystrokes add to a prompt.
const KEYSTROKES: &str = " = new";

/// How fast a model is, as its user meets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpeedReport {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// From the request to the first text, nothing known before.
    pub cold_first_text_ms: f64,
    /// The same for the same prompt and a few keystrokes more.
    pub warm_first_text_ms: f64,
    /// Tokens of the prompt evaluated in a second.
    pub prompt_tokens_per_second: f64,
    /// Tokens of that were generated.
    pub generated_tokens: usize,
    /// Tokens generated in a second, after the first.
    pub tokens_per_second: f64,
}

/// Measures `model`, which should be loaded and have seen nothing yet, with `prompt`, to which it
/// answers greedily with at most `max_tokens`.
pub fn measure_speed(
    model: &dyn LanguageModel,
    prompt: &str,
    max_tokens: usize,
    cancel: &CancelToken,
) -> Result<SpeedReport, InferenceError> {
    let (cold, first, total) = timed(model, prompt.to_owned(), max_tokens, cancel)?;
    let (_, warm, _) = timed(model, format!("{prompt}{KEYSTROKES}"), 1, cancel)?;
    let generated = cold.usage.generated_tokens;
    let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64().max(1e-9);
    Ok(SpeedReport {
        prompt_tokens: cold.usage.prompt_tokens,
        cold_first_text_ms: milliseconds(first),
        warm_first_text_ms: milliseconds(warm),
        prompt_tokens_per_second: rate(cold.usage.prompt_tokens, first),
        generated_tokens: generated,
        tokens_per_second: rate(generated.saturating_sub(1), total.saturating_sub(first)),
    })
}

/// The answer, the time to its first text and that to its end.
fn timed(
    model: &dyn LanguageModel,
    prompt: String,
    max_tokens: usize,
    cancel: &CancelToken,
) -> Result<(Generation, Duration, Duration), InferenceError> {
    let request = GenerateRequest {
        prompt: vec![PromptPiece::Text(prompt)],
        max_tokens,
        sampling: Sampling::GREEDY,
        stop: Vec::new(),
        priority: Priority::Completion,
        sequence: Sequence::Completion,
        heal: false,
        grammar: None,
    };
    let began = Instant::now();
    let mut first = None;
    let generation = model.generate(&request, cancel, &mut |_| {
        first.get_or_insert_with(|| began.elapsed());
        ControlFlow::Continue(())
    })?;
    let total = began.elapsed();
    Ok((generation, first.unwrap_or(total), total))
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeLanguageModel;

    #[test]
    fn the_same_prompt_is_asked_cold_and_with_keystrokes_more() {
        let model = FakeLanguageModel::new(["one two three", "one"]);
        let report = measure_speed(&model, "let x", 3, &CancelToken::new()).expect("measured");
        assert_eq!(report.generated_tokens, 3);
        let prompts: Vec<_> = model.requests().into_iter().map(|request| request.prompt).collect();
        assert_eq!(
            prompts,
            [
                [PromptPiece::Text("let x".into())],
                [PromptPiece::Text(format!("let x{KEYSTROKES}"))]
            ]
        );
    }
}
