//! Python and pip as child processes: they end with the operation that started them.

use std::{
    ffi::OsString,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use base::CancelToken;

use crate::RegistryError;

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(60);
/// How much of what a child says is kept for the message of a failure.
const KEPT: usize = 2000;

/// A Python interpreter.
pub(crate) struct Python {
    program: OsString,
}

/// What to do when Python or a part of it is missing.
const ADVICE: &str = "install Python 3.11 or newer with pip and venv \
    (Debian: `apt install python3 python3-pip python3-venv`), \
    or name an interpreter as `python` under `[models]` in hearth.toml";

impl Python {
    /// The interpreter that the settings name, else the system's.
    pub(crate) fn find(
        setting: Option<&str>,
        scratch: &Path,
        cancel: &CancelToken,
    ) -> Result<Self, RegistryError> {
        let names: &[&str] = match &setting {
            Some(setting) => &[setting],
            None => &["python3", "python"],
        };
        let works = |name: &&&str| {
            let mut command = Command::new(name);
            command.args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]);
            run(command, "looking for Python", scratch, |_| cancel.is_cancelled()).is_ok()
        };
        let found = names.iter().find(works);
        cancel.check()?;
        match found {
            Some(name) => Ok(Self { program: name.into() }),
            None => Err(RegistryError::Tool {
                what: "looking for Python".into(),
                reason: ADVICE.into(),
            }),
        }
    }

    /// Makes a virtual environment under `scratch`. Where this interpreter has pip, the environment
    /// needs none of its own, which is much quicker and works where Debian's `python3-venv` is
    /// missing.
    pub(crate) fn environment(
        &self,
        scratch: &Path,
        cancel: &CancelToken,
    ) -> Result<Environment, RegistryError> {
        let folder = scratch.join("environment");
        let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
        let make = |options: &[&str]| {
            let mut command = Command::new(&self.program);
            command.args(["-m", "venv"]).args(options).arg(&folder);
            let made =
                run(command, "making a Python environment", &folder, |_| cancel.is_cancelled());
            made.map_err(|error| match error {
                RegistryError::Tool { what, reason } => {
                    RegistryError::Tool { what, reason: format!("{reason}\n{ADVICE}") }
                }
                other => other,
            })
        };
        make(&["--without-pip"])?;
        let mut command = Command::new(&self.program);
        command.args(["-m", "pip", "--python"]).arg(&python).arg("--version");
        let has_pip = run(command, "looking for pip", scratch, |_| cancel.is_cancelled()).is_ok();
        cancel.check()?;
        if !has_pip {
            make(&[])?;
        }
        let pip = if has_pip { self.program.clone() } else { python.clone().into() };
        Ok(Environment { pip, python, folder })
    }
}

/// A virtual environment, and the interpreter whose pip serves it.
pub(crate) struct Environment {
    pip: OsString,
    /// Its interpreter.
    pub(crate) python: PathBuf,
    /// Its folder.
    pub(crate) folder: PathBuf,
}

impl Environment {
    /// pip for this environment, with its temporary files under `scratch`, where their growth is seen
    /// and they are removed with the rest.
    pub(crate) fn pip(&self, scratch: &Path) -> Command {
        let mut command = Command::new(&self.pip);
        command.args(["-m", "pip", "--python"]).arg(&self.python);
        command.args(["--no-input", "--disable-pip-version-check", "--quiet"]);
        for variable in ["TMPDIR", "TEMP", "TMP"] {
            command.env(variable, scratch);
        }
        // What the person's pip settings may say, and what would be wrong in an environment.
        command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0");
        command
    }
}

/// Runs `command` to its end. About every POLL, `tick` is told how many bytes `watched` and all in it
/// have; when it answers true the child is ended. Fails with what the child wrote, if it failed.
pub(crate) fn run(
    mut command: Command,
    what: &str,
    watched: &Path,
    mut tick: impl FnMut(u64) -> bool,
) -> Result<(), RegistryError> {
    let failed = |reason: String| RegistryError::Tool { what: what.to_owned(), reason };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    let mut child = command.spawn().map_err(|error| {
        failed(format!("{} cannot be started: {error}", command.get_program().display()))
    })?;
    let mut errors = child.stderr.take().expect("standard error is a pipe");
    let reader = thread::spawn(move || tail(&mut errors));
    let guard = Ended(child);
    let status = guard.wait(watched, &mut tick)?.map_err(|error| failed(error.to_string()))?;
    let said = reader.join().unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    Err(failed(match said.trim() {
        "" => status.to_string(),
        said => said.to_owned(),
    }))
}

/// A child that does not outlive its guard.
struct Ended(Child);

impl Ended {
    fn wait(
        mut self,
        watched: &Path,
        tick: &mut dyn FnMut(u64) -> bool,
    ) -> Result<std::io::Result<std::process::ExitStatus>, RegistryError> {
        loop {
            match self.0.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Ok(Ok(status)),
                Err(error) => return Ok(Err(error)),
            }
            if tick(size_of(watched)) {
                return Err(RegistryError::Cancelled);
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last part of what a stream says.
fn tail(stream: &mut dyn Read) -> String {
    let mut kept = Vec::new();
    let mut step = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut step) {
        kept.extend_from_slice(step.get(..length).unwrap_or_default());
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Bytes of all files in a folder and its folders; what vanishes meanwhile counts nothing.
pub(crate) fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}
