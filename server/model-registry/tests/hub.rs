//! Downloads from a hub, against a server on this machine that breaks off, lies and changes its mind.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use base::{CancelToken, Folders};
use model_registry::{Converter, Installed, Manifest, Registry, RegistryError, Role, State, Step};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What the server does with one request, in order; the last is repeated.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Sends all that was asked for.
    Serve,
    /// Sends so many bytes of it and breaks off.
    BreakAfter(usize),
    /// Leads elsewhere on this server.
    Redirect,
    /// Leads to an address that is not encrypted, on another machine.
    RedirectAway,
    /// Answers with this status.
    Status(u16),
    /// Says nothing until the client goes away.
    Silence,
    /// Offers another file under another tag.
    NewFile,
}

/// A hub with one file.
struct Hub {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(file: Vec<u8>, acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, acts) = (requests.clone(), acts.to_vec());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let act = acts.get(number).or(acts.last()).copied().unwrap_or(Act::Serve);
                let Ok(stream) = stream else { return };
                // A thread each: a client that was cancelled may hold its connection for a while.
                let (file, seen) = (file.clone(), seen.clone());
                thread::spawn(move || answer(stream, act, &file, &seen));
            }
        });
        Self { address, requests }
    }

    /// The value of a header in each request, in order; empty where it was not sent.
    fn headers(&self, name: &str) -> Vec<String> {
        let requests = self.requests.lock().expect("nobody panicked");
        let value = |request: &String| {
            let prefix = format!("{name}: ");
            let line = request.lines().find(|line| line.to_lowercase().starts_with(&prefix));
            line.map_or(String::new(), |line| line.split_at(prefix.len()).1.to_owned())
        };
        requests.iter().map(value).collect()
    }
}

fn answer(mut stream: TcpStream, act: Act, file: &[u8], seen: &Mutex<Vec<String>>) {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while reader.read_line(&mut request).is_ok_and(|length| length > 2) {}
    let header = |name: &str| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim().to_owned())
    };
    let start = header("range:")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let same = header("if-range:").is_none_or(|tag| tag == "\"one\"");
    seen.lock().expect("nobody panicked").push(request.clone());
    let (file, tag) = match act {
        Act::NewFile => (&file.iter().map(|byte| !byte).collect::<Vec<_>>()[..], "\"two\""),
        _ => (file, "\"one\""),
    };
    let start = start.filter(|_| same && tag == "\"one\"");
    let rest = file.get(start.unwrap_or(0)..).unwrap_or_default();
    let head = match (act, start) {
        (Act::Status(status), _) => format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"),
        (Act::Redirect, _) => "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\n\
             content-length: 0\r\n\r\n"
            .to_owned(),
        (Act::RedirectAway, _) => "HTTP/1.1 302 Found\r\nlocation: http://evil.example/model\r\n\
             content-length: 0\r\n\r\n"
            .to_owned(),
        (_, Some(start)) => format!(
            "HTTP/1.1 206 Partial Content\r\netag: {tag}\r\ncontent-length: {}\r\n\
             content-range: bytes {start}-{}/{}\r\n\r\n",
            rest.len(),
            file.len() - 1,
            file.len()
        ),
        (_, None) => {
            format!("HTTP/1.1 200 OK\r\netag: {tag}\r\ncontent-length: {}\r\n\r\n", file.len())
        }
    };
    let body = match act {
        Act::Serve | Act::NewFile => rest,
        Act::BreakAfter(length) => rest.get(..length).unwrap_or(rest),
        _ => &[],
    };
    // The client may go away at any moment: that is what is tested.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    if matches!(act, Act::Silence) {
        let _ = stream.read(&mut [0]);
    }
}

/// A registry in an empty home, whose manifest has one model.
struct Set {
    home: TempDir,
    registry: Registry,
}

fn model() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tiny.gguf");
    inference::fake::write_tiny_model(&path, 7).expect("written");
    std::fs::read(path).expect("read")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn set(hub: &Hub, pinned: Option<&str>) -> Set {
    let home = tempfile::tempdir().expect("a temporary folder");
    let pinned = pinned.map_or(String::new(), |hash| format!("sha256 = \"{hash}\""));
    let manifest = format!(
        r#"
        hub = "{}"
        [[model]]
        id = "tiny"
        name = "Tiny"
        roles = ["chat"]
        license = "MIT"
        bytes = 1000
        [model.source]
        kind = "hub"
        repository = "someone/tiny"
        file = "tiny.gguf"
        {pinned}
        "#,
        hub.address
    );
    let manifest = Manifest::parse(&manifest).expect("a sound manifest");
    let registry = Registry::open(&Folders::under(home.path())).expect("it opens");
    Set { home, registry: registry.with_manifest(manifest) }
}

impl Set {
    fn pull(&self) -> Result<Installed, RegistryError> {
        self.registry.pull("tiny", None, &CancelToken::new(), &mut |_| {})
    }

    fn state(&self) -> State {
        self.registry.list().first().expect("one model").state
    }

    /// Every file under the models, locks apart.
    fn files(&self) -> Vec<String> {
        fn collect(folder: &Path, names: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).expect("listed").flatten() {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                if path.is_dir() {
                    collect(&path, names);
                } else if path.extension().is_none_or(|end| end != "lock") {
                    names.push(name);
                }
            }
        }
        let mut names = Vec::new();
        collect(&self.home.path().join("data/models"), &mut names);
        names.sort();
        names
    }
}

#[test]
fn a_model_is_fetched_once() {
    let file = model();
    let hub = Hub::start(file.clone(), &[Act::Redirect, Act::Serve]);
    let set = set(&hub, Some(&hash(&file)));
    assert_eq!(set.state(), State::Available);
    let installed = set.pull().expect("it is fetched");
    assert_eq!(std::fs::read(&installed.path).expect("read"), file);
    assert_eq!((installed.sha256.as_str(), installed.bytes), (&*hash(&file), file.len() as u64));
    assert_eq!(installed.quantization.as_deref(), Some("F32"));
    assert_eq!(set.files(), ["record.json", "tiny.gguf"]);
    assert_eq!(set.pull().expect("it is here"), installed);
    assert_eq!(
        hub.requests.lock().expect("nobody panicked").len(),
        2,
        "the second pull asks nobody"
    );
    assert_eq!(set.registry.model_for(Role::Chat), Some(installed));
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let file = model();
    let hub =
        Hub::start(file.clone(), &[Act::BreakAfter(100_000), Act::BreakAfter(50), Act::Serve]);
    let set = set(&hub, Some(&hash(&file)));
    set.pull().expect("it is fetched");
    assert_eq!(hub.headers("range"), ["", "bytes=100000-", "bytes=100050-"]);
    assert_eq!(hub.headers("if-range"), ["", "\"one\"", "\"one\""]);
}

#[test]
fn a_cancelled_download_is_continued_by_the_next_command() {
    let file = model();
    let hub = Hub::start(file.clone(), &[Act::BreakAfter(200_000), Act::Serve]);
    let set = set(&hub, Some(&hash(&file)));
    let cancel = CancelToken::new();
    let pulled = set.registry.pull("tiny", None, &cancel, &mut |progress| {
        if progress.step == Step::Downloading && progress.done >= 200_000 {
            cancel.cancel();
        }
    });
    assert!(matches!(pulled, Err(RegistryError::Cancelled)), "{pulled:?}");
    assert_eq!(set.state(), State::Partial);
    let hashed = std::cell::Cell::new(false);
    let pulled = set.registry.pull("tiny", None, &CancelToken::new(), &mut |progress| {
        hashed.set(hashed.get() || progress.step == Step::Verifying);
    });
    assert_eq!(std::fs::read(pulled.expect("it is fetched").path).expect("read"), file);
    assert!(hashed.get(), "what an earlier run wrote is hashed again");
    assert_eq!(hub.headers("range").last().map(String::as_str), Some("bytes=200000-"));
    assert_eq!(set.state(), State::Installed);
}

#[test]
fn a_silent_server_does_not_hold_up_cancelling() {
    let hub = Hub::start(model(), &[Act::Silence]);
    let set = set(&hub, None);
    let cancel = CancelToken::new();
    let pulled = set.registry.pull("tiny", None, &cancel, &mut |progress| {
        if progress.step == Step::Downloading {
            cancel.cancel();
        }
    });
    assert!(matches!(pulled, Err(RegistryError::Cancelled)), "{pulled:?}");
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_anew() {
    let file = model();
    let other: Vec<u8> = file.iter().map(|byte| !byte).collect();
    let hub = Hub::start(file, &[Act::BreakAfter(1000), Act::NewFile]);
    let set = set(&hub, Some(&hash(&other)));
    // The other file has the pinned hash and is no model: it came whole, and is refused for that.
    let error = set.pull().expect_err("it is no model").to_string();
    assert!(error.contains("not a GGUF file"), "{error}");
    assert_eq!(hub.headers("if-range"), ["", "\"one\""]);
    assert_eq!(set.files(), Vec::<String>::new());
}

#[test]
fn a_changed_byte_is_refused_and_nothing_stays() {
    let mut file = model();
    let pinned = hash(&file);
    let last = file.len() - 1;
    file[last] ^= 1;
    let hub = Hub::start(file.clone(), &[Act::Serve]);
    let set = set(&hub, Some(&pinned));
    let error = set.pull().expect_err("it is not the pinned file");
    let RegistryError::Checksum { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((expected, found), (&pinned, &hash(&file)));
    assert_eq!((set.files(), set.state()), (Vec::<String>::new(), State::Available));
}

#[test]
fn without_a_pinned_hash_the_first_one_is_recorded() {
    let file = model();
    let set = set(&Hub::start(file.clone(), &[Act::Serve]), None);
    assert_eq!(set.pull().expect("it is fetched").sha256, hash(&file));
}

#[test]
fn what_is_no_model_is_refused_whatever_its_hash() {
    let page = b"<!DOCTYPE html><title>Log in</title>".to_vec();
    let set = set(&Hub::start(page, &[Act::Serve]), None);
    let error = set.pull().expect_err("a web page").to_string();
    assert!(error.contains("web page"), "{error}");
    assert_eq!(set.files(), Vec::<String>::new());
}

#[test]
fn refusals_of_the_server_say_what_to_do() {
    for (act, named) in [
        (Act::Status(401), "hearth models import"),
        (Act::Status(404), "no such file"),
        (Act::Status(418), "418"),
        (Act::RedirectAway, "not encrypted"),
        (Act::Status(503), "run the same command again"),
        (Act::BreakAfter(0), "run the same command again"),
    ] {
        let set = set(&Hub::start(model(), &[act]), None);
        let error = set.pull().expect_err("refused").to_string();
        assert!(error.contains(named) && error.contains("someone/tiny"), "{act:?}: {error}");
    }
}

#[test]
fn offline_nothing_is_asked() {
    let file = model();
    let hub = Hub::start(file.clone(), &[Act::Serve]);
    let set = set(&hub, None);
    let offline = set.registry.clone().offline(true);
    let error = offline.pull("tiny", None, &CancelToken::new(), &mut |_| {}).expect_err("offline");
    assert!(error.is_missing_component() && error.to_string().contains("--offline"), "{error}");
    assert!(hub.requests.lock().expect("nobody panicked").is_empty());
    set.pull().expect("it is fetched");
    offline.pull("tiny", None, &CancelToken::new(), &mut |_| {}).expect("it is here already");
}

#[test]
fn a_disk_without_room_is_seen_before_anything_is_written() {
    let file = model();
    let hub = Hub::start(file, &[Act::Serve]);
    let mut set = set(&hub, None);
    let mut manifest = set.registry.manifest().clone();
    manifest.models[0].bytes = u64::MAX / 2;
    set.registry = set.registry.with_manifest(manifest);
    let error = set.pull().expect_err("no disk is that large");
    assert!(matches!(error, RegistryError::DiskFull { .. }), "{error}");
    assert!(hub.requests.lock().expect("nobody panicked").is_empty());
    assert_eq!(set.files(), Vec::<String>::new());
}

/// Copies what it should convert, a model for a merged one.
struct Copier;

impl Converter for Copier {
    fn engine(&self) -> String {
        "copier 1".into()
    }

    fn quantize(
        &self,
        source: &Path,
        target: &Path,
        _quantization: &str,
        cancel: &CancelToken,
    ) -> Result<(), RegistryError> {
        std::fs::copy(source, target).expect("copied");
        Ok(cancel.check()?)
    }

    fn merge(
        &self,
        (base, _adapter): (&Path, &Path),
        target: &Path,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RegistryError> {
        std::fs::copy(base, target).expect("copied");
        progress(1);
        Ok(cancel.check()?)
    }
}

/// An adapter to the file with this hash.
fn adapter(base_sha256: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("adapter.gguf");
    inference::fake::write_tiny_adapter(&path, base_sha256).expect("written");
    std::fs::read(path).expect("read")
}

/// A manifest of a model at one address, and of an adapter for it at another, each with its hash.
fn manifest_with_adapter(model: (&str, &str), adapter: (&str, &str)) -> String {
    format!(
        r#"
        hub = "{}"
        [[model]]
        id = "tiny"
        name = "Tiny"
        roles = ["chat"]
        license = "MIT"
        bytes = 1000
        source = {{ kind = "hub", repository = "someone/tiny", file = "tiny.gguf", sha256 = "{}" }}
        [[model]]
        id = "fim"
        name = "Tiny FIM"
        roles = ["completion"]
        license = "MIT"
        bytes = 1000
        source = {{ kind = "url", url = "{}/tiny-adapter.gguf", sha256 = "{}" }}
        derive = {{ kind = "merge", base = "tiny", quantization = "Q8_0" }}
        "#,
        model.0, model.1, adapter.0, adapter.1
    )
}

/// Models as of [`set`], and one that is made of it and of an adapter at an address.
fn set_with_adapter(hub: &Hub, adapters: &Hub, pinned: (&str, &str)) -> Set {
    let set = set(hub, Some(pinned.0));
    let manifest = manifest_with_adapter((&hub.address, pinned.0), (&adapters.address, pinned.1));
    let manifest = Manifest::parse(&manifest).expect("a sound manifest");
    Set { registry: set.registry.with_manifest(manifest), home: set.home }
}

fn count(hub: &Hub) -> usize {
    hub.requests.lock().expect("nobody panicked").len()
}

#[test]
fn an_adapter_and_its_base_are_fetched_and_merged() {
    let base = model();
    let adapter = adapter(&hash(&base));
    let (hub, adapters) =
        (Hub::start(base.clone(), &[Act::Serve]), Hub::start(adapter.clone(), &[Act::Serve]));
    let set = set_with_adapter(&hub, &adapters, (&hash(&base), &hash(&adapter)));
    let pull = |id, converter: Option<&dyn Converter>| {
        set.registry.pull(id, converter, &CancelToken::new(), &mut |_| {})
    };
    let error = pull("fim", None).expect_err("nothing merges").to_string();
    assert!(error.contains("merging failed"), "{error}");
    assert_eq!(set.files(), Vec::<String>::new());

    let made = pull("fim", Some(&Copier)).expect("it is made");
    assert_eq!(made.roles, [Role::Completion]);
    assert_eq!(set.files(), ["fim-Q8_0.gguf", "record.json"]);
    assert!(set.registry.installed("tiny").is_err(), "the base itself is not installed");
    let asked = (count(&hub), count(&adapters));
    assert_eq!(pull("fim", Some(&Copier)).expect("it is here"), made);
    assert_eq!((count(&hub), count(&adapters)), asked, "the second pull asks nobody");
    let state = |id| {
        let list = set.registry.list();
        list.into_iter().find(|model| model.id == id).expect("listed").state
    };
    assert_eq!(state("fim"), State::Installed);

    // The base that is here already is not fetched again.
    set.registry.remove("fim").expect("removed");
    pull("tiny", None).expect("it is fetched");
    let asked = count(&hub);
    pull("fim", Some(&Copier)).expect("it is made");
    assert_eq!(count(&hub), asked);
}

#[test]
fn an_adapter_to_another_file_is_refused_by_name() {
    let base = model();
    for (file, pinned, named) in [
        (adapter(&"1".repeat(64)), None, "trained on tiny (SHA-256 1111"),
        (model(), None, "no adapter"),
        (adapter(&hash(&base)), Some("2".repeat(64)), "2222"),
    ] {
        let pinned = pinned.unwrap_or_else(|| hash(&file));
        let (hub, adapters) =
            (Hub::start(base.clone(), &[Act::Serve]), Hub::start(file, &[Act::Serve]));
        let set = set_with_adapter(&hub, &adapters, (&hash(&base), &pinned));
        let pulled = set.registry.pull("fim", Some(&Copier), &CancelToken::new(), &mut |_| {});
        let error = pulled.expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
        assert_eq!((set.files(), count(&hub)), (Vec::<String>::new(), 0), "{named}");
    }
}

#[test]
fn a_base_whose_download_was_cancelled_is_continued() {
    let base = model();
    let adapter = adapter(&hash(&base));
    let (hub, adapters) = (
        Hub::start(base.clone(), &[Act::BreakAfter(200_000), Act::Serve]),
        Hub::start(adapter.clone(), &[Act::Serve]),
    );
    let set = set_with_adapter(&hub, &adapters, (&hash(&base), &hash(&adapter)));
    let cancel = CancelToken::new();
    let pulled = set.registry.pull("fim", Some(&Copier), &cancel, &mut |progress| {
        if progress.step == Step::Downloading && progress.done >= 200_000 {
            cancel.cancel();
        }
    });
    assert!(matches!(pulled, Err(RegistryError::Cancelled)), "{pulled:?}");
    let pulled = set.registry.pull("fim", Some(&Copier), &CancelToken::new(), &mut |_| {});
    pulled.expect("it is made");
    assert_eq!(hub.headers("range").last().map(String::as_str), Some("bytes=200000-"));
    assert_eq!(set.files(), ["fim-Q8_0.gguf", "record.json"]);
}

#[test]
fn an_entry_whose_base_cannot_be_told_is_refused() {
    let check = |from: &str, to: &str, named: &str| {
        let hash = "a".repeat(64);
        let text =
            manifest_with_adapter(("https://hub.example", &hash), ("https://files.example", &hash));
        let changed = text.replacen(from, to, 1);
        let parsed = Manifest::parse(&changed);
        if named.is_empty() {
            parsed.expect("sound");
        } else {
            let error = parsed.expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    };
    check("Tiny FIM", "Tiny Fill", "");
    check("base = \"tiny\"", "base = \"huge\"", "is no model");
    check("base = \"tiny\"", "base = \"fim\"", "made of an adapter itself");
    check("\"tiny.gguf\", sha256 =", "\"tiny.gguf\", revision =", "has no hash");
    check("https://files.example/tiny-adapter.gguf", "https://files.example/", "no plain name");
    check("https://files.example/tiny-adapter.gguf", "http://files.example/a.gguf", "https://");
}
