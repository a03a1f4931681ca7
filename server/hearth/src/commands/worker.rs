use std::{ffi::OsString, process::ExitCode};

use anyhow::{Result, bail};
use inference_embed::{FastEmbedder, FastReranker};
use inference_llama::{LlamaEngine, worker::Task};
use inference_worker::{Engine, serve_stdio};

use crate::output;

/// Arguments of `hearth worker`, read by the engine that runs.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct WorkerArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs one native engine until its parent goes away, or reads one PDF.
pub fn run(args: WorkerArgs) -> Result<ExitCode> {
    if args.arguments.iter().any(|argument| argument == "--pdf") {
        base::be_polite();
        return Ok(pdf_text::serve_stdio());
    }
    let has = |name: &str| args.arguments.iter().any(|argument| argument == name);
    let reranks = has("--reranker");
    if reranks || has("--embedding") {
        let options = match inference_embed::Options::parse(args.arguments) {
            Ok(options) => options,
            Err(message) => bail!("hearth worker: {message}"),
        };
        if reranks {
            // Somebody waits for each of its answers, so it is not polite.
            serve_stdio(move |progress| {
                Ok(Engine::Reranker(Box::new(FastReranker::load(&options, progress)?)))
            });
        }
        base::be_polite();
        serve_stdio(move |progress| {
            Ok(Engine::Embedder(Box::new(FastEmbedder::load(&options, progress)?)))
        });
    }
    match Task::parse(args.arguments) {
        Ok(Task::Serve(options)) => serve_stdio(move |progress| {
            Ok(Engine::Language(Box::new(LlamaEngine::load(&options, progress)?)))
        }),
        Ok(Task::Once(task)) => {
            let printed = task.run()?;
            if !printed.is_empty() {
                output::line(&printed)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(message) => bail!("hearth worker: {message}"),
    }
}
