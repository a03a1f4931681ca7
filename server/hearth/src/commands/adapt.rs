use std::{
    fmt::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use assistant::{
    AdaptProgress, AdaptReport, AdaptStep, AdaptedLanguage, AdaptedPriors, Comparison, Outcome,
};

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth models adapt`.
#[derive(clap::Args)]
pub struct AdaptArgs {
    /// The workspace [default: the one of the current folder]
    folder: Option<PathBuf>,
    /// Go back to what comes with the program
    #[arg(long, conflicts_with = "status")]
    remove: bool,
    /// Only say what was learnt
    #[arg(long)]
    status: bool,
}

/// Learns priors for a workspace, or says what was learnt, or removes it.
pub fn run(args: &AdaptArgs, global: &Global) -> Result<ExitCode> {
    let workspace = args.folder.clone().or_else(|| global.workspace.clone());
    let global = Global { workspace, ..global.clone() };
    if args.remove || args.status {
        let snapshot = Session::open(&global)?.snapshot();
        let priors =
            if args.remove { snapshot.remove_adapted_priors()? } else { snapshot.adapted_priors() };
        if global.json {
            output::json(&priors)?;
        } else {
            output::write(&shown_priors(&priors))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let session = Session::ready(&global)?;
    let report = session.snapshot().adapt(&session.cancel, &mut show_progress());
    output::progress_done();
    let report = report?;
    if global.json {
        output::json(&report)?;
    } else {
        output::write(&shown(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what is done on one line of the terminal, a few times a second.
fn show_progress() -> impl FnMut(AdaptProgress) {
    let mut shown: Option<Instant> = None;
    move |progress| {
        if shown.is_some_and(|shown| shown.elapsed() < Duration::from_millis(100)) {
            return;
        }
        shown = Some(Instant::now());
        let AdaptProgress { language, step, done, total } = progress;
        let step = match step {
            AdaptStep::Reading => "reading dependencies",
            AdaptStep::Learning => "learning",
            AdaptStep::Measuring => "measuring",
        };
        let percent = done * 100 / total.max(1);
        output::progress(&format!("{}: {step} {percent} %", language.name()));
    }
}

fn shown(report: &AdaptReport) -> String {
    let mut text = String::new();
    for AdaptedLanguage { attempt, installed } in &report.languages {
        let name = attempt.language.name();
        let result = match attempt.outcome {
            _ if *installed => "installed",
            Outcome::TooFewLines => "left as it was: too few files to tell what is better",
            Outcome::NothingToLearn => "left as it was: there is nothing to learn from",
            _ => "left as it was: what was learnt is not better beyond chance",
        };
        let _ = writeln!(text, "{name}: {result}");
        if let Some(comparison) = &attempt.comparison {
            let _ = write!(text, "{}", shown_comparison(comparison));
            let _ = writeln!(
                text,
                "  learnt from {} packages and {} of your files, {} tokens, in {} MB",
                attempt.packages,
                attempt.own_files,
                attempt.tokens,
                attempt.bytes.div_ceil(1_000_000),
            );
        }
        if attempt.missing > 0 {
            let _ = writeln!(
                text,
                "  {} packages are not on this machine; once they are fetched, more can be learnt",
                attempt.missing,
            );
        }
    }
    text
}

fn shown_comparison(comparison: &Comparison) -> String {
    let Comparison { lines, files, before, after, won, lost, gain: [low, high] } = comparison;
    format!(
        "  {lines} lines of {files} files that took no part:\n  \
         completed exactly {} before, {} after ({won} won, {lost} lost)\n  \
         bits for a token {:.3} before, {:.3} after (95 % sure of a gain of {low:.3} to {high:.3})\n",
        before.exact, after.exact, before.bits_per_token, after.bits_per_token,
    )
}

fn shown_priors(priors: &AdaptedPriors) -> String {
    let mut text = String::new();
    for language in &priors.removed {
        let _ = writeln!(text, "{language}: removed");
    }
    for prior in &priors.priors {
        let megabytes = prior.bytes.div_ceil(1_000_000);
        let state = prior.problem.as_deref().unwrap_or("in use");
        let _ = writeln!(text, "{}: {state} ({megabytes} MB)", prior.language);
        if let Some(measured) = &prior.measured {
            text.push_str(&shown_comparison(&measured.comparison));
        }
    }
    if text.is_empty() {
        let workspace = priors.workspace.display();
        let _ = writeln!(text, "nothing was learnt for {workspace}");
    }
    text
}
