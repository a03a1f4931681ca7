use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use crate::{PdfFailure, PdfLimits, extract, process::Answer};

/// The child's end of a [`ProcessReader`](crate::ProcessReader): takes one PDF from standard input, writes what became of it to
/// standard output, and gives the system bounds for what the PDF may make this process do.
pub fn serve_stdio() -> ExitCode {
    let limits = PdfLimits::default();
    system::limit(&limits);
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    let outcome = match read {
        Ok(_) => extract(bytes, &limits),
        Err(error) => Err(PdfFailure::Unavailable(error.to_string())),
    };
    let answer = Answer::of(outcome).encode();
    let mut output = io::stdout().lock();
    match output.write_all(&answer).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent no longer wants it.
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(unix)]
mod system {
    use crate::PdfLimits;

    /// Most memory that may be asked for: a picture of A4 in colour at 600 dots an inch is a tenth of it.
    const MEMORY: u64 = 1 << 30;

    /// Each of these makes a hostile file cheaper; without one of them it costs its time at most, after
    /// which the parent ends this process.
    pub(super) fn limit(limits: &PdfLimits) {
        let seconds = limits.time.as_secs() + 1;
        // What is reached first says why the process ended; the second would not.
        let mut set = vec![
            (libc::RLIMIT_AS, MEMORY, MEMORY),
            (libc::RLIMIT_CPU, seconds, seconds + 1),
            (libc::RLIMIT_CORE, 0, 0),
        ];
        if cfg!(target_os = "macos") {
            // There the limit counts what the system maps for every program.
            set.remove(0);
        }
        let mut refused = false;
        for (resource, soft, hard) in set {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: setrlimit reads a struct that outlives the call.
            refused |= unsafe { libc::setrlimit(resource, &raw const limit) } != 0;
        }
        #[cfg(target_os = "linux")]
        {
            // SAFETY: prctl takes plain numbers here.
            refused |= unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0;
        }
        if refused {
            tracing::debug!("the system refused a safeguard");
        }
    }
}

#[cfg(not(unix))]
mod system {
    use crate::PdfLimits;

    pub(super) fn limit(_limits: &PdfLimits) {}
}
