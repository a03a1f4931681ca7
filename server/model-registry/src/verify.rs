use base::CancelToken;
use serde::Serialize;

use crate::{
    Registry, RegistryError, hash,
    progress::{Progress, Step, Task},
    record::stamp,
};

/// The answer of a full verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The model.
    pub id: String,
    /// Whether every file is as it was when it was installed.
    pub ok: bool,
    /// What to do, when it is not.
    pub advice: Option<String>,
    /// The files.
    pub files: Vec<FileCheck>,
}

/// One file of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileCheck {
    /// Name in the model's folder.
    pub name: String,
    /// The recorded SHA-256.
    pub expected: String,
    /// The file's SHA-256, if it can be read.
    pub found: Option<String>,
}

impl Registry {
    /// Hashes every file of an installed model. A model that is not as it was is not used again until
    /// it is fetched anew; one that is right counts as sound again.
    pub fn verify(
        &self,
        id: &str,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Verification, RegistryError> {
        let mut task = Task { id, cancel, sink: progress };
        let mut record = self.record(id)?;
        let _lock = self.lock(id, cancel, &mut || task.report(Step::Waiting, 0, None))?;
        let before = record.clone();
        let folder = self.folder_of(id);
        let total = record.bytes();
        let mut done = 0;
        let mut files = Vec::new();
        for file in &mut record.files {
            let path = folder.join(&file.name);
            let found = hash::of_file(&path, cancel, &mut |part| {
                let done = done + part;
                (task.sink)(Progress { id, step: Step::Verifying, done, total: Some(total) });
            });
            let found = match found {
                Ok(found) => Some(found),
                Err(RegistryError::Cancelled) => return Err(RegistryError::Cancelled),
                Err(_) => None,
            };
            if let (true, Ok((_, modified))) = (found.as_ref() == Some(&file.sha256), stamp(&path))
            {
                file.modified_ns = modified;
            }
            done += file.bytes;
            files.push(FileCheck { name: file.name.clone(), expected: file.sha256.clone(), found });
        }
        let wrong = files.iter().find(|file| file.found.as_ref() != Some(&file.expected));
        record.damaged =
            wrong.map(|file| format!("{} is not the file that was installed", file.name));
        if record != before {
            record.save(&folder)?;
        }
        let advice = wrong.map(|_| match self.manifest().get(id) {
            Some(_) => format!("run `hearth models pull {id}` to fetch it again"),
            None => format!("run `hearth models remove {id}` and import it again"),
        });
        Ok(Verification { id: id.to_owned(), ok: wrong.is_none(), advice, files })
    }
}
