use llama_cpp_2::token::LlamaToken;

/// Most tokens that are taken off a prompt.
const MOST: usize = 4;

/// A prompt that ends inside a word ends with tokens that the model would not have chosen there:
/// they are taken off, and the first tokens chosen must begin with their text.
pub struct Healing {
    rest: Vec<u8>,
}

impl Healing {
    /// Takes the last token off `tokens`, and those before it that belong to the same word, but
    /// only of the last `plain` ones, and never all.
    pub fn begin<'a>(
        tokens: &mut Vec<LlamaToken>,
        plain: usize,
        bytes: impl Fn(u32) -> &'a [u8],
    ) -> Option<Self> {
        let most = plain.min(MOST).min(tokens.len().saturating_sub(1));
        let mut rest: Vec<u8> = Vec::new();
        let mut count = 0;
        for token in tokens.iter().rev().take(most) {
            let piece = bytes(token.0 as u32);
            let same_word = rest.first().is_none_or(|byte| is_word(*byte))
                && piece.last().is_some_and(|byte| is_word(*byte));
            if count > 0 && !same_word {
                break;
            }
            rest.splice(0..0, piece.iter().copied());
            count += 1;
        }
        if rest.is_empty() {
            return None;
        }
        tokens.truncate(tokens.len() - count);
        Some(Self { rest })
    }

    /// The text that was taken off.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Whether a token of these bytes may come next.
    pub fn allows(&self, piece: &[u8]) -> bool {
        !piece.is_empty() && (piece.starts_with(&self.rest) || self.rest.starts_with(piece))
    }

    /// Takes an allowed token: what it adds to the text that was taken off, and whether all of
    /// that is there again.
    pub fn take<'a>(&mut self, piece: &'a [u8]) -> (&'a [u8], bool) {
        let covered = self.rest.len().min(piece.len());
        self.rest.drain(..covered);
        (piece.get(covered..).unwrap_or_default(), self.rest.is_empty())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [&[u8]; 6] = [b"self", b".", b"assert", b"Eq", b" ", b"Equal"];

    /// What stays of a prompt of these tokens, and what is taken off.
    fn check(prompt: &[i32], plain: usize, expected: Option<(&[i32], &str)>) {
        let mut tokens: Vec<LlamaToken> = prompt.iter().copied().map(LlamaToken).collect();
        let healing = Healing::begin(&mut tokens, plain, |token| PIECES[token as usize]);
        let left: Vec<i32> = tokens.iter().map(|token| token.0).collect();
        let rest = healing.map(|healing| String::from_utf8(healing.rest).expect("text"));
        assert_eq!(rest.as_deref().map(|rest| (left.as_slice(), rest)), expected);
    }

    #[test]
    fn the_last_word_is_taken_off() {
        check(&[0, 1, 2, 3], 4, Some((&[0, 1], "assertEq")));
        check(&[0, 1, 2, 3], 1, Some((&[0, 1, 2], "Eq")));
        check(&[0, 1], 2, Some((&[0], ".")));
        check(&[0, 4], 2, Some((&[0], " ")));
    }

    #[test]
    fn something_stays() {
        check(&[2, 3], 2, Some((&[2], "Eq")));
        check(&[0], 1, None);
        check(&[0, 1], 0, None);
    }

    #[test]
    fn tokens_must_fit_what_was_taken_off() {
        let mut healing = Healing { rest: b"assertEq".to_vec() };
        assert!(healing.allows(b"assert") && healing.allows(b"assertEqual"));
        assert!(!healing.allows(b"assume") && !healing.allows(b""));
        assert_eq!(healing.take(b"assert"), (&b""[..], false));
        assert!(!healing.allows(b"assert"));
        assert_eq!(healing.take(b"Equal"), (&b"ual"[..], true));
    }
}
