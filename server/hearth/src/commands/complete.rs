use std::{io::Read as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use assistant::CompleteRequest;
use text::Position;

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth complete`.
#[derive(clap::Args)]
pub struct CompleteArgs {
    /// The file
    file: PathBuf,
    /// Zero-based line of the cursor
    #[arg(long)]
    line: u32,
    /// Zero-based UTF-16 character of the cursor
    #[arg(long)]
    character: u32,
    /// `-` reads the unsaved text of the file from standard input
    #[arg(long, value_name = "-")]
    text_from: Option<String>,
}

/// Shows what ghost text would show.
pub fn run(args: &CompleteArgs, global: &Global) -> Result<ExitCode> {
    let text = match args.text_from.as_deref() {
        None => None,
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("standard input is not UTF-8 text")?;
            Some(text)
        }
        Some(other) => bail!("--text-from takes only `-` (standard input), not {other}"),
    };
    let session = Session::ready(global)?;
    let answer = session.snapshot().complete(
        &CompleteRequest {
            path: Session::absolute_one(&args.file)?,
            position: Position::new(args.line, args.character),
            text,
        },
        &session.cancel,
    )?;
    if global.json {
        output::json(&answer)?;
    } else {
        for item in &answer.items {
            output::line(&item.insert_text)?;
        }
        if let Some(reason) = &answer.reason {
            output::note(&format!("no suggestion: {reason}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
