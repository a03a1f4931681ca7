//! `cargo xtask models all`: everything that the daemon carries and that is learnt from data, from nothing, in one
//! folder. A part whose inputs and files are as they were when it was made is not made again.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf, absolute},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{PIPELINE, example, python, teacher};
use crate::{
    extension,
    process::{cargo, daemon, quietly, root, run, say, step, target},
    setup,
};

const USAGE: &str = "\
usage: cargo xtask models all [--out DIR] [--cosqa DIR] [--install] [FOLDER...]

  --out DIR      where the texts and what is made of them go (default: `models` in the build folder)
  --cosqa DIR    score the table on CoSQA's retrieval files, too
  --install      put what was made into models/ of this checkout
  FOLDER         more sources to learn from";

/// What was made, in the output folder; written after each part.
const RECORD: &str = "made.json";
const TABLE: &str = "static-embedding.bin";
const REFERENCE: &str = "static-embedding.reference.json";
const SCORES: &str = "static-embedding.scores.json";
const PRIORS: &str = "priors";

/// What the person asked for.
#[derive(Debug, PartialEq)]
struct Options {
    out: PathBuf,
    cosqa: Option<PathBuf>,
    install: bool,
    folders: Vec<PathBuf>,
}

/// What of the data's manifest matters here.
#[derive(Deserialize)]
struct Data {
    hash: String,
    train_hash: String,
    not_on_this_machine: Vec<String>,
}

/// Makes what is not up to date, and says what there is.
pub fn all(words: &[String]) -> Result<()> {
    if words.iter().any(|word| word == "--help") {
        say(USAGE);
        return Ok(());
    }
    let options = Options::read(words)?;
    let (start, out, texts) = (Instant::now(), &options.out, options.out.join("data"));
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let mut made = Made::read(out);
    step("sources", sources)?;
    let trainer = example("train-priors")?;
    teacher()?;
    // The environment is made here; each task then starts its interpreter anew.
    let python = python(&PIPELINE)?;
    let task = |name: &str| {
        let mut command = Command::new(python.get_program());
        command.current_dir(root().join("models")).args(["-m", "pipeline", name, "--data"]);
        command.arg(&texts).args(&options.folders);
        command
    };

    let collecting = Instant::now();
    // Texts that are whole and up to date are left as they are by the collector itself. It prints the manifest.
    step("data", || run(task("data").stdout(Stdio::null())))?;
    let collected = collecting.elapsed().as_secs_f64();
    let manifest = texts.join("manifest.json");
    let content = fs::read(&manifest).with_context(|| manifest.display().to_string())?;
    let data: Data =
        serde_json::from_slice(&content).with_context(|| manifest.display().to_string())?;

    let code = hash_of_all(&pipeline_files()?)?;
    let (table, scores) = (out.join(TABLE), out.join(SCORES));
    made.part("embedding", &[&data.train_hash, &code, &teacher_hash()?], || {
        run(task("embedding").arg("--out").arg(&table))?;
        Ok(vec![table.clone(), out.join(REFERENCE)])
    })?;
    let mut judged = vec![data.hash.clone(), code, hash_of(&table)?];
    if let Some(cosqa) = &options.cosqa {
        judged.push(hash_of_all(&files_of(cosqa)?)?);
    }
    let judged: Vec<&str> = judged.iter().map(String::as_str).collect();
    made.part("evaluation", &judged, || {
        for part in ["development", "test"] {
            let mut command = task("evaluate");
            command.arg("--out").arg(&table).arg("--scores").arg(&scores).args(["--part", part]);
            if let Some(cosqa) = &options.cosqa {
                command.arg("--cosqa").arg(cosqa);
            }
            run(&mut command)?;
        }
        Ok(vec![scores.clone()])
    })?;
    made.part("priors", &[&data.train_hash, &hash_of(&trainer)?], || {
        let folder = out.join(PRIORS);
        // What another run left of a language that is no more is none of this one's.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        run(Command::new(&trainer).arg(&texts).arg(&folder))?;
        files_of(&folder)
    })?;

    say(&format!("\ndata, {collected:.0} s now\n  {}  {}", data.hash, texts.display()));
    if let [first, ..] = data.not_on_this_machine.as_slice() {
        let count = data.not_on_this_machine.len();
        say(&format!(
            "  {count} packages of the lock files are not on this machine, such as {first}"
        ));
    }
    made.tell();
    say(&format!("all of it: {:.0} s now", start.elapsed().as_secs_f64()));
    if options.install { made.install(&root().join("models")) } else { Ok(()) }
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let mut options =
            Self { out: target().join("models"), cosqa: None, install: false, folders: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            // The pipeline runs in another folder.
            let mut folder = || absolute(words.next().context(USAGE)?).map_err(anyhow::Error::from);
            match word.as_str() {
                "--out" => options.out = folder()?,
                "--cosqa" => options.cosqa = Some(folder()?),
                "--install" => options.install = true,
                word if word.starts_with('-') => bail!(USAGE),
                word => options.folders.push(absolute(word)?),
            }
        }
        Ok(options)
    }
}

/// Brings the sources of all packages that the lock files name onto this machine, those for other systems
/// included, so that the texts are the same everywhere.
fn sources() -> Result<()> {
    setup::build_tools()?;
    setup::node()?;
    quietly(cargo().args(["fetch", "--locked"]))?;
    extension::install_packages(&root().join("extension"))?;
    extension::install_packages(&root().join("tests/workbench"))
}

/// A part as it was made.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    /// Hash of all that decides its files.
    inputs: String,
    /// SHA-256 of its files by their paths in the output folder.
    files: BTreeMap<String, String>,
    /// How long making it took.
    seconds: f64,
}

/// The parts in the output folder.
struct Made {
    folder: PathBuf,
    parts: BTreeMap<String, Part>,
}

impl Made {
    /// What was made before; a record that cannot be read is none.
    fn read(folder: &Path) -> Self {
        let record = fs::read(folder.join(RECORD)).ok();
        let parts = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { folder: folder.to_owned(), parts: parts.unwrap_or_default() }
    }

    /// Makes a part, unless its inputs and its files are those of the last time. `make` gives the paths of the
    /// files that it wrote.
    fn part(
        &mut self,
        name: &str,
        inputs: &[&str],
        make: impl FnOnce() -> Result<Vec<PathBuf>>,
    ) -> Result<()> {
        let inputs = inputs.join(" ");
        if self.parts.get(name).is_some_and(|part| part.inputs == inputs && self.is_whole(part)) {
            say(&format!("── {name}: up to date"));
            return Ok(());
        }
        // What is half made must not pass for the old part.
        self.parts.remove(name);
        self.save()?;
        let start = Instant::now();
        let written = step(name, make)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut files = BTreeMap::new();
        for path in written {
            let name = path.strip_prefix(&self.folder)?.to_string_lossy().into_owned();
            files.insert(name, hash_of(&path)?);
        }
        self.parts.insert(name.to_owned(), Part { inputs, files, seconds });
        self.save()
    }

    fn is_whole(&self, part: &Part) -> bool {
        part.files
            .iter()
            .all(|(name, hash)| hash_of(&self.folder.join(name)).is_ok_and(|found| found == *hash))
    }

    fn save(&self) -> Result<()> {
        replace(&self.folder.join(RECORD), &serde_json::to_vec_pretty(&self.parts)?)
    }

    /// Says how long each part took and what its files hold.
    fn tell(&self) {
        for (name, part) in &self.parts {
            say(&format!("{name}, made in {:.0} s", part.seconds));
            for (file, hash) in &part.files {
                say(&format!("  {hash}  {}", self.folder.join(file).display()));
            }
        }
    }

    /// Puts every file in the place of the one that is part of the program.
    fn install(&self, models: &Path) -> Result<()> {
        for file in self.parts.values().flat_map(|part| part.files.keys()) {
            let (source, place) = (self.folder.join(file), models.join(file));
            let content = fs::read(&source).with_context(|| source.display().to_string())?;
            if fs::read(&place).is_ok_and(|there| there == content) {
                say(&format!("{} is the same already", place.display()));
            } else {
                replace(&place, &content)?;
                say(&format!("{} is new", place.display()));
            }
        }
        Ok(())
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, content)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The program that makes and judges the table, and the packages that it needs.
fn pipeline_files() -> Result<Vec<PathBuf>> {
    let mut files = files_of(&root().join("models/pipeline"))?;
    files.push(root().join(PIPELINE.requirements));
    files.retain(|file| file.extension().is_some_and(|end| end == "py" || end == "txt"));
    Ok(files)
}

/// Hash of the model that the table imitates, as its verification recorded it.
fn teacher_hash() -> Result<String> {
    let output =
        Command::new(daemon()).args(["--json", "models", "list", "--installed"]).output()?;
    let models: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
    let model = models.iter().find(|model| model["id"] == super::TEACHER);
    let hash = model.and_then(|model| model["sha256"].as_str());
    Ok(hash.with_context(|| format!("{} is not installed", super::TEACHER))?.to_owned())
}

/// The files of a folder, in order; not those of its folders.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort_unstable();
    Ok(files)
}

fn hash_of_all(files: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.update(hash_of(file)?);
    }
    Ok(hex(&hasher.finalize()))
}

fn hash_of(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = fs::File::open(path).with_context(context)?;
    let (mut hasher, mut step) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let length = file.read(&mut step).with_context(context)?;
        let Some(part @ [_, ..]) = step.get(..length) else {
            return Ok(hex(&hasher.finalize()));
        };
        hasher.update(part);
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options> {
        Options::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn folders_are_taken_from_where_the_person_is() {
        let options = read(&["--out", "made", "--install", "go"]).expect("they can be read");
        assert!(options.install && options.out.is_absolute() && options.out.ends_with("made"));
        assert!(matches!(options.folders.as_slice(), [go] if go.is_absolute()));
        assert!(read(&["--out"]).is_err() && read(&["--overwrite"]).is_err());
    }

    #[test]
    fn a_part_is_made_again_when_its_inputs_or_files_are_not_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("table.bin");
        let makes = |inputs: &[&str], works: bool| {
            let mut called = false;
            let part = Made::read(folder.path()).part("table", inputs, || {
                called = true;
                fs::write(&file, "rows")?;
                if works { Ok(vec![file.clone()]) } else { bail!("interrupted") }
            });
            assert_eq!(part.is_ok(), works || !called);
            called
        };
        assert!(makes(&["data", "code"], true));
        assert!(!makes(&["data", "code"], true), "nothing changed");
        assert!(makes(&["data", "new code"], true));
        fs::write(&file, "damaged").expect("written");
        assert!(makes(&["data", "new code"], true));
        assert!(makes(&["data", "newest code"], false));
        assert!(makes(&["data", "new code"], true), "what was interrupted is not up to date");
        let models = tempfile::tempdir().expect("a temporary folder");
        Made::read(folder.path()).install(models.path()).expect("installed");
        assert_eq!(fs::read(models.path().join("table.bin")).expect("it is there"), b"rows");
    }
}
