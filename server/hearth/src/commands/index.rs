use std::process::ExitCode;

use anyhow::Result;

use crate::{
    global::Global,
    output,
    session::{Session, show_progress},
};

/// Arguments of `hearth index`.
#[derive(clap::Args)]
pub struct IndexArgs {
    /// Forget the index and build it from nothing
    #[arg(long)]
    rebuild: bool,
    /// Also have the embedding model make all vectors now, rather than in the editor's pauses
    #[arg(long)]
    vectors: bool,
}

/// Looks at the index, brings it up to date and says what it holds.
pub fn run(args: &IndexArgs, global: &Global) -> Result<ExitCode> {
    let session = Session::open(global)?;
    session.assistant.verify_index()?;
    let report =
        session.assistant.update_index(args.rebuild, &session.cancel, &mut show_progress())?;
    output::progress_done();
    if args.vectors {
        session.assistant.embed_index(&session.cancel, &mut |done, total| {
            output::progress(&format!("vectors {done}/{total}"));
        })?;
        output::progress_done();
    }
    if global.json {
        output::json(&report)?;
    } else {
        output::line(&format!(
            "{} files, {} chunks, {} symbols in {:.2} s",
            report.files, report.chunks, report.symbols, report.seconds.total
        ))?;
        for skipped in &report.skipped {
            output::line(&format!("skipped {}: {}", skipped.path, skipped.reason))?;
        }
        for plain in &report.plain {
            output::line(&format!("as plain text {}: {}", plain.path, plain.reason))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
