//! Training an adapter with the pipeline that the person names (`models/pipeline/completion`): its tasks run as
//! child processes, on this machine or, over the person's own ssh, on another one.
//!
//! Of the pipeline only this is relied on: the tasks `prepare`, `train`, `convert` and `pack` with the options
//! below, the files `prepared.json`, `checkpoint.pt`, `adapter.gguf` and `parts.json`, lines on standard error
//! for people, a line that begins with `finished` when nothing is left to train, and that `train` keeps a
//! checkpoint and ends when its standard input does.

mod host;

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base::CancelToken;

use crate::{
    Installed, Registry, RegistryError,
    install::make_folder,
    process::{self, Event, Input, Python},
    space,
};

use host::Host;

/// The model that adapters are trained on unless the person names another: that of the recipes.
const BASE: &str = "smollm2-135m-instruct";
/// Room for checkpoint, prepared data and adapter, in bytes: an adapter's checkpoint has 88 MB.
const ROOM: u64 = 300_000_000;
/// A step of training on a CPU takes twenty seconds; it comes to its end before a checkpoint is kept.
const PATIENCE: Duration = Duration::from_mins(1);

/// What PyTorch is asked, and what is said where an adapter cannot be trained.
const ASKED: &str = "import sys\n\
    try:\n    import torch\n\
    except ImportError:\n    sys.exit('PyTorch is not installed')\n\
    if sys.argv[1] != 'cpu' and not torch.cuda.is_available():\n    sys.exit('PyTorch sees no GPU')\n";
const NO_TORCH: &str = "PyTorch is not installed";
const NO_GPU: &str = "PyTorch sees no GPU";

/// How a person wants an adapter trained; what is left open, their `hearth.toml` says.
#[derive(Clone, Debug, Default)]
pub struct TrainingOptions {
    /// The folder that holds the Python package `pipeline`.
    pub pipeline: Option<PathBuf>,
    /// The machine to train on, as ssh knows it. None is this one.
    pub host: Option<String>,
    /// The Python interpreter there.
    pub host_python: Option<String>,
    /// Train on a CPU, by a recipe that shows the way and brings nothing.
    pub cpu: bool,
    /// The installed model to train on.
    pub base: Option<String>,
}

/// What trains an adapter: everything that it needs is there.
#[derive(Debug)]
pub struct Trainer {
    pipeline: PathBuf,
    python: OsString,
    /// Where it trains; none is this machine.
    host: Option<Host>,
    cpu: bool,
    base: Installed,
    /// Keeps another process from training for the same workspace.
    _lock: File,
}

impl Registry {
    /// Finds what training takes, for the workspace that is called `key`. Where something is missing the error
    /// [says so](RegistryError::is_missing_component).
    pub fn trainer(
        &self,
        options: &TrainingOptions,
        key: &str,
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<Trainer, RegistryError> {
        let pipeline = self.pipeline(options.pipeline.as_deref())?;
        let base = self.installed(options.base.as_deref().unwrap_or(BASE))?;
        let python = Python::find(self.settings.python.as_deref(), Path::new(""), cancel)?;
        let host = options.host.as_ref().or(self.settings.host.as_ref());
        let host_python = options.host_python.as_ref().or(self.settings.host_python.as_ref());
        let host = host.map(|host| Host::new(host, host_python.map(String::as_str), key));
        let host = host.transpose().map_err(no_trainer)?;
        if host.is_some() && self.offline {
            return Err(no_trainer(
                "another machine is named and the network is switched off (--offline)",
            ));
        }
        let waiting = &mut || told("another process trains for this workspace");
        let lock = self.lock(&format!("adapted-{key}"), cancel, waiting)?;
        let trainer =
            Trainer { pipeline, python: python.program, host, cpu: options.cpu, base, _lock: lock };
        trainer.check(cancel, told)?;
        Ok(trainer)
    }

    fn pipeline(&self, named: Option<&Path>) -> Result<PathBuf, RegistryError> {
        let Some(folder) = named.or(self.settings.pipeline.as_deref()) else {
            return Err(no_trainer(
                "no training pipeline is known; name the folder `models` of a checkout of Hearth with \
                 `--pipeline`, or as `pipeline` under `[models]` in hearth.toml",
            ));
        };
        let program = folder.join("pipeline/completion/__main__.py");
        if !program.is_file() {
            return Err(no_trainer(format!("there is no {}", program.display())));
        }
        folder.canonicalize().map_err(RegistryError::file("read", folder))
    }
}

impl Trainer {
    /// The model that the adapter will be for.
    pub fn base(&self) -> &Installed {
        &self.base
    }

    /// What decides the result besides texts and base: another answer, another adapter.
    pub fn recipe(&self) -> &'static str {
        if self.cpu {
            "pipeline/completion/tiny.toml"
        } else {
            "pipeline/completion/workspace.toml"
        }
    }

    /// Asks PyTorch for a GPU, where the training will be.
    fn check(&self, cancel: &CancelToken, told: &mut dyn FnMut(&str)) -> Result<(), RegistryError> {
        let command = match &self.host {
            Some(host) => host.python(&format!("-c {} {}", host::quoted(ASKED), self.device())),
            None => {
                let mut command = Command::new(&self.python);
                // Not the workspace: Python takes modules from where it is started.
                command.current_dir(&self.pipeline).args(["-c", ASKED, self.device()]);
                command.stdout(Stdio::null());
                command
            }
        };
        let place = self.host.as_ref().map_or("this machine", |host| &host.name);
        let what = format!("asking {place} for PyTorch and a GPU");
        follow(command, &what, Input::Nothing, cancel, told).map_err(|error| match error {
            RegistryError::Tool { reason, .. } if reason.ends_with(NO_TORCH) => {
                no_trainer(format!("{NO_TORCH} for the Python of {place}; {}", self.advice()))
            }
            RegistryError::Tool { reason, .. } if reason.ends_with(NO_GPU) => no_trainer(format!(
                "{NO_GPU} on {place}; name a machine that has one with `--host USER@HOST`. \
                 `--device cpu` shows the whole way without one, by a recipe whose adapter is of no use"
            )),
            other => other,
        })
    }

    fn advice(&self) -> String {
        let requirements = self.pipeline.join("pipeline/completion/train-requirements.txt");
        let install =
            format!("`python3 -m pip install --require-hashes -r {}`", requirements.display());
        match &self.host {
            Some(_) => {
                format!("install it there ({install}), or name another with `--host-python`")
            }
            None => format!(
                "install it ({install}), name another interpreter as `python` under `[models]` in hearth.toml, \
                 or a machine that has it with `--host USER@HOST`"
            ),
        }
    }

    fn device(&self) -> &'static str {
        if self.cpu { "cpu" } else { "auto" }
    }

    /// Trains an adapter from the texts in the folder `data` of `work`, and gives its file. What was begun in
    /// the same folder goes on; `told` gets lines for people.
    pub fn train(
        &self,
        work: &Path,
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, RegistryError> {
        let run = work.join("run");
        let adapter = run.join("adapter.gguf");
        if adapter.is_file() {
            return Ok(adapter);
        }
        space::require(work, ROOM.saturating_add(self.base.bytes))?;
        make_folder(&run)?;
        let prepared = work.join("prepared");
        // The manifest comes last.
        if !prepared.join("prepared.json").is_file() {
            let mut prepare = self.task("prepare", &self.base.path);
            prepare.args(["--config", self.recipe(), "--data"]).arg(work.join("data"));
            prepare.arg("--out").arg(&prepared);
            follow(prepare, "preparing", Input::Nothing, cancel, told)?;
        }
        match &self.host {
            Some(host) => self.train_there(host, work, cancel, told)?,
            None => self.train_here(&prepared, &run, cancel, told)?,
        }
        if adapter.is_file() {
            return Ok(adapter);
        }
        let reason = format!("it made no {}", adapter.display());
        Err(RegistryError::Tool { what: "training".into(), reason })
    }

    fn train_here(
        &self,
        prepared: &Path,
        run: &Path,
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), RegistryError> {
        let mut train = self.task("train", &self.base.path);
        train.args(["--config", self.recipe(), "--prepared"]).arg(prepared).arg("--out").arg(run);
        train.args(["--device", self.device(), "--until-eof"]);
        follow(train, "training", Input::UntilCancelled(PATIENCE), cancel, told)?;
        let mut convert = self.task("convert", &self.base.path);
        convert.args(["--config", self.recipe(), "--adapter-only", "--run"]).arg(run);
        follow(convert, "converting", Input::Nothing, cancel, told)
    }

    /// Packs what the other machine needs, trains there, and fetches the adapter.
    fn train_there(
        &self,
        host: &Host,
        work: &Path,
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), RegistryError> {
        let parts = work.join("parts");
        let mut pack = self.task("pack", &self.base.path);
        pack.arg("--prepared").arg(work.join("prepared")).arg("--out").arg(&parts);
        follow(pack, "packing", Input::Nothing, cancel, told)?;
        let trained =
            host.train(&parts, &work.join("run"), (self.recipe(), self.device()), cancel, told);
        let removed = host.remove(told);
        fs::remove_dir_all(&parts).map_err(RegistryError::file("remove", &parts))?;
        if let Err(error) = removed {
            // What was trained is worth more than this.
            tracing::error!(%error, "what was copied to {} may still be there", host.name);
        }
        trained
    }

    /// A task of the pipeline on this machine.
    fn task(&self, task: &str, base: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.pipeline).args(["-m", "pipeline.completion", task]);
        command.arg("--base").arg(base).stdout(Stdio::null());
        command
    }
}

/// Runs a child and tells what it says.
fn follow(
    command: Command,
    what: &str,
    input: Input,
    cancel: &CancelToken,
    told: &mut dyn FnMut(&str),
) -> Result<(), RegistryError> {
    told(what);
    process::follow(command, what, input, cancel, &mut |event| {
        if let Event::Said(line) = event {
            told(&format!("{what}: {line}"));
        }
    })
}

fn no_trainer(reason: impl Into<String>) -> RegistryError {
    RegistryError::NoTrainer { reason: reason.into() }
}
