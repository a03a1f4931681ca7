//! The texts of a package, read from its folder.

use std::{fs, path::Path};

use base::{CancelToken, Cancelled};
use instant::PriorLanguage;

/// Larger files are data or generated, in bytes.
const MAX_FILE: u64 = 256 << 10;
/// Text of one package at most, in bytes, so that a huge one leaves room for the others.
const MAX_PACKAGE: usize = 4 << 20;
/// Folders deeper than this are left out: a trap.
const DEPTH: usize = 24;
/// Entries of one package that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// Folders with other packages, or with what was made from the sources.
const SKIPPED: [&str; 5] = ["node_modules", "__pycache__", "vendor", "target", "testdata"];

/// One text and its folder.
pub(crate) struct Source {
    /// The first two folders inside the package.
    pub folder: String,
    pub text: String,
}

/// The texts of a language below `source`, which may be a single file, in a fixed order. Symbolic links are
/// not followed; hidden, secret-looking, generated and huge files are left out.
pub(crate) fn read(
    language: PriorLanguage,
    source: &Path,
    cancel: &CancelToken,
) -> Result<Vec<Source>, Cancelled> {
    let mut reader = Reader { language, root: source, sources: Vec::new(), bytes: 0, entries: 0 };
    if source.is_dir() {
        reader.folder(source, 0, cancel)?;
    } else {
        reader.file(source);
    }
    Ok(reader.sources)
}

struct Reader<'a> {
    language: PriorLanguage,
    root: &'a Path,
    sources: Vec<Source>,
    bytes: usize,
    entries: usize,
}

impl Reader<'_> {
    fn folder(
        &mut self,
        folder: &Path,
        depth: usize,
        cancel: &CancelToken,
    ) -> Result<(), Cancelled> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut entries: Vec<_> = entries.take(MAX_ENTRIES).collect();
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            cancel.check()?;
            self.entries += 1;
            if self.bytes > MAX_PACKAGE || self.entries > MAX_ENTRIES {
                return Ok(());
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') {
                continue;
            }
            if kind.is_file() {
                self.file(&entry.path());
            } else if kind.is_dir() && depth < DEPTH && !SKIPPED.contains(&name.as_ref()) {
                self.folder(&entry.path(), depth + 1, cancel)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) {
        let relative = path.strip_prefix(self.root).unwrap_or(path).to_string_lossy();
        let relative = relative.replace('\\', "/");
        let name = path.to_string_lossy();
        if PriorLanguage::of_path(&name) != Some(self.language)
            || vfs::looks_secret(&relative)
            || vfs_notify::generated_name(&relative).is_some()
        {
            return;
        }
        let Ok(file) = vfs::read_text(path, MAX_FILE) else { return };
        if vfs_notify::generated_content(&file.text).is_some() {
            return;
        }
        self.bytes += file.text.len();
        self.sources.push(Source { folder: folder_of(&relative).to_owned(), text: file.text });
    }
}

/// The first two folders of a relative path.
pub(crate) fn folder_of(path: &str) -> &str {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let second = folders.match_indices('/').nth(1).map_or(folders.len(), |(end, _)| end);
    folders.get(..second).unwrap_or_default()
}
