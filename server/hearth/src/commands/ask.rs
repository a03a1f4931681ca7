use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Read as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use assistant::{AskRequest, ChatPartial};

use crate::{global::Global, output, session::Session};

/// More context than this from a pipe is refused: no local model reads it, and the person should
/// know.
const INPUT_LIMIT: u64 = 8 * 1024 * 1024;

/// Arguments of `hearth ask`.
#[derive(clap::Args)]
pub struct AskArgs {
    /// The question
    #[arg(required = true)]
    question: Vec<String>,
    /// A file that the answer should take into account; may be given several times
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
}

/// Answers one question.
pub fn run(args: &AskArgs, global: &Global) -> Result<ExitCode> {
    let input = piped_input()?;
    let session = Session::ready(global)?;
    let request = AskRequest {
        question: args.question.join(" "),
        files: Session::absolute(&args.files)?,
        input,
    };
    let mut streamed = false;
    let mut failed = None;
    let answer = session.snapshot().ask(&request, &session.cancel, &mut |partial| {
        if let (false, ChatPartial::Text { text }) = (global.json, partial) {
            streamed = true;
            if let Err(error) = output::write(&text) {
                failed = Some(error);
                session.cancel.cancel();
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if global.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = if streamed { String::from("\n") } else { format!("{}\n", answer.answer) };
    if !answer.citations.is_empty() {
        shown.push_str("\nSources:\n");
    }
    for citation in &answer.citations {
        let place = output::place(&citation.path, &citation.range, citation.page);
        let _ = writeln!(shown, "  {place}");
    }
    output::write(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// What a pipe or a file on standard input holds; nothing at a terminal.
fn piped_input() -> Result<Option<String>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = stdin.lock().take(INPUT_LIMIT + 1).read_to_end(&mut bytes);
    read.context("cannot read standard input")?;
    anyhow::ensure!(
        bytes.len() as u64 <= INPUT_LIMIT,
        "standard input holds more than {} MB; pipe in less",
        INPUT_LIMIT / 1_048_576
    );
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((!text.trim().is_empty()).then_some(text))
}
