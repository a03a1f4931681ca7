//! Messages on a byte stream: a header with the length of the body, an empty line, the body.
//!
//! A peer that counts wrongly must cost one message and not the connection. Valid JSON never holds
//! the raw bytes of a header followed by `{`: inside a string a line break is escaped, outside one
//! a letter is an error. So wherever such bytes stand, a message begins, whatever length was
//! declared before; that is where reading goes on after an error.

use std::io::{self, Read, Write};

use thiserror::Error;

/// Largest header that is read.
const MAX_HEADER: usize = 16 * 1024;

/// Largest body that is read.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

const LENGTH: &[u8] = b"content-length:";

/// Why bytes of the peer were not taken as a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The header has no end, no length, or none that is a number.
    #[error("a message without a valid Content-Length header was skipped")]
    Header,
    /// The body is larger than we take.
    #[error("a message of {declared} bytes was skipped; the limit is {MAX_BODY}")]
    TooLarge {
        /// The length in the header.
        declared: u64,
    },
    /// Another message begins inside the declared length.
    #[error("a message that declared {declared} bytes and had {found} was skipped")]
    WrongLength {
        /// The length in the header.
        declared: usize,
        /// Bytes before the next message.
        found: usize,
    },
}

/// Takes messages out of a byte stream. Memory grows with the bytes that arrive, never with the
/// number that the peer declared.
pub struct FrameReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// Start of what has not been handed out.
    start: usize,
    /// Whether what follows is no message until one is found.
    lost: bool,
}

impl<R: Read> FrameReader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, lost: false }
    }

    /// The next body, or why bytes up to the next message are skipped; `None` at the end.
    pub fn next_frame(&mut self) -> io::Result<Option<Result<Vec<u8>, FrameError>>> {
        if self.lost && !self.skip()? {
            return Ok(None);
        }
        let Some(header) = self.header()? else { return Ok(None) };
        let declared = match header {
            Ok(declared) => declared,
            Err(error) => {
                self.lost = true;
                return Ok(Some(Err(error)));
            }
        };
        let Some(length) = usize::try_from(declared).ok().filter(|length| *length <= MAX_BODY)
        else {
            self.lost = true;
            return Ok(Some(Err(FrameError::TooLarge { declared })));
        };
        let mut searched = 0;
        while self.rest().len() < length {
            if let Some(found) = find_message(self.rest(), searched) {
                self.start += found;
                return Ok(Some(Err(FrameError::WrongLength { declared: length, found })));
            }
            // A header may be cut at the end of what has arrived.
            searched = self.rest().len().saturating_sub(MAX_HEADER);
            if !self.fill()? {
                return Ok(None);
            }
        }
        let body = self.rest().get(..length).expect("as many bytes are there");
        if let Some(found) = find_message(body, searched).or_else(|| cut_header(body)) {
            self.start += found;
            return Ok(Some(Err(FrameError::WrongLength { declared: length, found })));
        }
        let body = body.to_vec();
        self.start += length;
        Ok(Some(Ok(body)))
    }

    /// Takes a header and hands back the length that it declares; `None` at the end of the input.
    fn header(&mut self) -> io::Result<Option<Result<u64, FrameError>>> {
        loop {
            let rest = self.rest();
            if let Some(end) = find(rest, b"\r\n\r\n").filter(|end| *end <= MAX_HEADER) {
                let length = rest.get(..end).and_then(declared_length);
                if length.is_some() {
                    self.start += end + 4;
                }
                return Ok(Some(length.ok_or(FrameError::Header)));
            }
            if rest.len() > MAX_HEADER {
                return Ok(Some(Err(FrameError::Header)));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Drops bytes up to the next message; `false` when none comes.
    fn skip(&mut self) -> io::Result<bool> {
        loop {
            if let Some(found) = find_message(self.rest(), 0) {
                self.start += found;
                self.lost = false;
                return Ok(true);
            }
            let kept = self.rest().len().min(MAX_HEADER);
            self.start = self.buffer.len() - kept;
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Reads more; `false` at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.shrink_to(CHUNK * 4);
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + CHUNK, 0);
        let read = loop {
            match self.input.read(self.buffer.get_mut(filled..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(filled + read.as_ref().map_or(0, |read| *read));
        Ok(read? > 0)
    }
}

/// Where a header begins that goes on behind the end of `body`: the declared length was a little too
/// long. No valid JSON ends so.
fn cut_header(body: &[u8]) -> Option<usize> {
    let is_cut = |tail: &[u8]| match tail.split_at_checked(LENGTH.len()) {
        Some((name, value)) => {
            let is_value = |byte: &u8| byte.is_ascii_digit() || b" \t\r\n".contains(byte);
            name.eq_ignore_ascii_case(LENGTH) && value.iter().all(is_value)
        }
        None => LENGTH.get(..tail.len()).is_some_and(|name| name.eq_ignore_ascii_case(tail)),
    };
    let window = body.len().saturating_sub(LENGTH.len() + 32);
    (window..body.len()).find(|start| body.get(*start..).is_some_and(is_cut))
}

/// Writes one message.
pub fn write(output: &mut impl Write, body: &[u8]) -> io::Result<()> {
    write!(output, "Content-Length: {}\r\n\r\n", body.len())?;
    output.write_all(body)?;
    output.flush()
}

/// The length that a header declares; `None` without one, or with a line that is none of a header.
fn declared_length(header: &[u8]) -> Option<u64> {
    let mut length = None;
    for line in std::str::from_utf8(header).ok()?.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        if name.trim().eq_ignore_ascii_case("Content-Length") {
            length = Some(value.trim().parse().ok()?);
        }
    }
    length
}

/// Where a whole header that is followed by `{` begins, at or after `from`.
fn find_message(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..).and_then(find_length) {
        at += found;
        let candidate = bytes.get(at..).unwrap_or_default();
        if is_length_line(candidate) && begins_message(candidate) {
            return Some(at);
        }
        at += LENGTH.len();
    }
    None
}

/// Whether a number and the end of the line follow the name: a cheap no for text that speaks of the
/// header.
fn is_length_line(bytes: &[u8]) -> bool {
    let rest = bytes.get(LENGTH.len()..).unwrap_or_default().trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(b"\r\n"))
}

fn begins_message(bytes: &[u8]) -> bool {
    let head = bytes.get(..MAX_HEADER).unwrap_or(bytes);
    find(head, b"\r\n\r\n").is_some_and(|end| {
        bytes.get(end + 4) == Some(&b'{') && bytes.get(..end).and_then(declared_length).is_some()
    })
}

/// Where `Content-Length:` stands, in any case.
fn find_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(colon) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b':')) {
        at += colon + 1;
        let start = at.checked_sub(LENGTH.len());
        if let Some(start) = start
            && bytes.get(start..at).is_some_and(|name| name.eq_ignore_ascii_case(LENGTH))
        {
            return Some(start);
        }
    }
    None
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, body.as_bytes()).expect("a vector takes everything");
        bytes
    }

    /// Hands out few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let wanted = self.1.min(buffer.len());
            self.0.read(&mut buffer[..wanted])
        }
    }

    /// Each message as `=body`, each error as `!kind`.
    fn read_all(bytes: &[u8], step: usize) -> Vec<String> {
        let mut reader = FrameReader::new(Slow(bytes, step));
        let mut out = Vec::new();
        while let Some(next) = reader.next_frame().expect("memory does not fail") {
            out.push(match next {
                Ok(body) => format!("={}", String::from_utf8_lossy(&body)),
                Err(FrameError::Header) => "!header".into(),
                Err(FrameError::TooLarge { .. }) => "!large".into(),
                Err(FrameError::WrongLength { .. }) => "!length".into(),
            });
        }
        out
    }

    fn check(bytes: &[u8], expected: &[&str]) {
        for step in [usize::MAX, 7, 1] {
            assert_eq!(read_all(bytes, step), expected, "in steps of {step}");
        }
    }

    #[test]
    fn messages_are_read_however_they_arrive() {
        let mut bytes = frame("{}");
        bytes.extend(b"content-type: application/vscode-jsonrpc; charset=utf-8\r\nCONTENT-LENGTH:2 \r\n\r\n[]");
        bytes.extend(frame("{\"a\":\"Content-Length: 2\\r\\n\\r\\n{}\"}"));
        check(&bytes, &["={}", "=[]", "={\"a\":\"Content-Length: 2\\r\\n\\r\\n{}\"}"]);
    }

    #[test]
    fn after_a_bad_header_the_next_message_is_read() {
        for bad in [
            "nonsense\r\n\r\n{}",
            "Content-Length: x\r\n\r\n{}",
            "Content-Length: -1\r\n\r\n{}",
            "Content-Type: a\r\n\r\n{}",
            "\r\n\r\n",
            "{}",
        ] {
            check(&[bad.as_bytes(), &frame("{\"b\":1}")].concat(), &["!header", "={\"b\":1}"]);
        }
        let endless = "x".repeat(3 * MAX_HEADER);
        check(&[endless.as_bytes(), &frame("{}")].concat(), &["!header", "={}"]);
    }

    #[test]
    fn a_length_that_is_too_long_costs_one_message() {
        let bad = b"Content-Length: 500\r\n\r\n{\"a\":1}";
        check(&[bad, frame("{\"b\":1}").as_slice()].concat(), &["!length", "={\"b\":1}"]);
        // Any part of the next message may lie within the declared length.
        for extra in 1..frame("{\"b\":1}").len() {
            let bad = format!("Content-Length: {}\r\n\r\n{{\"a\":1}}", 7 + extra);
            let bytes = [bad.as_bytes(), &frame("{\"b\":1}"), &frame("{\"c\":1}")].concat();
            check(&bytes, &["!length", "={\"b\":1}", "={\"c\":1}"]);
        }
    }

    #[test]
    fn a_length_that_is_too_short_costs_one_message() {
        let bad = b"Content-Length: 3\r\n\r\n{\"a\":1}";
        check(&[bad, frame("{\"b\":1}").as_slice()].concat(), &["={\"a", "!header", "={\"b\":1}"]);
    }

    #[test]
    fn a_body_beyond_the_limit_is_skipped() {
        for declared in ["67108865", "4294967296", "18446744073709551615"] {
            let bad = format!("Content-Length: {declared}\r\n\r\n{{\"a\":\"xxxx\"}}");
            check(&[bad.as_bytes(), &frame("{}")].concat(), &["!large", "={}"]);
        }
    }

    #[test]
    fn an_input_that_ends_early_ends_quietly() {
        check(b"Content-Length: 10\r\n\r\n{", &[]);
        check(b"Content-Le", &[]);
        check(b"", &[]);
    }
}
