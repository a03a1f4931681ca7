use std::{
    env,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

/// Writes a line for the person at the terminal; standard output stays free for results.
pub fn say(line: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The repository's root: of the checkout that cargo was called in, not of the one that this
/// program was built from, since checkouts may share a build folder.
pub fn root() -> PathBuf {
    let manifest = env::var("CARGO_MANIFEST_DIR");
    Path::new(manifest.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR")))
        .ancestors()
        .nth(2)
        .expect("the crate lies two folders below the root")
        .to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The optimised daemon.
pub fn daemon() -> PathBuf {
    target().join("release").join(format!("hearth{}", env::consts::EXE_SUFFIX))
}

/// Whether a program of this name is on the search path.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program of this name is on the search path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A cargo command in the repository. `SOURCE_DATE_EPOCH` is removed: with it llama.cpp's build
/// leaves out every SIMD kernel.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env_remove("SOURCE_DATE_EPOCH");
    command
}

/// Runs a command to its end with its output shown, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs a command that is only worth reading when it fails: then its output is shown whole.
pub fn quietly(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        say(&String::from_utf8_lossy(&output.stdout));
        say(&String::from_utf8_lossy(&output.stderr));
        bail!("{shown} ended with {}", output.status);
    }
    Ok(())
}

/// Runs a command, shows its standard output line by line and hands it back with whether the
/// command succeeded.
pub fn tee(command: &mut Command) -> Result<(String, bool)> {
    let shown = show(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {shown}"))?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    let mut seen = String::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        say(&line);
        seen.push_str(&line);
        seen.push('\n');
    }
    Ok((seen, child.wait()?.success()))
}

/// Runs one step and says what it is and how long it took.
pub fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("── {title}"));
    let start = Instant::now();
    let value = work().with_context(|| title.to_owned())?;
    let seconds = start.elapsed().as_secs_f64();
    if seconds >= 1.0 {
        say(&format!("   {title}: {seconds:.1} s"));
    }
    Ok(value)
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
