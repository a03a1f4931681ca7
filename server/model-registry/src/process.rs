//! Python, pip and ssh as child processes: they end with the operation that started them.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use base::CancelToken;

use crate::RegistryError;

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(60);
/// How much of what a child says is kept for the message of a failure.
const KEPT: usize = 2000;

/// Longest line of a child that is told, in bytes.
const LINE: u64 = 400;
/// What a child has left to say when it has ended is waited for so long: a process that it started may hold
/// the pipe open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A Python interpreter.
pub(crate) struct Python {
    /// The program, as it is started.
    pub(crate) program: OsString,
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
    Err(failed(last_words(&said, status)))
}

/// What stands on a child's standard input.
pub(crate) enum Input {
    /// Nothing.
    Nothing,
    /// All of this, then its end.
    Bytes(Box<dyn Read + Send>),
    /// Nothing, and no end: that comes when the operation is cancelled. The child may then take so long to
    /// keep what it has.
    UntilCancelled(Duration),
}

/// What is told of a child that is followed.
pub(crate) enum Event<'a> {
    /// It wrote a line to standard error.
    Said(&'a str),
    /// It goes on.
    Running,
}

/// Runs `command` to its end and tells what it says while it says it. What it writes to standard output goes
/// where the command has it go. Fails with the end of what it said, if it failed. Signals that the terminal
/// sends to this program do not reach it: how it ends is decided here.
pub(crate) fn follow(
    mut command: Command,
    what: &str,
    input: Input,
    cancel: &CancelToken,
    told: &mut dyn FnMut(Event<'_>),
) -> Result<(), RegistryError> {
    let failed = |reason: String| RegistryError::Tool { what: what.to_owned(), reason };
    let piped = !matches!(input, Input::Nothing);
    command.stdin(if piped { Stdio::piped() } else { Stdio::null() }).stderr(Stdio::piped());
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(|error| {
        failed(format!("{} cannot be started: {error}", command.get_program().display()))
    })?;
    let lines = lines_of(child.stderr.take().expect("standard error is a pipe"));
    let (mut held, mut grace) = (None, Duration::ZERO);
    match (input, child.stdin.take()) {
        (Input::Bytes(bytes), Some(stdin)) => give(bytes, stdin),
        (Input::UntilCancelled(patience), stdin) => (held, grace) = (stdin, patience),
        _ => {}
    }
    let mut child = Ended(child);
    let mut said = String::new();
    let mut hear = |line: String, told: &mut dyn FnMut(Event<'_>)| {
        told(Event::Said(&line));
        said.push_str(&line);
        said.push('\n');
        let excess = said.len().saturating_sub(KEPT);
        said.drain(..said.ceil_char_boundary(excess));
    };
    let mut ending: Option<Instant> = None;
    let status = loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => hear(line, told),
            Err(RecvTimeoutError::Timeout) => told(Event::Running),
            // It closed its standard error, and may go on.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
        }
        if cancel.is_cancelled() {
            drop(held.take());
            if ending.get_or_insert_with(Instant::now).elapsed() >= grace {
                return Err(RegistryError::Cancelled);
            }
        }
        if let Some(status) = child.0.try_wait().map_err(|error| failed(error.to_string()))? {
            break status;
        }
    };
    // What a child of the child goes on saying is not waited for.
    let until = Instant::now() + LAST_WORDS;
    while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        hear(line, told);
    }
    cancel.check()?;
    if status.success() { Ok(()) } else { Err(failed(last_words(&said, status))) }
}

/// The lines of a stream; of a long one its parts.
fn lines_of(stream: ChildStderr) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!((&mut stream).take(LINE).read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if !text.is_empty() && sender.send(text.to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

/// Hands a child its input on a thread of its own. A child that does not read to the end says why itself.
fn give(mut bytes: Box<dyn Read + Send>, mut stdin: ChildStdin) {
    thread::spawn(move || io::copy(&mut bytes, &mut stdin));
}

fn last_words(said: &str, status: ExitStatus) -> String {
    match said.trim() {
        "" => status.to_string(),
        said => said.to_owned(),
    }
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
