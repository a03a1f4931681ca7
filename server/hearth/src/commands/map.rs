use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use assistant::MapParams;

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth map`.
#[derive(clap::Args)]
pub struct MapArgs {
    /// How many tokens the outline may have, a token counted as 3.2 bytes
    #[arg(long, visible_alias = "budget", value_name = "N", default_value_t = 1024)]
    tokens: usize,
    /// Files that you have in mind; what matters to them comes first
    #[arg(long, value_name = "PATH", num_args = 1..)]
    focus: Vec<PathBuf>,
}

/// Shows the repository map.
pub fn run(args: &MapArgs, global: &Global) -> Result<ExitCode> {
    let session = Session::ready(global)?;
    let params = MapParams { tokens: Some(args.tokens), focus: Session::absolute(&args.focus)? };
    let map = session.snapshot().map(&params, &session.cancel)?;
    if global.json {
        output::json(&map)?;
    } else {
        output::write(&map.outline)?;
    }
    Ok(ExitCode::SUCCESS)
}
