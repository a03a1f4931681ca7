//! What is usual in a language, learned once from much code: the most distant scope of the model.
//!
//! A prior is an n-gram model with backing off (Katz 1987), estimated with Witten and Bell's smoothing over
//! packages instead of occurrences, pruned by relative entropy (Stolcke 1998) and quantised. It is a
//! file of a few megabytes that is read where it lies.
//!
//! # Format, version 1
//!
//! All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `HEARTHPR` |
//! | 2 | version |
//! | 1 | longest context in tokens |
//! | 1 | bits of a bucket's number |
//! | 4 | number of frequent tokens |
//! | 4 | bytes of their texts |
//! | 4 | bytes of all entries |
//! | 4 each, and one more | where each token's text begins |
//! | | the texts, UTF-8, sorted by bytes |
//! | 4 each, and one more | where each bucket's entries begin |
//! | | the entries |
//! | 32 | BLAKE3 of everything before |
//!
//! A context is named by 64 bits, of which the upper ones are its bucket and the lowest 16 its mark. An
//! entry is a mark (2 bytes), one byte with the number of tokens less one in the low half and the
//! backing-off factor in the high half (2 to the power of minus half of it), and the tokens that may follow:
//! a symbol with its blanks (2 bytes) and its share (1 byte) each, likeliest first.

mod bundle;
mod symbols;
mod train;
mod view;

use std::{borrow::Cow, fmt, ops::Range};

pub(crate) use bundle::PriorsOfFile;
pub use bundle::{PriorLanguage, Priors};
pub use train::{PriorOptions, PriorTrainer};
pub(crate) use view::{Guess, View, mixed};

use symbols::{ContextHash, FIRST_TEXT, MAX_SYMBOLS, Next, Symbol};

const MAGIC: &[u8; 8] = b"HEARTHPR";
const VERSION: u16 = 1;
const HEADER: usize = 24;
const CHECKSUM: usize = 32;
/// Tokens that may follow one context.
const MAX_NEXT: usize = 16;
/// Bytes of an entry without its tokens, and of one token.
const ENTRY: usize = 3;
const NEXT: usize = 3;

/// Why a prior cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriorError {
    /// The file does not begin as a prior does, or is shorter than its head says.
    NotAPrior,
    /// The file was made for another version of the program.
    Version(u16),
    /// The checksum at the end does not belong to what stands before it.
    Corrupt,
}

impl fmt::Display for PriorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPrior => {
                write!(formatter, "the file is no language prior, or not all of one")
            }
            Self::Version(found) => {
                write!(formatter, "the language prior has version {found}, not {VERSION}")
            }
            Self::Corrupt => {
                write!(formatter, "the language prior was changed: its checksum is wrong")
            }
        }
    }
}

impl std::error::Error for PriorError {}

/// A language prior. Its checksum was right when it was read; reading stays safe with any bytes.
#[derive(Clone)]
pub struct Prior {
    bytes: Cow<'static, [u8]>,
    max_order: usize,
    bucket_bits: u32,
    tokens: usize,
    starts: Range<usize>,
    texts: Range<usize>,
    buckets: Range<usize>,
    entries: Range<usize>,
}

/// What may follow a context.
pub(crate) struct Entry<'p> {
    /// What the shares of the shorter contexts are worth beside these.
    pub back_off: f32,
    next: &'p [u8],
}

impl Entry<'_> {
    pub(crate) fn next(&self) -> impl Iterator<Item = (Next, f32)> + '_ {
        self.next.chunks_exact(NEXT).filter_map(|bytes| {
            let [low, high, quantised] = *bytes else { return None };
            Some((Next::from_le_bytes([low, high]), share(quantised)))
        })
    }
}

impl Prior {
    /// Reads a prior and checks it as a whole.
    pub fn read(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, PriorError> {
        let bytes: Cow<'static, [u8]> = bytes.into();
        let head = bytes.get(..HEADER).ok_or(PriorError::NotAPrior)?;
        if !head.starts_with(MAGIC) {
            return Err(PriorError::NotAPrior);
        }
        let byte = |at: usize| head.get(at).copied().unwrap_or_default();
        let version = u16::from_le_bytes([byte(8), byte(9)]);
        if version != VERSION {
            return Err(PriorError::Version(version));
        }
        let (body, checksum) =
            bytes.split_at_checked(bytes.len().saturating_sub(CHECKSUM)).unwrap_or_default();
        if blake3::hash(body).as_bytes().as_slice() != checksum {
            return Err(PriorError::Corrupt);
        }
        let number = |at: usize| number(&bytes, at).unwrap_or_default();
        let (max_order, bucket_bits) = (usize::from(byte(10)), u32::from(byte(11)));
        let (tokens, text_bytes, entry_bytes) = (number(12), number(16), number(20));
        if bucket_bits > 24 || tokens > MAX_SYMBOLS {
            return Err(PriorError::NotAPrior);
        }
        let mut at = HEADER;
        let mut part = |length: usize| {
            let range = at..at.saturating_add(length);
            at = range.end;
            range
        };
        let prior = Self {
            max_order,
            bucket_bits,
            tokens,
            starts: part(4 * (tokens + 1)),
            texts: part(text_bytes),
            buckets: part(4 * ((1 << bucket_bits) + 1)),
            entries: part(entry_bytes),
            bytes: Cow::Borrowed(&[]),
        };
        if prior.entries.end != body.len() {
            return Err(PriorError::NotAPrior);
        }
        Ok(Self { bytes, ..prior })
    }

    /// Size in bytes, in memory as in the file.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Longest context in tokens.
    pub(crate) fn max_order(&self) -> usize {
        self.max_order
    }

    /// A frequent token.
    pub(crate) fn text(&self, token: usize) -> Option<&str> {
        let start = number(&self.bytes, self.starts.start + 4 * token)?;
        let end = number(&self.bytes, self.starts.start + 4 * (token + 1))?;
        let texts = self.bytes.get(self.texts.clone())?;
        if token >= self.tokens { None } else { str::from_utf8(texts.get(start..end)?).ok() }
    }

    /// The number of a frequent token.
    pub(crate) fn token(&self, text: &str) -> Option<usize> {
        let token = self.first_not_less(text);
        (self.text(token) == Some(text)).then_some(token)
    }

    /// The symbol of a text.
    pub(crate) fn symbol(&self, text: &str) -> Symbol {
        let known = |token| FIRST_TEXT + token as Symbol;
        self.token(text).map_or_else(|| symbols::unknown(text), known)
    }

    fn first_not_less(&self, text: &str) -> usize {
        let (mut low, mut high) = (0, self.tokens);
        while low < high {
            let middle = low.midpoint(high);
            if self.text(middle).unwrap_or_default() < text {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// What may follow the context of this name.
    pub(crate) fn entry(&self, context: ContextHash) -> Option<Entry<'_>> {
        let (bucket, mark) = place(context.finish(), self.bucket_bits);
        let start = number(&self.bytes, self.buckets.start + 4 * bucket)?;
        let end = number(&self.bytes, self.buckets.start + 4 * (bucket + 1))?;
        let mut rest = self.bytes.get(self.entries.clone())?.get(start..end)?;
        while let [low, high, head, tail @ ..] = rest {
            let (next, others) = tail.split_at_checked(NEXT * (1 + usize::from(head & 0xf)))?;
            if u16::from_le_bytes([*low, *high]) == mark {
                return Some(Entry { back_off: back_off(head >> 4), next });
            }
            rest = others;
        }
        None
    }
}

/// A context's bucket and its mark there.
fn place(name: u64, bucket_bits: u32) -> (usize, u16) {
    ((name >> (63 - bucket_bits) >> 1) as usize, name as u16)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
}

/// A share from 1 down to 2 to the power of minus 16, in 16 steps for each halving.
fn share(quantised: u8) -> f32 {
    (-f32::from(quantised) / 16.0).exp2()
}

fn quantised_share(share: f32) -> u8 {
    (-16.0 * share.log2()).round().clamp(0.0, 255.0) as u8
}

fn back_off(quantised: u8) -> f32 {
    (-f32::from(quantised) / 2.0).exp2()
}

fn quantised_back_off(factor: f32) -> u8 {
    (-2.0 * factor.log2()).round().clamp(0.0, 15.0) as u8
}

#[cfg(test)]
mod tests;
