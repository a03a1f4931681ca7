//! The check of a cross-encoder's files before native code sees them.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek},
    path::Path,
};

use serde::Deserialize;

/// The files of one, as sentence-transformers and Optimum write them; the first is the model.
pub(crate) const FILES: [&str; 5] = [
    "model.onnx",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];
/// What an architecture that gives scores, not vectors, is called at the end.
const SCORING: &str = "ForSequenceClassification";
/// Longest `config.json` that is read, in bytes.
const MOST_CONFIG: u64 = 1_000_000;
/// A model file has a handful of fields at its top, one for each of its functions and operator sets.
const MOST_FIELDS: usize = 10_000;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    max_position_embeddings: Option<u64>,
}

/// Looks at the files of a cross-encoder: the tokens that it was trained for, where that is told. The
/// error is a sentence that says what is wrong and what to do.
pub(crate) fn inspect(folder: &Path) -> Result<Option<u64>, String> {
    if let Some(missing) = FILES.iter().find(|name| !folder.join(name).is_file()) {
        return Err(format!(
            "{missing} is missing; a cross-encoder is a folder with {}",
            FILES.join(", ")
        ));
    }
    let unreadable = |name: &str, error: &dyn std::fmt::Display| format!("{name}: {error}");
    let mut text = String::new();
    let config = folder.join("config.json");
    File::open(&config)
        .and_then(|file| file.take(MOST_CONFIG).read_to_string(&mut text))
        .map_err(|error| unreadable("config.json", &error))?;
    let config: Config =
        serde_json::from_str(&text).map_err(|error| unreadable("config.json", &error))?;
    if !config.architectures.iter().any(|name| name.ends_with(SCORING)) {
        return Err(format!(
            "config.json names no architecture that ends in {SCORING}: it is no cross-encoder"
        ));
    }
    let model = folder.join("model.onnx");
    match is_onnx(&model) {
        Ok(true) => Ok(config.max_position_embeddings),
        Ok(false) => Err("model.onnx is no ONNX model, or cut short; get it again".to_owned()),
        Err(error) => Err(unreadable("model.onnx", &error)),
    }
}

/// Whether a file is a protobuf message with a version and a graph, as ONNX has them, to its last byte.
fn is_onnx(path: &Path) -> io::Result<bool> {
    let length = fs::metadata(path)?.len();
    let mut file = BufReader::new(File::open(path)?);
    let (mut version, mut graph) = (false, false);
    for _ in 0..MOST_FIELDS {
        let position = file.stream_position()?;
        if position == length {
            return Ok(version && graph);
        }
        let Some(key) = varint(&mut file)? else { return Ok(false) };
        let skipped = match key & 7 {
            0 => varint(&mut file)?.map(|_| 0),
            1 => Some(8),
            2 => varint(&mut file)?,
            5 => Some(4),
            _ => None,
        };
        let left = length.saturating_sub(file.stream_position()?);
        let Some(skipped) = skipped.filter(|skipped| *skipped <= left) else { return Ok(false) };
        file.seek_relative(i64::try_from(skipped).map_err(io::Error::other)?)?;
        version |= key == IR_VERSION;
        graph |= key == GRAPH;
    }
    Ok(false)
}

/// `ModelProto.ir_version`, a number.
const IR_VERSION: u64 = 1 << 3;
/// `ModelProto.graph`, a message.
const GRAPH: u64 = 7 << 3 | 2;

/// A number of variable length; `None` at the end of the file or where it is too long.
fn varint(file: &mut impl Read) -> io::Result<Option<u64>> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        if file.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let [byte] = byte;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_file_is_read_to_its_last_byte() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.onnx");
        let check = |bytes: &[u8], expected: bool| {
            fs::write(&path, bytes).expect("written");
            assert_eq!(is_onnx(&path).expect("read"), expected, "{bytes:?}");
        };
        let whole = b"\x08\x08\x12\x01x\x3a\x03abc\x42\x02\x10\x0d";
        check(whole, true);
        check(&whole[..9], false);
        check(&whole[..whole.len() - 1], false);
        check(b"", false);
        check(b"version https://git-lfs.github.com/spec/v1\n", false);
        check(b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", false);
        check(&[0x80; 40], false);
        check(&[0x0b; 40], false);
    }
}
