use std::sync::LazyLock;

use inference::ModelInfo;
use serde::Deserialize;

/// How a family of models is spoken to. One file in `models/formats` each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The family's name.
    pub family: String,
    /// Parts of a model's name or identifier that tell the family, in lower case with `-` between
    /// words; the longest match over all families wins.
    #[serde(default)]
    names: Vec<String>,
    /// `general.architecture` values that tell the family when no name does.
    #[serde(default)]
    architectures: Vec<String>,
    /// Every marker of the vocabulary that ends generated text.
    markers: Vec<String>,
    /// Chat template for files that carry none.
    chat_template: Option<String>,
    /// Fill-in-the-middle, for families that were trained on it.
    fim: Option<Fim>,
}

/// In which order prefix and suffix stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Prefix, suffix, middle.
    Psm,
    /// Suffix, then the prefix, which the model continues.
    Spm,
}

/// Where excerpts of other files stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExcerptPlace {
    /// Before the first fill-in-the-middle marker, each in markers of its own.
    Before,
    /// At the beginning of the prefix, as text.
    Inside,
}

/// Fill-in-the-middle of a family. A part that begins with `!` is one special token by its name;
/// `{path}`, `{text}` and `{comment}` stand for a file's path, its text and the marker of a line
/// comment in its language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fim {
    /// Order of prefix and suffix.
    pub order: Order,
    /// Token before the text before the cursor.
    pub prefix: String,
    /// Token before the text after the cursor.
    pub suffix: String,
    /// Token after which the model writes; empty where the family has none.
    pub middle: String,
    /// Where excerpts of other files stand.
    pub(crate) excerpts: ExcerptPlace,
    /// Parts at the very beginning.
    #[serde(default)]
    pub(crate) repository: Vec<String>,
    /// Parts for each other file.
    pub(crate) file: Vec<String>,
    /// Parts before the current file.
    pub(crate) current: Vec<String>,
    /// Text at the beginning of the prefix.
    #[serde(default)]
    pub(crate) head: String,
}

/// Layout for a vocabulary that names its fill-in-the-middle tokens and belongs to no known family.
const UNKNOWN: &str = r#"
family = "unknown"
markers = []

[fim]
order = "psm"
prefix = ""
suffix = ""
middle = ""
excerpts = "inside"
file = ["{comment} {path}\n", "{text}\n"]
current = []
"#;

/// Chat template of Qwen, SmolLM and many fine-tunes; for files of families that name no other.
pub(crate) const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
{{ message.content }}<|im_end|>\n{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    [
        include_str!("../../../models/formats/codegemma.toml"),
        include_str!("../../../models/formats/codellama.toml"),
        include_str!("../../../models/formats/codestral.toml"),
        include_str!("../../../models/formats/deepseek-coder.toml"),
        include_str!("../../../models/formats/granite-code.toml"),
        include_str!("../../../models/formats/granite.toml"),
        include_str!("../../../models/formats/llama-3.toml"),
        include_str!("../../../models/formats/phi-3.5.toml"),
        include_str!("../../../models/formats/qwen.toml"),
        include_str!("../../../models/formats/qwen2.5-coder.toml"),
        include_str!("../../../models/formats/qwen3-coder.toml"),
        include_str!("../../../models/formats/smollm2.toml"),
        include_str!("../../../models/formats/smollm2-fim.toml"),
        include_str!("../../../models/formats/starcoder2.toml"),
    ]
    .into_iter()
    .map(parse)
    .collect()
});

static UNKNOWN_FORMAT: LazyLock<Format> = LazyLock::new(|| parse(UNKNOWN));

fn parse(source: &str) -> Format {
    toml::from_str(source).expect("the embedded formats are checked by a test")
}

impl Format {
    /// The family of a model: by its name, else by the fill-in-the-middle tokens that no other family
    /// has, else by its architecture, else by the markers in its chat template.
    pub fn of(info: &ModelInfo) -> &'static Self {
        Self::by_name(info)
            .or_else(|| Self::by_tokens(info))
            .or_else(|| {
                FORMATS.iter().find(|format| format.architectures.contains(&info.architecture))
            })
            .or_else(|| Self::by_template(info))
            .unwrap_or(&UNKNOWN_FORMAT)
    }

    fn by_name(info: &ModelInfo) -> Option<&'static Self> {
        let names = [info.name.as_deref().unwrap_or_default(), &info.id].map(normal);
        FORMATS
            .iter()
            .filter_map(|format| {
                let matches = |part: &&String| names.iter().any(|name| name.contains(*part));
                let longest = format.names.iter().filter(matches).map(String::len).max()?;
                Some((longest, format))
            })
            .max_by_key(|(length, _)| *length)
            .map(|(_, format)| format)
    }

    fn by_tokens(info: &ModelInfo) -> Option<&'static Self> {
        let tokens = info.fim.as_ref()?;
        let has = |format: &&Self| {
            format.fim.as_ref().is_some_and(|fim| {
                bare(&fim.prefix) == bare(&tokens.prefix)
                    && bare(&fim.suffix) == bare(&tokens.suffix)
            })
        };
        let mut found = FORMATS.iter().filter(has);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    fn by_template(info: &ModelInfo) -> Option<&'static Self> {
        let template = info.chat_template.as_deref()?;
        let count = |format: &Self| {
            format.markers.iter().filter(|marker| template.contains(marker.as_str())).count()
        };
        // Two markers, since ChatML's are everywhere and tell nothing.
        FORMATS
            .iter()
            .filter(|format| format.chat_template.is_some())
            .map(|format| (count(format), format))
            .filter(|(count, _)| *count >= 2)
            .max_by_key(|(count, _)| *count)
            .map(|(_, format)| format)
    }

    /// The fill-in-the-middle layout for this model, with the tokens that its file names; `None` for
    /// families that were not trained on it, whatever their vocabulary says.
    pub fn fim(&self, info: &ModelInfo) -> Option<Fim> {
        let mut fim = self.fim.clone()?;
        if let Some(tokens) = &info.fim {
            fim.prefix.clone_from(&tokens.prefix);
            fim.suffix.clone_from(&tokens.suffix);
            if fim.order == Order::Psm {
                fim.middle.clone_from(&tokens.middle);
            }
        }
        (!fim.prefix.is_empty() && !fim.suffix.is_empty()).then_some(fim)
    }

    /// The chat template to use when the file carries none.
    pub(crate) fn chat_template(&self) -> &str {
        self.chat_template.as_deref().unwrap_or(CHATML)
    }

    /// Every text that must not appear in what the model writes: markers of the family, of the file's
    /// metadata, and those that its chat template uses. Sorted, without repetitions.
    pub fn stop_strings(&self, info: &ModelInfo) -> Vec<String> {
        let mut stop = self.markers.clone();
        stop.extend([info.eos_token.clone(), info.bos_token.clone()]);
        if let Some(fim) = &info.fim {
            stop.extend([fim.prefix.clone(), fim.suffix.clone(), fim.middle.clone()]);
        }
        let template = info.chat_template.as_deref().unwrap_or(self.chat_template());
        let used = |marker: &&String| template.contains(marker.as_str());
        stop.extend(FORMATS.iter().flat_map(|format| &format.markers).filter(used).cloned());
        stop.retain(|marker| !marker.trim().is_empty());
        stop.sort_unstable();
        stop.dedup();
        stop
    }
}

/// Whether the model's family was trained to fill in the middle, so that its ghost text is worth
/// showing. Others write fluent text that fits the place in about one case of a hundred.
pub fn fit_for_completion(info: &ModelInfo) -> bool {
    Format::of(info).fim(info).is_some()
}

/// Lower case, with `-` for what stands between words.
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', ' ', '/'], "-")
}

/// A token's name without the word mark of SentencePiece vocabularies.
fn bare(token: &str) -> &str {
    token.trim_start_matches('▁').trim()
}

#[cfg(test)]
mod tests {
    use inference::FimTokens;

    use super::*;

    fn family(id: &str, architecture: &str) -> &'static str {
        let info =
            ModelInfo { id: id.into(), architecture: architecture.into(), ..ModelInfo::default() };
        &Format::of(&info).family
    }

    #[test]
    fn every_file_is_a_format_and_is_embedded() {
        let folder = "../../models/formats";
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of the formats")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        files.sort_unstable();
        let mut families: Vec<&str> = FORMATS.iter().map(|format| &*format.family).collect();
        families.sort_unstable();
        assert_eq!(files, families);
        for format in FORMATS.iter() {
            let fim = format.fim.iter().flat_map(|fim| [&fim.prefix, &fim.suffix, &fim.middle]);
            for token in fim.filter(|token| !token.is_empty()) {
                assert!(format.markers.contains(token), "{}: {token} is no marker", format.family);
            }
        }
    }

    #[test]
    fn the_name_tells_the_family_before_the_architecture_does() {
        assert_eq!(family("Qwen2.5-Coder-1.5B-Q8_0", "qwen2"), "qwen2.5-coder");
        assert_eq!(family("qwen3-coder-30b-a3b", "qwen3moe"), "qwen3-coder");
        assert_eq!(family("qwen2.5-7b-instruct", "qwen2"), "qwen");
        assert_eq!(family("my-tune", "qwen2"), "qwen");
        assert_eq!(family("DeepSeek_Coder_6.7b", "llama"), "deepseek-coder");
        assert_eq!(family("granite-8b-code-base", "llama"), "granite-code");
        assert_eq!(family("granite-4.0-h-tiny", "granitehybrid"), "granite");
        assert_eq!(family("CodeLlama-7b-hf", "llama"), "codellama");
        assert_eq!(family("Phi-3.5-mini-instruct", "phi3"), "phi-3.5");
        assert_eq!(family("smollm2-135m-instruct", "llama"), "smollm2");
        assert_eq!(family("SmolLM2 135M FIM", "llama"), "smollm2-fim");
        assert_eq!(family("something", "llama"), "unknown");
    }

    #[test]
    fn tokens_and_template_tell_the_family_of_a_nameless_file() {
        let mut info = ModelInfo { architecture: "llama".into(), ..ModelInfo::default() };
        info.chat_template = Some("<|start_header_id|>user<|end_header_id|>…<|eot_id|>".into());
        assert_eq!(Format::of(&info).family, "llama-3");
        info.fim = Some(FimTokens {
            prefix: "<｜fim▁begin｜>".into(),
            suffix: "<｜fim▁hole｜>".into(),
            middle: "<｜fim▁end｜>".into(),
        });
        assert_eq!(Format::of(&info).family, "deepseek-coder");
    }

    #[test]
    fn only_families_trained_for_it_complete_code() {
        let tokens = FimTokens {
            prefix: "<|fim_prefix|>".into(),
            suffix: "<|fim_suffix|>".into(),
            middle: "<|fim_middle|>".into(),
        };
        let fit = |id: &str, architecture: &str, fim: Option<&FimTokens>| {
            fit_for_completion(&ModelInfo {
                id: id.into(),
                architecture: architecture.into(),
                fim: fim.cloned(),
                ..ModelInfo::default()
            })
        };
        assert!(fit("qwen2.5-coder-0.5b", "qwen2", Some(&tokens)));
        assert!(fit("codestral-22b", "llama", None));
        assert!(fit("seed-coder-8b-base", "llama", Some(&tokens)), "named by the file alone");
        assert!(!fit("qwen3-4b", "qwen3", Some(&tokens)), "named, but never trained");
        assert!(!fit("smollm2-135m-instruct", "llama", None));
    }
}
