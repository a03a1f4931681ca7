//! The process's standard streams and its parent.

use std::{fs::File, io};

/// Takes standard output for the protocol: whatever else writes to it from now on, native libraries
/// included, reaches standard error instead.
#[cfg(unix)]
pub fn take_stdout() -> io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: plain system calls on the two standard descriptors; `F_DUPFD_CLOEXEC` yields a new
    // descriptor that nobody else owns, and worker processes do not inherit it.
    unsafe {
        let protocol = libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        if protocol < 0 {
            return Err(io::Error::last_os_error());
        }
        let protocol = File::from_raw_fd(protocol);
        if libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(protocol)
    }
}

/// Standard output as it is: there is no second descriptor to move others to.
#[cfg(not(unix))]
pub fn take_stdout() -> io::Result<io::Stdout> {
    Ok(io::stdout())
}

/// Whether a process with this id exists.
#[cfg(unix)]
pub fn is_alive(process: u32) -> bool {
    let Ok(process) = libc::pid_t::try_from(process) else { return true };
    // SAFETY: signal 0 asks only whether the process exists.
    let missing = unsafe { libc::kill(process, 0) } != 0;
    !(missing && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH))
}

/// Whether a process with this id exists: not known here, its closed pipe will tell.
#[cfg(not(unix))]
pub fn is_alive(_process: u32) -> bool {
    true
}
