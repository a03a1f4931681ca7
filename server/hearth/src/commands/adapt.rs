use std::{
    fmt::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use assistant::{
    AdaptProgress, AdaptReport, AdaptStep, AdaptedLanguage, AdaptedPriors, AdapterComparison,
    AdapterOutcome, AdapterReport, Comparison, Outcome,
};
use model_registry::{Registry, TrainingOptions};

use super::models::converter;
use crate::{global::Global, output, session::Session};

/// Arguments of `hearth models adapt`.
#[derive(clap::Args)]
pub struct AdaptArgs {
    /// The workspace [default: the one of the current folder]
    folder: Option<PathBuf>,
    /// Go back to what comes with the program, and to your own completion model
    #[arg(long, conflicts_with_all = ["status", "adapter"])]
    remove: bool,
    /// Only say what was learnt and trained
    #[arg(long, conflicts_with = "adapter")]
    status: bool,
    /// Train a completion model on the workspace's own files instead, and use it there if it is better
    #[arg(long)]
    adapter: bool,
    /// The folder `models` of a checkout of Hearth, whose pipeline trains [default: that of your hearth.toml]
    #[arg(long, value_name = "DIR", requires = "adapter")]
    pipeline: Option<PathBuf>,
    /// Train on this machine with a GPU, over ssh; the prepared text goes there and nowhere else
    #[arg(long, value_name = "USER@HOST", requires = "adapter")]
    host: Option<String>,
    /// Python with PyTorch on that machine [default: python3]
    #[arg(long, value_name = "PROGRAM", requires = "adapter")]
    host_python: Option<String>,
    /// `cpu` trains without a GPU, by a recipe that shows the way and brings nothing
    #[arg(long, value_enum, default_value_t = Device::Auto, requires = "adapter")]
    device: Device,
    /// The installed model to train on [default: smollm2-135m-instruct]
    #[arg(long, value_name = "MODEL", requires = "adapter")]
    base: Option<String>,
}

/// What trains.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Device {
    /// A GPU
    Auto,
    /// The processor
    Cpu,
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
    if args.adapter {
        return train(args, &global);
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

/// Trains a model for a workspace, and says what came of it.
fn train(args: &AdaptArgs, global: &Global) -> Result<ExitCode> {
    let registry = Registry::open(&Global::folders()?)?.offline(global.offline);
    let session = Session::ready(global)?;
    let options = TrainingOptions {
        pipeline: args.pipeline.clone(),
        host: args.host.clone(),
        host_python: args.host_python.clone(),
        cpu: args.device == Device::Cpu,
        base: args.base.clone(),
    };
    let mut told = |line: &str| {
        // Training takes long: a log has what is said as well as a terminal.
        tracing::info!("{line}");
        output::progress(line);
    };
    let report = session.snapshot().train_adapter(
        &registry,
        &options,
        &converter()?,
        &session.cancel,
        &mut told,
    );
    output::progress_done();
    if session.cancel.is_cancelled() {
        output::note("interrupted; the same command goes on");
    }
    let report = report?;
    if global.json {
        output::json(&report)?;
    } else {
        output::write(&shown_report(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown_report(report: &AdapterReport) -> String {
    let AdapterReport { base, files, model, .. } = report;
    let model = model.as_deref().unwrap_or_default();
    let mut text = match report.outcome {
        AdapterOutcome::Better => format!("{model}: completes in this workspace from now on\n"),
        AdapterOutcome::NotBetter => {
            "left as it was: what was trained is not better beyond chance\n".to_owned()
        }
        AdapterOutcome::Unchanged => format!("{model}: completes in this workspace already\n"),
        AdapterOutcome::TooFewLines => {
            "left as it was: too few files to tell what is better\n".to_owned()
        }
    };
    if let Some(comparison) = &report.comparison {
        text.push_str(&shown_adapter(comparison));
    }
    if report.outcome != AdapterOutcome::TooFewLines {
        let _ = writeln!(text, "  trained on {base} with {files} of your files");
    }
    text
}

fn shown_adapter(comparison: &AdapterComparison) -> String {
    let AdapterComparison { lines, files, instant, before, after, won, lost, .. } = comparison;
    let percent = |[low, high]: [f64; 2]| format!("{:.1} to {:.1}", low * 100.0, high * 100.0);
    format!(
        "  {lines} lines of {files} files that took no part:\n  \
         completed exactly {} before, {} after ({won} won, {lost} lost), {} without a model\n  \
         95 % sure of a gain of {} points over before, {} over no model\n",
        before.exact,
        after.exact,
        instant.exact,
        percent(comparison.gain),
        percent(comparison.gain_over_instant),
    )
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
    if let Some(model) = &priors.removed_adapter {
        let _ = writeln!(text, "{model}: removed");
    }
    for prior in &priors.priors {
        let megabytes = prior.bytes.div_ceil(1_000_000);
        let state = prior.problem.as_deref().unwrap_or("in use");
        let _ = writeln!(text, "{}: {state} ({megabytes} MB)", prior.language);
        if let Some(measured) = &prior.measured {
            text.push_str(&shown_comparison(&measured.comparison));
        }
    }
    if let Some(adapter) = &priors.adapter {
        let adapted = adapter.adapted.as_ref();
        let model = adapted.map_or("trained model", |adapted| &adapted.model);
        let _ = writeln!(text, "{model}: {}", adapter.problem.as_deref().unwrap_or("in use"));
        if let Some(adapted) = adapted {
            text.push_str(&shown_adapter(&adapted.comparison));
        }
    }
    if text.is_empty() {
        let workspace = priors.workspace.display();
        let _ = writeln!(text, "nothing was learnt for {workspace}");
    }
    text
}
