use std::fmt;

use serde::Serialize;
use text::TextRange;

/// Suggestions, or the reason why there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionAnswer {
    /// Suggestions, best first.
    pub items: Vec<Item>,
    /// Why `items` is empty; `None` when it is not.
    pub reason: Option<Reason>,
    /// Who made them: a model's identifier, or `instant`.
    pub model: Option<String>,
    /// What was done, in order.
    pub stages: Vec<Stage>,
    /// What it cost.
    pub timings: Timings,
    /// What the language model saw, when an explanation was asked for and a model was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// One suggestion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Names it in events; unique for a cache's life.
    pub id: String,
    /// What is inserted.
    pub insert_text: String,
    /// What it replaces: nothing, at the cursor.
    pub range: TextRange,
    /// How likely it is to be right as it stands, from 0 to 1.
    pub confidence: f32,
    /// Who made it.
    pub source: Source,
}

/// Who made a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The live model of the workspace.
    Instant,
    /// A language model.
    Model,
}

/// Why there is no suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The person switched suggestions off here.
    Disabled,
    /// The file looks as if it held secrets.
    SecretFile,
    /// The file is too large.
    LargeFile,
    /// The cursor stands before the rest of a word.
    InsideWord,
    /// The request was cancelled.
    Cancelled,
    /// Nothing in the workspace makes any continuation likely.
    NothingLikely,
    /// What came was white space.
    Blank,
    /// What came was markers of the model's prompt.
    Markers,
    /// What came repeats the text after the cursor.
    RepeatsSuffix,
    /// What came repeats the line above or below.
    RepeatsLine,
    /// What came closes a bracket that is not open.
    UnbalancedBrackets,
    /// What came breaks the syntax of the file.
    BreaksSyntax,
    /// The same suggestion was declined here before.
    Declined,
}

impl Reason {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::SecretFile => "secretFile",
            Self::LargeFile => "largeFile",
            Self::InsideWord => "insideWord",
            Self::Cancelled => "cancelled",
            Self::NothingLikely => "nothingLikely",
            Self::Blank => "blank",
            Self::Markers => "markers",
            Self::RepeatsSuffix => "repeatsSuffix",
            Self::RepeatsLine => "repeatsLine",
            Self::UnbalancedBrackets => "unbalancedBrackets",
            Self::BreaksSyntax => "breaksSyntax",
            Self::Declined => "declined",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Disabled => "suggestions are switched off here",
            Self::SecretFile => "the file looks as if it held secrets, so no model sees it",
            Self::LargeFile => "the file is too large for suggestions",
            Self::InsideWord => "the cursor stands inside a word",
            Self::Cancelled => "the request was cancelled",
            Self::NothingLikely => "nothing in the workspace makes a continuation likely",
            Self::Blank => "the suggestion was only white space",
            Self::Markers => "the model wrote markers instead of code",
            Self::RepeatsSuffix => "the suggestion repeats the text after the cursor",
            Self::RepeatsLine => "the suggestion repeats the line above or below",
            Self::UnbalancedBrackets => "the suggestion closes a bracket that is not open",
            Self::BreaksSyntax => "the suggestion breaks the file's syntax",
            Self::Declined => "the same suggestion was declined here",
        })
    }
}

/// A step of the way and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Which step.
    pub name: &'static str,
    /// How long, in milliseconds.
    pub ms: f64,
    /// What came of it.
    pub detail: String,
}

/// What a completion cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Until a model could be asked: gate, cache, live model.
    pub context_ms: f64,
    /// Tokens of the model's prompt; 0 when none was asked.
    pub prompt_tokens: usize,
    /// Those of them that needed no evaluation.
    pub cached_tokens: usize,
    /// From the model's start of work to its first token.
    pub first_token_ms: f64,
    /// All of it.
    pub total_ms: f64,
}
