use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

/// Arguments of `hearth worker`, read by the engine that runs.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct WorkerArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs one native engine until its parent goes away.
pub fn run(args: WorkerArgs) -> Result<ExitCode> {
    let embedding = args.arguments.iter().any(|argument| argument == "--embedding");
    if embedding {
        return Ok(inference_embed::worker::run(args.arguments));
    }
    Ok(inference_llama::worker::run(args.arguments))
}
