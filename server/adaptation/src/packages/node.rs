//! TypeScript and JavaScript: `node_modules` beside `package.json` and above it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use instant::PriorLanguage;
use serde_json::Value;

use super::{Package, Search, is_part};

/// The fields of `package.json` that name packages.
const FIELDS: [&str; 4] =
    ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];

pub(super) fn search(search: &mut Search<'_>, folder: &Path) {
    let Some(text) = search.manifest(folder, "package.json") else { return };
    let manifest: Value = match serde_json::from_str(&text) {
        Ok(manifest) => manifest,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "package.json was left out");
            return;
        }
    };
    if let Some(name) = manifest.get("name").and_then(Value::as_str) {
        search.is_own(PriorLanguage::TypeScript, name);
    }
    let named = FIELDS.iter().filter_map(|field| manifest.get(field)?.as_object());
    let direct: BTreeSet<String> =
        named.flat_map(|it| it.keys().cloned()).filter(|name| is_package(name)).collect();
    let roots = search.workspace.roots().to_vec();
    let above = folder.ancestors().take_while(|it| roots.iter().any(|root| it.starts_with(root)));
    let modules: Vec<PathBuf> =
        above.filter_map(|folder| search.inside(&folder.join("node_modules"))).collect();
    // The direct ones first: they may be links to folders that are not listed below.
    for name in &direct {
        let source = modules.iter().find_map(|modules| package(search, &modules.join(name)));
        search.add(Package {
            language: PriorLanguage::TypeScript,
            name: name.clone(),
            direct: true,
            source,
        });
    }
    for modules in &modules {
        for name in installed(modules) {
            if let Some(source) = package(search, &modules.join(&name)) {
                search.add(Package {
                    language: PriorLanguage::TypeScript,
                    name,
                    direct: false,
                    source: Some(source),
                });
            }
        }
    }
}

/// Whether it is `name` or `@scope/name`.
fn is_package(name: &str) -> bool {
    match name.strip_prefix('@') {
        Some(scoped) => {
            scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name))
        }
        None => is_part(name),
    }
}

/// A package's folder. A link out of the workspace is refused, and one to a package of the workspace itself
/// is no dependency.
fn package(search: &Search<'_>, folder: &Path) -> Option<PathBuf> {
    let folder = search.inside(folder)?;
    let installed = folder.components().any(|part| part.as_os_str() == "node_modules");
    installed.then_some(folder)
}

/// The packages in a folder `node_modules`, by name.
fn installed(modules: &Path) -> Vec<String> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let mut packages = Vec::new();
    for name in names(modules) {
        if name.starts_with('@') {
            let scoped = names(&modules.join(&name)).into_iter();
            packages.extend(scoped.map(|inner| format!("{name}/{inner}")));
        } else {
            packages.push(name);
        }
    }
    packages.retain(|name| is_package(name));
    packages.sort_unstable();
    packages
}
