use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Folders;
use inference::InferenceError;
use serde::Serialize;

use crate::{
    Derived, Manifest, ModelEntry, RegistryError, Role, manifest::is_id, record::Record,
    role::phrase, settings::Settings,
};

/// Which installed model each role uses, where the person chose one.
const CHOICES: &str = "roles.json";

/// The models of one person.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) settings: Settings,
    pub(crate) offline: bool,
}

/// An installed model, ready to be given to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Its name in commands.
    pub id: String,
    /// The name its makers gave it.
    pub name: String,
    /// What it is made for.
    pub roles: Vec<Role>,
    /// The GGUF file, the library, or the folder of a model of several files.
    pub path: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Hash of the model's main file.
    pub sha256: String,
    /// Quantisation.
    pub quantization: Option<String>,
    /// Tokens of context that it was trained for.
    pub context: Option<u64>,
}

/// How a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Known and not here.
    Available,
    /// Its download was interrupted and can be resumed.
    Partial,
    /// Here.
    Installed,
    /// Here, and the program's list now names another file.
    Outdated,
    /// Here, but not as it was when it was verified.
    Damaged,
}

/// A model in a listing.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Its name in commands.
    pub id: String,
    /// Its most important role.
    pub role: Role,
    /// Where it is, when installed.
    pub path: Option<PathBuf>,
    /// Bytes on disk, or those that it would take.
    pub bytes: u64,
    /// Hash of the main file: of the installed one, else the pinned one.
    pub sha256: Option<String>,
    /// Quantisation.
    pub quantization: Option<String>,
    /// Tokens of context that it was trained for.
    pub context: Option<u64>,
    /// How it stands.
    pub state: State,
    /// What is wrong, when it is damaged.
    pub problem: Option<String>,
    /// The name its makers gave it.
    pub name: String,
    /// Everything it is made for.
    pub roles: Vec<Role>,
    /// The roles that use it now.
    pub used_for: Vec<Role>,
    /// The only workspace that it is for, by its key: it was trained for that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Whether the default set-up has it.
    pub default: bool,
    /// Its licence.
    pub license: Option<String>,
    /// Number of weights, as people say it.
    pub parameters: Option<String>,
    /// Where it comes from.
    pub source: String,
    /// What the installed file was made of.
    pub derived: Option<Derived>,
    /// One sentence that helps to choose.
    pub note: Option<String>,
}

impl Registry {
    /// The models of the person whose folders these are.
    pub fn open(folders: &Folders) -> Result<Self, RegistryError> {
        Ok(Self {
            folder: folders.models()?,
            manifest: Manifest::embedded()?,
            settings: Settings::load(&folders.config_file())?,
            offline: false,
        })
    }

    /// The same models with another manifest.
    #[must_use]
    pub fn with_manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = Arc::new(manifest);
        self
    }

    /// The same models, with the network switched off or on.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// The models that the program knows.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every model that is known or installed: first those of the manifest, in its order.
    pub fn list(&self) -> Vec<ModelStatus> {
        let mut records: BTreeMap<String, Record> =
            self.records().into_iter().map(|record| (record.id.clone(), record)).collect();
        let mut list: Vec<_> = self
            .manifest
            .models
            .iter()
            .map(|entry| match records.remove(&entry.id) {
                Some(record) => self.status_of(&record),
                None => self.status_of_absent(entry),
            })
            .collect();
        list.extend(records.values().map(|record| self.status_of(record)));
        for role in Role::ALL {
            let used = self.find(role).ok().map(|model| model.id);
            if let Some(status) = list.iter_mut().find(|status| Some(&status.id) == used.as_ref()) {
                status.used_for.push(role);
            }
        }
        list
    }

    fn status_of(&self, record: &Record) -> ModelStatus {
        let folder = self.folder_of(&record.id);
        let entry = self.manifest.get(&record.id);
        let problem = record.problem(&folder);
        let state = match &problem {
            Some(_) => State::Damaged,
            None if entry.is_some_and(|entry| outdated(entry, record)) => State::Outdated,
            None => State::Installed,
        };
        ModelStatus {
            id: record.id.clone(),
            role: record.roles.first().copied().unwrap_or(Role::Chat),
            path: Some(record.path(&folder)),
            bytes: record.bytes(),
            sha256: record.main_sha256().map(str::to_owned),
            quantization: record.quantization.clone(),
            context: record.context,
            state,
            problem,
            name: record.name.clone(),
            roles: record.roles.clone(),
            used_for: Vec::new(),
            workspace: record.workspace.clone(),
            default: entry.is_some_and(|entry| entry.default),
            license: record.license.clone(),
            parameters: entry.and_then(|entry| filled(&entry.parameters)),
            source: record.source.clone(),
            derived: record.derived.clone(),
            note: entry.and_then(|entry| filled(&entry.note)),
        }
    }

    fn status_of_absent(&self, entry: &ModelEntry) -> ModelStatus {
        let partial = self.has_part(&entry.id);
        ModelStatus {
            id: entry.id.clone(),
            role: entry.roles.first().copied().unwrap_or(Role::Chat),
            path: None,
            bytes: entry.bytes,
            sha256: entry.installed_sha256().map(str::to_owned),
            quantization: entry.quantization.clone(),
            context: entry.context,
            state: if partial { State::Partial } else { State::Available },
            problem: None,
            name: entry.name.clone(),
            roles: entry.roles.clone(),
            used_for: Vec::new(),
            workspace: None,
            default: entry.default,
            license: Some(entry.license.clone()),
            parameters: filled(&entry.parameters),
            source: entry.source.describe(),
            derived: None,
            note: filled(&entry.note),
        }
    }

    /// The installed model of this name, if nothing is wrong with it at a glance (sizes and times).
    pub fn installed(&self, id: &str) -> Result<Installed, RegistryError> {
        let record = self.record(id)?;
        let folder = self.folder_of(id);
        match record.problem(&folder) {
            Some(reason) => Err(RegistryError::File {
                action: "use",
                path: record.path(&folder),
                reason: std::io::Error::other(format!("{reason}; run `hearth models verify {id}`")),
            }),
            None => Ok(self.describe(&record)),
        }
    }

    /// The model that a role uses, if one is installed and sound at a glance.
    pub fn model_for(&self, role: Role) -> Option<Installed> {
        self.find(role).ok()
    }

    /// The same, or what is wrong: the person's choice; without one, the model that was installed last
    /// of those made for the role, a default one only if there is no other.
    pub fn find(&self, role: Role) -> Result<Installed, InferenceError> {
        let missing = || InferenceError::NoModel {
            role: role.to_string(),
            command: match role {
                Role::Completion => "hearth models recommend".to_owned(),
                Role::Rerank => "hearth models import FOLDER".to_owned(),
                _ => "hearth models pull default".to_owned(),
            },
        };
        let sound = |record: &Record| {
            let folder = self.folder_of(&record.id);
            match record.problem(&folder) {
                None => Ok(self.describe(record)),
                Some(reason) => Err(InferenceError::ModelFile {
                    path: record.path(&folder),
                    reason: format!("{reason}; run `hearth models verify {}`", record.id),
                }),
            }
        };
        if let Some(id) = self.choices().get(&role) {
            return match self.record(id) {
                Ok(record) => sound(&record),
                Err(_) => Err(missing()),
            };
        }
        let mut records = self.records();
        records.retain(|record| record.roles.contains(&role) && record.workspace.is_none());
        let default =
            |record: &Record| self.manifest.get(&record.id).is_some_and(|entry| entry.default);
        records.sort_by_key(|record| (default(record), std::cmp::Reverse(record.installed_at)));
        let mut problem = None;
        for record in &records {
            match sound(record) {
                Ok(model) => return Ok(model),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        Err(problem.unwrap_or_else(missing))
    }

    /// Makes a role use an installed model from now on.
    pub fn use_model(&self, id: &str, role: Role) -> Result<Installed, RegistryError> {
        let model = self.installed(id)?;
        if family(role) != model.roles.first().map_or(Family::Text, |role| family(*role)) {
            return Err(RegistryError::WrongRole {
                id: id.to_owned(),
                role,
                made_for: phrase(&model.roles),
            });
        }
        let mut choices = self.choices();
        choices.insert(role, id.to_owned());
        self.save_choices(&choices)?;
        Ok(model)
    }

    /// Removes an installed model, and what is left of an interrupted download of it.
    pub fn remove(&self, id: &str) -> Result<(), RegistryError> {
        if !is_id(id) {
            return Err(RegistryError::Unknown { id: id.to_owned() });
        }
        let _lock = self.lock(id, &base::CancelToken::new(), &mut || {})?;
        let removed_part = self.discard_part(id)?;
        let folder = self.folder_of(id);
        if !folder.exists() {
            return match (removed_part, self.manifest.get(id)) {
                (true, _) => Ok(()),
                (false, Some(_)) => Err(RegistryError::NotInstalled { id: id.to_owned() }),
                (false, None) => Err(RegistryError::Unknown { id: id.to_owned() }),
            };
        }
        self.discard(&folder)?;
        let mut choices = self.choices();
        let before = choices.len();
        choices.retain(|_, chosen| chosen != id);
        if choices.len() != before {
            self.save_choices(&choices)?;
        }
        Ok(())
    }

    /// Removes the models that are for one workspace alone, but for the one called `kept`.
    pub fn remove_of_workspace(&self, key: &str, kept: Option<&str>) -> Result<(), RegistryError> {
        let of_workspace = |record: &Record| record.workspace.as_deref() == Some(key);
        for record in self.records().iter().filter(|record| of_workspace(record)) {
            if Some(record.id.as_str()) != kept {
                self.remove(&record.id)?;
            }
        }
        Ok(())
    }

    pub(crate) fn describe(&self, record: &Record) -> Installed {
        Installed {
            id: record.id.clone(),
            name: record.name.clone(),
            roles: record.roles.clone(),
            path: record.path(&self.folder_of(&record.id)),
            bytes: record.bytes(),
            sha256: record.main_sha256().unwrap_or_default().to_owned(),
            quantization: record.quantization.clone(),
            context: record.context,
        }
    }

    pub(crate) fn folder_of(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// The record of an installed model.
    pub(crate) fn record(&self, id: &str) -> Result<Record, RegistryError> {
        let known = || match self.manifest.get(id) {
            Some(_) => RegistryError::NotInstalled { id: id.to_owned() },
            None => RegistryError::Unknown { id: id.to_owned() },
        };
        if !is_id(id) {
            return Err(known());
        }
        Record::load(&self.folder_of(id)).filter(|record| record.id == id).ok_or_else(known)
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut records: Vec<_> = entries
            .flatten()
            .filter_map(|entry| self.record(entry.file_name().to_str()?).ok())
            .collect();
        records.sort_by(|left, right| left.id.cmp(&right.id));
        records
    }

    fn choices_file(&self) -> PathBuf {
        self.folder.join(CHOICES)
    }

    fn choices(&self) -> BTreeMap<Role, String> {
        read_choices(&self.choices_file()).unwrap_or_default()
    }

    fn save_choices(&self, choices: &BTreeMap<Role, String>) -> Result<(), RegistryError> {
        let path = self.choices_file();
        let mut bytes = serde_json::to_vec_pretty(choices).expect("choices are plain data");
        bytes.push(b'\n');
        base::write_atomic(&path, &bytes).map_err(RegistryError::file("write", &path))
    }
}

fn read_choices(path: &Path) -> Option<BTreeMap<Role, String>> {
    serde_json::from_slice(&fs::read(path).ok()?)
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "unreadable choices"))
        .ok()
}

/// Whether the program's list now names another file than the one that is installed.
pub(crate) fn outdated(entry: &ModelEntry, record: &Record) -> bool {
    let installed = record
        .derived
        .as_ref()
        .map(|derived| derived.source_sha256.as_str())
        .or_else(|| record.main_sha256());
    entry.source_sha256().is_some_and(|pinned| Some(pinned) != installed)
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Roles that the same kind of file can fill.
#[derive(PartialEq, Eq)]
enum Family {
    Text,
    Vectors,
    Order,
    Library,
}

fn family(role: Role) -> Family {
    match role {
        Role::Completion | Role::Chat | Role::Edit => Family::Text,
        Role::Embedding => Family::Vectors,
        Role::Rerank => Family::Order,
        Role::Runtime => Family::Library,
    }
}
