use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// The right to write one workspace's index, held by one process at a time and given back by the
/// system when it ends, however it ends.
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock in `folder`; `None` when another process has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(folder.join("index.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
