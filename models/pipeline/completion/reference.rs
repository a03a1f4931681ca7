//! What llama.cpp makes of samples, for the comparison with PyTorch in `check.py`.
//!
//! `completion-reference MODEL` reads a sample on each line of standard input (`path`, `prefix`, `middle`,
//! `suffix`, `excerpts`, and the `budget` of its prompt in tokens) and answers each on a line: the tokens of the
//! `prompt`; the `tokens` of the healed prompt with the middle behind it, which begins at `from`; for each token
//! of the middle the likeliest tokens at its place (`top`) and their `logits`; and the `greedy` tokens that follow
//! the prompt.

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, Result};
use inference::{LanguageModel as _, Progress};
use inference_llama::{LlamaEngine, LlamaOptions};
use prompt::{Budget, Excerpt, FimContext, fim_prompt};
use serde_json::{Value, json};

/// Likeliest tokens that are compared at each place.
const TOP: usize = 16;

fn main() -> Result<()> {
    let model = std::env::args().nth(1).context("usage: completion-reference MODEL")?;
    let engine = LlamaEngine::load(&LlamaOptions::new(model), &Progress::new())?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&engine, &serde_json::from_str(&line?)?)?;
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn answer(engine: &LlamaEngine, sample: &Value) -> Result<Value> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let excerpts: Vec<Excerpt> = sample["excerpts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|excerpt| Excerpt { path: text(excerpt, "path"), text: text(excerpt, "text") })
        .collect();
    let (path, prefix, suffix) =
        (text(sample, "path"), text(sample, "prefix"), text(sample, "suffix"));
    let context = FimContext {
        path: &path,
        prefix: &prefix,
        suffix: &suffix,
        excerpts: &excerpts,
        line_comment: "#",
    };
    let budget = sample["budget"].as_u64().context("a budget")? as usize;
    let info = engine.loaded().context("a loaded model")?;
    let pieces = fim_prompt(&info, &context, Budget::estimated(budget)).pieces;
    let prompt = engine.tokenize(&pieces)?;
    let continuation = engine.continuation(&pieces, &text(sample, "middle"))?;
    let (mut top, mut likeliest) = (Vec::new(), Vec::new());
    for logits in engine.logits(&continuation)? {
        let best = best(&logits);
        likeliest.push(best.iter().map(|(_, logit)| *logit).collect::<Vec<f32>>());
        top.push(best.into_iter().map(|(token, _)| token).collect::<Vec<usize>>());
    }
    let greedy = sample["greedy_tokens"].as_u64().unwrap_or_default() as usize;
    Ok(json!({
        "prompt": prompt,
        "tokens": continuation.tokens,
        "from": continuation.from,
        "top": top,
        "logits": likeliest,
        "greedy": engine.greedy(&prompt, greedy)?,
    }))
}

/// The likeliest tokens with their logits, best first.
fn best(logits: &[f32]) -> Vec<(usize, f32)> {
    let mut all: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    all.select_nth_unstable_by(TOP, |a, b| b.1.total_cmp(&a.1));
    all.truncate(TOP);
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}
