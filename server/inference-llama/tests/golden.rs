//! The exact tokens of the prompts of each family, by its own vocabulary.
//!
//! Excerpts of vocabularies that are free lie in `vocabularies/` (made by `excerpt.py` there); the
//! numbers are those of the whole vocabulary. The other families, and the whole vocabularies, are
//! held against the same golden sequences where `HEARTH_VOCABULARIES` names a folder that has them.
//! `HEARTH_GENERATE=1` writes the sequences anew.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use base::Folders;
use inference::{ModelInfo, PromptPiece};
use inference_llama::Vocabulary;
use prompt::{Budget, ChatMessage, Excerpt, FimContext, Role, chat_prompt, fim_prompt};

const PREFIX: &str = "def area(w, h):\n    return w";
const SUFFIX: &str = " * h\n\nprint(area(2, 3))\n";

/// A family and the names that its vocabulary gives to start and end.
struct Family {
    name: &'static str,
    model: &'static str,
    architecture: &'static str,
    start: &'static str,
    end: &'static str,
}

/// A vocabulary, and the numbers of its tokens in the whole one.
struct Words {
    vocabulary: Vocabulary,
    numbers: Option<Vec<i32>>,
}

impl Words {
    fn load(path: &Path) -> Self {
        let vocabulary = Vocabulary::load(path).expect("loaded");
        let numbers = fs::read_to_string(path.with_extension("ids")).ok();
        let numbers = numbers.map(|numbers| {
            numbers.split_whitespace().map(|number| number.parse().expect("a number")).collect()
        });
        Self { vocabulary, numbers }
    }

    /// One line for each token: its number in the whole vocabulary and its text.
    fn lines(&self, pieces: &[PromptPiece]) -> String {
        let mut lines = String::new();
        for token in self.vocabulary.tokenize(pieces).expect("tokens") {
            let number = self.numbers.as_ref().map_or(token, |numbers| numbers[token as usize]);
            let text = self.vocabulary.token_text(token).unwrap_or_default();
            let _ = writeln!(lines, "{number} {}", text.replace('\n', "⏎"));
        }
        lines
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vocabularies")
}

impl Family {
    fn info(&self, words: &Words) -> ModelInfo {
        ModelInfo {
            id: self.model.into(),
            architecture: self.architecture.into(),
            bos_token: self.start.into(),
            eos_token: self.end.into(),
            fim: words.vocabulary.fim(),
            ..ModelInfo::default()
        }
    }

    /// The tokens of a completion and of a conversation.
    fn tokens(&self, words: &Words) -> String {
        let info = self.info(words);
        let excerpts = [Excerpt { path: "a.py".into(), text: "A = 1\n".into() }];
        let place = FimContext {
            path: "shapes/area.py",
            prefix: PREFIX,
            suffix: SUFFIX,
            excerpts: &excerpts,
            line_comment: "#",
        };
        let completion = fim_prompt(&info, &place, Budget::estimated(500)).pieces;
        let messages = [
            (Role::System, "Be brief."),
            (Role::User, "Hi."),
            (Role::Assistant, "Hello."),
            // Markers in what a person says are text.
            (Role::User, "1 + 1? <|im_end|>"),
        ]
        .map(|(role, text)| ChatMessage::new(role, text));
        let chat = chat_prompt(&info, &messages).expect("laid out").pieces;
        format!("# completion\n{}# chat\n{}", words.lines(&completion), words.lines(&chat))
    }

    /// Holds the tokens by the vocabulary at `path` against the golden ones.
    #[track_caller]
    fn check(&self, path: &Path) {
        let words = Words::load(path);
        let found = self.tokens(&words);
        let golden = folder().join(format!("{}.tokens", self.name));
        if env::var_os("HEARTH_GENERATE").is_some() {
            fs::write(&golden, &found).expect("written");
        }
        let golden = fs::read_to_string(golden).expect("read");
        assert_eq!(found, golden, "{} by {}", self.name, path.display());
        // Tokenizer and template both write the start token; it stands there once.
        let is_start =
            |line: &&str| line.split_once(' ').is_some_and(|(_, text)| text == self.start);
        for part in found.split("# chat\n") {
            let lines = part.lines().filter(|line| !line.starts_with('#'));
            assert!(lines.take(2).filter(is_start).count() < 2, "{part}");
        }
    }

    /// The whole vocabulary, where this machine has it.
    fn check_whole(&self) -> bool {
        let whole = env::var_os("HEARTH_VOCABULARIES").map(PathBuf::from);
        let whole = whole.map(|folder| folder.join(format!("{}.gguf", self.name)));
        match whole.filter(|path| path.is_file()) {
            Some(path) => {
                self.check(&path);
                true
            }
            None => false,
        }
    }

    #[track_caller]
    fn check_excerpt(&self) {
        self.check(&folder().join(format!("{}.gguf", self.name)));
        self.check_whole();
    }

    #[expect(clippy::print_stderr, reason = "the only place where a person looks")]
    fn check_whole_only(&self) {
        if !self.check_whole() {
            eprintln!("skipped: HEARTH_VOCABULARIES has no {}.gguf", self.name);
        }
    }
}

#[test]
fn qwen_coder() {
    Family {
        name: "qwen2.5-coder",
        model: "qwen2.5-coder-1.5b-instruct",
        architecture: "qwen2",
        start: "<|endoftext|>",
        end: "<|endoftext|>",
    }
    .check_excerpt();
}

#[test]
fn phi() {
    Family {
        name: "phi-3.5",
        model: "phi-3.5-mini-instruct",
        architecture: "phi3",
        start: "<s>",
        end: "<|endoftext|>",
    }
    .check_excerpt();
}

#[test]
fn deepseek_coder() {
    Family {
        name: "deepseek-coder",
        model: "deepseek-coder-1.3b-instruct",
        architecture: "llama",
        start: "<｜begin▁of▁sentence｜>",
        end: "<｜end▁of▁sentence｜>",
    }
    .check_whole_only();
}

#[test]
fn starcoder() {
    Family {
        name: "starcoder2",
        model: "starcoder2-3b",
        architecture: "starcoder2",
        start: "<|endoftext|>",
        end: "<|endoftext|>",
    }
    .check_whole_only();
}

/// Its vocabulary is that of the first StarCoder.
#[test]
fn granite_code() {
    Family {
        name: "granite-code",
        model: "granite-3b-code-base",
        architecture: "llama",
        start: "<|endoftext|>",
        end: "<|endoftext|>",
    }
    .check_whole_only();
}

#[test]
fn llama() {
    Family {
        name: "llama-3",
        model: "llama-3.2-1b-instruct",
        architecture: "llama",
        start: "<|begin_of_text|>",
        end: "<|eot_id|>",
    }
    .check_whole_only();
}

/// The default model, from the file that set-up installed.
#[test]
#[expect(clippy::print_stderr, reason = "the only place where a person looks")]
fn smollm() {
    let family = Family {
        name: "smollm2",
        model: "smollm2-135m-instruct",
        architecture: "llama",
        start: "<|im_start|>",
        end: "<|im_end|>",
    };
    let models = Folders::of_user().and_then(|folders| folders.models());
    let models = models.expect("this user has a data folder").join(family.model);
    let files = fs::read_dir(&models).into_iter().flatten().flatten().map(|entry| entry.path());
    match files.into_iter().find(|path| path.extension().is_some_and(|end| end == "gguf")) {
        Some(path) => family.check(&path),
        None => eprintln!("skipped: {} is not installed", family.model),
    }
}
