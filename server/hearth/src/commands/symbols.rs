use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth symbols`.
#[derive(clap::Args)]
pub struct SymbolsArgs {
    /// The files; without any, the whole workspace
    files: Vec<PathBuf>,
}

/// Lists definitions.
pub fn run(args: &SymbolsArgs, global: &Global) -> Result<ExitCode> {
    let session = Session::ready(global)?;
    let symbols = session.snapshot().symbols(&Session::absolute(&args.files)?, &session.cancel)?;
    if global.json {
        output::json(&symbols)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = String::new();
    for symbol in &symbols {
        let container = symbol.container.as_ref().map(|name| format!("  in {name}"));
        let _ = writeln!(
            shown,
            "{}:{}  {} {}{}",
            symbol.path,
            symbol.range.start.line + 1,
            symbol.kind,
            symbol.name,
            container.unwrap_or_default()
        );
    }
    output::write(&shown)?;
    Ok(ExitCode::SUCCESS)
}
