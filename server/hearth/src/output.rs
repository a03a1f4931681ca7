use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use assistant::{AssistantError, Range};
use inference::InferenceError;
use serde::Serialize;

/// A model or component is missing; the message names the command that gets it.
pub const MISSING: u8 = 3;
/// The person interrupted.
pub const INTERRUPTED: u8 = 130;

/// Prints one JSON document.
pub fn json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(&text)
}

/// Prints text for a person. A reader that went away (`| head`) is not an error.
pub fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints one line for a person.
pub fn line(text: &str) -> Result<()> {
    write(&format!("{text}\n"))
}

/// A place for a person: lines from one, or the page of a PDF, whose lines nobody sees.
pub fn place(path: &str, range: &Range, page: Option<u32>) -> String {
    match page {
        Some(page) => format!("{path}, page {page}"),
        None => format!("{path}:{}-{}", range.start.line + 1, range.end.line + 1),
    }
}

/// Says on standard error why a command failed.
pub fn report(error: &anyhow::Error) {
    note(&format!("hearth: {error:#}"));
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    // Nobody reads: nothing is left to do.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A line of progress that the next one overwrites; only shown to a person at a terminal.
pub fn progress(text: &str) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K{text}");
        let _ = stderr.flush();
    }
}

/// Removes the line of progress.
pub fn progress_done() {
    progress("");
}

/// The exit code that says what kind of failure this was.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let assistant = error.chain().find_map(|cause| cause.downcast_ref::<AssistantError>());
    let inference = assistant
        .and_then(AssistantError::inference)
        .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<InferenceError>()));
    let cancelled = matches!(assistant, Some(AssistantError::Cancelled))
        || error.chain().any(<dyn std::error::Error>::is::<base::Cancelled>);
    match inference {
        Some(InferenceError::NoModel { .. }) => ExitCode::from(MISSING),
        Some(InferenceError::Cancelled) => ExitCode::from(INTERRUPTED),
        _ if cancelled => ExitCode::from(INTERRUPTED),
        _ if matches!(assistant, Some(AssistantError::Registry(it)) if it.is_missing_component()) => {
            ExitCode::from(MISSING)
        }
        _ => ExitCode::FAILURE,
    }
}
