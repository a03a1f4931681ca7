/// Turns the bytes of tokens into text as they come. A character may be spread over tokens, so
/// bytes that begin one wait for its end.
#[derive(Default)]
pub struct Detokenizer {
    waiting: Vec<u8>,
}

impl Detokenizer {
    /// Appends to `text` what is whole after `bytes`. What can no longer become a character is
    /// replaced by U+FFFD.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.waiting.extend_from_slice(bytes);
        let mut rest = std::mem::take(&mut self.waiting);
        for chunk in rest.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            if rest.ends_with(invalid) && is_beginning(invalid) {
                self.waiting = invalid.to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        rest.clear();
    }
}

/// Whether more bytes could make a character of these, which are not one.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut detokenizer = Detokenizer::default();
        let texts: Vec<String> = pieces
            .iter()
            .map(|piece| {
                let mut text = String::new();
                detokenizer.push(piece, &mut text);
                text
            })
            .collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        check(&[b"a\xe2", b"\x82", b"\xac!"], &["a", "", "€!"]);
        check(&[b"\xf0\x9f", b"\x98\x80\xf0"], &["", "\u{1f600}"]);
    }

    #[test]
    fn what_can_be_no_character_is_replaced_at_once() {
        check(&[b"\xffa"], &["\u{fffd}a"]);
        check(&[b"\xe2\x82", b"x"], &["", "\u{fffd}x"]);
        check(&[b"\x80\xe2"], &["\u{fffd}"]);
    }

    #[test]
    fn every_split_gives_the_same_text() {
        let whole = "zwölf € \u{1f9c0} ñ".as_bytes();
        for split in 0..=whole.len() {
            let mut detokenizer = Detokenizer::default();
            let mut text = String::new();
            detokenizer.push(&whole[..split], &mut text);
            detokenizer.push(&whole[split..], &mut text);
            assert_eq!(text.as_bytes(), whole, "split at {split}");
        }
    }
}
