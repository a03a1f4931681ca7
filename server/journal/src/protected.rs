/// Folders in which every file is protected.
const FOLDERS: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".vscode",
    ".idea",
    ".cursor",
    ".zed",
    ".devcontainer",
    ".husky",
    ".githooks",
    ".hearth",
    ".cargo",
    ".circleci",
    ".gitlab",
];
/// File names that are protected anywhere.
const NAMES: &[&str] = &[
    ".envrc",
    ".gitattributes",
    ".gitmodules",
    ".gitlab-ci.yml",
    ".npmrc",
    ".pre-commit-config.yaml",
    "build.rs",
    "conftest.py",
    "gnumakefile",
    "hearth.toml",
    "justfile",
    "jenkinsfile",
    "makefile",
    "package.json",
    "setup.py",
    "sitecustomize.py",
];

/// Whether changing the file at this workspace-relative path could run code on its own or steer a
/// tool: hooks, editor and CI settings, build scripts. Such a file is changed only with explicit
/// consent. Case is ignored, since some file systems ignore it.
pub fn is_protected(relative: &str) -> bool {
    let relative = relative.to_lowercase();
    let mut parts: Vec<&str> = relative.split('/').filter(|part| !part.is_empty()).collect();
    let Some(name) = parts.pop() else {
        return false;
    };
    FOLDERS.contains(&name)
        || parts.iter().any(|folder| FOLDERS.contains(folder))
        || parts.windows(2).any(|pair| pair == [".github", "workflows"])
        || parts.windows(2).any(|pair| pair == [".github", "actions"])
        || NAMES.contains(&name)
        || name.ends_with(".code-workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_settings_and_build_scripts_are_protected_and_sources_are_not() {
        for path in [
            ".git/config",
            "sub/.GIT/hooks/pre-commit",
            ".vscode/settings.json",
            ".github/workflows/ci.yml",
            "crate/build.rs",
            "a.code-workspace",
            "web/package.json",
            "tests/conftest.py",
            "Makefile",
        ] {
            assert!(is_protected(path), "{path}");
        }
        for path in ["src/main.rs", ".github/CODEOWNERS", "src/build/rs.rs", "git/config", ""] {
            assert!(!is_protected(path), "{path}");
        }
    }
}
