//! Room on the disk, asked for before it is used.

use std::{
    io,
    path::{Path, PathBuf},
};

use sysinfo::{DiskRefreshKind, Disks};

use crate::RegistryError;

/// What must stay free besides: a disk filled to the last byte stops other programs.
const MARGIN: u64 = 100_000_000;

/// Bytes that can still be written to the disk that holds `path`.
pub(crate) fn available(path: &Path) -> io::Result<u64> {
    let path = existing(path).canonicalize()?;
    let kind = DiskRefreshKind::nothing().with_storage();
    let disks = Disks::new_with_refreshed_list_specifics(kind).map_err(io::Error::other)?;
    disks
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().components().count())
        .map(sysinfo::Disk::available_space)
        .ok_or_else(|| io::Error::other("no disk is known that holds it"))
}

/// The nearest folder above a path that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(path).to_owned()
}

/// Refuses if `bytes` do not fit into `folder`'s disk. A disk whose room is not known is not refused:
/// a full one is then seen when it is written to.
pub(crate) fn require(folder: &Path, bytes: u64) -> Result<(), RegistryError> {
    let Ok(available) = available(folder) else { return Ok(()) };
    let needed = bytes.saturating_add(MARGIN);
    if needed <= available {
        return Ok(());
    }
    Err(RegistryError::DiskFull {
        path: folder.to_owned(),
        needed_mb: needed.div_ceil(1_000_000),
        available_mb: available / 1_000_000,
    })
}
