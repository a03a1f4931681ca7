use std::{ops::Range, path::PathBuf, process::ExitCode};

use anyhow::Result;
use assistant::FileEditRequest;

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth edit`.
#[derive(clap::Args)]
pub struct EditArgs {
    /// The file
    file: PathBuf,
    /// The lines to change, one-based and inclusive
    #[arg(long, value_name = "A:B", value_parser = lines)]
    lines: Range<usize>,
    /// What to do with them
    #[arg(required = true)]
    instruction: Vec<String>,
    /// Show the change as a unified diff and write nothing (the default)
    #[arg(long, conflicts_with = "apply")]
    diff: bool,
    /// Write the change to the file
    #[arg(long)]
    apply: bool,
}

/// Reads `A:B`, one-based and inclusive, as a zero-based half-open range.
fn lines(text: &str) -> Result<Range<usize>, String> {
    let wrong = || format!("`{text}` is not A:B, two line numbers counted from 1");
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let first: usize = first.trim().parse().map_err(|_| wrong())?;
    let last: usize = last.trim().parse().map_err(|_| wrong())?;
    if first == 0 || last < first {
        return Err(wrong());
    }
    Ok(first - 1..last)
}

/// Proposes one edit, and writes it when told to.
pub fn run(args: &EditArgs, global: &Global) -> Result<ExitCode> {
    let mut session = Session::open(global)?;
    session.ask_for_trust()?;
    let request = FileEditRequest {
        path: Session::absolute_one(&args.file)?,
        lines: args.lines.clone(),
        instruction: args.instruction.join(" "),
    };
    let answer = session.snapshot().edit_file(&request, &session.cancel)?;
    if args.apply {
        session.snapshot().apply_edit(&answer.edit_id)?;
    }
    if global.json {
        output::json(&answer)?;
    } else {
        output::write(&answer.diff)?;
        for finding in &answer.validation {
            output::note(&format!("{}: {}", finding.tool, finding.message));
        }
        if args.apply {
            output::note(&format!("written to {}", args.file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_based_and_inclusive() {
        assert_eq!(lines("3:5"), Ok(2..5));
        assert_eq!(lines("7"), Ok(6..7));
        for wrong in ["0:3", "5:3", "a:b", "", "1:"] {
            assert!(lines(wrong).is_err(), "{wrong}");
        }
    }
}
