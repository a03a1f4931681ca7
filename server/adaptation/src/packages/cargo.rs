//! Rust: the crates of `Cargo.lock`, unpacked by cargo in `registry/src`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use instant::PriorLanguage;
use toml::{Table, Value};

use super::{Package, Search, is_part};

pub(super) fn search(search: &mut Search<'_>, folder: &Path) {
    let Some(text) = search.manifest(folder, "Cargo.lock") else { return };
    let lock = match text.parse::<Table>() {
        Ok(lock) => lock,
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%folder, error = error.message(), "Cargo.lock was left out");
            return;
        }
    };
    let packages = lock.get("package").and_then(Value::as_array).map(Vec::as_slice);
    let packages = packages.unwrap_or_default();
    let mut direct = BTreeSet::new();
    for package in packages.iter().filter(|package| package.get("source").is_none()) {
        if let Some(name) = package.get("name").and_then(Value::as_str) {
            search.is_own(PriorLanguage::Rust, name);
        }
        let needs = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        // A name, and where there are several of that name a version.
        direct.extend(needs.filter_map(|it| it.as_str()?.split(' ').next()));
    }
    let registries = registries(search);
    for package in packages {
        let field = |name: &str| package.get(name).and_then(Value::as_str);
        let (Some(name), Some(version), Some(source)) =
            (field("name"), field("version"), field("source"))
        else {
            continue;
        };
        let published = source.starts_with("registry+") || source.starts_with("sparse+");
        if !published || !is_part(name) || !is_part(version) {
            continue;
        }
        let unpacked = format!("{name}-{version}");
        search.add(Package {
            language: PriorLanguage::Rust,
            name: format!("{name} {version}"),
            direct: direct.contains(name),
            source: registries.iter().map(|it| it.join(&unpacked)).find(|it| it.is_dir()),
        });
    }
}

/// The folders of all registries, in a fixed order.
fn registries(search: &Search<'_>) -> Vec<PathBuf> {
    let Some(cargo) = &search.places.cargo else { return Vec::new() };
    let entries = fs::read_dir(cargo.join("registry/src")).into_iter().flatten().flatten();
    let mut registries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    registries.sort_unstable();
    registries
}
