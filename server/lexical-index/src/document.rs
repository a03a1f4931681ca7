use tantivy::{
    schema::{
        FAST, Field as SchemaField, INDEXED, IndexRecordOption, Schema, TextFieldIndexing,
        TextOptions,
    },
    tokenizer::{Token, TokenStream, Tokenizer},
};

use crate::tokens::Tokens;

/// The name under which the tokenizer is registered; part of the schema.
pub(crate) const TOKENIZER: &str = "hearth-code-1";

/// What a term was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The words of the path.
    Path,
    /// The name that the chunk defines and what that stands in.
    Symbol,
    /// The head of the definition.
    Signature,
    /// Its documentation.
    Docs,
    /// The whole text of the chunk.
    Body,
}

impl Field {
    /// All fields, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Path, Self::Symbol, Self::Signature, Self::Docs, Self::Body];

    fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Symbol => "symbol",
            Self::Signature => "signature",
            Self::Docs => "docs",
            Self::Body => "body",
        }
    }
}

/// One chunk of a file, as it is searched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Document<'text> {
    /// Number of the file; all documents of a file are replaced together.
    pub file: u64,
    /// Number of the chunk in its file.
    pub ordinal: u64,
    /// The file's path.
    pub path: &'text str,
    /// The defined name and what it stands in.
    pub symbol: &'text str,
    /// The head of the definition.
    pub signature: &'text str,
    /// The documentation.
    pub docs: &'text str,
    /// The text of the chunk.
    pub body: &'text str,
}

impl<'text> Document<'text> {
    /// The text of one field.
    pub fn field(&self, field: Field) -> &'text str {
        match field {
            Field::Path => self.path,
            Field::Symbol => self.symbol,
            Field::Signature => self.signature,
            Field::Docs => self.docs,
            Field::Body => self.body,
        }
    }

    /// A number that differs when any searched text does; independent of `file`.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for field in Field::ALL {
            let text = self.field(field);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let mut digest = [0; 8];
        hasher.finalize_xof().fill(&mut digest);
        u64::from_le_bytes(digest)
    }
}

/// tantivy's numbers of our fields.
#[derive(Clone)]
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    pub(crate) file: SchemaField,
    pub(crate) ordinal: SchemaField,
    pub(crate) digest: SchemaField,
    text: [SchemaField; 5],
}

impl Fields {
    pub(crate) fn new() -> Self {
        let mut builder = Schema::builder();
        let file = builder.add_u64_field("file", INDEXED | FAST);
        let ordinal = builder.add_u64_field("ordinal", FAST);
        let digest = builder.add_u64_field("digest", FAST);
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqs)
            .set_fieldnorms(true);
        let options = TextOptions::default().set_indexing_options(indexing);
        let text = Field::ALL.map(|field| builder.add_text_field(field.name(), options.clone()));
        Self { schema: builder.build(), file, ordinal, digest, text }
    }

    pub(crate) fn text(&self, field: Field) -> SchemaField {
        self.text[field as usize]
    }
}

/// [`Tokens`] as tantivy wants it: all terms of a text at once, then handed out one by one.
#[derive(Clone, Default)]
pub(crate) struct CodeTokenizer {
    tokens: Tokens,
    terms: Terms,
}

#[derive(Clone, Default)]
struct Terms {
    /// The terms behind each other, and the end of each.
    text: String,
    ends: Vec<usize>,
}

pub(crate) struct CodeTokenStream<'terms> {
    terms: &'terms Terms,
    at: usize,
    token: Token,
}

impl Tokenizer for CodeTokenizer {
    type TokenStream<'a> = CodeTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> CodeTokenStream<'a> {
        self.terms.text.clear();
        self.terms.ends.clear();
        let Terms { text: joined, ends } = &mut self.terms;
        self.tokens.each(text, |term| {
            joined.push_str(term);
            ends.push(joined.len());
        });
        CodeTokenStream { terms: &self.terms, at: 0, token: Token::default() }
    }
}

impl TokenStream for CodeTokenStream<'_> {
    fn advance(&mut self) -> bool {
        let start = self.at.checked_sub(1).and_then(|at| self.terms.ends.get(at)).copied();
        let Some(end) = self.terms.ends.get(self.at) else { return false };
        self.token.text.clear();
        self.token.text.push_str(&self.terms.text[start.unwrap_or(0)..*end]);
        self.token.position = self.at;
        self.at += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
