//! Python: `site-packages` of a virtual environment in the workspace, or of the one that is active.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use instant::PriorLanguage;

use super::{Package, Search, is_part};

/// What the environment itself brings.
const OF_ENVIRONMENT: [&str; 5] = ["pip", "setuptools", "wheel", "pkg_resources", "distutils"];

pub(super) fn search(search: &mut Search<'_>, folder: &Path) {
    for name in [".venv", "venv"] {
        let Some(environment) = search.inside(&folder.join(name)) else { continue };
        for packages in site_packages(&environment) {
            // The folder may be a link again.
            if let Some(packages) = search.inside(&packages) {
                add_all(search, &packages);
            }
        }
    }
}

/// The environment that the person has activated, which no file of the workspace names.
pub(super) fn search_active(search: &mut Search<'_>) {
    let Some(environment) = search.places.python.clone() else { return };
    for packages in site_packages(&environment) {
        add_all(search, &packages);
    }
}

fn site_packages(environment: &Path) -> Vec<PathBuf> {
    let mut folders = vec![environment.join("Lib/site-packages")];
    for entry in fs::read_dir(environment.join("lib")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("python") {
            folders.push(entry.path().join("site-packages"));
        }
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

/// Every module of a folder `site-packages`: a folder, or a file alone.
fn add_all(search: &mut Search<'_>, packages: &Path) {
    for entry in fs::read_dir(packages).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        let module = match name.strip_suffix(".py") {
            Some(module) if kind.is_file() => module,
            None if kind.is_dir() && !name.ends_with("-info") => name.as_ref(),
            _ => continue,
        };
        if !is_part(module) || module.starts_with('_') || OF_ENVIRONMENT.contains(&module) {
            continue;
        }
        search.add(Package {
            language: PriorLanguage::Python,
            name: module.to_owned(),
            direct: false,
            source: Some(entry.path()),
        });
    }
}

/// The modules that the workspace's files import.
pub(super) fn imported(own: &[(String, Arc<str>)]) -> BTreeSet<&str> {
    let files = own.iter().filter(|(path, _)| is_python(path));
    let lines = files.flat_map(|(_, text)| text.lines().map(str::trim_start));
    let named = lines.filter_map(|line| {
        line.strip_prefix("import ").or_else(|| line.strip_prefix("from ")).map(str::trim_start)
    });
    named
        .flat_map(|names| names.split(','))
        .filter_map(|name| {
            name.trim_start().split(|char: char| !char.is_alphanumeric() && char != '_').next()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The workspace's own modules: folders with an `__init__.py`.
pub(super) fn local(own: &[(String, Arc<str>)]) -> impl Iterator<Item = &str> {
    own.iter().filter_map(|(path, _)| path.strip_suffix("/__init__.py")?.rsplit('/').next())
}

fn is_python(path: &str) -> bool {
    PriorLanguage::of_path(path) == Some(PriorLanguage::Python)
}
