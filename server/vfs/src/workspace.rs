use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

/// The folders that a person opened, and the gate for every path that comes from outside: what
/// does not lie in one of them, symbolic links followed, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    roots: Arc<[Root]>,
    paths: Arc<[PathBuf]>,
}

#[derive(Debug, PartialEq, Eq)]
struct Root {
    /// Canonical.
    path: PathBuf,
    /// First part of relative paths; empty for the first root.
    prefix: String,
}

/// Why a folder or path is not served. Every message says which one and what to do.
#[derive(Debug, Error)]
pub enum WorkspaceError {
    /// No folder was given.
    #[error("no folder is open; open a folder or name one")]
    NoRoot,
    /// A root is missing or not a folder.
    #[error("cannot open the folder {}: {source}", path.display())]
    Root {
        /// The folder as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path leads out of the workspace.
    #[error("{} lies outside the open folders; open its folder to work with it", path.display())]
    Outside {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The path cannot be followed: a missing folder, a loop of links, a link to nowhere.
    #[error("cannot follow the path {}: {source}", path.display())]
    Unreachable {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Workspace {
    /// The workspace of these folders, in order; relative paths are those of the first. Folders
    /// that lie in another one add nothing and are left out.
    pub fn open(roots: &[PathBuf]) -> Result<Self, WorkspaceError> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for root in roots {
            let error = |source| WorkspaceError::Root { path: root.clone(), source };
            let path = root.canonicalize().map_err(error)?;
            if !path.is_dir() {
                return Err(error(io::ErrorKind::NotADirectory.into()));
            }
            if paths.iter().any(|known| path.starts_with(known)) {
                continue;
            }
            let inner = paths.iter().position(|known| known.starts_with(&path));
            paths.retain(|known| !known.starts_with(&path));
            paths.insert(inner.unwrap_or(paths.len()), path);
        }
        let first = paths.first().ok_or(WorkspaceError::NoRoot)?.clone();
        let mut named: Vec<Root> = Vec::new();
        for path in &paths {
            let prefix =
                if named.is_empty() { String::new() } else { prefix(path, &first, &named) };
            named.push(Root { path: path.clone(), prefix });
        }
        Ok(Self { roots: named.into(), paths: paths.into() })
    }

    /// The canonical folders, in order; never empty.
    pub fn roots(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Sixteen hexadecimal digits that stay the same for the same folders; names their cache.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for root in self.paths.iter() {
            hasher.update(root.as_os_str().as_encoded_bytes());
            hasher.update(&[0]);
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }

    /// The canonical form of `path` (absolute, or relative to the first root), if it lies in a
    /// root after all symbolic links are followed. The file itself need not exist.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, WorkspaceError> {
        let first = self.paths.first().ok_or(WorkspaceError::NoRoot)?;
        let resolved = follow(&first.join(path))
            .map_err(|source| WorkspaceError::Unreachable { path: path.to_owned(), source })?;
        if self.paths.iter().any(|root| resolved.starts_with(root)) {
            Ok(resolved)
        } else {
            Err(WorkspaceError::Outside { path: path.to_owned() })
        }
    }

    /// The path of a file of the workspace relative to its root, with `/`; below roots after the
    /// first it begins with the name of the root. `None` outside, and for names that are not
    /// Unicode. A canonical path costs no access to the disk.
    pub fn relative(&self, path: &Path) -> Option<String> {
        self.relative_of_canonical(path)
            .or_else(|| self.relative_of_canonical(&self.resolve(path).ok()?))
    }

    /// The canonical path of what [`relative`](Self::relative) named, through the same gate as
    /// [`resolve`](Self::resolve).
    pub fn absolute(&self, relative: &str) -> Result<PathBuf, WorkspaceError> {
        let (head, rest) = relative.split_once('/').unwrap_or((relative, ""));
        match self.roots.iter().skip(1).find(|root| root.prefix == head) {
            Some(root) if rest.is_empty() => Ok(root.path.clone()),
            Some(root) => self.resolve(&root.path.join(rest)),
            None => self.resolve(Path::new(relative)),
        }
    }

    fn relative_of_canonical(&self, path: &Path) -> Option<String> {
        if let Some(root) = self.roots.first()
            && let Some(rest) = plain_rest(path, &root.path)
        {
            return Some(rest.to_owned());
        }
        if path.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir)) {
            return None;
        }
        self.roots.iter().find_map(|root| {
            let rest = path.strip_prefix(&root.path).ok()?;
            let mut relative = root.prefix.clone();
            for part in rest.components() {
                if !relative.is_empty() {
                    relative.push('/');
                }
                relative.push_str(part.as_os_str().to_str()?);
            }
            Some(relative)
        })
    }
}

/// What follows `root` in `path` where both are written plainly: [`Path::strip_prefix`] in a tenth of its time, for a
/// walk of fifty thousand files.
fn plain_rest<'path>(path: &'path Path, root: &Path) -> Option<&'path str> {
    if std::path::MAIN_SEPARATOR != '/' {
        return None;
    }
    let rest = path.to_str()?.strip_prefix(root.to_str()?)?.strip_prefix('/')?;
    rest.split('/').all(|part| !matches!(part, "" | "." | "..")).then_some(rest)
}

/// A name for a root after the first that no entry of the first and no other root has.
fn prefix(root: &Path, first: &Path, named: &[Root]) -> String {
    let name = root.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy());
    (1..=usize::MAX)
        .map(|n| if n == 1 { name.to_string() } else { format!("{name}-{n}") })
        .find(|name| named.iter().all(|root| root.prefix != *name) && !first.join(name).exists())
        .expect("some number is free")
}

/// The canonical form of an absolute path whose last parts may not exist yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(mut resolved) => {
                if !missing.is_empty() && !resolved.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            // A link to nowhere may lead anywhere once its target exists.
            Err(error)
                if error.kind() != io::ErrorKind::NotFound
                    || existing.symlink_metadata().is_ok() =>
            {
                return Err(error);
            }
            Err(error) => match (existing.parent(), existing.components().next_back()) {
                (Some(parent), Some(Component::Normal(name))) => {
                    missing.push(name);
                    existing = parent;
                }
                _ => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("ws/src")).expect("made");
        fs::write(folder.path().join("ws/src/a.rs"), "a").expect("written");
        fs::write(folder.path().join("secret"), "s").expect("written");
        let workspace = Workspace::open(&[folder.path().join("ws")]).expect("opens");
        (folder, workspace)
    }

    #[test]
    fn files_inside_resolve_and_have_relative_names() {
        let (folder, workspace) = workspace();
        let path = workspace.resolve(Path::new("src/../src/a.rs")).expect("inside");
        assert_eq!(workspace.relative(&path).as_deref(), Some("src/a.rs"));
        assert_eq!(workspace.absolute("src/a.rs").expect("inside"), path);
        let new = workspace.resolve(Path::new("src/new/b.rs")).expect("need not exist");
        assert_eq!(workspace.relative(&new).as_deref(), Some("src/new/b.rs"));
        for written in ["ws/src//a.rs", "ws/./src/a.rs", "ws/src/a.rs/"] {
            let path = folder.path().canonicalize().expect("a folder").join(written);
            assert_eq!(workspace.relative(&path).as_deref(), Some("src/a.rs"), "{written}");
        }
        let root = folder.path().join("ws").canonicalize().expect("a folder");
        assert_eq!(workspace.relative(&root).as_deref(), Some(""));
        assert_eq!(workspace.relative(&root.with_file_name("ws2")), None);
    }

    #[test]
    fn paths_outside_are_refused() {
        let (folder, workspace) = workspace();
        for path in ["../secret", "src/../../secret", "/etc/passwd", "../missing"] {
            let refused = workspace.resolve(Path::new(path));
            assert!(matches!(refused, Err(WorkspaceError::Outside { .. })), "{path}: {refused:?}");
        }
        assert!(workspace.resolve(Path::new("missing/../../secret")).is_err());
        assert_eq!(workspace.relative(&folder.path().join("secret")), None);
        assert_eq!(workspace.relative(&folder.path().join("ws/../secret")), None);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_before_the_check() {
        use std::os::unix::fs::symlink;
        let (folder, workspace) = workspace();
        let root = folder.path().join("ws");
        symlink(folder.path(), root.join("out")).expect("linked");
        symlink(folder.path().join("later"), root.join("dangling")).expect("linked");
        symlink(root.join("loop"), root.join("loop")).expect("linked");
        symlink(root.join("src/a.rs"), root.join("inside.rs")).expect("linked");
        assert!(matches!(
            workspace.resolve(Path::new("out/secret")),
            Err(WorkspaceError::Outside { .. })
        ));
        for path in ["dangling", "dangling/x", "loop", "src/a.rs/x"] {
            let refused = workspace.resolve(Path::new(path));
            assert!(matches!(refused, Err(WorkspaceError::Unreachable { .. })), "{path}");
        }
        let target = workspace.resolve(Path::new("inside.rs")).expect("stays inside");
        assert!(target.ends_with("src/a.rs"));
    }

    #[test]
    fn later_roots_carry_a_name_that_is_free() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for path in ["one/lib", "two/lib", "two/lib/inner"] {
            fs::create_dir_all(folder.path().join(path)).expect("made");
        }
        let roots = ["one", "two/lib/inner", "two/lib"].map(|root| folder.path().join(root));
        let workspace = Workspace::open(&roots).expect("opens");
        assert_eq!(workspace.roots().len(), 2, "a root inside another adds nothing");
        let path = workspace.roots()[1].join("x.rs");
        assert_eq!(workspace.relative(&path).as_deref(), Some("lib-2/x.rs"));
        assert_eq!(workspace.absolute("lib-2/x.rs").expect("inside"), path);
        assert!(workspace.absolute("lib-2/../../secret").is_err());
    }

    #[test]
    fn no_folder_and_a_file_are_refused() {
        let (folder, workspace) = workspace();
        assert!(matches!(Workspace::open(&[]), Err(WorkspaceError::NoRoot)));
        let file = Workspace::open(&[folder.path().join("secret")]);
        assert!(matches!(file, Err(WorkspaceError::Root { .. })));
        assert_eq!(workspace.key().len(), 16);
    }
}
