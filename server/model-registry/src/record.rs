use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{RegistryError, Role};

/// Name of the record in a model's folder.
const FILE: &str = "record.json";
/// Version of the record's format. An unknown one is treated as not installed.
const FORMAT: u32 = 1;

/// What is known of an installed model. Stands in its folder and is written last, so a folder without
/// one is not a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) license: Option<String>,
    pub(crate) quantization: Option<String>,
    pub(crate) context: Option<u64>,
    /// Where it came from, for people.
    pub(crate) source: String,
    /// What this was made of, where it is not the downloaded file itself.
    pub(crate) derived: Option<Derived>,
    /// The files; the first is the model.
    pub(crate) files: Vec<FileRecord>,
    /// When it was installed, in nanoseconds since 1970.
    pub(crate) installed_at: u64,
    /// The only workspace that it is for, by its key: no role ever finds it.
    #[serde(default)]
    pub(crate) workspace: Option<String>,
    /// What the last full verification found wrong.
    #[serde(default)]
    pub(crate) damaged: Option<String>,
}

/// What an installed file was made of, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Derived {
    /// Hash of the source.
    pub source_sha256: String,
    /// Program and version that made it.
    pub by: String,
}

/// A file as it was when it was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Name in the model's folder.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Time of the last change, in nanoseconds since 1970.
    pub(crate) modified_ns: u64,
}

impl Record {
    pub(crate) fn new(id: &str, name: &str, roles: &[Role], source: String) -> Self {
        Self {
            format: FORMAT,
            id: id.to_owned(),
            name: name.to_owned(),
            roles: roles.to_vec(),
            license: None,
            quantization: None,
            context: None,
            source,
            derived: None,
            files: Vec::new(),
            installed_at: UNIX_EPOCH.elapsed().map_or(0, nanoseconds),
            workspace: None,
            damaged: None,
        }
    }

    /// The record in `folder`, if there is one that can be read.
    pub(crate) fn load(folder: &Path) -> Option<Self> {
        let bytes = fs::read(folder.join(FILE)).ok()?;
        let record: Self = serde_json::from_slice(&bytes)
            .inspect_err(
                |error| tracing::warn!(folder = %folder.display(), %error, "unreadable record"),
            )
            .ok()?;
        let named = |file: &FileRecord| {
            Path::new(&file.name).file_name().is_some_and(|name| *name == *file.name)
        };
        (record.format == FORMAT && record.files.iter().all(named)).then_some(record)
    }

    pub(crate) fn save(&self, folder: &Path) -> Result<(), RegistryError> {
        let path = folder.join(FILE);
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record is plain data");
        bytes.push(b'\n');
        base::write_atomic(&path, &bytes).map_err(RegistryError::file("write", &path))
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file that an engine is given: the model, or the folder where it has several files.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        match self.files.as_slice() {
            [only] => folder.join(&only.name),
            _ => folder.to_owned(),
        }
    }

    /// Hash of the model's main file.
    pub(crate) fn main_sha256(&self) -> Option<&str> {
        self.files.first().map(|file| file.sha256.as_str())
    }

    /// What is wrong with the model at a glance: what the last verification found, else whether a
    /// file's size or time is not as it was when it was verified.
    pub(crate) fn problem(&self, folder: &Path) -> Option<String> {
        self.damaged.clone().or_else(|| self.changed(folder))
    }

    fn changed(&self, folder: &Path) -> Option<String> {
        self.files.iter().find_map(|file| {
            let path = folder.join(&file.name);
            match stamp(&path) {
                Err(error) => Some(format!("{} cannot be read: {error}", file.name)),
                Ok((bytes, _)) if bytes != file.bytes => {
                    Some(format!("{} has {bytes} bytes instead of {}", file.name, file.bytes))
                }
                Ok((_, modified)) if modified != file.modified_ns => {
                    Some(format!("{} was changed after it was verified", file.name))
                }
                Ok(_) => None,
            }
        })
    }
}

impl FileRecord {
    /// Describes a file whose hash is known.
    pub(crate) fn of(path: &Path, sha256: String) -> Result<Self, RegistryError> {
        let (bytes, modified_ns) = stamp(path).map_err(RegistryError::file("read", path))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok(Self { name: name.to_owned(), bytes, sha256, modified_ns })
    }
}

/// Size and time of the last change.
pub(crate) fn stamp(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file"));
    }
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), nanoseconds(modified)))
}

fn nanoseconds(since: Duration) -> u64 {
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
