use std::io::{self, Read};

use super::GgufError;

/// Longest string. Chat templates reach about 100 kB.
const MAX_STRING: u64 = 8 << 20;
/// Most elements of one array. The largest vocabularies have about 260,000 tokens, and twice as many
/// merges.
const MAX_ARRAY: u64 = 8 << 20;
/// Longest header. The largest vocabularies need about 20 MB.
const MAX_HEADER: u64 = 256 << 20;
/// Deepest array of arrays.
const MAX_DEPTH: u32 = 3;

/// A bounded reader of GGUF's primitive values.
pub(super) struct Reader<'a> {
    input: &'a mut dyn Read,
    position: u64,
    within: &'static str,
}

/// A value of the key-value section; the contents of long arrays are not kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// Number of elements and, for integers, their sum (saturating) and the first element.
    Integers {
        count: u64,
        sum: u64,
        max: u64,
    },
    Other,
}

impl Value {
    pub(super) fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a mut dyn Read) -> Self {
        Self { input, position: 0, within: "its first bytes" }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Says what the following bytes are, for the message when they are missing.
    pub(super) fn enter(&mut self, within: &'static str) {
        self.within = within;
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        self.position += bytes.len() as u64;
        if self.position > MAX_HEADER {
            return Err(GgufError::Damaged(format!(
                "its header is longer than {} MB",
                MAX_HEADER >> 20
            )));
        }
        let within = self.within;
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => GgufError::Truncated { within },
            _ => GgufError::Unreadable(error),
        })
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A string; bytes that are not UTF-8 (a token may be half a character) are replaced.
    pub(super) fn string(&mut self) -> Result<String, GgufError> {
        let mut bytes = Vec::new();
        self.string_into(&mut bytes)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    fn string_into(&mut self, bytes: &mut Vec<u8>) -> Result<(), GgufError> {
        let mut left = self.u64()?;
        if left > MAX_STRING {
            return Err(GgufError::Damaged(format!(
                "{} has a string of {left} bytes",
                self.within
            )));
        }
        bytes.clear();
        // In steps, so that memory is used only for bytes that are there.
        let mut step = [0; 4096];
        while left > 0 {
            let length = left.min(step.len() as u64) as usize;
            let part = step.get_mut(..length).unwrap_or_default();
            self.fill(part)?;
            bytes.extend_from_slice(part);
            left -= length as u64;
        }
        Ok(())
    }

    /// A value of the given type. Each string of an array of strings is shown to `element` with its
    /// number.
    pub(super) fn value(
        &mut self,
        kind: u32,
        element: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Value, GgufError> {
        self.nested(kind, element, 0)
    }

    fn nested(
        &mut self,
        kind: u32,
        element: &mut dyn FnMut(u64, &[u8]),
        depth: u32,
    ) -> Result<Value, GgufError> {
        Ok(match kind {
            0 => Value::Unsigned(self.bytes::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            8 => Value::Text(self.string()?),
            9 => self.array(element, depth)?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            _ => {
                return Err(GgufError::Damaged(format!(
                    "{} has a value of the unknown type {kind}",
                    self.within
                )));
            }
        })
    }

    fn array(
        &mut self,
        element: &mut dyn FnMut(u64, &[u8]),
        depth: u32,
    ) -> Result<Value, GgufError> {
        let kind = self.u32()?;
        let count = self.u64()?;
        if count > MAX_ARRAY || depth >= MAX_DEPTH {
            return Err(GgufError::Damaged(format!(
                "{} has an array of {count} elements at depth {depth}",
                self.within
            )));
        }
        if kind == 8 {
            let mut bytes = Vec::new();
            for index in 0..count {
                self.string_into(&mut bytes)?;
                element(index, &bytes);
            }
            return Ok(Value::Other);
        }
        let (mut sum, mut max, mut integers) = (0_u64, 0, true);
        for _ in 0..count {
            match self.nested(kind, &mut |_, _| {}, depth + 1)?.as_u64() {
                Some(value) => {
                    sum = sum.saturating_add(value);
                    max = value.max(max);
                }
                None => integers = false,
            }
        }
        Ok(if integers { Value::Integers { count, sum, max } } else { Value::Other })
    }
}
