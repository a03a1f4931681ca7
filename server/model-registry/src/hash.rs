use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use base::CancelToken;
use sha2::{Digest, Sha256};

use crate::RegistryError;

/// Bytes read at once; cancelling is looked for between them.
pub(crate) const STEP: usize = 1 << 20;

/// A hash as lower-case hexadecimal digits.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
        text
    })
}

/// SHA-256 of a file. `progress` is told the bytes done so far.
pub(crate) fn of_file(
    path: &Path,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(u64),
) -> Result<String, RegistryError> {
    let mut hasher = Sha256::new();
    feed(path, &mut hasher, cancel, progress)?;
    Ok(hex(&hasher.finalize()))
}

/// Adds a file's bytes to a hash and says how many they were.
pub(crate) fn feed(
    path: &Path,
    hasher: &mut Sha256,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, RegistryError> {
    let mut file = File::open(path).map_err(RegistryError::file("read", path))?;
    let mut step = vec![0; STEP];
    let mut done = 0;
    loop {
        cancel.check()?;
        let length = file.read(&mut step).map_err(RegistryError::file("read", path))?;
        let Some(part) = step.get(..length).filter(|part| !part.is_empty()) else {
            return Ok(done);
        };
        hasher.update(part);
        done += length as u64;
        progress(done);
    }
}

/// Copies everything from `source` into a new file at `target`, durably, and gives its SHA-256. More
/// than `limit` bytes are refused. A failed copy is removed.
pub(crate) fn copy(
    source: &mut dyn Read,
    (from, target): (&Path, &Path),
    limit: u64,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(u64),
) -> Result<String, RegistryError> {
    let copied = copy_all(source, (from, target), limit, cancel, progress);
    if copied.is_err() {
        let _ = std::fs::remove_file(target);
    }
    copied
}

fn copy_all(
    source: &mut dyn Read,
    (from, target): (&Path, &Path),
    limit: u64,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(u64),
) -> Result<String, RegistryError> {
    let mut file = create(target)?;
    let mut hasher = Sha256::new();
    let mut step = vec![0; STEP];
    let mut done = 0;
    loop {
        cancel.check()?;
        let length = source.read(&mut step).map_err(RegistryError::file("read", from))?;
        let Some(part) = step.get(..length).filter(|part| !part.is_empty()) else { break };
        done += length as u64;
        if done > limit {
            return Err(RegistryError::File {
                action: "read",
                path: from.to_owned(),
                reason: std::io::Error::other(format!("it is longer than {limit} bytes")),
            });
        }
        file.write_all(part).map_err(RegistryError::file("write", target))?;
        hasher.update(part);
        progress(done);
    }
    file.sync_all().map_err(RegistryError::file("write", target))?;
    Ok(hex(&hasher.finalize()))
}

/// Creates a file that only its owner can read.
pub(crate) fn create(path: &Path) -> Result<File, RegistryError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(RegistryError::file("write", path))
}
