use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Where Hearth keeps its own files. All folders are made on demand, for their owner only (0700).
///
/// `HEARTH_HOME` puts everything under one folder (a portable installation, a test); otherwise the
/// system's usual places are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    config: PathBuf,
    data: PathBuf,
    cache: PathBuf,
}

/// Why a folder of ours cannot be used.
#[derive(Debug, Error)]
pub enum FoldersError {
    /// Neither `HEARTH_HOME` nor a home folder is known.
    #[error("no home folder is known; set HEARTH_HOME to a folder that Hearth may use")]
    NoHome,
    /// The folder cannot be made.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Folders {
    /// The folders of the person who runs the program.
    pub fn of_user() -> Result<Self, FoldersError> {
        if let Some(home) = env::var_os("HEARTH_HOME").filter(|home| !home.is_empty()) {
            return Ok(Self::under(Path::new(&home)));
        }
        let folders =
            directories::ProjectDirs::from("", "", "hearth").ok_or(FoldersError::NoHome)?;
        Ok(Self {
            config: folders.config_dir().to_owned(),
            data: folders.data_dir().to_owned(),
            cache: folders.cache_dir().to_owned(),
        })
    }

    /// Everything under one folder.
    pub fn under(home: &Path) -> Self {
        Self { config: home.join("config"), data: home.join("data"), cache: home.join("cache") }
    }

    /// The person's settings file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("hearth.toml")
    }

    /// The folder of the person's settings.
    pub fn config(&self) -> Result<PathBuf, FoldersError> {
        private(&self.config)
    }

    /// Conversations, trust, the edit journal: what must not be lost.
    pub fn data(&self) -> Result<PathBuf, FoldersError> {
        private(&self.data)
    }

    /// Models and native libraries, downloaded or imported.
    pub fn models(&self) -> Result<PathBuf, FoldersError> {
        self.data()?;
        private(&self.data.join("models"))
    }

    /// Logs.
    pub fn logs(&self) -> Result<PathBuf, FoldersError> {
        self.data()?;
        private(&self.data.join("logs"))
    }

    /// What was learnt for the workspace that `key` names, under `name`.
    pub fn workspace_data(&self, key: &str, name: &str) -> Result<PathBuf, FoldersError> {
        self.data()?;
        private(&self.data.join("workspaces"))?;
        private(&self.workspace_data_path(key))?;
        private(&self.workspace_data_path(key).join(name))
    }

    /// Where that lies, if there is any.
    pub fn workspace_data_path(&self, key: &str) -> PathBuf {
        self.data.join("workspaces").join(key)
    }

    /// What can be rebuilt and belongs to no single workspace.
    pub fn cache(&self) -> Result<PathBuf, FoldersError> {
        private(&self.cache)
    }

    /// What can be rebuilt, such as the index of the workspace that `key` names.
    pub fn workspace_cache(&self, key: &str) -> Result<PathBuf, FoldersError> {
        private(&self.cache)?;
        private(&self.cache.join("workspaces"))?;
        private(&self.cache.join("workspaces").join(key))
    }
}

/// Makes `path` with access for its owner only, and hands it back.
fn private(path: &Path) -> Result<PathBuf, FoldersError> {
    let create = || -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    };
    create().map_err(|source| FoldersError::Create { path: path.to_owned(), source })?;
    Ok(path.to_owned())
}
