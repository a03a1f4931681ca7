use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};
use inference::{LanguageModel as _, SpeedReport, measure_speed};
use inference_worker::{WorkerConfig, WorkerModel};
use serde::Serialize;

use crate::{global::Global, output};

/// Arguments of `hearth bench`.
#[derive(clap::Args)]
pub struct BenchArgs {
    /// The GGUF file
    #[arg(long)]
    model: PathBuf,
    /// A text file that the model continues
    #[arg(long)]
    prompt: PathBuf,
    /// How many tokens it writes
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Threads that compute [default: as for every other command]
    #[arg(long)]
    threads: Option<usize>,
    /// Tokens of the context [default: as for every other command]
    #[arg(long)]
    context: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// The start of the worker included.
    load_ms: f64,
    #[serde(flatten)]
    speed: SpeedReport,
    /// The worker's, where the system tells.
    peak_memory_bytes: Option<u64>,
}

/// Measures a model in a worker of its own. With `--json` a first line says when it is loaded.
pub fn run(args: &BenchArgs, global: &Global) -> Result<ExitCode> {
    let prompt = fs::read_to_string(&args.prompt)
        .with_context(|| format!("cannot read {}", args.prompt.display()))?;
    let mut config = WorkerConfig::new(Global::program()?, &args.model);
    for (name, value) in [("--threads", args.threads), ("--context", args.context)] {
        if let Some(value) = value {
            config = config.with_argument(name).with_argument(value.to_string());
        }
    }
    let model = WorkerModel::new(config);
    let cancel = Global::interruptible();
    let began = Instant::now();
    model.load(&cancel)?;
    let load_ms = began.elapsed().as_secs_f64() * 1e3;
    if global.json {
        output::line(r#"{"loaded":true}"#)?;
    }
    let speed = measure_speed(&model, &prompt, args.tokens, &cancel)?;
    let report = Report { load_ms, speed, peak_memory_bytes: model.peak_memory() };
    if global.json {
        output::json(&report)?;
    } else {
        output::line(&format!(
            "load {:.0} ms, prompt {:.0} tokens/s, decode {:.1} tokens/s, first text {:.0} ms, \
             {:.0} ms after keystrokes",
            report.load_ms,
            report.speed.prompt_tokens_per_second,
            report.speed.tokens_per_second,
            report.speed.cold_first_text_ms,
            report.speed.warm_first_text_ms,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
