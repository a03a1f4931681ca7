//! Texts as `models/pipeline/collect.py` writes them: shards of JSON lines in gzip, and a manifest, which comes
//! last.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::adapter::TrainingFile;

/// The collector's version of the format.
const FORMAT: u32 = 1;
/// Bytes of a shard, about.
const SHARD: usize = 8_000_000;

/// An entry of the manifest.
#[derive(Serialize)]
struct Shard {
    file: String,
    split: &'static str,
    language: &'static str,
    records: usize,
    bytes: usize,
    sha256: String,
}

/// Writes the files of each split, `train` and `development`, into `folder`. All of them count as one package:
/// what a model is shown beside a place comes from others of them.
pub(crate) fn write(folder: &Path, splits: &[(&'static str, &[TrainingFile])]) -> io::Result<()> {
    let mut shards = Vec::new();
    for (split, files) in splits {
        let mut languages: BTreeMap<&'static str, Vec<&TrainingFile>> = BTreeMap::new();
        for file in *files {
            languages.entry(file.language).or_default().push(file);
        }
        for (language, mut files) in languages {
            for number in 0.. {
                let mut shard = Shard {
                    file: String::new(),
                    split,
                    language,
                    records: 0,
                    bytes: 0,
                    sha256: String::new(),
                };
                shard.file = format!("{split}-{language}-{number:03}.jsonl.gz");
                let mut content = Vec::new();
                while content.len() < SHARD
                    && let Some(file) = files.pop()
                {
                    let TrainingFile { path, text, .. } = file;
                    let record = json!({
                        "package": "workspace", "path": path, "language": language, "licence": "own",
                        "split": split, "text": &**text,
                    });
                    serde_json::to_writer(&mut content, &record)?;
                    content.push(b'\n');
                    shard.records += 1;
                }
                if content.is_empty() {
                    break;
                }
                shard.bytes = content.len();
                shard.sha256 = sha256(&content);
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                packed.write_all(&content)?;
                base::write_atomic(&folder.join(&shard.file), &packed.finish()?)?;
                shards.push(shard);
            }
        }
    }
    let list = shards.iter().fold(String::new(), |mut list, shard| {
        let _ = writeln!(list, "{} {}", shard.file, shard.sha256);
        list
    });
    let manifest = json!({ "format": FORMAT, "hash": sha256(list.as_bytes()), "shards": shards });
    base::write_atomic(&folder.join("manifest.json"), &serde_json::to_vec_pretty(&manifest)?)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
