//! vfs-notify
