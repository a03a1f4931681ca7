use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::{global::Global, output};

/// Arguments of `hearth trust`.
#[derive(clap::Args)]
pub struct TrustArgs {
    /// The workspace [default: the one of the current folder]
    folder: Option<PathBuf>,
    /// Withdraw trust instead of granting it
    #[arg(long, conflicts_with = "show")]
    withdraw: bool,
    /// Only say whether the workspace is trusted
    #[arg(long)]
    show: bool,
}

#[derive(Serialize)]
struct TrustAnswer {
    path: PathBuf,
    trusted: bool,
}

/// Grants or withdraws trust; the answer is kept in the person's own data folder.
pub fn run(args: &TrustArgs, global: &Global) -> Result<ExitCode> {
    let path = match &args.folder {
        Some(folder) => folder.canonicalize()?,
        None => global.workspace()?,
    };
    let trust = assistant::Trust::open(&Global::folders()?)?;
    if !args.show {
        trust.set(&path, !args.withdraw)?;
    }
    let answer = TrustAnswer { trusted: trust.is_trusted(&path), path };
    if global.json {
        output::json(&answer)?;
    } else {
        let state = if answer.trusted { "trusted" } else { "not trusted" };
        output::line(&format!("{} is {state}", answer.path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
