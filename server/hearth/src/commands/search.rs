use std::{fmt::Write as _, process::ExitCode};

use anyhow::Result;
use assistant::SearchParams;
use retrieval::SearchMode;

use crate::{global::Global, output, session::Session};

/// Arguments of `hearth search`.
#[derive(clap::Args)]
pub struct SearchArgs {
    /// What to look for: words, a question, a name or a path
    #[arg(required = true)]
    query: Vec<String>,
    /// How many places at most
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// Which kind of search
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// Only documentation: that of the workspace, and that of the folders that your hearth.toml names
    #[arg(long)]
    docs: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Mode {
    Hybrid,
    Lexical,
    Semantic,
    Symbol,
}

impl From<Mode> for SearchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => Self::Hybrid,
            Mode::Lexical => Self::Lexical,
            Mode::Semantic => Self::Semantic,
            Mode::Symbol => Self::Symbol,
        }
    }
}

/// Finds code.
pub fn run(args: &SearchArgs, global: &Global) -> Result<ExitCode> {
    let session = Session::ready(global)?;
    let params = SearchParams {
        query: args.query.join(" "),
        limit: Some(args.limit),
        mode: Some(args.mode.into()),
        docs: args.docs,
    };
    let answer = session.snapshot().search(&params, &session.cancel)?;
    if global.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = String::new();
    for hit in &answer.results {
        let place = output::place(&hit.path, &hit.range, hit.page);
        let _ = writeln!(shown, "{place}  {}", hit.symbol.as_deref().unwrap_or_default());
        for line in hit.text.lines().take(3) {
            let _ = writeln!(shown, "    {line}");
        }
    }
    if answer.results.is_empty() {
        shown.push_str("nothing found\n");
    }
    output::write(&shown)?;
    Ok(ExitCode::SUCCESS)
}
