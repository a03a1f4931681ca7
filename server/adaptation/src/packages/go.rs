//! Go: the modules of `go.mod`, unpacked in the module cache.

use std::path::Path;

use instant::PriorLanguage;

use super::{Package, Search, is_part};

pub(super) fn search(search: &mut Search<'_>, folder: &Path) {
    let Some(text) = search.manifest(folder, "go.mod") else { return };
    let mut block = String::new();
    for line in text.lines() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let mut words: Vec<&str> = code.split_whitespace().collect();
        match words.as_slice() {
            [")"] => block.clear(),
            [directive, "("] => block = (*directive).to_owned(),
            _ => {
                if !block.is_empty() {
                    words.insert(0, &block);
                }
                match words.as_slice() {
                    ["module", name] => search.is_own(PriorLanguage::Go, name.trim_matches('"')),
                    ["require", name, version] => {
                        require(search, name.trim_matches('"'), version, comment);
                    }
                    _ => {}
                }
            }
        }
    }
}

fn require(search: &mut Search<'_>, name: &str, version: &str, comment: &str) {
    if !is_part(version) || !name.split('/').all(is_part) {
        return;
    }
    let path = format!("{}@{}", escaped(name), escaped(version));
    let source = search.places.go.as_ref().map(|cache| cache.join(path));
    search.add(Package {
        language: PriorLanguage::Go,
        name: format!("{name} {version}"),
        direct: comment.trim() != "indirect",
        source: source.filter(|source| source.is_dir()),
    });
}

/// In the cache an exclamation mark and the small letter stand for a capital one (`module.EscapePath`).
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(char.to_ascii_lowercase());
    }
    escaped
}
