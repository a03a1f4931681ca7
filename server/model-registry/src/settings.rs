use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::RegistryError;

/// The table `[models]` of the person's own `hearth.toml`. Never read from a workspace: it names a
/// server and a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Address of the model hub.
    pub(crate) hub: Option<String>,
    /// The Python interpreter for set-up, and for the training of adapters.
    pub(crate) python: Option<String>,
    /// The folder of the pipeline that trains adapters.
    pub(crate) pipeline: Option<PathBuf>,
    /// The machine that adapters are trained on, as ssh knows it.
    pub(crate) host: Option<String>,
    /// The Python interpreter there.
    pub(crate) host_python: Option<String>,
}

impl Settings {
    /// Reads the table; the rest of the file is not looked at.
    pub(crate) fn load(path: &Path) -> Result<Self, RegistryError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            models: Settings,
        }
        let refused = |reason: String| RegistryError::Settings { path: path.to_owned(), reason };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(refused(error.to_string())),
        };
        let file: File = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
        if let Some(hub) = &file.models.hub {
            check_hub(hub).map_err(refused)?;
        }
        // A relative one would be looked for wherever the person is, in a workspace for example.
        if file.models.pipeline.as_ref().is_some_and(|folder| folder.is_relative()) {
            return Err(refused("`pipeline` under `[models]` must be an absolute path".into()));
        }
        Ok(file.models)
    }
}

/// Refuses an address that is not encrypted, unless it is this machine.
pub(crate) fn check_hub(address: &str) -> Result<(), String> {
    let host = |rest: &str| {
        let authority = rest.split('/').next().unwrap_or_default().to_owned();
        let port = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        authority[..port.unwrap_or(authority.len())].to_owned()
    };
    if address.strip_prefix("https://").is_some_and(|rest| !host(rest).is_empty()) {
        return Ok(());
    }
    match address.strip_prefix("http://").map(host) {
        Some(host) if ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str()) => Ok(()),
        _ => Err(format!("the hub's address {address:?} must begin with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_addresses_and_this_machine_are_hubs() {
        for good in [
            "https://hub.example",
            "http://127.0.0.1:8080",
            "http://localhost/a",
            "http://[::1]:80",
        ] {
            assert_eq!(check_hub(good), Ok(()), "{good}");
        }
        for bad in [
            "http://hub.example",
            "http://localhost.evil.example/",
            "http://127.0.0.1@evil.example/",
            "ftp://hub.example",
            "https://",
            "file:///etc/passwd",
        ] {
            assert!(check_hub(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_tables_are_left_alone_and_errors_name_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("hearth.toml");
        assert_eq!(Settings::load(&path).expect("absent is fine"), Settings::default());
        fs::write(&path, "[chat]\nx = 1\n[models]\npython = \"py\"\n").expect("written");
        assert_eq!(Settings::load(&path).expect("read").python.as_deref(), Some("py"));
        fs::write(&path, "[models]\nhub = \"http://hub.example\"\n").expect("written");
        let error = Settings::load(&path).expect_err("not encrypted").to_string();
        assert!(error.contains("hearth.toml") && error.contains("https://"), "{error}");
        fs::write(&path, "[models]\npipeline = \"models\"\n").expect("written");
        let error = Settings::load(&path).expect_err("of no certain place").to_string();
        assert!(error.contains("hearth.toml") && error.contains("absolute"), "{error}");
    }
}
