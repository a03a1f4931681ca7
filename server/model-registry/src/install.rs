//! Where a model is put together before it is installed, and the lock that keeps two processes apart.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use base::CancelToken;

use crate::{Registry, RegistryError, record::Record};

/// Folder, inside that of the models, of what is not finished.
const INCOMING: &str = ".incoming";
/// How a file is named while it is downloaded.
pub(crate) const PART: &str = "part";
/// Folder, inside that of a model that is put together, of what an adapter is merged into.
pub(crate) const BASE: &str = "base";
/// How often a lock that another process holds is tried.
const RETRY: Duration = Duration::from_millis(100);

impl Registry {
    fn incoming(&self) -> PathBuf {
        self.folder.join(INCOMING)
    }

    /// The folder in which the model is put together.
    pub(crate) fn staging(&self, id: &str) -> PathBuf {
        self.incoming().join(id)
    }

    /// Keeps other processes from working on the same model until the answer is dropped. `waiting` is
    /// called while another has it.
    pub(crate) fn lock(
        &self,
        id: &str,
        cancel: &CancelToken,
        waiting: &mut dyn FnMut(),
    ) -> Result<File, RegistryError> {
        let incoming = self.incoming();
        make_folder(&incoming)?;
        let path = incoming.join(format!("{id}.lock"));
        let file = crate::hash::create(&path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    waiting();
                    cancel.check()?;
                    thread::sleep(RETRY);
                }
                Err(TryLockError::Error(error)) => {
                    return Err(RegistryError::file("lock", &path)(error));
                }
            }
        }
    }

    /// An empty staging folder. With `keep_part`, an interrupted download stays.
    pub(crate) fn fresh_staging(
        &self,
        id: &str,
        keep_part: bool,
    ) -> Result<PathBuf, RegistryError> {
        let staging = self.staging(id);
        if !keep_part && staging.exists() {
            fs::remove_dir_all(&staging).map_err(RegistryError::file("remove", &staging))?;
        }
        make_folder(&staging)?;
        Ok(staging)
    }

    /// Makes the files in `staging` the model: writes the record beside them and moves the folder into
    /// its place, from where an older one goes away.
    pub(crate) fn install(&self, staging: &Path, record: &Record) -> Result<(), RegistryError> {
        record.save(staging)?;
        let folder = self.folder_of(&record.id);
        let moved = |error| RegistryError::file("move", &folder)(error);
        if folder.exists() {
            let old = self.incoming().join(format!("{}.old", record.id));
            let _ = fs::remove_dir_all(&old);
            fs::rename(&folder, &old).map_err(moved)?;
            if let Err(error) = fs::rename(staging, &folder) {
                let _ = fs::rename(&old, &folder);
                return Err(moved(error));
            }
            let _ = fs::remove_dir_all(&old);
        } else {
            fs::rename(staging, &folder).map_err(moved)?;
        }
        #[cfg(unix)]
        if let Ok(parent) = File::open(&self.folder) {
            let _ = parent.sync_all();
        }
        Ok(())
    }

    /// Whether an interrupted download can be resumed.
    pub(crate) fn has_part(&self, id: &str) -> bool {
        let staging = self.staging(id);
        [staging.join(BASE), staging].iter().any(|folder| {
            let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.any(|entry| entry.path().extension().is_some_and(|end| end == PART))
        })
    }

    /// Removes an interrupted download; says whether there was one.
    pub(crate) fn discard_part(&self, id: &str) -> Result<bool, RegistryError> {
        let staging = self.staging(id);
        if !staging.exists() {
            return Ok(false);
        }
        fs::remove_dir_all(&staging).map_err(RegistryError::file("remove", &staging))?;
        Ok(true)
    }

    /// Removes a model's folder: first out of sight, so that a half-removed one is never seen.
    pub(crate) fn discard(&self, folder: &Path) -> Result<(), RegistryError> {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let old = self.incoming().join(format!("{name}.old"));
        let _ = fs::remove_dir_all(&old);
        fs::rename(folder, &old).map_err(RegistryError::file("remove", folder))?;
        fs::remove_dir_all(&old).map_err(RegistryError::file("remove", &old))
    }
}

/// Creates a folder that only its owner can enter.
pub(crate) fn make_folder(path: &Path) -> Result<(), RegistryError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(RegistryError::file("create", path))
}
