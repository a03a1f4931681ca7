use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use base::CancelToken;

use crate::{PdfFailure, PdfLimits, PdfReader};

/// How long the parent waits, as a multiple of the time that the child may work: the machine may be
/// busy.
const PATIENCE: u32 = 3;
/// How often the parent looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Reads each PDF in a process of its own, which is ended when it takes too long and may die without
/// harm.
#[derive(Clone, Debug)]
pub struct ProcessReader {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: PdfLimits,
}

impl ProcessReader {
    /// A reader that starts `program` with `arguments`, whereupon it must call
    /// [`serve_stdio`](crate::serve_stdio).
    pub fn new(program: PathBuf, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { program, arguments, limits: PdfLimits::default() }
    }

    /// The same with other bounds on what the parent waits for and takes.
    #[must_use]
    pub fn with_limits(self, limits: PdfLimits) -> Self {
        Self { limits, ..self }
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

impl PdfReader for ProcessReader {
    fn read(&self, bytes: &[u8], cancel: &CancelToken) -> Result<String, PdfFailure> {
        let unavailable = |error: io::Error| PdfFailure::Unavailable(error.to_string());
        let mut child = self.start().map_err(unavailable)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(PdfFailure::Unavailable("no pipes".into()));
        };
        // One byte more than may come tells that more came.
        let most = self.limits.text_bytes as u64 + 1024;
        let (sender, answers) = sync_channel(1);
        let answer = thread::scope(|scope| {
            scope.spawn(move || {
                // A child that died reads nothing; what became of it is seen at the other pipe.
                let _ = input.write_all(bytes);
            });
            scope.spawn(move || {
                let mut answer = Vec::new();
                let read = output.take(most).read_to_end(&mut answer);
                // The parent may have stopped waiting.
                let _ = sender.send(read.map(|_| answer));
            });
            let deadline = Instant::now() + self.limits.time * PATIENCE;
            let answer = loop {
                match answers.recv_timeout(LOOK) {
                    Ok(answer) => break answer.map_err(unavailable),
                    Err(RecvTimeoutError::Disconnected) => break Err(PdfFailure::Died),
                    Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                        break Err(PdfFailure::Cancelled);
                    }
                    Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                        break Err(PdfFailure::TooSlow { limit: self.limits.time });
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            };
            // Closes the pipes, so that the two threads end. It may have ended by itself.
            let _ = child.kill();
            answer
        });
        let ended = child.wait().map_err(unavailable)?;
        match Answer::decode(&answer?) {
            Some(answer) => answer.into_outcome(&self.limits),
            None if ran_out_of_time(ended) => Err(PdfFailure::TooSlow { limit: self.limits.time }),
            None => Err(PdfFailure::Died),
        }
    }
}

#[cfg(unix)]
fn ran_out_of_time(status: std::process::ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(libc::SIGXCPU)
}

#[cfg(not(unix))]
fn ran_out_of_time(_status: std::process::ExitStatus) -> bool {
    false
}

/// What a child writes: a byte that says what became of the PDF, then the text or a message, then a
/// byte that says that this is all.
pub(crate) struct Answer {
    code: u8,
    text: String,
}

const END: u8 = 0xff;

impl Answer {
    pub(crate) fn of(outcome: Result<String, PdfFailure>) -> Self {
        let (code, text) = match outcome {
            Ok(text) => (b'T', text),
            Err(PdfFailure::Damaged) => (b'D', String::new()),
            Err(PdfFailure::Encrypted) => (b'E', String::new()),
            Err(PdfFailure::NoText) => (b'N', String::new()),
            Err(PdfFailure::Unmapped) => (b'U', String::new()),
            Err(PdfFailure::TooLong { .. }) => (b'L', String::new()),
            Err(PdfFailure::TooSlow { .. }) => (b'S', String::new()),
            Err(PdfFailure::Died | PdfFailure::Cancelled) => (b'X', String::new()),
            Err(PdfFailure::Unavailable(reason)) => (b'F', reason),
        };
        Self { code, text }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = vec![self.code];
        bytes.extend_from_slice(self.text.as_bytes());
        bytes.push(END);
        bytes
    }

    /// `None` for what is cut off or no answer.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = bytes.split_first()?;
        let (end, text) = rest.split_last()?;
        let text = std::str::from_utf8(text).ok()?;
        (*end == END).then(|| Self { code: *code, text: text.to_owned() })
    }

    fn into_outcome(self, limits: &PdfLimits) -> Result<String, PdfFailure> {
        Err(match self.code {
            b'T' => return Ok(self.text),
            b'D' => PdfFailure::Damaged,
            b'E' => PdfFailure::Encrypted,
            b'N' => PdfFailure::NoText,
            b'U' => PdfFailure::Unmapped,
            b'L' => PdfFailure::TooLong { limit: limits.text_bytes },
            b'S' => PdfFailure::TooSlow { limit: limits.time },
            b'F' => PdfFailure::Unavailable(self.text),
            _ => PdfFailure::Died,
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    /// What comes of a child that runs this script.
    fn check(script: &str, cancel: &CancelToken, expected: &Result<&str, PdfFailure>) {
        let limits = PdfLimits { time: LIMIT, text_bytes: 10 };
        let reader = ProcessReader::new("/bin/sh".into(), &["-c", script]).with_limits(limits);
        // More than a pipe holds.
        let found = reader.read(&vec![b'x'; 200_000], cancel);
        assert_eq!(found.as_deref().map_err(Clone::clone), *expected, "{script}");
    }

    #[test]
    fn whatever_the_child_does_there_is_an_answer() {
        let cancel = CancelToken::new();
        check("cat > /dev/null; printf 'Tpage\\377'", &cancel, &Ok("page"));
        check("printf 'E\\377'", &cancel, &Err(PdfFailure::Encrypted));
        check("printf 'Tcut of'", &cancel, &Err(PdfFailure::Died));
        check("cat > /dev/null", &cancel, &Err(PdfFailure::Died));
        check("kill -9 $$", &cancel, &Err(PdfFailure::Died));
        check("kill -XCPU $$", &cancel, &Err(PdfFailure::TooSlow { limit: LIMIT }));
        check("exec cat /dev/zero", &cancel, &Err(PdfFailure::Died));
        check("exec tail -f /dev/null", &cancel, &Err(PdfFailure::TooSlow { limit: LIMIT }));
        cancel.cancel();
        check("exec tail -f /dev/null", &cancel, &Err(PdfFailure::Cancelled));
        let absent = ProcessReader::new("/no/such/program".into(), &[]);
        let failure = absent.read(b"x", &CancelToken::new()).expect_err("nothing to start");
        assert!(!failure.is_final(), "{failure}");
    }

    #[test]
    fn each_outcome_survives_the_pipe() {
        let limits = PdfLimits::default();
        for outcome in [
            Ok("a page\u{c}\n".to_owned()),
            Err(PdfFailure::Damaged),
            Err(PdfFailure::Encrypted),
            Err(PdfFailure::NoText),
            Err(PdfFailure::Unmapped),
            Err(PdfFailure::TooLong { limit: limits.text_bytes }),
            Err(PdfFailure::TooSlow { limit: limits.time }),
            Err(PdfFailure::Died),
            Err(PdfFailure::Unavailable("no pipe".into())),
        ] {
            let bytes = Answer::of(outcome.clone()).encode();
            let read = Answer::decode(&bytes).map(|answer| answer.into_outcome(&limits));
            assert_eq!(read, Some(outcome));
            let cut = bytes.get(..bytes.len() - 1).unwrap_or_default();
            assert!(Answer::decode(cut).is_none());
        }
    }
}
