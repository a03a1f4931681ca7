//! The file of an index: what usearch saved, a manifest, and a footer that tells whether it is whole.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use base::CancelToken;
use memmap2::Mmap;

use crate::VectorIndexError;

/// Names the layout; another one gets another name.
const MAGIC: [u8; 8] = *b"hnswix01";
const DIGEST: usize = blake3::OUT_LEN;
/// Magic, stamp, lengths of graph and manifest, digest of all before it.
const FOOTER: usize = MAGIC.len() + 3 * size_of::<u64>() + DIGEST;
/// So many bytes are hashed between two looks at whether to stop: some milliseconds.
const PIECE: usize = 16 << 20;

/// A file whose bytes are those that were saved.
pub(crate) struct Verified {
    map: Mmap,
    graph: Range<usize>,
    manifest: Range<usize>,
}

impl Verified {
    pub(crate) fn graph(&self) -> &[u8] {
        self.map.get(self.graph.clone()).unwrap_or_default()
    }

    pub(crate) fn manifest(&self) -> &[u8] {
        self.map.get(self.manifest.clone()).unwrap_or_default()
    }
}

/// Puts a file at `path` of what `save` writes to the path that it is given, which has `length` bytes. Whoever opens
/// `path` meanwhile, or after a crash at any moment, finds what was there before or the new file.
pub(crate) fn write(
    path: &Path,
    stamp: u64,
    manifest: &[u8],
    length: usize,
    save: impl FnOnce(&Path) -> Result<(), VectorIndexError>,
) -> Result<(), VectorIndexError> {
    let unfinished = unfinished(path);
    let result = create(&unfinished)
        .map_err(failed(&unfinished))
        .and_then(|()| save(&unfinished))
        .and_then(|()| complete(&unfinished, stamp, manifest, length).map_err(failed(&unfinished)))
        .and_then(|()| fs::rename(&unfinished, path).map_err(failed(path)))
        .and_then(|()| sync_folder(path).map_err(failed(path)));
    if result.is_err() {
        // On a full disk its room is wanted; what stays is written over by the next attempt.
        let _ = fs::remove_file(&unfinished);
    }
    result
}

/// Makes an empty file for its owner only; whoever writes it anew leaves it so.
fn create(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Where the file for `path` is written before it is whole. One name, as only one process writes: what a crash leaves
/// is written over or [removed](remove).
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("unfinished")
}

/// Removes the file, and what a crash left of another.
pub(crate) fn remove(path: &Path) -> Result<(), VectorIndexError> {
    for path in [path, &unfinished(path)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn complete(path: &Path, stamp: u64, manifest: &[u8], length: usize) -> io::Result<()> {
    let mut file = File::options().read(true).append(true).open(path)?;
    // usearch does not tell of bytes that were still to be written when it closed the file.
    if file.metadata()?.len() != length as u64 {
        return Err(io::Error::other("not all of it was written"));
    }
    let lengths = [stamp, length as u64, manifest.len() as u64];
    let mut rest = manifest.to_vec();
    rest.extend_from_slice(&MAGIC);
    rest.extend(lengths.iter().flat_map(|number| number.to_le_bytes()));
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?.update(&rest);
    rest.extend_from_slice(hasher.finalize().as_bytes());
    file.write_all(&rest)?;
    file.sync_all()
}

#[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "only Unix has it"))]
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Maps the file at `path` after every byte of it was looked at; `None` when there is none.
pub(crate) fn open(
    path: &Path,
    stamp: u64,
    cancel: &CancelToken,
) -> Result<Option<Verified>, VectorIndexError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    // SAFETY: nobody writes to the file: another one is renamed over it, and this one stays as long as it is mapped.
    let map = unsafe { Mmap::map(&file) }.map_err(failed(path))?;
    let damaged = |reason| VectorIndexError::Damaged { path: path.to_owned(), reason };
    let (signed, digest) = map.split_last_chunk::<DIGEST>().ok_or(damaged("too short"))?;
    let footer = map.last_chunk::<FOOTER>().ok_or(damaged("too short"))?;
    let (magic, mut numbers) = footer.split_first_chunk().ok_or(damaged("too short"))?;
    if *magic != MAGIC {
        return Err(damaged("another layout"));
    }
    let mut number = || {
        let (first, rest) = numbers.split_first_chunk().ok_or(damaged("too short"))?;
        numbers = rest;
        Ok::<_, VectorIndexError>(u64::from_le_bytes(*first))
    };
    let (found, graph, manifest) = (number()?, number()?, number()?);
    let end = usize::try_from(graph).ok().zip(usize::try_from(manifest).ok());
    let (graph, end) = end
        .and_then(|(graph, manifest)| Some((graph, graph.checked_add(manifest)?)))
        .filter(|(_, end)| end.checked_add(FOOTER) == Some(map.len()))
        .ok_or(damaged("another length"))?;
    let mut hasher = blake3::Hasher::new();
    for piece in signed.chunks(PIECE) {
        cancel.check()?;
        hasher.update(piece);
    }
    if hasher.finalize() != *digest {
        return Err(damaged("another checksum"));
    }
    if found != stamp {
        return Err(VectorIndexError::OtherStamp { path: path.to_owned() });
    }
    Ok(Some(Verified { graph: 0..graph, manifest: graph..end, map }))
}

pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> VectorIndexError {
    move |source| VectorIndexError::Io { path: path.to_owned(), source }
}
