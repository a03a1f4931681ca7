//! Numbers and texts in as few bytes as need be: a number has seven bits a byte, the lowest first, a
//! text its length before it.

/// Packs values one after the other.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A text or none.
    pub(crate) fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.number(0),
            Some(text) => {
                self.number(text.len() + 1);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Reads the values back. Damaged bytes end early and do nothing worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..usize::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= usize::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        self.take(length)
    }

    #[expect(clippy::option_option, reason = "the outer one: whether there was anything to read")]
    pub(crate) fn optional(&mut self) -> Option<Option<&'a str>> {
        let Some(length) = self.number()?.checked_sub(1) else { return Some(None) };
        self.take(length).map(Some)
    }

    /// Goes behind a text without looking at it.
    pub(crate) fn pass_text(&mut self) -> Option<()> {
        let length = self.number()?;
        self.pass(length)
    }

    /// Goes behind a text or none without looking at it.
    pub(crate) fn pass_optional(&mut self) -> Option<()> {
        let length = self.number()?.saturating_sub(1);
        self.pass(length)
    }

    fn pass(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}
