//! The priors that a workspace has, in the person's data folder: `LANGUAGE.bin` in the format of `instant`,
//! and beside it `LANGUAGE.json` with what was measured.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use base::{Folders, FoldersError};
use instant::{Prior, PriorLanguage, Priors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{adapter::AdapterComparison, measure::Comparison};

/// Why a prior could not be kept or removed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A folder of Hearth's own.
    #[error(transparent)]
    Folders(#[from] FoldersError),
    /// A file there.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file there holds something else than it should.
    #[error("{} is damaged: {reason}; `hearth models adapt --remove` removes it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A prior that is installed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdaptedPrior {
    /// Its language.
    pub language: &'static str,
    /// Its file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Why it cannot be used, if so.
    pub problem: Option<String>,
    /// What was measured when it was installed, where that is still known.
    pub measured: Option<Measured>,
}

/// What is remembered of an installed prior.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// BLAKE3 of the file that was measured, in hexadecimal digits.
    #[serde(default)]
    pub blake3: String,
    /// When it was installed, in seconds since 1970.
    pub time: u64,
    /// Packages that it was learnt from.
    pub packages: usize,
    /// Tokens that it was learnt from.
    pub tokens: usize,
    /// How it compared with what the program brings.
    pub comparison: Comparison,
}

/// The model that was trained for a workspace and completes there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdaptedModel {
    /// Its name among the models.
    pub model: String,
    /// The model that it was trained on.
    pub base: String,
    /// When it was installed, in seconds since 1970.
    pub time: u64,
    /// Files that it was trained on.
    pub files: usize,
    /// How it compared with what completed there before.
    pub comparison: AdapterComparison,
}

/// The installed priors of one workspace, and the choice of a model for it.
#[derive(Clone, Debug)]
pub struct Store {
    folders: Folders,
    key: String,
}

/// Tells one state of a store from another: when each language's file and that of the model were written, and
/// their sizes.
pub type Stamp = [Option<(SystemTime, u64)>; PriorLanguage::ALL.len() + 1];

impl Store {
    /// Those of the workspace that is named as its index is.
    pub fn new(folders: &Folders, key: &str) -> Self {
        Self { folders: folders.clone(), key: key.to_owned() }
    }

    fn file(&self, language: PriorLanguage, extension: &str) -> PathBuf {
        let folder = self.folders.workspace_data_path(&self.key);
        folder.join("priors").join(language.name()).with_extension(extension)
    }

    /// Installs a prior in place of an earlier one: either stays whole.
    pub fn install(
        &self,
        language: PriorLanguage,
        prior: &[u8],
        measured: &Measured,
    ) -> Result<(), StoreError> {
        self.folders.workspace_data(&self.key, "priors")?;
        write(&self.file(language, "bin"), prior)?;
        let path = self.file(language, "json");
        let measured =
            Measured { blake3: blake3::hash(prior).to_hex().to_string(), ..measured.clone() };
        let json = serde_json::to_vec_pretty(&measured).map_err(io::Error::from);
        write(
            &path,
            &json.map_err(|source| StoreError::File {
                what: "write",
                path: path.clone(),
                source,
            })?,
        )
    }

    /// Removes every prior of the workspace and says which languages had one.
    pub fn remove(&self) -> Result<Vec<PriorLanguage>, StoreError> {
        let mut removed = Vec::new();
        for language in PriorLanguage::ALL {
            if remove(&self.file(language, "bin"))? {
                removed.push(language);
            }
            remove(&self.file(language, "json"))?;
        }
        Ok(removed)
    }

    /// The installed priors.
    pub fn list(&self) -> Vec<AdaptedPrior> {
        let installed = PriorLanguage::ALL.into_iter().filter_map(|language| {
            let path = self.file(language, "bin");
            let bytes = path.metadata().ok()?.len();
            let read = fs::read(&path).map_err(|error| error.to_string());
            let hash = read.as_ref().map(|bytes| blake3::hash(bytes).to_hex().to_string());
            let hash = hash.unwrap_or_default();
            let read = read.and_then(|bytes| Prior::read(bytes).map_err(|error| error.to_string()));
            let measured = fs::read(self.file(language, "json")).ok();
            let measured: Option<Measured> =
                measured.and_then(|json| serde_json::from_slice(&json).ok());
            Some(AdaptedPrior {
                language: language.name(),
                path,
                bytes,
                problem: read.err(),
                // Those of another file may be left when one was replaced and the disk was full.
                measured: measured.filter(|it| it.blake3 == hash),
            })
        });
        installed.collect()
    }

    fn adapter_file(&self) -> PathBuf {
        self.folders.workspace_data_path(&self.key).join("adapter.json")
    }

    /// Has this model complete in the workspace from now on.
    pub fn install_adapter(&self, adapted: &AdaptedModel) -> Result<(), StoreError> {
        // Makes the folder above it, too.
        self.folders.workspace_data(&self.key, "priors")?;
        let path = self.adapter_file();
        let json = serde_json::to_vec_pretty(adapted).expect("it is plain data");
        write(&path, &json)
    }

    /// The model that completes in the workspace because it was trained for it.
    pub fn adapter(&self) -> Result<Option<AdaptedModel>, StoreError> {
        let path = self.adapter_file();
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::File { what: "read", path, source }),
        };
        let read = serde_json::from_slice(&json);
        read.map(Some).map_err(|error| StoreError::Damaged { path, reason: error.to_string() })
    }

    /// Takes that choice back and says whether there was one. The model's files stay.
    pub fn remove_adapter(&self) -> Result<bool, StoreError> {
        remove(&self.adapter_file())
    }

    /// What changes whenever something is installed or removed. Costs five looks at the disk.
    pub fn stamp(&self) -> Stamp {
        let of = |path: PathBuf| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let [python, rust, typescript, go] =
            PriorLanguage::ALL.map(|language| of(self.file(language, "bin")));
        [python, rust, typescript, go, of(self.adapter_file())]
    }

    /// The languages with an installed prior, damaged or not.
    pub fn languages(&self) -> Vec<&'static str> {
        let files = PriorLanguage::ALL.into_iter().zip(self.stamp());
        files.filter(|(_, stamp)| stamp.is_some()).map(|(language, _)| language.name()).collect()
    }

    /// The program's priors with those of the workspace. One that is damaged is named in the log and left
    /// out.
    pub fn load(&self) -> Priors {
        let mut priors = Priors::bundled();
        for language in PriorLanguage::ALL {
            let path = self.file(language, "bin");
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "this prior cannot be read");
                    continue;
                }
            };
            match Prior::read(bytes) {
                Ok(prior) => priors = priors.with_adapted(language, prior),
                Err(error) => tracing::warn!(
                    path = %path.display(), %error,
                    "this prior is left out; `hearth models adapt` learns it anew"
                ),
            }
        }
        priors
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    base::write_atomic(path, bytes).map_err(|source| StoreError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

/// Removes a file and says whether it was there.
fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::File { what: "remove", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use base::CancelToken;
    use instant::{Instant, PriorOptions, PriorTrainer, Query};

    use super::*;

    fn prior() -> Vec<u8> {
        let mut trainer = PriorTrainer::new(PriorOptions::default());
        for package in ["a", "b"] {
            trainer.add(package, "if __name__ == \"__main__\":\n    main()\n");
        }
        trainer.finish(&CancelToken::new(), &mut |_, _| {}).unwrap()
    }

    #[test]
    fn an_installed_prior_is_listed_and_can_be_removed() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(&Folders::under(home.path()), "0123");
        let before = store.stamp();
        assert_eq!((store.list(), store.languages()), (vec![], vec![]));
        let measured = Measured { tokens: 7, ..Measured::default() };
        store.install(PriorLanguage::Go, &prior(), &measured).unwrap();
        assert_ne!(store.stamp(), before);
        let listed = store.list();
        assert_eq!(listed.iter().map(|it| it.language).collect::<Vec<_>>(), ["go"]);
        assert_eq!(listed[0].problem, None);
        assert_eq!(listed[0].measured.as_ref().map(|it| it.tokens), Some(7));
        let other = Store::new(&Folders::under(home.path()), "4567");
        assert_eq!(other.list(), []);
        assert_eq!(store.remove().unwrap(), [PriorLanguage::Go]);
        assert_eq!((store.list(), store.stamp()), (vec![], before));
        assert_eq!(store.remove().unwrap(), []);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir().unwrap();
        let store = Store::new(&Folders::under(home.path()), "0123");
        store.install(PriorLanguage::Rust, &prior(), &Measured::default()).unwrap();
        for path in ["data", "data/workspaces/0123/priors", "data/workspaces/0123/priors/rust.bin"]
        {
            let mode = home.path().join(path).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{path}: {mode:o}");
        }
    }

    #[test]
    fn the_choice_of_a_model_is_kept_and_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(&Folders::under(home.path()), "0123");
        let before = store.stamp();
        assert_eq!(store.adapter().unwrap(), None);
        let adapted = AdaptedModel { model: "adapted-0123".into(), ..AdaptedModel::default() };
        store.install_adapter(&adapted).unwrap();
        assert_ne!(store.stamp(), before);
        assert_eq!(store.adapter().unwrap(), Some(adapted));
        assert_eq!(store.languages(), [""; 0], "it is no prior");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = store.adapter_file().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
        fs::write(store.adapter_file(), "{").unwrap();
        let error = store.adapter().unwrap_err().to_string();
        assert!(error.contains("adapter.json is damaged"), "{error}");
        assert!(store.remove_adapter().unwrap() && !store.remove_adapter().unwrap());
        assert_eq!((store.adapter().unwrap(), store.stamp()), (None, before));
    }

    /// Whether a model with the installed priors has anything to say about Go, for which the program has none.
    fn knows_go(store: &Store) -> bool {
        let query = Query { path: "a.go", text: "if ", offset: 3, alternatives: 1 };
        !Instant::with_priors(store.load()).predict(&query).is_empty()
    }

    #[test]
    fn a_damaged_one_is_said_to_be_so_and_left_out() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(&Folders::under(home.path()), "0123");
        store.install(PriorLanguage::Go, &prior(), &Measured::default()).unwrap();
        assert!(knows_go(&store));
        let path = store.file(PriorLanguage::Go, "bin");
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(!knows_go(&store));
        let listed = store.list();
        assert!(listed[0].problem.as_deref().is_some_and(|it| it.contains("checksum")));
        assert_eq!(listed[0].measured, None, "these are not its figures");
    }
}
