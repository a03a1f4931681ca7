use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use base::Folders;
use serde::{Deserialize, Serialize};

use crate::AssistantError;

/// Which workspaces the person trusts, kept in the person's own data folder. A workspace cannot
/// grant itself anything.
#[derive(Clone, Debug)]
pub struct Trust {
    file: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct Trusted {
    trusted: BTreeSet<PathBuf>,
}

impl Trust {
    /// The answers given so far.
    pub fn open(folders: &Folders) -> Result<Self, AssistantError> {
        Ok(Self { file: folders.data()?.join("trust.json") })
    }

    /// Whether this very folder was trusted; one inside or around a trusted one is not.
    pub fn is_trusted(&self, root: &Path) -> bool {
        // What cannot be read grants nothing.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        self.load().is_ok_and(|answers| answers.trusted.contains(&root))
    }

    /// Grants or withdraws trust.
    pub fn set(&self, root: &Path, trusted: bool) -> Result<(), AssistantError> {
        let refused = |source| AssistantError::Files { path: self.file.clone(), source };
        let root = root
            .canonicalize()
            .map_err(|source| AssistantError::Files { path: root.to_owned(), source })?;
        let mut answers = self.load().map_err(refused)?;
        let changed =
            if trusted { answers.trusted.insert(root) } else { answers.trusted.remove(&root) };
        if changed {
            let json =
                serde_json::to_vec_pretty(&answers).map_err(|error| refused(error.into()))?;
            base::write_atomic(&self.file, &json).map_err(refused)?;
        }
        Ok(())
    }

    fn load(&self) -> io::Result<Trusted> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Trusted::default()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_for_one_folder_and_can_be_withdrawn() {
        let home = tempfile::tempdir().unwrap();
        let inner = home.path().join("project/inner");
        fs::create_dir_all(&inner).unwrap();
        let project = home.path().join("project");
        let trust = Trust::open(&Folders::under(home.path())).unwrap();
        assert!(!trust.is_trusted(&project));
        trust.set(&project, true).unwrap();
        assert!(trust.is_trusted(&project) && !trust.is_trusted(&inner));
        trust.set(&project, false).unwrap();
        assert!(!trust.is_trusted(&project));
    }

    #[test]
    fn a_damaged_file_grants_nothing_and_is_not_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let trust = Trust::open(&Folders::under(home.path())).unwrap();
        fs::write(&trust.file, b"{\"trusted\": [").unwrap();
        assert!(!trust.is_trusted(home.path()));
        assert!(trust.set(home.path(), true).is_err());
        assert_eq!(fs::read(&trust.file).unwrap(), b"{\"trusted\": [");
    }
}
