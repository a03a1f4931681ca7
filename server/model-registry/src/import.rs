use std::{fs::File, path::Path};

use base::CancelToken;

use crate::{
    Installed, ModelEntry, Registry, RegistryError, Role, Source, cross_encoder,
    gguf::{self, GgufHeader},
    hash,
    manifest::is_id,
    progress::{Progress, Step, Task},
    record::{FileRecord, Record},
    space,
};

/// Architectures that write no text.
const SILENT: &[&str] =
    &["bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "t5encoder", "clip"];

impl Registry {
    /// Copies a GGUF file, or the folder of a cross-encoder, among the models. It is checked before,
    /// hashed on the way, and called `id` or by its own name. A file of the manifest is recognised by
    /// its hash or name.
    pub fn import(
        &self,
        file: &Path,
        id: Option<&str>,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Installed, RegistryError> {
        if file.is_dir() {
            return self.import_cross_encoder(file, id, cancel, progress);
        }
        let refused = |reason: String| RegistryError::Import { path: file.to_owned(), reason };
        let header = gguf::inspect(file)
            .map_err(|reason| RegistryError::Model { path: file.to_owned(), reason })?;
        check_importable(&header).map_err(refused)?;
        let file_name = file.file_name().and_then(|name| name.to_str()).unwrap_or("model.gguf");
        let entry = self.entry_for(file_name);
        let id = match (id, entry) {
            (Some(id), _) => checked(id).map_err(refused)?,
            (None, Some(entry)) => entry.id.clone(),
            (None, None) => slug(file_name),
        };
        let mut task = Task { id: &id, cancel, sink: progress };
        let _lock = self.lock(&id, cancel, &mut || task.report(Step::Waiting, 0, None))?;
        let copied = self.copy_in(file, &id, &header, entry, &mut task);
        self.discard_part(&id)?;
        copied
    }

    fn import_cross_encoder(
        &self,
        folder: &Path,
        id: Option<&str>,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Installed, RegistryError> {
        let refused = |reason: String| RegistryError::Import { path: folder.to_owned(), reason };
        let context = cross_encoder::inspect(folder).map_err(refused)?;
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("reranker");
        let id = id.map_or_else(|| Ok(slug(name)), checked).map_err(refused)?;
        if self.manifest.get(&id).is_some() {
            return Err(refused(format!(
                "{id:?} is another model's name; give it one with `--id`"
            )));
        }
        let mut task = Task { id: &id, cancel, sink: progress };
        let _lock = self.lock(&id, cancel, &mut || task.report(Step::Waiting, 0, None))?;
        let copied = self.copy_cross_encoder(folder, (&id, name), context, &mut task);
        self.discard_part(&id)?;
        copied
    }

    fn copy_cross_encoder(
        &self,
        folder: &Path,
        (id, name): (&str, &str),
        context: Option<u64>,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let mut sources = Vec::new();
        for name in cross_encoder::FILES {
            let path = folder.join(name);
            let source = File::open(&path).map_err(RegistryError::file("read", &path))?;
            let bytes = source.metadata().map_err(RegistryError::file("read", &path))?.len();
            sources.push((name, path, source, bytes));
        }
        let total = sources.iter().map(|(_, _, _, bytes)| bytes).sum();
        space::require(&self.folder, total)?;
        let staging = self.fresh_staging(id, false)?;
        let mut record =
            Record::new(id, name, &[Role::Rerank], format!("folder {}", folder.display()));
        record.context = context;
        let mut before = 0;
        for (name, path, mut source, bytes) in sources {
            let target = staging.join(name);
            let mut told = |done| {
                let (step, done) = (Step::Copying, before + done);
                (task.sink)(Progress { id: task.id, step, done, total: Some(total) });
            };
            let sha256 = hash::copy(&mut source, (&path, &target), bytes, task.cancel, &mut told)?;
            record.files.push(FileRecord::of(&target, sha256)?);
            before += bytes;
        }
        // The copies, not the originals, are what will be loaded.
        cross_encoder::inspect(&staging)
            .map_err(|reason| RegistryError::Import { path: folder.to_owned(), reason })?;
        self.install(&staging, &record)?;
        Ok(self.describe(&record))
    }

    fn copy_in(
        &self,
        file: &Path,
        id: &str,
        header: &GgufHeader,
        entry: Option<&ModelEntry>,
        task: &mut Task<'_>,
    ) -> Result<Installed, RegistryError> {
        let mut source = File::open(file).map_err(RegistryError::file("read", file))?;
        let bytes = source.metadata().map_err(RegistryError::file("read", file))?.len();
        space::require(&self.folder, bytes)?;
        let staging = self.fresh_staging(id, false)?;
        let target = staging.join(format!("{id}.gguf"));
        let sha256 = hash::copy(&mut source, (file, &target), bytes, task.cancel, &mut |done| {
            (task.sink)(Progress { id: task.id, step: Step::Copying, done, total: Some(bytes) });
        })?;
        let pinned = entry.filter(|entry| entry.id == id).and_then(ModelEntry::source_sha256);
        if let Some(pinned) = pinned {
            crate::pull::check_hash(file.display().to_string(), pinned, &sha256)?;
        }
        // The copy, not the original, is what will be loaded: the original may have changed meanwhile.
        gguf::inspect(&target)
            .map_err(|reason| RegistryError::Model { path: file.to_owned(), reason })?;
        let roles = entry.map_or_else(|| roles(header), |entry| entry.roles.clone());
        let name = header.name.clone().unwrap_or_else(|| id.to_owned());
        let mut record = Record::new(id, &name, &roles, format!("file {}", file.display()));
        record.license =
            header.license.clone().or_else(|| entry.map(|entry| entry.license.clone()));
        record.quantization.clone_from(&header.quantization);
        record.context = header.context_length;
        record.files = vec![FileRecord::of(&target, sha256)?];
        self.install(&staging, &record)?;
        Ok(self.describe(&record))
    }

    /// The model of the manifest whose file has this name.
    fn entry_for(&self, file_name: &str) -> Option<&ModelEntry> {
        self.manifest.models.iter().find(|entry| match &entry.source {
            Source::Hub { file, .. } => file.eq_ignore_ascii_case(file_name),
            Source::Pypi { .. } | Source::Url { .. } => false,
        })
    }
}

/// A name that was given, if it can be one.
pub(crate) fn checked(id: &str) -> Result<String, String> {
    let refused =
        || format!("{id:?} cannot be its name; use lower-case letters, digits, '.', '-' and '_'");
    is_id(id).then(|| id.to_owned()).ok_or_else(refused)
}

/// Says why a sound GGUF file is of no use here.
fn check_importable(header: &GgufHeader) -> Result<(), String> {
    if let Some((_, parts)) = header.split {
        return Err(format!(
            "it is one of {parts} parts; join them with llama.cpp's `llama-gguf-split --merge` first"
        ));
    }
    if header.adapter.is_some() {
        return Err("it is an adapter, which is nothing without its base".into());
    }
    if header.tensors == 0 {
        return Err("it has a vocabulary and no weights; get the whole model".into());
    }
    if SILENT.contains(&header.architecture.as_str()) {
        return Err(format!(
            "it is a model of the kind {:?}, which writes no text; only models that do can be imported",
            header.architecture
        ));
    }
    Ok(())
}

/// What a model is made for, as far as its file says.
pub(crate) fn roles(header: &GgufHeader) -> Vec<Role> {
    let mut roles = Vec::new();
    if header.chat_template.is_some() {
        roles.extend([Role::Chat, Role::Edit]);
    }
    if header.fim.is_some() || roles.is_empty() {
        roles.push(Role::Completion);
    }
    roles
}

/// A name made of a file's name.
pub(crate) fn slug(file_name: &str) -> String {
    let lower = file_name.to_ascii_lowercase();
    let stem = lower.strip_suffix(".gguf").unwrap_or(&lower);
    let plain = |ch: char| if ch.is_ascii_alphanumeric() || "._-".contains(ch) { ch } else { '-' };
    let slug: String = stem.chars().map(plain).take(80).collect();
    match slug.trim_matches(['-', '.']) {
        "" => "model".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_safe_names() {
        assert_eq!(slug("Qwen2.5-Coder 1.5B (Q4_K_M).gguf"), "qwen2.5-coder-1.5b--q4_k_m");
        assert_eq!(slug(".gguf"), "model");
        assert_eq!(slug("../../étc.gguf"), "tc");
        for name in ["Qwen2.5-Coder 1.5B (Q4_K_M).gguf", ".gguf", "../../étc.gguf", "日本"] {
            assert!(is_id(&slug(name)), "{name}");
        }
    }
}
