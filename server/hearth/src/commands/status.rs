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
    output::line(&format!("hearth   {}", status.version))?;
    output::line(&format!(
        "index    {:?}: {} files, {} chunks, {} pending",
        status.index.state, status.index.files, status.index.chunks, status.index.pending
    ))?;
    if let Some(unembedded) = status.index.unembedded.filter(|count| *count > 0) {
        output::line(&format!("vectors  {unembedded} chunks wait for the embedding model"))?;
    }
    for plain in &status.index.plain {
        output::line(&format!("as text  {}: {}", plain.path, plain.reason))?;
    }
    for model in &status.models {
        output::line(&format!("{:<9}{} ({})", model.role.as_str(), model.id, model.state))?;
    }
    if !status.priors.is_empty() {
        output::line(&format!("learnt   {}", status.priors.join(", ")))?;
    }
    output::line(&format!("network  {}", status.network))?;
    Ok(ExitCode::SUCCESS)
}
