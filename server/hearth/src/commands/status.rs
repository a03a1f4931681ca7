use std::process::ExitCode;

use anyhow::Result;

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth status`.
#[derive(clap::Args)]
pub struct StatusArgs {}

/// Shows what the workspace's index and the models are doing.
pub fn run(_args: &StatusArgs, global: &Global) -> Result<ExitCode> {
    let session = Session::open(global)?;
    if let Err(error) = session.assistant.open_index() {
        // The state says why, and the rest is worth showing all the same.
        tracing::debug!(%error, "the index cannot be opened");
    }
    let status = session.snapshot().status();
    if global.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let line = |label: &str, text: &str| output::line(&format!("{label:<12}{text}"));
    line("hearth", status.version)?;
    let index = &status.index;
    let (files, chunks, pending) = (index.files, index.chunks, index.pending);
    line(
        "index",
        &format!("{:?}: {files} files, {chunks} chunks, {pending} pending", index.state),
    )?;
    if let Some(unembedded) = index.unembedded.filter(|count| *count > 0) {
        line("vectors", &format!("{unembedded} chunks wait for the embedding model"))?;
    }
    for plain in &index.plain {
        line("as text", &format!("{}: {}", plain.path, plain.reason))?;
    }
    for docs in &status.docs {
        let state = docs.detail.clone().unwrap_or_else(|| "searched with @docs".to_owned());
        line("docs", &format!("{}: {state}", docs.folder))?;
    }
    for model in &status.models {
        line(model.role.as_str(), &format!("{} ({})", model.id, model.state))?;
    }
    if !status.priors.is_empty() {
        line("learnt", &status.priors.join(", "))?;
    }
    if let Some(adapter) = &status.adapter {
        line("trained", &format!("{adapter}, for ghost text here"))?;
    }
    line("network", status.network)?;
    Ok(ExitCode::SUCCESS)
}
