//! The life of installed models: import, choice, damage, verification, quantisation, removal.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base::{CancelToken, Folders};
use inference::InferenceError;
use model_registry::{
    Converter, Derivation, Hardware, Installed, Manifest, Progress, Registry, RegistryError, Role,
    Source, State, Step,
};
use sha2::Digest as _;
use tempfile::TempDir;

struct Home {
    folder: TempDir,
    registry: Registry,
}

fn home() -> Home {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let registry = Registry::open(&Folders::under(folder.path())).expect("it opens");
    Home { folder, registry }
}

/// A small model in a file of this name, outside the registry.
fn write_model(folder: &Path, name: &str, seed: u64) -> PathBuf {
    let path = folder.join(name);
    inference::fake::write_tiny_model(&path, seed).expect("written");
    path
}

fn ignore() -> impl FnMut(Progress<'_>) {
    |_| {}
}

impl Home {
    fn import(&self, name: &str, seed: u64) -> Result<Installed, RegistryError> {
        self.import_file(&write_model(self.folder.path(), name, seed))
    }

    fn import_file(&self, file: &Path) -> Result<Installed, RegistryError> {
        self.registry.import(file, None, &CancelToken::new(), &mut ignore())
    }

    fn state(&self, id: &str) -> State {
        let list = self.registry.list();
        list.iter().find(|model| model.id == id).expect("it is listed").state
    }

    fn verify(&self, id: &str) -> bool {
        let verified = self.registry.verify(id, &CancelToken::new(), &mut ignore());
        verified.expect("it is installed").ok
    }
}

#[test]
fn the_embedded_manifest_is_sound_and_complete() {
    let manifest = Manifest::embedded().expect("it is sound");
    for role in [Role::Chat, Role::Edit, Role::Embedding, Role::Runtime] {
        let default =
            manifest.models.iter().find(|model| model.default && model.roles.contains(&role));
        let default = default.unwrap_or_else(|| panic!("no default for {role}"));
        assert!(matches!(default.source, Source::Pypi { .. }), "{}", default.id);
    }
    for model in &manifest.models {
        assert!(!model.license.is_empty() && model.bytes > 1_000_000, "{}", model.id);
        let text = model.roles.iter().any(|role| matches!(role, Role::Completion | Role::Chat));
        assert!(!text || model.kv_bytes_per_token > 0, "{}", model.id);
    }
}

#[test]
fn a_manifest_that_could_lead_astray_is_refused() {
    let check = |from: &str, to: &str, named: &str| {
        let text = include_str!("../../../models/manifest.toml").replacen(from, to, 1);
        let error = Manifest::parse(&text).expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
    };
    check("id = \"smollm2-135m-instruct\"", "id = \"../x\"", "the name may have");
    check("id = \"all-minilm-l6-v2\"", "id = \"onnxruntime\"", "twice");
    check("script = \"export_minilm\"", "script = \"rm\"", "no script");
    check("path = \"model.onnx\"", "path = \"a/..\"", "plain name");
    check("sha256 = \"b1", "sha256 = \"B1", "no hash");
    check("file = \"qwen", "file = \"../qwen", "plain names");
    check("default = true", "defualt = true", "unknown field");
}

#[test]
fn an_imported_file_is_copied_hashed_and_used() {
    let home = home();
    let chat = || home.registry.model_for(Role::Chat);
    assert!(matches!(home.registry.find(Role::Chat), Err(InferenceError::NoModel { .. })));
    let installed = home.import("My Model.gguf", 1).expect("it is imported");
    assert_eq!((installed.id.as_str(), installed.sha256.len()), ("my-model", 64));
    let roles = [Role::Chat, Role::Edit, Role::Completion];
    assert_eq!(installed.roles, roles, "it has a chat template and fill-in-the-middle tokens");
    assert!(installed.path.starts_with(home.folder.path().join("data/models/my-model")));
    fs::remove_file(home.folder.path().join("My Model.gguf")).expect("removed");
    assert_eq!(chat().map(|model| model.id).as_deref(), Some("my-model"));
    assert!(home.verify("my-model"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&installed.path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn what_cannot_be_used_is_not_imported() {
    let home = home();
    let whole = fs::read(write_model(home.folder.path(), "m.gguf", 1)).expect("read");
    for (name, content, named) in [
        ("empty.gguf", &b""[..], "empty"),
        ("page.gguf", b"<!DOCTYPE html>", "web page"),
        ("cut.gguf", &whole[..whole.len() - 1000], "cut short"),
        ("half.gguf", &whole[..2000], "cut short"),
        ("new.gguf", b"GGUF\x09\0\0\0", "update Hearth"),
    ] {
        let path = home.folder.path().join(name);
        fs::write(&path, content).expect("written");
        let imported = home.registry.import(&path, None, &CancelToken::new(), &mut ignore());
        let error = imported.expect_err("refused").to_string();
        assert!(error.contains(name) && error.contains(named), "{error}");
    }
    let gone = home.folder.path().join("gone.gguf");
    let imported = home.registry.import(&gone, None, &CancelToken::new(), &mut ignore());
    assert!(imported.expect_err("refused").to_string().contains("cannot be read"));
    assert!(home.registry.list().iter().all(|model| model.path.is_none()));
}

/// The folder of a cross-encoder whose model says nothing, outside the registry.
fn write_cross_encoder(home: &Home, name: &str) -> PathBuf {
    let folder = home.folder.path().join(name);
    fs::create_dir_all(&folder).expect("created");
    let config =
        r#"{"architectures": ["BertForSequenceClassification"], "max_position_embeddings": 512}"#;
    for (name, content) in [
        ("model.onnx", &b"\x08\x08\x3a\x01g"[..]),
        ("config.json", config.as_bytes()),
        ("tokenizer.json", b"{}"),
        ("tokenizer_config.json", b"{}"),
        ("special_tokens_map.json", b"{}"),
        ("notes.txt", b"not needed"),
    ] {
        fs::write(folder.join(name), content).expect("written");
    }
    folder
}

#[test]
fn the_folder_of_a_cross_encoder_is_imported_for_reranking() {
    let home = home();
    let reranker = || home.registry.find(Role::Rerank);
    let error = reranker().expect_err("there is none").to_string();
    assert!(error.contains("hearth models import FOLDER"), "{error}");
    let folder = write_cross_encoder(&home, "Mini Ranker");
    let import = |id| home.registry.import(&folder, id, &CancelToken::new(), &mut ignore());
    let installed = import(None).expect("it is imported");
    assert_eq!((installed.id.as_str(), installed.context), ("mini-ranker", Some(512)));
    assert_eq!(reranker().expect("it is found"), installed);
    assert!(installed.path.join("model.onnx").is_file());
    assert!(!installed.path.join("notes.txt").exists());
    assert!(home.verify("mini-ranker"));
    assert_eq!(import(Some("mine")).expect("it is imported").id, "mine");
    for (id, named) in [("../x", "cannot be its name"), ("all-minilm-l6-v2", "another model")] {
        let error = import(Some(id)).expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
    }
    let wrong = home.registry.use_model("mine", Role::Embedding);
    assert!(matches!(wrong, Err(RegistryError::WrongRole { .. })), "{wrong:?}");
}

#[test]
fn a_folder_that_is_no_cross_encoder_is_not_imported() {
    let home = home();
    for (name, content, named) in [
        ("model.onnx", &b"version https://git-lfs"[..], "no ONNX model"),
        ("config.json", b"{\"architectures\": [\"BertModel\"]}", "no cross-encoder"),
        ("config.json", b"<!DOCTYPE html>", "config.json"),
    ] {
        let folder = write_cross_encoder(&home, "ranker");
        fs::write(folder.join(name), content).expect("written");
        let imported = home.registry.import(&folder, None, &CancelToken::new(), &mut ignore());
        let error = imported.expect_err("refused").to_string();
        assert!(error.contains("ranker") && error.contains(named), "{error}");
    }
    let folder = write_cross_encoder(&home, "ranker");
    fs::remove_file(folder.join("tokenizer.json")).expect("removed");
    let imported = home.registry.import(&folder, None, &CancelToken::new(), &mut ignore());
    let error = imported.expect_err("refused").to_string();
    assert!(error.contains("tokenizer.json is missing"), "{error}");
    assert!(home.registry.find(Role::Rerank).is_err());
}

#[test]
fn a_file_that_pretends_to_be_a_pinned_one_is_refused() {
    let home = home();
    let error = home.import("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", 1).expect_err("refused");
    assert!(matches!(error, RegistryError::Checksum { .. }), "{error}");
    let file = home.folder.path().join("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
    let renamed = home.registry.import(&file, Some("mine"), &CancelToken::new(), &mut ignore());
    assert_eq!(renamed.expect("under another name").id, "mine");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let home = home();
    let file = write_model(home.folder.path(), "m.gguf", 1);
    for id in ["../x", "", ".", "A", "a/b", "a\\b"] {
        let imported = home.registry.import(&file, Some(id), &CancelToken::new(), &mut ignore());
        assert!(matches!(imported, Err(RegistryError::Import { .. })), "{id:?}: {imported:?}");
        assert!(matches!(home.registry.remove(id), Err(RegistryError::Unknown { .. })), "{id:?}");
        assert!(home.registry.installed(id).is_err(), "{id:?}");
    }
}

#[test]
fn the_choice_of_a_model_stays() {
    let home = home();
    home.import("one.gguf", 1).expect("it is imported");
    home.import("two.gguf", 2).expect("it is imported");
    home.registry.use_model("one", Role::Chat).expect("it can chat");
    home.registry.use_model("one", Role::Completion).expect("left to right, it can complete");
    let again = Registry::open(&Folders::under(home.folder.path())).expect("it opens");
    assert_eq!(again.model_for(Role::Chat).map(|model| model.id).as_deref(), Some("one"));
    let error = home.registry.use_model("one", Role::Embedding).expect_err("it makes no vectors");
    assert!(error.to_string().contains("made for chat, edit"), "{error}");
    assert!(home.registry.use_model("three", Role::Chat).is_err());
    let used = again.list().into_iter().find(|model| model.id == "one").expect("it is listed");
    assert_eq!(used.used_for, [Role::Completion, Role::Chat]);
    home.registry.remove("one").expect("it is removed");
    assert_eq!(again.model_for(Role::Chat).map(|model| model.id).as_deref(), Some("two"));
    assert!(matches!(home.registry.remove("one"), Err(RegistryError::Unknown { .. })));
}

#[test]
fn a_changed_file_is_not_used_until_it_is_right_again() {
    let home = home();
    let installed = home.import("one.gguf", 1).expect("it is imported");
    let sound = fs::read(&installed.path).expect("read");
    let mut damaged = sound.clone();
    damaged[5000] ^= 1;
    fs::write(&installed.path, &damaged).expect("written");
    assert_eq!(home.state("one"), State::Damaged);
    let Err(InferenceError::ModelFile { reason, .. }) = home.registry.find(Role::Chat) else {
        panic!("a damaged model is not used");
    };
    assert!(reason.contains("hearth models verify one"), "{reason}");
    assert!(!home.verify("one"));
    assert_eq!(home.state("one"), State::Damaged);
    fs::write(&installed.path, &sound).expect("written");
    assert!(home.verify("one"), "the bytes are right, whatever the time of the change");
    assert_eq!(home.state("one"), State::Installed);
    fs::remove_file(&installed.path).expect("removed");
    assert_eq!((home.state("one"), home.verify("one")), (State::Damaged, false));
}

#[test]
fn rot_that_no_time_shows_is_found_by_verification() {
    let home = home();
    let installed = home.import("one.gguf", 1).expect("it is imported");
    let modified = fs::metadata(&installed.path).and_then(|metadata| metadata.modified());
    let mut bytes = fs::read(&installed.path).expect("read");
    bytes[9000] ^= 0x10;
    fs::write(&installed.path, &bytes).expect("written");
    let file = fs::File::options().write(true).open(&installed.path).expect("opened");
    file.set_modified(modified.expect("a time")).expect("set");
    assert_eq!(home.state("one"), State::Installed, "at a glance nothing is wrong");
    assert!(!home.verify("one"));
    assert_eq!(home.state("one"), State::Damaged);
    assert!(home.registry.model_for(Role::Chat).is_none());
}

/// Writes a model of another seed as the quantised one.
struct Fake {
    fails: bool,
}

impl Converter for Fake {
    fn engine(&self) -> String {
        "fake 1".into()
    }

    fn quantize(
        &self,
        source: &Path,
        target: &Path,
        _quantization: &str,
        _cancel: &CancelToken,
    ) -> Result<(), RegistryError> {
        fs::copy(source, target).expect("copied");
        if self.fails {
            return Err(RegistryError::Tool {
                what: "quantising".into(),
                reason: "signal 6".into(),
            });
        }
        Ok(())
    }

    fn merge(
        &self,
        (base, _adapter): (&Path, &Path),
        target: &Path,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RegistryError> {
        fs::copy(base, target).expect("copied");
        progress(1);
        Ok(cancel.check()?)
    }
}

/// Every file in the folder of the models, what is not finished included, locks apart.
fn files(home: &Home) -> Vec<String> {
    fn collect(folder: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, names);
            } else if path.extension().is_none_or(|end| end != "lock") {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let mut names = Vec::new();
    collect(&home.folder.path().join("data/models"), &mut names);
    names.sort();
    names
}

#[test]
fn an_adapter_is_merged_into_the_model_that_it_was_trained_on() {
    let home = home();
    let base = home.import("base.gguf", 1).expect("it is imported");
    let file = home.folder.path().join("adapter.gguf");
    let write = |sha256: &str| {
        inference::fake::write_tiny_adapter(&file, sha256).expect("written");
    };
    write(&base.sha256);
    let import = |base: Option<&Path>, id, fails| {
        let files = (file.as_path(), base);
        let cancel = CancelToken::new();
        home.registry.import_adapter(files, id, &Fake { fails }, &cancel, &mut ignore())
    };
    let made = import(None, None, false).expect("its base is installed");
    assert_eq!((made.id.as_str(), made.name.as_str()), ("tiny-fim", "Tiny FIM"));
    assert!(made.path.ends_with("tiny-fim/tiny-fim-Q8_0.gguf"), "{}", made.path.display());
    let status = home.registry.list().into_iter().find(|model| model.id == "tiny-fim");
    let status = status.expect("it is listed");
    assert_eq!(status.state, State::Installed);
    let adapter = fs::read(&file).expect("read");
    let sha256 = sha2::Sha256::digest(&adapter);
    let hex = sha256.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(status.derived.expect("it was made").source_sha256, hex);
    let there = ["base.gguf", "record.json", "record.json", "tiny-fim-Q8_0.gguf"];
    assert_eq!(files(&home), there);

    let refused = |base: Option<&Path>, id, named: &str| {
        let error = import(base, id, false).expect_err("refused").to_string();
        assert!(error.contains("adapter.gguf") && error.contains(named), "{error}");
        assert_eq!(files(&home), there, "{named}");
    };
    let other = write_model(home.folder.path(), "other.gguf", 2);
    refused(Some(&other), None, "other.gguf is another file");
    refused(None, Some("../x"), "cannot be its name");
    refused(None, Some("all-minilm-l6-v2"), "another model's name");
    let error = import(None, Some("mine"), true).expect_err("the quantiser failed").to_string();
    assert!(error.contains("signal 6"), "{error}");
    assert_eq!(files(&home), there);
    let at = adapter.windows(5).position(|window| window == b"llama").expect("it names it");
    let foreign = [&adapter[..at], b"gemma", &adapter[at + 5..]].concat();
    fs::write(&file, foreign).expect("written");
    refused(None, None, "for the architecture gemma, and its base is of llama");
    write(&"0".repeat(64));
    refused(None, None, "trained on tiny (SHA-256 000");
    fs::write(&file, &adapter[..adapter.len() - 100]).expect("written");
    refused(None, None, "cut short");
    inference::fake::write_tiny_model(&file, 1).expect("written");
    refused(None, None, "no adapter");
    write(&base.sha256);
    let error = home.import_file(&file).expect_err("alone it is of no use").to_string();
    assert!(error.contains("nothing without its base"), "{error}");
}

#[test]
fn a_cancelled_merge_leaves_nothing() {
    let home = home();
    let base = home.import("base.gguf", 1).expect("it is imported");
    let file = home.folder.path().join("adapter.gguf");
    inference::fake::write_tiny_adapter(&file, &base.sha256).expect("written");
    for at in [Step::Copying, Step::Verifying, Step::Merging, Step::Quantizing] {
        let cancel = CancelToken::new();
        let made = home.registry.import_adapter(
            (file.as_path(), None),
            None,
            &Fake { fails: false },
            &cancel,
            &mut |progress| {
                if progress.step == at {
                    cancel.cancel();
                }
            },
        );
        assert!(matches!(made, Err(RegistryError::Cancelled)), "{at:?}: {made:?}");
        assert_eq!(files(&home), ["base.gguf", "record.json"], "{at:?}");
    }
}

#[test]
fn a_model_that_was_installed_as_it_came_is_quantised_later() {
    let home = home();
    let imported = home.import("one.gguf", 1).expect("it is imported");
    // As if the manifest knew it: the source's hash is that of the imported file.
    let mut manifest = Manifest::clone(&Manifest::embedded().expect("it is sound"));
    manifest.models.retain(|model| model.id == "smollm2-135m-instruct");
    let entry = manifest.models.first_mut().expect("the default");
    entry.id = "one".into();
    entry.derive = Some(Derivation::Quantize { quantization: "Q8_0".into() });
    if let Source::Pypi { wheels, .. } = &mut entry.source {
        wheels[0].members[0].sha256.clone_from(&imported.sha256);
    }
    let registry = home.registry.clone().with_manifest(manifest);
    let pull = |converter: Option<&dyn Converter>| {
        registry.pull("one", converter, &CancelToken::new(), &mut ignore())
    };
    assert_eq!(pull(None).expect("it is here").path, imported.path);
    let error = pull(Some(&Fake { fails: true })).expect_err("the quantiser failed").to_string();
    assert!(error.contains("quantising failed: signal 6"), "{error}");
    assert_eq!(pull(None).expect("it is still here").path, imported.path);
    let derived = pull(Some(&Fake { fails: false })).expect("it is quantised");
    assert!(derived.path.ends_with("one/one-Q8_0.gguf"), "{}", derived.path.display());
    assert!(!imported.path.exists(), "the source is not kept");
    let status = registry.list().into_iter().find(|model| model.id == "one").expect("listed");
    let made_of = status.derived.expect("it was made of something");
    assert_eq!((made_of.source_sha256, made_of.by.as_str()), (imported.sha256, "fake 1"));
    assert_eq!(status.state, State::Installed);
}

#[test]
fn recommendations_fit_the_machine() {
    let home = home();
    let machine = |gb: u64, cores| Hardware {
        memory: gb * 1_000_000_000,
        available: gb * 500_000_000,
        cores,
        features: Vec::new(),
    };
    let of = |gb, cores, role| {
        let recommended = home.registry.recommend(&machine(gb, cores));
        let recommended = recommended.into_iter().find(|entry| entry.role == role);
        let recommended = recommended.expect("every role is answered");
        assert!(recommended.memory <= gb * 600_000_000, "{recommended:?}");
        recommended.id.unwrap_or_default()
    };
    assert_eq!(of(2, 2, Role::Chat), "smollm2-135m-instruct");
    assert_eq!(of(2, 2, Role::Completion), "", "the workspace's own suggestions are better");
    assert_eq!(of(8, 4, Role::Chat), "qwen2.5-coder-1.5b-instruct");
    assert_eq!(of(8, 4, Role::Completion), "qwen2.5-coder-1.5b");
    assert_eq!(of(16, 8, Role::Chat), "qwen2.5-coder-7b-instruct");
    assert_eq!(of(16, 2, Role::Chat), "qwen2.5-coder-1.5b-instruct", "two cores are slow");
    assert_eq!(of(33, 8, Role::Chat), "qwen3-coder-30b-a3b-instruct");
    assert_eq!(of(33, 8, Role::Embedding), "all-minilm-l6-v2");
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let home = home();
    let file = write_model(home.folder.path(), "one.gguf", 1);
    let imported: Vec<_> = std::thread::scope(|scope| {
        let import = || home.registry.import(&file, None, &CancelToken::new(), &mut ignore());
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(import)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(imported.iter().all(Result::is_ok), "{imported:?}");
    assert!(home.verify("one"));
}
