//! Replaces the bytes of one file, all or nothing.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Seek, Write},
    path::Path,
};

use crate::JournalError;

/// Makes `path`, which holds `old`, hold `new`: by renaming a finished file over it where that
/// keeps owner, mode and links, in place otherwise. `staged` is where the new bytes wait while an
/// in-place write is under way.
pub(crate) fn replace(
    path: &Path,
    old: &[u8],
    new: &[u8],
    staged: &Path,
) -> Result<(), JournalError> {
    let failed = |source| JournalError::writing(path, new.len() as u64, source);
    let before = fs::metadata(path).map_err(failed)?;
    let beside = match prepare_beside(path, &before, new) {
        Ok(file) => file,
        // No right to make files in the folder does not mean none to write this one.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(error) => return Err(failed(error)),
    };
    // Between the first look and this one somebody may have saved the file.
    if !holds(path, old).map_err(failed)? {
        return Err(JournalError::Stale { path: path.to_owned() });
    }
    match beside {
        Some(file) => {
            file.persist(path).map_err(|error| failed(error.error))?;
            sync_folder_of(path);
            Ok(())
        }
        None => write_in_place(path, old, new, staged),
    }
}

/// Finishes an in-place write that a crash cut off. The staged bytes are whole, since they were
/// renamed into place before the file was touched. A file that is not half old and half new is
/// left alone: the write had not begun, was complete, or somebody has saved the file since.
pub(crate) fn finish_staged(path: &Path, staged: &Path) {
    let finish = || -> io::Result<()> {
        let bytes = fs::read(staged)?;
        let (old, new) = unstage(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let found = fs::read(path)?;
        if is_cut_off(&found, old, new) {
            overwrite(&mut OpenOptions::new().write(true).open(path)?, new)?;
        }
        Ok(())
    };
    match finish() {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => {}
        _ => {
            let _ = fs::remove_file(staged);
        }
    }
}

/// Whether `found` is what [`overwrite`] leaves when it stops in the middle: a beginning of `new`,
/// then what `old` has there.
fn is_cut_off(found: &[u8], old: &[u8], new: &[u8]) -> bool {
    if found == old || found == new {
        return false;
    }
    let written = found.iter().zip(new).take_while(|(a, b)| a == b).count();
    found.get(written..) == Some(old.get(written..).unwrap_or_default())
}

/// Both contents in one file: the length of the first, then one after the other.
fn stage(old: &[u8], new: &[u8]) -> Vec<u8> {
    [&(old.len() as u64).to_le_bytes(), old, new].concat()
}

fn unstage(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

/// A durable file beside `path` with its mode and owner; `None` when a rename would lose
/// something: other hard links, or an owner that cannot be given.
fn prepare_beside(
    path: &Path,
    before: &Metadata,
    new: &[u8],
) -> io::Result<Option<tempfile::NamedTempFile>> {
    if hard_links(before) > 1 {
        return Ok(None);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file =
        tempfile::Builder::new().prefix(".hearth-").suffix(".tmp").tempfile_in(folder)?;
    if !same_owner(before, file.path())? {
        return Ok(None);
    }
    file.write_all(new)?;
    file.as_file().set_permissions(before.permissions())?;
    file.as_file().sync_all()?;
    Ok(Some(file))
}

/// Overwrites the file itself. Both contents are staged first, so that a crash in between can be
/// finished at the next start; a failure puts the old bytes back. Where even that fails the staged
/// contents stay.
fn write_in_place(path: &Path, old: &[u8], new: &[u8], staged: &Path) -> Result<(), JournalError> {
    let failed = |source| JournalError::writing(path, new.len() as u64, source);
    base::write_atomic(staged, &stage(old, new)).map_err(failed)?;
    let written = OpenOptions::new().write(true).open(path).map_err(failed).and_then(|mut file| {
        overwrite(&mut file, new).map_err(|source| {
            // The old bytes fit once, in blocks that the file still owns, so this should not fail.
            match overwrite(&mut file, old) {
                Ok(()) => failed(source),
                Err(source) => {
                    let (path, staged) = (path.to_owned(), staged.to_owned());
                    JournalError::HalfWritten { path, staged, source }
                }
            }
        })
    });
    if !matches!(written, Err(JournalError::HalfWritten { .. })) {
        let _ = fs::remove_file(staged);
    }
    written
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Whether the file's bytes are exactly `expected`.
fn holds(path: &Path, expected: &[u8]) -> io::Result<bool> {
    let mut bytes = Vec::with_capacity(expected.len() + 1);
    File::open(path)?.take(expected.len() as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes == expected)
}

/// Makes the rename durable. The file is already in place, so a failure here is not an error of
/// the edit.
fn sync_folder_of(path: &Path) {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(unix)]
fn hard_links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn hard_links(_metadata: &Metadata) -> u64 {
    1
}

/// Whether the file at `beside` has, or could be given, the owner and group of `wanted`.
#[cfg(unix)]
fn same_owner(wanted: &Metadata, beside: &Path) -> io::Result<bool> {
    use std::os::unix::fs::{MetadataExt, chown};

    let found = fs::metadata(beside)?;
    if (found.uid(), found.gid()) == (wanted.uid(), wanted.gid()) {
        return Ok(true);
    }
    Ok(chown(beside, Some(wanted.uid()), Some(wanted.gid())).is_ok())
}

#[cfg(not(unix))]
fn same_owner(_wanted: &Metadata, _beside: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_can_neither_be_written_nor_put_back_stays_staged() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let staged = folder.path().join("x.staged");
        // Every write to it fails for want of room.
        let error = write_in_place(Path::new("/dev/full"), b"old", b"new", &staged);
        assert!(matches!(error, Err(JournalError::HalfWritten { .. })), "{error:?}");
        assert_eq!(fs::read(&staged).expect("kept"), stage(b"old", b"new"));
    }

    #[test]
    fn every_cut_of_an_in_place_write_is_finished_and_a_later_save_is_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, staged) = (folder.path().join("file"), folder.path().join("x.staged"));
        let contents: [&[u8]; 3] = [b"one\ntwo\n", b"one\n2\n", b"one\ntwenty-two\nthree\n"];
        for old in contents {
            for new in contents {
                for cut in 0..=new.len() {
                    let rest = old.get(cut..).unwrap_or_default();
                    let found = [&new[..cut], rest].concat();
                    fs::write(&path, &found).expect("written");
                    fs::write(&staged, stage(old, new)).expect("written");
                    finish_staged(&path, &staged);
                    let now = fs::read(&path).expect("read");
                    assert!(now == new || now == old, "cut at {cut}: {now:?}");
                    assert!(!staged.exists());
                }
            }
        }
        fs::write(&path, "mine\n").expect("written");
        fs::write(&staged, stage(b"old", b"new")).expect("written");
        finish_staged(&path, &staged);
        assert_eq!(fs::read(&path).expect("read"), b"mine\n");
    }
}
