//! An adapter for one workspace: which of its files it may see, and whether what came of it is better on the
//! others.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::Path,
    sync::Arc,
};

use base::{CancelToken, Cancelled};
use instant::PriorLanguage;
use serde::{Deserialize, Serialize};
use syntax::Language;

use crate::{
    learn::split,
    measure::{self, Contest},
    packages, shards,
};

/// Languages that the recipes of the pipeline know, by their names in the registry of languages.
const LANGUAGES: [&str; 13] = [
    "bash",
    "c",
    "cpp",
    "csharp",
    "go",
    "java",
    "javascript",
    "php",
    "python",
    "ruby",
    "rust",
    "tsx",
    "typescript",
];
/// Larger files are data or generated, and not learnt from, in bytes, as the pipeline's own collector has it.
const MAX_FILE: usize = 256 << 10;
/// Of the files that may be learnt from, one of so many is for the trainer's own measuring.
const DEVELOPMENT: usize = 8;

/// The workspace's files, divided.
#[derive(Debug)]
pub struct Corpus {
    train: Vec<TrainingFile>,
    development: Vec<TrainingFile>,
    held_out: Vec<(String, Arc<str>)>,
}

/// One file to learn from.
#[derive(Clone, Debug)]
pub(crate) struct TrainingFile {
    pub(crate) path: String,
    pub(crate) language: &'static str,
    pub(crate) text: Arc<str>,
}

impl Corpus {
    /// Divides the indexed files of a workspace as [`adapt`](crate::adapt) does, language by language: a
    /// quarter, and eight at least, take no part in training, whatever is tried. None where they are too few
    /// to tell what is better, or nothing is left to learn from.
    pub fn of(files: &[(String, Arc<str>)]) -> Option<Self> {
        let mut languages: BTreeMap<&str, Vec<&(String, Arc<str>)>> = BTreeMap::new();
        for file in files {
            let (path, _) = file;
            let Some(language) = language_of(path) else { continue };
            if !packages::is_installed(path) {
                // JavaScript and TypeScript are divided as one, as for the priors.
                let prior = PriorLanguage::of_path(path).map(PriorLanguage::name);
                languages.entry(prior.unwrap_or(language)).or_default().push(file);
            }
        }
        let (mut own, mut held_out) = (Vec::new(), Vec::new());
        for files in languages.into_values() {
            let (apart, rest) = split(files);
            held_out.extend(apart.into_iter().cloned());
            own.extend(rest);
        }
        let seen: HashSet<&str> = held_out.iter().map(|(_, text)| text.as_ref()).collect();
        own.retain(|(_, text)| text.len() <= MAX_FILE && !seen.contains(text.as_ref()));
        own.sort_by_cached_key(|(path, _)| *blake3::hash(path.as_bytes()).as_bytes());
        let train = own.split_off(own.len().div_ceil(DEVELOPMENT));
        let of_training = |files: Vec<&(String, Arc<str>)>| {
            let file = |(path, text): &(String, Arc<str>)| {
                let (path, text) = (path.clone(), Arc::clone(text));
                Some(TrainingFile { language: language_of(&path)?, path, text })
            };
            files.into_iter().filter_map(file).collect::<Vec<_>>()
        };
        let (train, development) = (of_training(train), of_training(own));
        let lines = measure::count_lines(&held_out.iter().collect::<Vec<_>>());
        let enough = held_out.len() >= measure::LEAST_FILES && lines >= measure::LEAST_LINES;
        (enough && !train.is_empty()).then_some(Self { train, development, held_out })
    }

    /// Files that are learnt from.
    pub fn trained(&self) -> usize {
        self.train.len() + self.development.len()
    }

    /// Files that take no part.
    pub fn held_out(&self) -> usize {
        self.held_out.len()
    }

    /// Sixteen hexadecimal digits that are others for other texts to learn from, or another `recipe` or base.
    pub fn name(&self, recipe: &str, base_sha256: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |text: &str| {
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        };
        part(recipe);
        part(base_sha256);
        for file in self.train.iter().chain(&self.development) {
            part(&file.path);
            part(&file.text);
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }

    /// Writes what may be learnt from into `folder`, which exists, as the pipeline reads it.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        shards::write(folder, &[("train", &self.train), ("development", &self.development)])
    }
}

/// The language of a file that the recipes know.
fn language_of(path: &str) -> Option<&'static str> {
    let name = Language::of_path(path)?.name();
    LANGUAGES.contains(&name).then_some(name)
}

/// How lines were completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Lines whose first suggestion was exactly what stood there.
    pub exact: usize,
    /// Lines with a suggestion.
    pub shown: usize,
}

/// The same lines, completed with and without a model that was trained for the workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdapterComparison {
    /// Lines that were tried.
    pub lines: usize,
    /// The files that they stand in.
    pub files: usize,
    /// Without any model.
    pub instant: Shown,
    /// With what completes there today.
    pub before: Shown,
    /// With the new model.
    pub after: Shown,
    /// Lines that are exact only with the new model, and not with what completes there today.
    pub won: usize,
    /// The other way round.
    pub lost: usize,
    /// What it gains in exact lines, as a share of the lines: the 95 % interval of a bootstrap over files.
    pub gain: [f64; 2],
    /// The same over no model at all.
    pub gain_over_instant: [f64; 2],
}

impl AdapterComparison {
    /// The rule by which a model is installed: more lines are exact beyond chance than with what completes
    /// there today, and than without a model.
    pub fn is_better(&self) -> bool {
        self.gain[0] > 0.0 && self.gain_over_instant[0] > 0.0
    }
}

/// Completes held-out lines as an editor would.
pub fn compare_models(
    contest: &Contest<'_>,
    corpus: &Corpus,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<AdapterComparison, Cancelled> {
    measure::compare_models(contest, &corpus.held_out.iter().collect::<Vec<_>>(), cancel, progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: usize, extension: &str) -> Vec<(String, Arc<str>)> {
        let text = |number: usize| format!("let value_{number} = {number};\n").repeat(20);
        (0..count).map(|it| (format!("src/{it}.{extension}"), text(it).into())).collect()
    }

    #[test]
    fn no_held_out_file_and_no_copy_of_one_is_trained_on() {
        let mut all = files(40, "rs");
        let before = Corpus::of(&all).expect("enough");
        assert_eq!((before.held_out.len(), before.trained()), (10, 30));
        let copy = Arc::clone(&before.held_out[0].1);
        let own = before.train[0].path.clone();
        all.iter_mut().find(|(path, _)| *path == own).expect("it is there").1 = copy;
        let after = Corpus::of(&all).expect("enough");
        assert_eq!((after.held_out.len(), after.trained()), (10, 29));
        let held_out: Vec<_> = after.held_out.iter().map(|(path, _)| path).collect();
        let trained = after.train.iter().chain(&after.development);
        assert!(trained.clone().all(|file| !held_out.contains(&&file.path)));
        assert!(trained.clone().all(|file| file.path != own));
        assert_ne!(before.name("r", "b"), after.name("r", "b"));
    }

    #[test]
    fn too_little_is_told_and_other_files_do_not_count() {
        assert!(Corpus::of(&files(8, "rs")).is_none(), "nothing to learn from");
        assert!(Corpus::of(&files(40, "md")).is_none());
        assert!(Corpus::of(&files(40, "java")).is_some());
        let long = files(40, "rs").into_iter().map(|(path, text)| (path, text.repeat(2000).into()));
        assert!(Corpus::of(&long.collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn a_model_must_win_over_today_and_over_none() {
        let better = AdapterComparison {
            gain: [0.01, 0.1],
            gain_over_instant: [0.01, 0.1],
            ..AdapterComparison::default()
        };
        assert!(better.is_better());
        assert!(!AdapterComparison { gain: [0.0, 0.1], ..better }.is_better());
        assert!(!AdapterComparison { gain_over_instant: [-0.1, 0.1], ..better }.is_better());
    }
}
