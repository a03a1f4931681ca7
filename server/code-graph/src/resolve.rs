use std::{collections::HashMap, sync::Arc};

use indexer::{FileRows, ImportRow};

use crate::weight;

/// An import that fits more files than this is not resolved.
const MOST_TARGETS: usize = 40;

/// Finds the files that imports mean, by their paths alone.
#[derive(Default)]
pub(crate) struct Resolver {
    modules: HashMap<u32, Module>,
    /// Files by the whole path of their module.
    exact: HashMap<String, Vec<u32>>,
    /// Files by the last part of it.
    last: HashMap<String, Vec<u32>>,
    /// By slot.
    places: Vec<Option<Place>>,
}

/// Where a file stands, in numbers that are quick to compare.
pub(crate) struct Place {
    /// Its family of languages.
    pub(crate) family: u32,
    /// Its folder.
    pub(crate) folder: u32,
    /// The folder that it stands for, as `lib.rs`, `__init__.py` and `index.ts` do.
    pub(crate) package: Option<u32>,
    /// The folders that it is in.
    pub(crate) inside: Vec<u32>,
}

/// A file under the names that imports call it by.
struct Module {
    /// The path as a module: without extension and what stands for its folder.
    parts: Vec<String>,
    /// The file itself, with its extension.
    file: String,
    family: Style,
    stands_for_folder: bool,
}

/// How a language writes imports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `crate::a::b`; a crate's folder is its name.
    Rust,
    /// `a.b`, relative with dots in front.
    Python,
    /// `./a`, or the name of a package.
    Script,
    /// The path of a folder behind a name for the project.
    Go,
    /// `com.example.Name`.
    Dotted,
    /// `Vendor\Name`, or a file.
    Php,
    /// A file, from here or from a folder that the build knows.
    File,
}

impl Style {
    fn of(language: &str) -> Self {
        match language {
            "rust" => Self::Rust,
            "python" => Self::Python,
            "javascript" | "typescript" | "tsx" => Self::Script,
            "go" => Self::Go,
            "java" | "csharp" => Self::Dotted,
            "php" => Self::Php,
            _ => Self::File,
        }
    }
}

impl Module {
    fn of(rows: &FileRows) -> Self {
        let family = Style::of(rows.file.language.as_deref().unwrap_or_default());
        let mut parts: Vec<String> = rows.file.path.split('/').map(str::to_owned).collect();
        let file = parts.pop().unwrap_or_default();
        let stem = file.split_once('.').map_or(file.as_str(), |(stem, _)| stem);
        let stands_for_folder = match family {
            Style::Rust => {
                parts.retain(|part| part != "src");
                for part in &mut parts {
                    *part = part.replace('-', "_");
                }
                matches!(stem, "mod" | "lib" | "main")
            }
            Style::Python => stem == "__init__",
            Style::Script => stem == "index",
            Style::Go => true,
            Style::Dotted | Style::Php | Style::File => false,
        };
        if !stands_for_folder {
            parts.push(stem.to_owned());
        }
        Self { parts, file, family, stands_for_folder }
    }

    /// How many parts at the end of `wanted` the module ends with.
    fn common_end(&self, wanted: &[String]) -> usize {
        let with_file = || {
            let (last, folders) = wanted.split_last()?;
            let own = self.parts.get(..self.parts.len().checked_sub(1)?)?;
            (*last == self.file).then(|| 1 + common_end(own, folders))
        };
        common_end(&self.parts, wanted).max(with_file().unwrap_or(0))
    }
}

fn common_end(own: &[String], wanted: &[String]) -> usize {
    own.iter().rev().zip(wanted.iter().rev()).take_while(|(own, wanted)| own == wanted).count()
}

impl Resolver {
    pub(crate) fn new<'a>(files: impl Iterator<Item = (u32, &'a Arc<FileRows>)>) -> Self {
        let mut resolver = Self::default();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut number = |name: String| {
            let next = numbers.len() as u32;
            *numbers.entry(name).or_insert(next)
        };
        for (slot, rows) in files {
            let module = Module::of(rows);
            let mut add = |parts: &[String]| {
                resolver.exact.entry(parts.join("/")).or_default().push(slot);
                if let Some(last) = parts.last() {
                    resolver.last.entry(last.clone()).or_default().push(slot);
                }
            };
            add(&module.parts);
            let mut folders: Vec<String> = rows.file.path.split('/').map(str::to_owned).collect();
            if folders != module.parts {
                // In the form of its module, so that folders are called the same everywhere.
                if module.family == Style::Rust {
                    folders.clear();
                }
                add(&folders);
            }
            let family = weight::family(rows.file.language.as_deref().unwrap_or_default());
            let slashes = rows.file.path.match_indices('/');
            // The top of the workspace is a package to nobody: everything would be in it.
            let inside: Vec<u32> =
                slashes.map(|(at, _)| number(rows.file.path[..=at].to_owned())).collect();
            let folder = inside.last().copied();
            let place = Place {
                family: number(family.to_owned()),
                folder: folder.unwrap_or(u32::MAX),
                package: folder.filter(|_| module.stands_for_folder && module.family != Style::Go),
                inside,
            };
            let at = slot as usize;
            if resolver.places.len() <= at {
                resolver.places.resize_with(at + 1, || None);
            }
            resolver.places[at] = Some(place);
            resolver.modules.insert(slot, module);
        }
        resolver
    }

    pub(crate) fn place(&self, slot: u32) -> Option<&Place> {
        self.places.get(slot as usize)?.as_ref()
    }

    /// The folder of the crate called `name`, where there is just one.
    pub(crate) fn package_named(&self, name: &str) -> Option<u32> {
        let [slot] = self.last.get(name)?.as_slice() else { return None };
        let module = self.modules.get(slot)?;
        self.place(*slot)?.package.filter(|_| module.family == Style::Rust)
    }

    /// The files that an import of the file `from` means, in no order.
    pub(crate) fn resolve(&self, from: u32, rows: &FileRows, import: ImportRow<'_>) -> Vec<u32> {
        let Some(module) = self.modules.get(&from) else { return Vec::new() };
        let mut found = Vec::new();
        let here: Vec<String> = match module.family {
            Style::Rust => module.parts.clone(),
            _ => folder(&rows.file.path),
        };
        let wanted = self.wanted(module, &rows.file.path, &here, import.path);
        let mut whole = import.path.is_empty();
        for name in import.names() {
            // What is named may be a module itself.
            let mut longer = wanted.clone();
            longer.parts.push(name.to_owned());
            let deeper = self.files(&longer, from);
            whole |= deeper.is_empty();
            found.extend(deeper);
        }
        if whole || found.is_empty() {
            found.extend(self.nearest(wanted, module.family, from));
        }
        found.retain(|slot| *slot != from);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The path that an import means.
    fn wanted(&self, module: &Module, path: &str, here: &[String], import: &str) -> Wanted {
        let split = |text: &str, separator: char| -> Vec<String> {
            text.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        match module.family {
            Style::Rust => rust(path, here, import),
            Style::Python => {
                let dots = import.chars().take_while(|ch| *ch == '.').count();
                let rest = split(&import[dots..], '.');
                if dots == 0 {
                    return Wanted { anchored: false, parts: rest };
                }
                let kept = (here.len() + 1).saturating_sub(dots);
                let parts = here.iter().take(kept).cloned().chain(rest).collect();
                Wanted { anchored: true, parts }
            }
            Style::Dotted => Wanted { anchored: false, parts: split(import, '.') },
            Style::Php if import.contains('\\') => {
                Wanted { anchored: false, parts: split(import, '\\') }
            }
            Style::Go => Wanted { anchored: false, parts: split(import, '/') },
            Style::Script => {
                let import = import.split(['?', '#']).next().unwrap_or(import);
                let bare = [".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".tsx"]
                    .iter()
                    .find_map(|end| import.strip_suffix(end))
                    .unwrap_or(import);
                let parts = split(bare, '/');
                if import.starts_with('.') {
                    let mut parts = joined(here, &parts);
                    if parts.last().is_some_and(|last| last == "index") {
                        parts.pop();
                    }
                    return Wanted { anchored: true, parts };
                }
                // `@/x` and `~/x` mean the top of the sources.
                let parts = parts.into_iter().filter(|part| !matches!(&**part, "@" | "~"));
                Wanted { anchored: false, parts: parts.collect() }
            }
            Style::Php | Style::File => {
                let parts = split(import.trim_start_matches("$(dirname \"$0\")"), '/');
                let near = joined(here, &parts);
                if self.exact.contains_key(&near.join("/")) {
                    return Wanted { anchored: true, parts: near };
                }
                let parts = parts.into_iter().filter(|part| !matches!(&**part, "." | ".."));
                Wanted { anchored: false, parts: parts.collect() }
            }
        }
    }

    /// The files of a path or, where it names something in a file, of the beginning of it.
    fn nearest(&self, mut wanted: Wanted, style: Style, from: u32) -> Vec<u32> {
        let shorter = match style {
            Style::Rust => usize::MAX,
            Style::Dotted | Style::Php => 1,
            _ => 0,
        };
        for _ in 0..=shorter.min(wanted.parts.len()) {
            let files = self.files(&wanted, from);
            if !files.is_empty() || wanted.parts.is_empty() {
                return files;
            }
            wanted.parts.pop();
        }
        Vec::new()
    }

    fn files(&self, wanted: &Wanted, from: u32) -> Vec<u32> {
        let Some(module) = self.modules.get(&from) else { return Vec::new() };
        if wanted.anchored {
            return self.exact.get(&wanted.parts.join("/")).cloned().unwrap_or_default();
        }
        let Some(last) = wanted.parts.last() else { return Vec::new() };
        let candidates = self.last.get(last).map(Vec::as_slice).unwrap_or_default();
        let mut best = (0, 0);
        let mut found: Vec<u32> = Vec::new();
        for slot in candidates {
            let Some(other) = self.modules.get(slot) else { continue };
            let common = other.common_end(&wanted.parts);
            // All of the import, or all of the file behind a name for the project.
            let all = common == wanted.parts.len() || common >= 2 && common == other.parts.len();
            let one_of_two = module.family == Style::Go && common >= 1 && wanted.parts.len() > 1;
            if !all && !one_of_two || *slot == from {
                continue;
            }
            let near = module.parts.iter().zip(&other.parts).take_while(|(a, b)| a == b).count();
            let fit = (common, near);
            if fit > best {
                best = fit;
                found.clear();
            }
            if fit == best && !found.contains(slot) {
                found.push(*slot);
            }
        }
        if found.len() > MOST_TARGETS { Vec::new() } else { found }
    }
}

/// A path that is looked for.
#[derive(Clone)]
struct Wanted {
    /// From the top of the workspace; otherwise the end of a path.
    anchored: bool,
    parts: Vec<String>,
}

/// `crate`, `self` and `super` are where the file is; anything else begins with a crate's name or
/// with a module that is known there.
fn rust(path: &str, here: &[String], import: &str) -> Wanted {
    let mut parts: Vec<String> = import.split("::").map(str::to_owned).collect();
    let mut base = here.to_vec();
    let mut anchored = false;
    while let Some(first) = parts.first() {
        match first.as_str() {
            "crate" => {
                let root = path.rsplit_once("/src/").map_or("", |(root, _)| root);
                base = root
                    .split('/')
                    .filter(|part| !part.is_empty() && *part != "src")
                    .map(|part| part.replace('-', "_"))
                    .collect();
            }
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        anchored = true;
        parts.remove(0);
    }
    if anchored {
        base.extend(parts);
        return Wanted { anchored, parts: base };
    }
    Wanted { anchored, parts }
}

fn folder(path: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn joined(here: &[String], parts: &[String]) -> Vec<String> {
    let mut joined = here.to_vec();
    for part in parts {
        match part.as_str() {
            "." => {}
            ".." => drop(joined.pop()),
            _ => joined.push(part.clone()),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use indexer::IndexSnapshot;
    use vfs::Workspace;

    use super::*;

    /// The first file, and the paths that its imports mean.
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::open(&[folder.path().to_owned()]).expect("a workspace");
        let snapshot = IndexSnapshot::of_texts(workspace, files);
        let mut rows: Vec<&Arc<FileRows>> = snapshot.files().collect();
        rows.sort_by_key(|rows| &rows.file.path);
        let resolver = Resolver::new((0..).zip(rows.iter().copied()));
        let from = rows.iter().position(|rows| &*rows.file.path == files[0].0).expect("indexed");
        let mut found: Vec<&str> = rows[from]
            .links()
            .imports()
            .flat_map(|import| resolver.resolve(from as u32, rows[from], import))
            .map(|slot| &*rows[slot as usize].file.path)
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected, "{}", files[0].1);
    }

    #[test]
    fn rust_modules() {
        let files = |main: &'static str| {
            [
                ("server/app/src/lib.rs", main),
                ("server/app/src/store.rs", ""),
                ("server/app/src/store/rows.rs", ""),
                ("server/text-tools/src/lib.rs", ""),
                ("server/text-tools/src/lines.rs", ""),
                ("other/src/store.rs", ""),
            ]
        };
        check(&files("mod store;"), &["server/app/src/store.rs"]);
        check(
            &files("use crate::store::{Row, rows};"),
            &["server/app/src/store.rs", "server/app/src/store/rows.rs"],
        );
        check(&files("use text_tools::Line;"), &["server/text-tools/src/lib.rs"]);
        check(&files("use text_tools::lines::Line;"), &["server/text-tools/src/lines.rs"]);
        check(&files("use std::fmt;"), &[]);
    }

    #[test]
    fn rust_modules_beside_and_above() {
        let files = [
            ("src/a/b.rs", "use super::c::X; use self::deep::Y;"),
            ("src/a/c.rs", ""),
            ("src/a/b/deep.rs", ""),
        ];
        check(&files, &["src/a/b/deep.rs", "src/a/c.rs"]);
    }

    #[test]
    fn python_modules() {
        let files = |main: &'static str| {
            [
                ("src/shop/cart.py", main),
                ("src/shop/__init__.py", ""),
                ("src/shop/price.py", ""),
                ("src/shop/tax/__init__.py", ""),
                ("src/shop/tax/rates.py", ""),
            ]
        };
        check(&files("from . import price\n"), &["src/shop/price.py"]);
        check(&files("from .tax.rates import RATE\n"), &["src/shop/tax/rates.py"]);
        check(&files("from shop.tax import rates\n"), &["src/shop/tax/rates.py"]);
        check(&files("import shop.tax\n"), &["src/shop/tax/__init__.py"]);
        check(&files("import os.path\n"), &[]);
    }

    #[test]
    fn script_modules() {
        let files = |main: &'static str| {
            [
                ("web/src/app.ts", main),
                ("web/src/parts/index.tsx", ""),
                ("web/src/parts/panel.tsx", ""),
                ("web/src/state.ts", ""),
            ]
        };
        check(&files("import { A } from './parts';"), &["web/src/parts/index.tsx"]);
        check(&files("import { A } from './parts/panel.js';"), &["web/src/parts/panel.tsx"]);
        check(&files("import { A } from '@/state';"), &["web/src/state.ts"]);
        check(&files("import react from 'react';"), &[]);
    }

    #[test]
    fn packages_that_are_folders() {
        let files = [
            ("cmd/main.go", "package main\nimport \"example.com/shop/store/rows\"\n"),
            ("store/rows/row.go", "package rows\n"),
            ("store/rows/table.go", "package rows\n"),
            ("store/other.go", "package store\n"),
        ];
        check(&files, &["store/rows/row.go", "store/rows/table.go"]);
    }

    #[test]
    fn files_that_are_included() {
        let files = |main: &'static str| {
            [("src/main.c", main), ("src/rows.h", ""), ("include/api/rows.h", "")]
        };
        check(&files("#include \"rows.h\"\n"), &["src/rows.h"]);
        check(&files("#include <api/rows.h>\n"), &["include/api/rows.h"]);
        check(&files("#include <stdio.h>\n"), &[]);
    }

    #[test]
    fn classes_by_their_full_names() {
        let files = |main: &'static str| {
            [
                ("src/main/java/com/shop/Cart.java", main),
                ("src/main/java/com/shop/tax/Rate.java", ""),
                ("src/main/java/com/other/Rate.java", ""),
            ]
        };
        check(&files("import com.shop.tax.Rate;"), &["src/main/java/com/shop/tax/Rate.java"]);
        check(
            &files("import static com.shop.tax.Rate.of;"),
            &["src/main/java/com/shop/tax/Rate.java"],
        );
        check(&files("import java.util.List;"), &[]);
    }
}
