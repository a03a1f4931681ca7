//! Where the sources of a workspace's dependencies lie on this machine, by its lock files and manifests.
//!
//! Nothing is run and nothing is fetched. A workspace can only name packages: a name that is no plain name
//! is left out, and what a name stands for lies in the package manager's own folder in the person's home,
//! or, for `node_modules` and virtual environments, inside the workspace, symbolic links followed.

mod cargo;
mod go;
mod node;
mod python;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use instant::PriorLanguage;
use vfs::Workspace;

/// A package that the workspace needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The language that it is looked at for.
    pub language: PriorLanguage,
    /// Its name, with the version where several may be there.
    pub name: String,
    /// Whether the workspace itself asks for it, and not another package.
    pub direct: bool,
    /// Its folder, or its only file; none when it is not on this machine.
    pub source: Option<PathBuf>,
}

/// The package managers' own folders, none of which a workspace can name.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Cargo's folder, with `registry/src` in it.
    pub cargo: Option<PathBuf>,
    /// Go's module cache.
    pub go: Option<PathBuf>,
    /// The virtual environment that is active.
    pub python: Option<PathBuf>,
}

impl Places {
    /// Those of the person who runs the program.
    pub fn of_user() -> Self {
        let folder = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let home = env::home_dir();
        let of_home = |path: &str| Some(home.as_ref()?.join(path));
        Self {
            cargo: folder("CARGO_HOME").or_else(|| of_home(".cargo")),
            go: folder("GOMODCACHE")
                .or_else(|| Some(folder("GOPATH")?.join("pkg/mod")))
                .or_else(|| of_home("go/pkg/mod")),
            python: folder("VIRTUAL_ENV"),
        }
    }
}

/// Manifests and lock files are read up to this size, in bytes.
const MAX_MANIFEST: u64 = 16 << 20;

/// The packages that the workspace with these files needs, those that it asks for itself first.
pub fn find(workspace: &Workspace, own: &[(String, Arc<str>)], places: &Places) -> Vec<Package> {
    let mut search = Search { workspace, places, packages: BTreeMap::new(), own: BTreeSet::new() };
    for folder in folders(own) {
        let Ok(folder) = workspace.absolute(folder) else { continue };
        cargo::search(&mut search, &folder);
        go::search(&mut search, &folder);
        node::search(&mut search, &folder);
        python::search(&mut search, &folder);
    }
    python::search_active(&mut search);
    let imported = python::imported(own);
    python::local(own).for_each(|name| search.is_own(PriorLanguage::Python, name));
    let Search { mut packages, own, .. } = search;
    packages.retain(|(language, _), package| {
        !own.contains(&(*language, package.name.clone()))
            && !own.contains(&(*language, plain_name(&package.name).to_owned()))
    });
    for package in packages.values_mut().filter(|it| it.language == PriorLanguage::Python) {
        package.direct = imported.contains(package.name.as_str());
    }
    let mut packages: Vec<Package> = packages.into_values().collect();
    packages.sort_by_key(|package| !package.direct);
    packages
}

/// Whether a file of the workspace belongs to an installed package: without an ignore file the index holds
/// these, too.
pub(crate) fn is_installed(path: &str) -> bool {
    path.split('/').any(|part| ["node_modules", "site-packages"].contains(&part))
}

/// A name without the version after it.
fn plain_name(name: &str) -> &str {
    name.split_once(' ').map_or(name, |(name, _)| name)
}

/// The folders that hold a file of the workspace, and all above them.
fn folders(own: &[(String, Arc<str>)]) -> BTreeSet<&str> {
    let mut folders = BTreeSet::from([""]);
    for (path, _) in own {
        folders.extend(path.match_indices('/').filter_map(|(end, _)| path.get(..end)));
    }
    folders
}

/// What was found so far.
struct Search<'a> {
    workspace: &'a Workspace,
    places: &'a Places,
    /// By language and name.
    packages: BTreeMap<(&'static str, String), Package>,
    /// The workspace's own packages, which may be installed beside the others.
    own: BTreeSet<(&'static str, String)>,
}

impl Search<'_> {
    /// The text of a manifest; none when there is none, or it is not the workspace's.
    fn manifest(&self, folder: &Path, name: &str) -> Option<String> {
        let path = folder.join(name);
        path.symlink_metadata().ok()?;
        let path = self.workspace.resolve(&path).ok()?;
        match vfs::read_text(&path, MAX_MANIFEST) {
            Ok(file) => Some(file.text),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "left out");
                None
            }
        }
    }

    /// The folder of that name, if it is one and lies in the workspace.
    fn inside(&self, folder: &Path) -> Option<PathBuf> {
        folder.symlink_metadata().ok()?;
        self.workspace.resolve(folder).ok().filter(|folder| folder.is_dir())
    }

    fn add(&mut self, package: Package) {
        let key = (package.language.name(), package.name.clone());
        match self.packages.get_mut(&key) {
            None => {
                self.packages.insert(key, package);
            }
            Some(known) => {
                known.direct |= package.direct;
                known.source = known.source.take().or(package.source);
            }
        }
    }

    fn is_own(&mut self, language: PriorLanguage, name: &str) {
        self.own.insert((language.name(), name.to_owned()));
    }
}

/// Whether a name or version from a workspace's file is one part of a path and leads nowhere else.
fn is_part(name: &str) -> bool {
    !name.starts_with('.')
        && (1..=214).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+~!".contains(&byte))
}

#[cfg(test)]
mod tests;
