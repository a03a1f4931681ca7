//! The child's standard streams: the two pipes belong to the protocol alone.

use inference::{InferenceError, Progress};

use crate::{Engine, serve};

/// Serves one engine over the standard streams and ends the process when the parent closes them
/// or dies.
///
/// Standard output is moved out of reach first: whatever a native library prints goes to standard
/// error. On Linux the process also dies with the thread that started it, leaves no core file, and
/// offers itself first when memory runs out.
pub fn serve_stdio(
    load: impl FnOnce(&Progress) -> Result<Engine, InferenceError> + Send + 'static,
) -> ! {
    let served = streams::take().and_then(|(input, output)| {
        #[cfg(target_os = "linux")]
        linux::settle();
        serve(input, output, load)
    });
    let code = match served {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "the worker cannot talk to its parent");
            1
        }
    };
    streams::end(code)
}

#[cfg(unix)]
mod streams {
    use std::{
        fs::File,
        io,
        os::fd::{AsRawFd, FromRawFd, OwnedFd},
    };

    /// The two pipes, under other numbers; 0 reads nothing and 1 is standard error from now on.
    pub fn take() -> io::Result<(File, File)> {
        let input = duplicate(libc::STDIN_FILENO)?;
        let output = duplicate(libc::STDOUT_FILENO)?;
        let nothing = File::open("/dev/null")?;
        replace(libc::STDIN_FILENO, nothing.as_raw_fd())?;
        replace(libc::STDOUT_FILENO, libc::STDERR_FILENO)?;
        Ok((input, output))
    }

    fn duplicate(number: i32) -> io::Result<File> {
        // SAFETY: takes and gives plain numbers.
        let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, so nobody else closes it.
        Ok(File::from(unsafe { OwnedFd::from_raw_fd(copy) }))
    }

    fn replace(number: i32, by: i32) -> io::Result<()> {
        // SAFETY: takes and gives plain numbers; 0 and 1 are used through their numbers only.
        let result = unsafe { libc::dup2(by, number) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Without the destructors of native libraries, whose threads may still be working.
    pub fn end(code: i32) -> ! {
        // SAFETY: ends the process; nothing of ours is left to be written.
        unsafe { libc::_exit(code) }
    }
}

#[cfg(not(unix))]
mod streams {
    use std::io::{self, Stdin, Stdout};

    pub fn take() -> io::Result<(Stdin, Stdout)> {
        Ok((io::stdin(), io::stdout()))
    }

    pub fn end(code: i32) -> ! {
        std::process::exit(code)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    /// Each of these makes an accident cheaper; without one of them the worker still works.
    pub fn settle() {
        // 800 of 1000: before the editor and the daemon. First, for a process that cannot be dumped
        // may not write it.
        let score = fs::write("/proc/self/oom_score_adj", "800");
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: prctl takes plain numbers here and setrlimit reads a struct that outlives it.
        let failed = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0
                // A core file that is piped to a program ignores the limit below.
                || libc::prctl(libc::PR_SET_DUMPABLE, 0) != 0
                || libc::setrlimit(libc::RLIMIT_CORE, &raw const none) != 0
        };
        if failed || score.is_err() {
            tracing::debug!("the system refused a safeguard");
        }
    }
}
