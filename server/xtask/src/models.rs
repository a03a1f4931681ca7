mod all;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build,
    process::{cargo, daemon, has, root, run, say, step, target},
    setup,
};

const USAGE: &str = "usage: cargo xtask models \
    all|data|embedding|search-map|priors|evaluate|completion|test [--help] [...]";
const COMPLETION_USAGE: &str = "usage: cargo xtask models completion \
    prepare|train|convert|check|evaluate|pack|join|test [--help] [...]";

/// The model that the table imitates and whose vectors the search map moves.
const TEACHER: &str = "all-minilm-l6-v2";

/// What an environment of Python has: a folder of the build folder, and a file of requirements.
struct Packages {
    folder: &'static str,
    requirements: &'static str,
}

/// For the collector, the table and all tests.
const PIPELINE: Packages =
    Packages { folder: "models-python", requirements: "models/pipeline/requirements.txt" };
/// To prepare data for the completion model.
const PREPARING: Packages = Packages {
    folder: "models-preparing",
    requirements: "models/pipeline/completion/prepare-requirements.txt",
};
/// The same with PyTorch, some gigabytes.
const TRAINING: Packages = Packages {
    folder: "models-training",
    requirements: "models/pipeline/completion/train-requirements.txt",
};

/// Runs a task of the Python package `models/pipeline` in an environment of its own.
pub fn models(args: &[String]) -> Result<()> {
    let Some((task, rest)) = args.split_first() else { bail!(USAGE) };
    match task.as_str() {
        "all" => all::all(rest),
        "test" => run(&mut tests()?),
        "data" => run(python(&PIPELINE)?.args(["-m", "pipeline", task]).args(rest)),
        "priors" => priors(rest),
        "completion" => completion(rest),
        "embedding" | "search-map" | "evaluate" => {
            if !rest.iter().any(|word| word == "--teacher" || word == "--help") {
                setup::build_tools()?;
                teacher()?;
            }
            run(python(&PIPELINE)?.args(["-m", "pipeline", task]).args(rest))
        }
        _ => bail!(USAGE),
    }
}

/// Builds the daemon and has it fetch the model that the table imitates.
fn teacher() -> Result<()> {
    step("daemon", build::build_daemon)?;
    step("teacher", || run(Command::new(daemon()).args(["models", "pull", TEACHER])))
}

/// The completion model: a task of `models/pipeline/completion`, with the programs that it needs.
fn completion(words: &[String]) -> Result<()> {
    let Some((task, rest)) = words.split_first() else { bail!(COMPLETION_USAGE) };
    let packages = match task.as_str() {
        "prepare" | "pack" | "join" | "evaluate" => &PREPARING,
        "train" | "convert" | "check" | "test" => &TRAINING,
        _ => bail!(COMPLETION_USAGE),
    };
    let mut command = python(packages)?;
    if task == "test" {
        let suites = ["pipeline.tests.test_completion", "pipeline.tests.test_completion_training"];
        return run(command.args(["-m", "unittest"]).args(suites));
    }
    command.args(["-m", "pipeline.completion", task]).args(rest);
    if !rest.iter().any(|word| word == "--help") {
        match task.as_str() {
            "convert" => {
                setup::build_tools()?;
                step("daemon", build::build_daemon)?;
                command.arg("--hearth").arg(daemon());
            }
            "check" => _ = command.arg("--reference").arg(example("completion-reference")?),
            "evaluate" => _ = command.arg("--evaluator").arg(example("evaluate-models")?),
            _ => {}
        }
    }
    run(&mut command)
}

/// A program beside the product, built.
fn example(name: &str) -> Result<PathBuf> {
    setup::build_tools()?;
    step("build", || {
        run(cargo().args(["build", "--release", "--quiet", "--workspace", "--examples"]))
    })?;
    Ok(target().join("release/examples").join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// Learns the language priors of `models/priors` from the collected data, in Rust: a prior consists of the very
/// tokens that the daemon sees.
fn priors(words: &[String]) -> Result<()> {
    let [data, languages @ ..] = words else {
        bail!(
            "usage: cargo xtask models priors DATA [LANGUAGE...], with the folder that `models data` filled"
        );
    };
    let mut train = Command::new(example("train-priors")?);
    train.arg(data).arg(root().join("models/priors")).args(languages);
    step("priors", || run(&mut train))
}

/// The command that runs the package's own tests; they need neither network nor models.
pub fn tests() -> Result<Command> {
    let mut command = python(&PIPELINE)?;
    command.args(["-m", "pipeline.tests"]);
    Ok(command)
}

/// A command that starts the environment's interpreter in the folder `models`. The environment is
/// made first where it is missing or was made from other requirements.
fn python(packages: &Packages) -> Result<Command> {
    let folder = target().join(packages.folder);
    let requirements = root().join(packages.requirements);
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
