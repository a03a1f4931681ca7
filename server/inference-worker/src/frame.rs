use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// Largest message in bytes. A prompt is at most a few hundred kilobytes and a thousand vectors of
/// 384 numbers take five megabytes, so whatever is longer is not a message.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// `message` as JSON behind its length, four bytes little-endian. An error where it is too long.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAX_BYTES {
        let error = format!("a message of {length} bytes is longer than {MAX_BYTES}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = (length as u32).to_le_bytes();
    }
    Ok(bytes)
}

/// Writes an [encoded](encode) message and what may wait before it.
pub fn write<T: Serialize>(output: &mut impl Write, message: &T) -> io::Result<()> {
    output.write_all(&encode(message)?)?;
    output.flush()
}

/// The next message, or `None` where the stream ends between two. Anything that is not a message
/// is an error of the kind `InvalidData`.
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    match input.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(head) as usize;
    if length > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the length is out of bounds"));
    }
    let mut bytes = Vec::new();
    input.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(bytes: &[u8]) -> Result<Option<String>, io::ErrorKind> {
        read(&mut io::Cursor::new(bytes)).map_err(|error| error.kind())
    }

    #[test]
    fn a_message_survives_the_way() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"zwei\n\u{1f600}".to_owned()).expect("written");
        assert_eq!(read_text(&bytes), Ok(Some("zwei\n\u{1f600}".to_owned())));
    }

    #[test]
    fn a_stream_may_end_anywhere() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"text".to_owned()).expect("written");
        for end in 0..bytes.len() {
            assert_eq!(read_text(&bytes[..end]), Ok(None), "after {end} bytes");
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused_before_it_takes_memory() {
        assert_eq!(read_text(b"\xff\xff\xff\xffxxxx"), Err(io::ErrorKind::InvalidData));
        assert_eq!(read_text(b"\x02\0\0\0{]"), Err(io::ErrorKind::InvalidData));
        assert_eq!(
            read_text(b"\x02\x00\x00\x0012"),
            Err(io::ErrorKind::InvalidData),
            "another type"
        );
    }
}
