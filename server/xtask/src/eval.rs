use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    process::{cargo, daemon, root, run, step, target},
    setup,
};

const USAGE: &str = "usage: cargo xtask eval [completion|retrieval [--data DIR]|symbols]";

/// Measures quality on the committed questions and samples and writes the scores beside them.
pub fn eval(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (names, data): (&[&str], Option<&str>) = match words.as_slice() {
        [] => (&["completion", "retrieval", "symbols"], None),
        ["completion"] => (&["completion"], None),
        ["retrieval"] => (&["retrieval"], None),
        ["symbols"] => (&["symbols"], None),
        ["retrieval", "--data", data] => (&["retrieval"], Some(data)),
        _ => bail!(USAGE),
    };
    setup::build_tools()?;
    step("build", || {
        let mut build = cargo();
        run(build.args(["build", "--release", "--quiet", "--workspace", "--bins", "--examples"]))
    })?;
    for name in names {
        match *name {
            "completion" => step(name, || run(example("evaluate").current_dir(root())))?,
            "symbols" => symbols()?,
            _ => retrieval(data.map(Path::new))?,
        }
    }
    Ok(())
}

/// The questions of `tests/eval/retrieval`, then the tables: questions that are derived from pinned
/// packages, and from what lies in `data`.
fn retrieval(data: Option<&Path>) -> Result<()> {
    let folder = root().join("tests/eval/retrieval");
    step("retrieval", || {
        let mut command = example("retrieval-eval");
        command.arg(folder.join("questions.toml"));
        run(command.arg("--json").arg(folder.join("questions.scores.json")).current_dir(root()))
    })?;
    let kept = target().join("eval-retrieval");
    let derived = kept.join("derived");
    step("questions from packages", || {
        run(Command::new("python3").arg(folder.join("derive.py")).arg(&derived))
    })?;
    step("retrieval tables", || {
        let mut command = example("retrieval-tables");
        command.arg("--derived").arg(&derived).arg("--cache").arg(kept.join("cache"));
        command.arg("--hearth").arg(daemon());
        if let Some(data) = data {
            command.arg("--data").arg(std::path::absolute(data)?);
        }
        run(command.arg("--json").arg(folder.join("tables.scores.json")).current_dir(root()))
    })
}

/// The definitions of pinned packages beside those that universal-ctags finds.
fn symbols() -> Result<()> {
    setup::index_bench_tools()?;
    let folder = root().join("tests/eval/symbols");
    step("symbols", || {
        let mut command = Command::new("python3");
        command.arg(folder.join("compare.py")).arg("--hearth").arg(daemon());
        run(command.arg("--json").arg(folder.join("scores.json")))
    })
}

fn example(name: &str) -> Command {
    let examples: PathBuf = target().join("release/examples");
    Command::new(examples.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}
