//! Drives the built program from outside, as a person or an editor would: a home folder of its own
//! for each test, small workspaces written on the spot, foreign repositories from cargo's source
//! cache.
//!
//! Nothing of the product is linked here but `base`, to find where installed models lie, and the
//! writer of tiny model files in `inference`.

#[cfg(target_os = "linux")]
pub mod disk;
pub mod lsp;
#[cfg(target_os = "linux")]
pub mod process;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base::Folders;
use inference::fake::write_scripted_model;
use serde_json::Value;
use tempfile::TempDir;

/// The program under test: `HEARTH_SERVER`, or the one built beside this test.
pub fn program() -> PathBuf {
    if let Some(program) = env::var_os("HEARTH_SERVER") {
        return program.into();
    }
    let test = env::current_exe().expect("a running program has a path");
    let built = test.ancestors().nth(2).expect("tests lie in target/release/deps");
    let program = built.join(format!("hearth{}", env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is not built; run `cargo xtask test`", program.display());
    program
}

/// Says why a test cannot be done here.
#[expect(clippy::print_stderr, reason = "the only place where a person looks")]
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// A home folder of its own, removed at the end.
pub struct Home {
    folder: TempDir,
    #[cfg(target_os = "linux")]
    disk: Option<disk::SmallDisk>,
}

impl Home {
    /// A home without any model.
    pub fn without_models() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            #[cfg(target_os = "linux")]
            disk: None,
        }
    }

    /// A home without any model on a disk of so many bytes; `None`, with the reason printed, where
    /// there cannot be one.
    #[cfg(target_os = "linux")]
    pub fn on_small_disk(bytes: u64) -> Option<Self> {
        let home = Self::without_models();
        let disk = disk::SmallDisk::mount(home.path(), bytes)?;
        Some(Self { disk: Some(disk), ..home })
    }

    /// The disk that it lies on, of a home that was made so.
    #[cfg(target_os = "linux")]
    pub fn disk(&self) -> &disk::SmallDisk {
        self.disk.as_ref().expect("it was made on a disk of its own")
    }

    /// A home with one model, which says `pieces` whatever it is asked.
    pub fn with_scripted_model(pieces: &[&str]) -> Self {
        let home = Self::without_models();
        home.install_scripted_model(pieces);
        home
    }

    /// Installs a model that says `pieces` whatever it is asked, and gives its file.
    pub fn install_scripted_model(&self, pieces: &[&str]) -> PathBuf {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("scripted.gguf");
        write_scripted_model(&file, pieces).expect("written");
        self.import(&file);
        self.path().join("data/models/scripted/scripted.gguf")
    }

    /// Takes a file among the models, which must work.
    pub fn import(&self, file: &Path) {
        let folder = file.parent().expect("a file lies in a folder");
        let name = file.to_str().expect("a temporary path is UTF-8");
        let imported = self.run(folder, &["models", "import", name]);
        assert_eq!(imported.code, Some(0), "{imported:?}");
    }

    /// A home with the models that set-up installed for this user.
    pub fn with_models() -> Self {
        let home = Self::without_models();
        let installed = Folders::of_user()
            .and_then(|folders| folders.models())
            .expect("this user has a data folder");
        let data = home.path().join("data");
        fs::create_dir_all(&data).expect("made");
        #[cfg(unix)]
        std::os::unix::fs::symlink(installed, data.join("models")).expect("linked");
        home
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a path in this home is for this process, which does not see the home's own disk.
    pub fn seen(&self, path: &Path) -> PathBuf {
        #[cfg(target_os = "linux")]
        if let Some(disk) = &self.disk {
            return disk.seen(path);
        }
        path.to_owned()
    }

    /// The program with these arguments, in this home, working on `workspace`.
    pub fn command(&self, workspace: &Path) -> Command {
        self.command_of(&program(), workspace)
    }

    fn command_of(&self, program: &Path, workspace: &Path) -> Command {
        let mut command = Command::new(program);
        #[cfg(target_os = "linux")]
        if let Some(disk) = &self.disk {
            command = disk.command(workspace, program);
        }
        command
            .env("HEARTH_HOME", self.path())
            .env_remove("HEARTH_LOG")
            // What lies on the home's own disk exists for this process under another name.
            .current_dir(if self.seen(workspace) == workspace { workspace } else { Path::new("/") })
            .arg("--workspace")
            .arg(workspace)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, workspace: &Path, arguments: &[&str]) -> Finished {
        self.pipe(workspace, arguments, None)
    }

    /// Runs a command with `input` on its standard input.
    pub fn pipe(&self, workspace: &Path, arguments: &[&str], input: Option<&str>) -> Finished {
        let mut command = self.command(workspace);
        command.args(arguments);
        finish(command, input)
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub fn finish(mut command: Command, input: Option<&str>) -> Finished {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().expect("the program starts");
    if let Some(input) = input {
        let mut stdin = child.stdin.take().expect("standard input is piped");
        // A program that refuses its arguments does not read.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("the program ends");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The same command, started by a shell script that runs it as `"$0" "$@"`.
pub fn through_shell(command: &Command, script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// A command that ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Finished {
    /// The one JSON document on standard output of a command that succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Writes a workspace from `//- path` sections:
///
/// ```text
/// //- src/main.rs
/// fn main() {}
/// ```
pub fn workspace(fixture: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_workspace(folder.path(), fixture);
    folder
}

/// Writes a workspace as [`workspace`] does, into a folder.
pub fn write_workspace(folder: &Path, fixture: &str) {
    for section in fixture.split("//- ").skip(1) {
        let (path, text) = section.split_once('\n').expect("a path stands on a line of its own");
        let path = folder.join(path.trim());
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
}

/// A repository that nobody here wrote: an unpacked dependency of this project, at the version that
/// `Cargo.lock` pins, such as `tantivy-0.27.0`.
pub fn foreign(name: &str) -> PathBuf {
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let sources = cargo.expect("cargo has a home").join("registry/src");
    fs::read_dir(&sources)
        .into_iter()
        .flatten()
        .flatten()
        .map(|registry| registry.path().join(name))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| panic!("{name} is not unpacked below {}", sources.display()))
}
