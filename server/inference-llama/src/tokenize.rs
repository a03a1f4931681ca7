use std::{collections::HashMap, path::Path, sync::OnceLock};

use inference::{FimTokens, InferenceError, Progress, PromptPiece};
use llama_cpp_2::{
    model::LlamaModel, token::LlamaToken, token_type::LlamaTokenAttr, vocab::LlamaVocab,
};

use crate::backend::load_model;

/// A prompt as tokens.
pub struct Prompt {
    pub tokens: Vec<LlamaToken>,
    /// How many tokens at the end come from plain text after the last special token.
    pub plain: usize,
}

/// Turns prompts into tokens and tokens into bytes. Shared by all threads that use a model.
pub struct Tokenizer {
    model: LlamaModel,
    /// Tokens that only markup may name, by their text.
    specials: HashMap<String, LlamaToken>,
    /// The first bytes of their texts.
    first_bytes: [bool; 256],
    longest: usize,
    /// Texts that llama.cpp takes for one token wherever they stand, and that look like markers.
    ambiguous: Vec<String>,
    pieces: OnceLock<Pieces>,
}

/// The bytes of all tokens in one piece of memory.
struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Tokenizer {
    pub fn new(model: LlamaModel) -> Self {
        let mut specials = HashMap::new();
        let mut ambiguous = Vec::new();
        let vocab = model.vocab();
        for token in vocab.tokens() {
            let attributes = vocab.attr(token);
            let control = attributes.contains(LlamaTokenAttr::Control);
            if !control && !attributes.contains(LlamaTokenAttr::UserDefined) {
                continue;
            }
            let Some(text) = vocab.text(token).and_then(|text| text.to_str().ok()) else {
                continue;
            };
            let marker = text.len() > 2 && text.starts_with('<');
            if !control && marker {
                ambiguous.push(text.to_owned());
            }
            if (control && !text.is_empty()) || marker {
                specials.insert(text.to_owned(), token);
            }
        }
        let mut first_bytes = [false; 256];
        for byte in specials.keys().filter_map(|text| text.bytes().next()) {
            if let Some(known) = first_bytes.get_mut(usize::from(byte)) {
                *known = true;
            }
        }
        let longest = specials.keys().map(String::len).max().unwrap_or(0);
        Self { model, specials, first_bytes, longest, ambiguous, pieces: OnceLock::new() }
    }

    pub fn model(&self) -> &LlamaModel {
        &self.model
    }

    pub fn vocab(&self) -> LlamaVocab<'_> {
        self.model.vocab()
    }

    /// The prompt's tokens, behind the start token where the model wants one.
    pub fn prompt(&self, pieces: &[PromptPiece]) -> Result<Prompt, InferenceError> {
        let vocab = self.vocab();
        let mut tokens = Vec::new();
        if vocab.should_add_bos() && vocab.bos().0 >= 0 {
            tokens.push(vocab.bos());
        }
        let mut plain = 0;
        let mut fragments = self.fragments(pieces)?.into_iter().peekable();
        while let Some(fragment) = fragments.next() {
            match fragment {
                // A template often writes the start token itself.
                Fragment::Token(token) if tokens == [token] && token == vocab.bos() => {}
                Fragment::Token(token) => {
                    tokens.push(token);
                    plain = 0;
                }
                Fragment::Text(text) => {
                    let next = fragments.peek().and_then(Fragment::token);
                    let text = self.between(tokens.last().copied(), &text, next);
                    let before = tokens.len();
                    self.plain(text, &mut tokens);
                    plain = tokens.len() - before;
                }
            }
        }
        Ok(Prompt { tokens, plain })
    }

    /// Number of tokens of plain text.
    pub fn count(&self, text: &str) -> usize {
        let mut tokens = Vec::new();
        self.plain(text, &mut tokens);
        tokens.len()
    }

    /// The bytes that `token` stands for; none for one that is only a mark.
    pub fn bytes(&self, token: u32) -> &[u8] {
        let pieces = self.pieces.get_or_init(|| Pieces::of(&self.vocab()));
        let token = token as usize;
        let end = pieces.ends.get(token).copied().unwrap_or(0) as usize;
        let start = token.checked_sub(1).and_then(|before| pieces.ends.get(before)).copied();
        pieces.bytes.get(start.unwrap_or(0) as usize..end).unwrap_or_default()
    }

    /// The text of a token, marks included.
    pub fn name(&self, token: LlamaToken) -> Option<String> {
        if token.0 < 0 {
            return None;
        }
        let bytes = self.vocab().token_to_piece(token, true, None);
        String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
    }

    /// The fill-in-the-middle tokens that the vocabulary names.
    pub fn fim(&self) -> Option<FimTokens> {
        let vocab = self.vocab();
        Some(FimTokens {
            prefix: self.name(vocab.fim_pre())?,
            suffix: self.name(vocab.fim_suf())?,
            middle: self.name(vocab.fim_mid())?,
        })
    }

    /// A text without the white space that the special tokens around it swallow: those of some
    /// vocabularies (Phi-3) do, so that the line breaks of their templates stand in no prompt.
    fn between<'t>(
        &self,
        before: Option<LlamaToken>,
        text: &'t str,
        after: Option<LlamaToken>,
    ) -> &'t str {
        let swallows = |token: Option<LlamaToken>, side| {
            token.is_some_and(|token| self.vocab().attr(token).contains(side))
        };
        let text = if swallows(before, LlamaTokenAttr::RStrip) { text.trim_start() } else { text };
        if swallows(after, LlamaTokenAttr::LStrip) { text.trim_end() } else { text }
    }

    fn plain(&self, text: &str, tokens: &mut Vec<LlamaToken>) {
        let vocab = self.vocab();
        let mut rest = text;
        // A marker that llama.cpp would find in plain text is cut after its first character.
        while let Some(at) = self.ambiguous.iter().filter_map(|marker| rest.find(marker)).min() {
            let (before, after) = rest.split_at(at + 1);
            tokens.extend(vocab.tokenize(before.as_bytes(), false, false));
            rest = after;
        }
        if !rest.is_empty() {
            tokens.extend(vocab.tokenize(rest.as_bytes(), false, false));
        }
    }

    /// Special tokens and the text between them; text of neighbouring pieces is one.
    fn fragments(&self, pieces: &[PromptPiece]) -> Result<Vec<Fragment>, InferenceError> {
        let mut fragments = Vec::new();
        for piece in pieces {
            match piece {
                PromptPiece::Text(text) => add_text(&mut fragments, text),
                PromptPiece::Markup(text) => self.add_markup(&mut fragments, text),
                PromptPiece::Special(name) => {
                    let token = self.specials.get(name).ok_or_else(|| {
                        InferenceError::Engine(format!("the model has no special token `{name}`"))
                    })?;
                    fragments.push(Fragment::Token(*token));
                }
            }
        }
        Ok(fragments)
    }

    fn add_markup(&self, fragments: &mut Vec<Fragment>, text: &str) {
        let mut plain = 0;
        let mut at = 0;
        while let Some(byte) = text.as_bytes().get(at) {
            let known = self.first_bytes.get(usize::from(*byte)).is_some_and(|known| *known);
            match known.then(|| self.special_at(text, at)).flatten() {
                Some((token, length)) => {
                    add_text(fragments, text.get(plain..at).unwrap_or_default());
                    fragments.push(Fragment::Token(token));
                    at += length;
                    plain = at;
                }
                None => at += 1,
            }
        }
        add_text(fragments, text.get(plain..).unwrap_or_default());
    }

    /// The longest special token that begins at byte `at`, and its length.
    fn special_at(&self, text: &str, at: usize) -> Option<(LlamaToken, usize)> {
        let rest = text.get(at..)?;
        (1..=self.longest.min(rest.len())).rev().find_map(|length| {
            let token = self.specials.get(rest.get(..length)?)?;
            Some((*token, length))
        })
    }
}

enum Fragment {
    Token(LlamaToken),
    Text(String),
}

impl Fragment {
    fn token(&self) -> Option<LlamaToken> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Text(_) => None,
        }
    }
}

fn add_text(fragments: &mut Vec<Fragment>, text: &str) {
    if text.is_empty() {
        return;
    }
    match fragments.last_mut() {
        Some(Fragment::Text(before)) => before.push_str(text),
        _ => fragments.push(Fragment::Text(text.to_owned())),
    }
}

impl Pieces {
    fn of(vocab: &LlamaVocab<'_>) -> Self {
        let mut pieces = Self { bytes: Vec::new(), ends: Vec::new() };
        for token in vocab.tokens() {
            pieces.bytes.extend(vocab.token_to_piece(token, false, None));
            pieces.ends.push(pieces.bytes.len() as u32);
        }
        pieces
    }
}

/// The vocabulary of a model without its weights, or of a file that has nothing else.
pub struct Vocabulary {
    tokenizer: Tokenizer,
}

impl Vocabulary {
    /// Reads the vocabulary of a GGUF file.
    pub fn load(path: &Path) -> Result<Self, InferenceError> {
        Ok(Self { tokenizer: Tokenizer::new(load_model(path, true, &Progress::new())?) })
    }

    /// The tokens of a prompt, as the engine evaluates them.
    pub fn tokenize(&self, pieces: &[PromptPiece]) -> Result<Vec<i32>, InferenceError> {
        Ok(self.tokenizer.prompt(pieces)?.tokens.iter().map(|token| token.0).collect())
    }

    /// The text of a token, marks included.
    pub fn token_text(&self, token: i32) -> Option<String> {
        self.tokenizer.name(LlamaToken(token))
    }

    /// The fill-in-the-middle tokens that the vocabulary names.
    pub fn fim(&self) -> Option<FimTokens> {
        self.tokenizer.fim()
    }
}
