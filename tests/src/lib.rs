//! Drives the built program from outside, as a person or an editor would: a home folder of its own
//! for each test, small workspaces written on the spot, foreign repositories from cargo's source
//! cache.
//!
//! Nothing of the product is linked here but `base`, to find where installed models lie.

pub mod lsp;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base::Folders;
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

/// A home folder of its own, removed at the end.
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// A home without any model.
    pub fn without_models() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
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

    /// The program with these arguments, in this home, working on `workspace`.
    pub fn command(&self, workspace: &Path) -> Command {
        let mut command = Command::new(program());
        command
            .env("HEARTH_HOME", self.path())
            .env_remove("HEARTH_LOG")
            .current_dir(workspace)
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
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
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
    for section in fixture.split("//- ").skip(1) {
        let (path, text) = section.split_once('\n').expect("a path stands on a line of its own");
        let path = folder.path().join(path.trim());
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
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
