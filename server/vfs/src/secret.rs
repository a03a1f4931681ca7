/// Folders whose content is secret whatever it is called.
const FOLDERS: &[&str] = &[".ssh", ".aws", ".azure", ".gnupg", ".kube", ".password-store"];

/// Files that are secret by their whole name.
const NAMES: &[&str] = &[
    ".dockercfg",
    ".envrc",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".vault-token",
    "_netrc",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
];

/// Endings of key stores and private keys.
const ENDINGS: &[&str] =
    &[".gpg", ".jks", ".kdbx", ".key", ".keystore", ".p12", ".pem", ".pfx", ".pkcs12", ".ppk"];

/// Names that are secret as data (`credentials.json`) and not as code (`credentials.rs`).
const STEMS: &[&str] = &["credentials", "secret", "secrets", "service-account", "service_account"];
const DATA: &[&str] =
    &["", "cfg", "conf", "csv", "ini", "json", "properties", "toml", "txt", "xml", "yaml", "yml"];

/// Whether a file looks as if it held keys or passwords, by its path relative to the workspace.
/// Such files are neither indexed nor sent to a model. Only the name is looked at, so a secret in
/// an ordinary file is not found.
pub fn looks_secret(relative: &str) -> bool {
    let lower = relative.to_lowercase().replace('\\', "/");
    let mut parts = lower.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if parts.any(|folder| FOLDERS.contains(&folder)) {
        return true;
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    is_environment(name)
        || NAMES.contains(&name)
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || (STEMS.contains(&stem) && DATA.contains(&extension))
}

/// `.env` and its kin, without the templates that are published on purpose.
fn is_environment(name: &str) -> bool {
    let published = [".example", ".sample", ".template", ".dist"];
    (name.starts_with(".env") || name.strip_suffix(".env").is_some())
        && !published.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_passwords_are_recognised_by_name() {
        for path in [
            ".env",
            "app/.env.local",
            ".ENV",
            "prod.env",
            "tls/server.pem",
            "id_rsa",
            "home/.netrc",
            ".aws/config",
            "a\\.ssh\\known_hosts",
            "config/credentials",
            "config/credentials.json",
            "secrets.yaml",
            "store.P12",
            "deploy.key",
        ] {
            assert!(looks_secret(path), "{path}");
        }
    }

    #[test]
    fn ordinary_files_are_not() {
        for path in [
            "src/env.rs",
            ".env.example",
            "environment.ts",
            "src/credentials.rs",
            "keys.py",
            "id_rsa.pub",
            "src/secret/mod.rs",
            "monkey.rs",
            "secrets_test.go",
        ] {
            assert!(!looks_secret(path), "{path}");
        }
    }
}
