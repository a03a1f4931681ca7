use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use encoding_rs::{EncoderResult, WINDOWS_1252};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::WorkspaceError;

/// Bytes that are looked at to tell text from other data.
const SNIFF: usize = 8 * 1024;

/// How the characters of a file are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// Windows-1252, which holds Latin-1; any bytes are valid in it.
    Windows1252,
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Windows1252 => "Windows-1252",
        })
    }
}

/// What a text needs besides its characters to become the same bytes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileFormat {
    /// How characters are stored.
    pub encoding: Encoding,
    /// Whether the file begins with a byte order mark, which is not part of the text.
    pub bom: bool,
}

/// A file's text. Line endings are as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileText {
    /// The characters, without a byte order mark.
    pub text: String,
    /// How to turn them into bytes again.
    pub format: FileFormat,
}

/// Why a file has no text for us.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It holds something else than text.
    #[error("not a text file")]
    Binary,
    /// It is larger than the caller takes.
    #[error("the file has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// The system does not let us read it.
    #[error("cannot read the file: {0}")]
    Unreadable(#[from] io::Error),
    /// It says what it is and is not that.
    #[error("the file is marked as {encoding} but is not valid in it")]
    NotText {
        /// The encoding of its byte order mark.
        encoding: Encoding,
    },
    /// The path is refused.
    #[error(transparent)]
    Refused(#[from] WorkspaceError),
    /// The name says that it holds keys or passwords.
    #[error("{path} looks like a file of keys or passwords, which is never shown to a model")]
    Secret {
        /// Its path relative to the workspace.
        path: String,
    },
}

/// Why a text cannot be stored in a file's encoding.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the character {character:?} does not exist in {encoding}, the encoding of the file; \
     convert the file to UTF-8 first"
)]
pub struct EncodeError {
    /// The first character without a place.
    pub character: char,
    /// The file's encoding.
    pub encoding: Encoding,
}

/// Reads a regular file of at most `max_bytes`. A byte order mark decides its encoding; without
/// one it is UTF-8 where that is valid and Windows-1252 otherwise.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<FileText, ReadError> {
    // Before opening: opening a named pipe would wait for its writer.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into());
    }
    let too_large = |bytes| ReadError::TooLarge { bytes, limit: max_bytes };
    if metadata.len() > max_bytes {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    // The file may grow while it is read, and files such as those in /proc claim to be empty.
    File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    decode(bytes)
}

/// The text of a file's bytes; [`encode`] turns it back into exactly these bytes.
pub fn decode(bytes: Vec<u8>) -> Result<FileText, ReadError> {
    let found = |text, encoding, bom| Ok(FileText { text, format: FileFormat { encoding, bom } });
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        let encoding = Encoding::Utf8;
        let text = std::str::from_utf8(rest).map_err(|_| ReadError::NotText { encoding })?;
        return found(text.to_owned(), encoding, true);
    }
    for (mark, encoding) in [(b"\xFF\xFE", Encoding::Utf16Le), (b"\xFE\xFF", Encoding::Utf16Be)] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            let text = decode_utf16(rest, encoding).ok_or(ReadError::NotText { encoding })?;
            return found(text, encoding, true);
        }
    }
    let head = bytes.get(..SNIFF).unwrap_or(&bytes);
    if head.contains(&0) {
        return Err(ReadError::Binary);
    }
    match String::from_utf8(bytes) {
        Ok(text) => found(text, Encoding::Utf8, false),
        Err(error) => {
            let bytes = error.as_bytes();
            if looks_binary(bytes.get(..SNIFF).unwrap_or(bytes)) {
                return Err(ReadError::Binary);
            }
            let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
            found(text.into_owned(), Encoding::Windows1252, false)
        }
    }
}

/// The bytes of `text` in a file of this format.
pub fn encode(text: &str, format: &FileFormat) -> Result<Vec<u8>, EncodeError> {
    let mark = if format.bom { "\u{FEFF}" } else { "" };
    let units = mark.encode_utf16().chain(text.encode_utf16());
    match format.encoding {
        Encoding::Utf8 => Ok([mark.as_bytes(), text.as_bytes()].concat()),
        Encoding::Utf16Le => Ok(units.flat_map(u16::to_le_bytes).collect()),
        Encoding::Utf16Be => Ok(units.flat_map(u16::to_be_bytes).collect()),
        Encoding::Windows1252 => {
            let mut encoder = WINDOWS_1252.new_encoder();
            let mut bytes = vec![0; text.len()];
            let (result, _, written) =
                encoder.encode_from_utf8_without_replacement(text, &mut bytes, true);
            if let EncoderResult::Unmappable(character) = result {
                return Err(EncodeError { character, encoding: format.encoding });
            }
            bytes.truncate(written);
            Ok(bytes)
        }
    }
}

fn decode_utf16(bytes: &[u8], encoding: Encoding) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    // Four bytes of mark with two zeros are UTF-32, which no editor writes.
    if !rest.is_empty() || (encoding == Encoding::Utf16Le && pairs.first() == Some(&[0, 0])) {
        return None;
    }
    let unit = |pair: &[u8; 2]| match encoding {
        Encoding::Utf16Be => u16::from_be_bytes(*pair),
        _ => u16::from_le_bytes(*pair),
    };
    char::decode_utf16(pairs.iter().map(unit)).collect::<Result<_, _>>().ok()
}

/// Whether more than one byte in twenty is a control character that no text holds.
fn looks_binary(head: &[u8]) -> bool {
    let is_odd = |byte: &&u8| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31 | 127);
    head.iter().filter(is_odd).count() * 20 > head.len()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], text: &str, encoding: Encoding, bom: bool) {
        let read = decode(bytes.to_vec()).expect("this is text");
        assert_eq!((read.text.as_str(), read.format), (text, FileFormat { encoding, bom }));
        assert_eq!(encode(&read.text, &read.format).as_deref(), Ok(bytes));
    }

    #[test]
    fn encodings_are_told_apart() {
        check("naïve\r\n".as_bytes(), "naïve\r\n", Encoding::Utf8, false);
        check(b"\xEF\xBB\xBFa", "a", Encoding::Utf8, true);
        check(b"\xFF\xFEa\0\x3d\xd8\x00\xde", "a😀", Encoding::Utf16Le, true);
        check(b"\xFE\xFF\0a", "a", Encoding::Utf16Be, true);
        check(b"caf\xe9 \x80\x81", "café €\u{81}", Encoding::Windows1252, false);
        check(b"", "", Encoding::Utf8, false);
    }

    #[test]
    fn other_data_is_refused() {
        assert!(matches!(decode(b"\x7fELF\0\0".to_vec()), Err(ReadError::Binary)));
        assert!(matches!(decode(b"\x01\x02\xff\xfe\x03".to_vec()), Err(ReadError::Binary)));
        for bytes in [&b"\xFF\xFEa"[..], b"\xFF\xFE\x00\xd8", b"\xEF\xBB\xBF\xff"] {
            assert!(matches!(decode(bytes.to_vec()), Err(ReadError::NotText { .. })));
        }
    }

    #[test]
    fn a_character_without_a_place_is_named() {
        let format = FileFormat { encoding: Encoding::Windows1252, bom: false };
        let error = encode("a→", &format).expect_err("no arrow there");
        assert_eq!(error.character, '→');
    }

    #[test]
    fn size_and_kind_are_checked_before_reading() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a");
        fs::write(&path, "12345").expect("written");
        assert!(read_text(&path, 5).is_ok());
        assert!(matches!(read_text(&path, 4), Err(ReadError::TooLarge { bytes: 5, limit: 4 })));
        assert!(matches!(read_text(folder.path(), 5), Err(ReadError::Unreadable(_))));
        assert!(matches!(read_text(&folder.path().join("b"), 5), Err(ReadError::Unreadable(_))));
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_back_byte_for_byte(
            mark in prop::sample::select(vec![&b""[..], b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"]),
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = [mark, &bytes].concat();
            if let Ok(read) = decode(bytes.clone()) {
                prop_assert_eq!(encode(&read.text, &read.format), Ok(bytes));
            }
        }
    }
}
