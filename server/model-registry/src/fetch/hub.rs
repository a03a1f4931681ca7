//! One file over HTTPS: resumed where it stopped, hashed while it comes, refused when it is not the
//! pinned one.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ureq::{Agent, Body, http::Response};

use crate::{
    RegistryError, hash,
    install::PART,
    progress::{Progress, Step, Task},
    pull::check_hash,
    record::FileRecord,
    settings::check_hub,
    space,
};

/// How long to wait for a connection, and for the next bytes.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often cancelling is looked for while no bytes come.
const POLL: Duration = Duration::from_millis(50);
/// Tries in a row that brought nothing, after which the download fails.
const TRIES: u32 = 4;
/// Most redirections followed.
const REDIRECTS: usize = 8;

/// A file in a hub.
pub(crate) struct Download<'a> {
    pub(crate) address: String,
    /// The pinned hash.
    pub(crate) sha256: Option<&'a str>,
    /// Size, about, for the check of the room on the disk.
    pub(crate) bytes: u64,
}

/// What is known of a part that was downloaded, so that it is continued only with the same file.
#[derive(Default, Serialize, Deserialize)]
struct PartInfo {
    address: String,
    /// The server's name for exactly these bytes.
    etag: Option<String>,
    total: Option<u64>,
}

/// Hash of the bytes that were written so far.
#[derive(Default)]
struct Written {
    hasher: Sha256,
    bytes: u64,
}

/// Where an answer leaves off.
enum Outcome {
    Complete,
    /// The connection ended early; whether it brought anything.
    Interrupted {
        reason: String,
        brought: bool,
    },
}

impl Download<'_> {
    /// Downloads to `target`. What an earlier try left beside it is continued.
    pub(crate) fn run(
        &self,
        target: &Path,
        task: &mut Task<'_>,
    ) -> Result<FileRecord, RegistryError> {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{PART}"));
        let part = PathBuf::from(name);
        let have = fs::metadata(&part).map_or(0, |metadata| metadata.len());
        let folder = target.parent().unwrap_or(target);
        space::require(folder, self.bytes.saturating_sub(have))?;
        let agent = agent();
        let mut fruitless = 0;
        let mut written = Written::default();
        while let Outcome::Interrupted { reason, brought } =
            self.attempt(&agent, &part, &mut written, task)?
        {
            fruitless = if brought { 0 } else { fruitless + 1 };
            if fruitless >= TRIES {
                return Err(
                    self.failed(format!("{reason}; run the same command again to continue"))
                );
            }
            tracing::info!(address = %self.address, reason, "the download was interrupted");
            wait(task, POLL * 10 * fruitless)?;
        }
        self.finish(&part, target, written, task)
    }

    /// Checks the whole part and gives it its name.
    fn finish(
        &self,
        part: &Path,
        target: &Path,
        mut written: Written,
        task: &mut Task<'_>,
    ) -> Result<FileRecord, RegistryError> {
        written.catch_up(part, fs::metadata(part).map_or(0, |metadata| metadata.len()), task)?;
        let found = hash::hex(&written.hasher.finalize());
        let info = info_path(part);
        if let Some(expected) = self.sha256
            && let Err(error) = check_hash(self.address.clone(), expected, &found)
        {
            let _ = fs::remove_file(part);
            let _ = fs::remove_file(&info);
            return Err(error);
        }
        fs::rename(part, target).map_err(RegistryError::file("move", part))?;
        let _ = fs::remove_file(&info);
        FileRecord::of(target, found)
    }

    /// One request and as much of its answer as comes.
    fn attempt(
        &self,
        agent: &Agent,
        part: &Path,
        written: &mut Written,
        task: &mut Task<'_>,
    ) -> Result<Outcome, RegistryError> {
        task.cancel.check()?;
        let info = load_info(part).filter(|info| info.address == self.address);
        let have = fs::metadata(part).map_or(0, |metadata| metadata.len());
        let resumed = info.as_ref().filter(|info| info.etag.is_some() && have > 0);
        if let Some(info) = resumed
            && info.total == Some(have)
        {
            return Ok(Outcome::Complete);
        }
        let condition = resumed.and_then(|info| Some((have, info.etag.clone()?)));
        let response = match self.request(agent, condition.as_ref()) {
            Ok(response) => response,
            Err(ureq::Error::BadUri(reason)) => return Err(self.failed(reason)),
            Err(error) => {
                return Ok(Outcome::Interrupted { reason: error.to_string(), brought: false });
            }
        };
        let status = response.status().as_u16();
        let start = match (status, condition) {
            (206, Some((have, _))) if range_start(&response) == Some(have) => have,
            (200, _) => 0,
            (206 | 416, _) => {
                let _ = fs::remove_file(part);
                let reason = "the server cannot continue the file".into();
                return Ok(Outcome::Interrupted { reason, brought: false });
            }
            _ => return self.refused(status),
        };
        let total = header(&response, "content-length")
            .and_then(|length| length.parse::<u64>().ok())
            .map(|length| length.saturating_add(start));
        if start == 0 {
            let etag = header(&response, "etag").filter(|etag| !etag.starts_with("W/"));
            space::require(part.parent().unwrap_or(part), total.unwrap_or(self.bytes))?;
            save_info(part, &PartInfo { address: self.address.clone(), etag, total })?;
        }
        written.catch_up(part, start, task)?;
        let mut file = open_at(part, start)?;
        let outcome = receive(response.into_body(), &mut file, part, (written, total), task);
        file.sync_all().map_err(RegistryError::file("write", part))?;
        outcome
    }

    /// Follows redirections itself, so that none leads from an encrypted address to a plain one.
    fn request(
        &self,
        agent: &Agent,
        condition: Option<&(u64, String)>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut address = self.address.clone();
        for _ in 0..REDIRECTS {
            let mut request = agent.get(&address);
            if let Some((have, etag)) = condition {
                request =
                    request.header("range", format!("bytes={have}-")).header("if-range", etag);
            }
            let response = request.call()?;
            let location = header(&response, "location");
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(response);
            };
            address = absolute(&address, &location)?;
        }
        Err(ureq::Error::TooManyRedirects)
    }

    fn refused(&self, status: u16) -> Result<Outcome, RegistryError> {
        let reason = match status {
            401 | 403 => {
                "the server wants a log-in; accept the model's licence in a browser, download the file \
                 there and run `hearth models import FILE`"
            }
            404 => "the server has no such file; it may have been renamed",
            429 | 500..=599 => {
                let reason = format!("the server answered {status}");
                return Ok(Outcome::Interrupted { reason, brought: false });
            }
            _ => return Err(self.failed(format!("the server answered {status}"))),
        };
        Err(self.failed(reason.to_owned()))
    }

    fn failed(&self, reason: String) -> RegistryError {
        RegistryError::Download { address: self.address.clone(), reason }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .build()
        .new_agent()
}

/// Writes the body to the file as it comes. It is read on a thread of its own, so that cancelling does
/// not wait for a silent server.
fn receive(
    body: Body,
    file: &mut File,
    part: &Path,
    (written, total): (&mut Written, Option<u64>),
    task: &mut Task<'_>,
) -> Result<Outcome, RegistryError> {
    let pieces = read_in_background(body);
    let start = written.bytes;
    let interrupted =
        |reason: String, done: u64| Ok(Outcome::Interrupted { reason, brought: done > start });
    loop {
        task.report(Step::Downloading, written.bytes, total);
        task.cancel.check()?;
        match pieces.recv_timeout(POLL) {
            Ok(Ok(piece)) => {
                file.write_all(&piece).map_err(RegistryError::file("write", part))?;
                written.hasher.update(&piece);
                written.bytes += piece.len() as u64;
            }
            Ok(Err(reason)) => return interrupted(reason, written.bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected)
                if total.is_none_or(|total| written.bytes == total) =>
            {
                return Ok(Outcome::Complete);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return interrupted("the connection ended early".into(), written.bytes);
            }
        }
    }
}

impl Written {
    /// Makes this the hash of the first `bytes` of the part, reading what another run wrote.
    fn catch_up(
        &mut self,
        part: &Path,
        bytes: u64,
        task: &mut Task<'_>,
    ) -> Result<(), RegistryError> {
        if self.bytes == bytes {
            return Ok(());
        }
        *self = Self::default();
        if bytes > 0 {
            self.bytes = hash::feed(part, &mut self.hasher, task.cancel, &mut |done| {
                let progress =
                    Progress { id: task.id, step: Step::Verifying, done, total: Some(bytes) };
                (task.sink)(progress);
            })?;
        }
        Ok(())
    }
}

fn read_in_background(body: Body) -> Receiver<Result<Vec<u8>, String>> {
    let (sender, receiver) = sync_channel(4);
    thread::spawn(move || {
        let mut reader = body.into_reader();
        loop {
            let mut piece = vec![0; 1 << 18];
            let answer = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(length);
                    Ok(piece)
                }
                Err(error) => Err(error.to_string()),
            };
            let last = answer.is_err();
            if sender.send(answer).is_err() || last {
                return;
            }
        }
    });
    receiver
}

fn wait(task: &mut Task<'_>, time: Duration) -> Result<(), RegistryError> {
    let mut left = time;
    while !left.is_zero() {
        task.cancel.check()?;
        let step = left.min(POLL);
        thread::sleep(step);
        left -= step;
    }
    Ok(())
}

fn open_at(part: &Path, start: u64) -> Result<File, RegistryError> {
    if start == 0 {
        return hash::create(part);
    }
    let mut file =
        File::options().write(true).open(part).map_err(RegistryError::file("write", part))?;
    file.seek(SeekFrom::Start(start)).map_err(RegistryError::file("write", part))?;
    Ok(file)
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// First byte of a partial answer: `bytes 100-199/200`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = header(response, "content-range")?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Where a redirection leads.
fn absolute(from: &str, location: &str) -> Result<String, ureq::Error> {
    let address = if location.starts_with('/') && !location.starts_with("//") {
        let origin_end = from.find("://").map_or(0, |at| at + 3);
        let path = from.get(origin_end..).and_then(|rest| rest.find('/'));
        let origin = path.and_then(|path| from.get(..origin_end + path)).unwrap_or(from);
        format!("{origin}{location}")
    } else {
        location.to_owned()
    };
    match (check_hub(&address), from.starts_with("https://"), address.starts_with("https://")) {
        (Ok(()), true, true) | (Ok(()), false, _) => Ok(address),
        _ => Err(ureq::Error::BadUri(format!("it leads to {address}, which is not encrypted"))),
    }
}

fn info_path(part: &Path) -> PathBuf {
    part.with_extension("json")
}

fn load_info(part: &Path) -> Option<PartInfo> {
    serde_json::from_slice(&fs::read(info_path(part)).ok()?).ok()
}

fn save_info(part: &Path, info: &PartInfo) -> Result<(), RegistryError> {
    let path = info_path(part);
    let bytes = serde_json::to_vec(info).expect("it is plain data");
    base::write_atomic(&path, &bytes).map_err(RegistryError::file("write", &path))
}
