//! Another machine that trains: reached by the system's ssh alone, with the person's own keys and known hosts.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base::CancelToken;
use serde::Deserialize;

use super::{PATIENCE, follow};
use crate::{
    RegistryError, hash,
    process::{self, Event, Input},
};

/// Minutes of training until the checkpoint comes back, so that a lost connection costs no more than these.
const PIECE_MINUTES: &str = "5";

/// A machine with a Unix shell, tar, and a Python with PyTorch.
#[derive(Debug)]
pub(super) struct Host {
    /// As ssh knows it.
    pub(super) name: String,
    python: String,
    /// The folder there, as its shell reads it: one for each workspace, so that what a lost connection left
    /// behind goes away the next time.
    folder: String,
}

/// What `pack` wrote.
#[derive(Deserialize)]
struct Parts {
    bytes: u64,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    file: String,
}

impl Host {
    /// `key` names the workspace, in hexadecimal digits.
    pub(super) fn new(name: &str, python: Option<&str>, key: &str) -> Result<Self, String> {
        let odd = |char: char| char.is_whitespace() || char.is_control();
        if name.is_empty() || name.starts_with('-') || name.contains(odd) {
            return Err(format!(
                "{name:?} names no machine; `--host` takes USER@HOST or a name of ~/.ssh/config"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            python: python.unwrap_or("python3").to_owned(),
            folder: format!("\"$HOME/.cache/hearth-adapt-{key}\""),
        })
    }

    /// A command that runs a shell script there. It never asks for a password: nobody could answer.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]);
        command.args(["-o", "ServerAliveInterval=15", "--", &self.name]);
        command.arg(format!("sh -c {}", quoted(&format!("umask 077; {script}"))));
        command.stdout(Stdio::null());
        command
    }

    /// A command that runs Python there with these words of a shell.
    pub(super) fn python(&self, words: &str) -> Command {
        self.shell(&format!("exec {} {words}", quoted(&self.python)))
    }

    /// A task of the pipeline that was copied there.
    fn task(&self, words: &str) -> Command {
        let (folder, python) = (&self.folder, quoted(&self.python));
        self.shell(&format!("cd {folder}/models && exec {python} -m pipeline.completion {words}"))
    }

    /// Copies the parts there, trains in pieces, and fetches the checkpoint after each and the adapter at the
    /// end into `run`.
    pub(super) fn train(
        &self,
        parts: &Path,
        run: &Path,
        (recipe, device): (&str, &str),
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), RegistryError> {
        let folder = &self.folder;
        let (bytes, packed) = chained(parts)?;
        self.give(
            &format!("rm -rf {folder} && mkdir -p {folder}/run && tar -xf - -C {folder}"),
            (Box::new(packed), bytes),
            cancel,
            told,
        )?;
        let checkpoint = run.join("checkpoint.pt");
        if let Ok(file) = File::open(&checkpoint) {
            let bytes = file.metadata().map_err(RegistryError::file("read", &checkpoint))?.len();
            let script = format!("cat > {folder}/run/checkpoint.pt");
            self.give(&script, (Box::new(file), bytes), cancel, told)?;
        }
        let options = format!("--config {recipe} --base ../base.gguf");
        let what = format!("training on {}", self.name);
        let mut finished = false;
        while !finished {
            let train = self.task(&format!(
                "train {options} --prepared ../prepared --out ../run --device {device} --until-eof \
                 --minutes {PIECE_MINUTES}"
            ));
            told(&what);
            let input = Input::UntilCancelled(PATIENCE);
            process::follow(train, &what, input, cancel, &mut |event| {
                if let Event::Said(line) = event {
                    finished |= line.starts_with("finished");
                    told(&format!("{what}: {line}"));
                }
            })?;
            self.fetch("checkpoint.pt", run, cancel, told)?;
        }
        let convert = self.task(&format!("convert {options} --adapter-only --run ../run"));
        follow(convert, "converting", Input::Nothing, cancel, told)?;
        self.fetch("adapter.gguf", run, cancel, told)
    }

    /// Runs a script there that reads so many bytes.
    fn give(
        &self,
        script: &str,
        (bytes, total): (Box<dyn Read + Send>, u64),
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), RegistryError> {
        let what = format!("copying to {}", self.name);
        let given = Arc::new(AtomicU64::new(0));
        let bytes = Box::new(Counted { bytes, given: Arc::clone(&given) });
        process::follow(self.shell(script), &what, Input::Bytes(bytes), cancel, &mut |_| {
            let done = given.load(Ordering::Relaxed);
            told(&format!(
                "{what}: {} % of {} MB",
                done * 100 / total.max(1),
                total.div_ceil(1_000_000)
            ));
        })
    }

    /// Copies a file of the run from there, whole or not at all.
    fn fetch(
        &self,
        name: &str,
        run: &Path,
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), RegistryError> {
        let partial = run.join(format!("{name}.partial"));
        let file = hash::create(&partial)?;
        let mut command = self.shell(&format!("cat {}/run/{name}", self.folder));
        command.stdout(file);
        let what = format!("fetching {name} from {}", self.name);
        let got = process::follow(command, &what, Input::Nothing, cancel, &mut |_| {
            let bytes = fs::metadata(&partial).map_or(0, |data| data.len());
            told(&format!("{what}: {} MB", bytes / 1_000_000));
        });
        let target = run.join(name);
        got.and_then(|()| {
            fs::rename(&partial, &target).map_err(RegistryError::file("move", &target))
        })
        .inspect_err(|_| _ = fs::remove_file(&partial))
    }

    /// Removes what was copied there, however the training ended.
    pub(super) fn remove(&self, told: &mut dyn FnMut(&str)) -> Result<(), RegistryError> {
        let what = format!("removing what was copied to {}", self.name);
        let command = self.shell(&format!("rm -rf {}", self.folder));
        follow(command, &what, Input::Nothing, &CancelToken::new(), told)
    }
}

/// The parts behind each other, which are a tar file, and their size.
fn chained(folder: &Path) -> Result<(u64, impl Read + Send + use<>), RegistryError> {
    let manifest = folder.join("parts.json");
    let text = fs::read(&manifest).map_err(RegistryError::file("read", &manifest))?;
    let packed: Parts = serde_json::from_slice(&text)
        .map_err(|error| RegistryError::file("read", &manifest)(error.into()))?;
    let mut whole: Box<dyn Read + Send> = Box::new(io::empty());
    for part in packed.parts {
        let path = folder.join(part.file);
        let file = File::open(&path).map_err(RegistryError::file("read", &path))?;
        whole = Box::new(whole.chain(file));
    }
    Ok((packed.bytes, whole))
}

/// Counts what is read.
struct Counted {
    bytes: Box<dyn Read + Send>,
    given: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        self.given.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// One word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_machine_and_never_an_option() {
        for good in ["gpu", "me@gpu.example", "me@10.0.0.7", "ssh://me@gpu:2222"] {
            assert!(Host::new(good, None, "0a").is_ok(), "{good}");
        }
        for bad in ["", "-oProxyCommand=evil", "gpu evil", "gpu\nevil"] {
            assert!(Host::new(bad, None, "0a").is_err(), "{bad}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_quoted_word_reaches_the_shell_as_it_was() {
        for word in ["plain", "it's", "a b; $HOME `x` \"y\" \\", "two\nlines"] {
            let script = format!("printf %s {}", quoted(word));
            let output =
                Command::new("sh").args(["-c", &format!("sh -c {}", quoted(&script))]).output();
            assert_eq!(output.expect("a shell").stdout, word.as_bytes(), "{word}");
        }
    }
}
