use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build,
    process::{cargo, daemon, has, root, run, say, step, target},
    setup,
};

const USAGE: &str = "usage: cargo xtask models data|embedding|priors|evaluate|test [--help] [...]";

/// Runs a task of the Python package `models/pipeline` in an environment of its own.
pub fn models(args: &[String]) -> Result<()> {
    let Some((task, rest)) = args.split_first() else { bail!(USAGE) };
    match task.as_str() {
        "test" => run(&mut tests()?),
        "data" => run(python()?.args(["-m", "pipeline", task]).args(rest)),
        "priors" => priors(rest),
        "embedding" | "evaluate" => {
            if !rest.iter().any(|word| word == "--teacher" || word == "--help") {
                setup::build_tools()?;
                step("daemon", build::build_daemon)?;
                let mut pull = Command::new(daemon());
                step("teacher", || run(pull.args(["models", "pull", "all-minilm-l6-v2"])))?;
            }
            run(python()?.args(["-m", "pipeline", task]).args(rest))
        }
        _ => bail!(USAGE),
    }
}

/// Learns the language priors of `models/priors` from the collected data, in Rust: a prior consists of the very
/// tokens that the daemon sees.
fn priors(words: &[String]) -> Result<()> {
    let [data, languages @ ..] = words else {
        bail!(
            "usage: cargo xtask models priors DATA [LANGUAGE...], with the folder that `models data` filled"
        );
    };
    setup::build_tools()?;
    step("build", || {
        run(cargo().args(["build", "--release", "--quiet", "--workspace", "--examples"]))
    })?;
    let mut train = Command::new(target().join("release/examples/train-priors"));
    train.arg(data).arg(root().join("models/priors")).args(languages);
    step("priors", || run(&mut train))
}

/// The command that runs the package's own tests; they need neither network nor models.
pub fn tests() -> Result<Command> {
    let mut command = python()?;
    command.args(["-m", "pipeline.tests"]);
    Ok(command)
}

/// A command that starts the environment's interpreter in the folder `models`. The environment is
/// made first where it is missing or was made from other requirements.
fn python() -> Result<Command> {
    let folder = target().join("models-python");
    let requirements = root().join("models/pipeline/requirements.txt");
    let wanted = fs::read(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let interpreter = interpreter_in(&folder);
    // Written last, so that an interrupted installation is none.
    let stamp = folder.join("requirements.txt");
    if !interpreter.is_file() || fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        step("Python packages", || install(&folder, &requirements))?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    let mut command = Command::new(interpreter);
    command.current_dir(root().join("models"));
    Ok(command)
}

fn install(folder: &Path, requirements: &Path) -> Result<()> {
    let system = ["python3", "python"].into_iter().find(|name| has(name)).context(
        "Python 3.11 or newer is missing; install it (on Debian: python3 python3-venv), then run this again",
    )?;
    let check = Command::new(system)
        .args(["-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"])
        .status()
        .with_context(|| format!("cannot start {system}"))?;
    if !check.success() {
        bail!("{system} is older than 3.11 or lacks venv; install python3 and python3-venv");
    }
    say(&format!("installing into {}", folder.display()));
    run(Command::new(system).args(["-m", "venv", "--clear"]).arg(folder))?;
    run(Command::new(interpreter_in(folder))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"])
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(requirements))
}

fn interpreter_in(folder: &Path) -> PathBuf {
    if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") }
}
