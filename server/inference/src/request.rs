use serde::{Deserialize, Serialize};

/// Who goes first when several requests wait. A request of higher priority interrupts a lower one
/// between two batches.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Priority {
    /// Nobody waits.
    Background,
    /// A chat answer.
    #[default]
    Chat,
    /// An inline edit or a fix.
    Edit,
    /// Ghost text.
    Completion,
}

/// Which kept state of the model a request continues. The longest common beginning with the
/// previous prompt of the same sequence is not evaluated again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sequence {
    /// Ghost text; never given up for another request.
    Completion,
    /// Everything else.
    #[default]
    Conversation,
}

/// A part of a prompt, in the model's own terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromptPiece {
    /// Plain text: markers that happen to stand in it stay text.
    Text(String),
    /// Text in which the model's markers (`<|im_start|>`) are recognised as single tokens.
    Markup(String),
    /// One special token by its name in the vocabulary.
    Special(String),
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 chooses the most likely token always.
    pub temperature: f32,
    /// How many of the most likely tokens are considered; 0 for all.
    pub top_k: u32,
    /// Smallest set of tokens whose probability reaches this share; 1 for all.
    pub top_p: f32,
    /// Factor against tokens seen in the last 64; 1 for none.
    pub repeat_penalty: f32,
    /// Seed, used when the temperature is not 0.
    pub seed: u32,
}

impl Sampling {
    /// The most likely token each time.
    pub const GREEDY: Self =
        Self { temperature: 0.0, top_k: 1, top_p: 1.0, repeat_penalty: 1.0, seed: 0 };
}

/// What to generate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// The prompt. The engine adds the vocabulary's start token where the model wants one and the
    /// prompt does not already begin with it.
    pub prompt: Vec<PromptPiece>,
    /// Upper bound of generated tokens.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Generation ends before the first of these; the text does not contain it.
    pub stop: Vec<String>,
    /// Who goes first.
    pub priority: Priority,
    /// Which kept state is continued.
    pub sequence: Sequence,
    /// Backs the prompt's last token off and constrains the beginning of the generated text to it,
    /// so that a prompt that ends inside a token continues well. The backed-off text is not part
    /// of the answer.
    pub heal: bool,
    /// A llguidance grammar (Lark) that the generated text must follow.
    pub grammar: Option<String>,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FinishReason {
    /// The model ended its turn.
    EndOfText,
    /// A stop string came.
    StopString,
    /// The upper bound was reached.
    MaxTokens,
    /// The sink asked to stop.
    Stopped,
}

/// What a generation cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that needed no evaluation.
    pub cached_tokens: usize,
    /// Tokens that were generated.
    pub generated_tokens: usize,
    /// From the start of work to the first token, waiting in the queue included.
    pub first_token_ms: u64,
    /// From the start of work to the end.
    pub total_ms: u64,
}

/// A finished generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// All of the text.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

/// The special tokens of a vocabulary that was trained for fill-in-the-middle, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FimTokens {
    /// Before the text before the cursor.
    pub prefix: String,
    /// Before the text after the cursor.
    pub suffix: String,
    /// Where the model begins to write.
    pub middle: String,
}

/// Most tokens that an engine evaluates at once, and so before anything else is looked at. What a model takes
/// of memory is estimated with it.
pub const MAX_BATCH: usize = 256;

/// What a loaded model is, read from its file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Identifier of the registry, or the file's name.
    pub id: String,
    /// `general.architecture` of the file, such as `llama` or `qwen2`.
    pub architecture: String,
    /// `general.name` of the file, where it has one.
    pub name: Option<String>,
    /// Tokens that fit into the context as it was created.
    pub context: usize,
    /// `tokenizer.chat_template` of the file.
    pub chat_template: Option<String>,
    /// The start token's text, for chat templates.
    pub bos_token: String,
    /// The end token's text, for chat templates.
    pub eos_token: String,
    /// The vocabulary's fill-in-the-middle tokens, where it names them.
    pub fim: Option<FimTokens>,
    /// `llama.cpp`'s description of the CPU kernels in use.
    pub system_info: String,
}
