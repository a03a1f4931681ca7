//! From texts to a prior, and to the decision whether it is taken.

use std::{collections::HashSet, sync::Arc};

use base::{CancelToken, Cancelled};
use instant::{Instant, Prior, PriorError, PriorLanguage, PriorOptions, PriorTrainer, Priors};
use serde::{Serialize, Serializer};
use thiserror::Error;
use vfs::Workspace;

use crate::{
    measure::{self, Comparison},
    packages::{self, Package, Places},
    sources,
};

/// Text that a prior is learnt from at most, in bytes: a quarter of a minute and 600 MB of memory.
const MAX_TEXT: usize = 24 << 20;
/// Twice the size of the program's own priors: what a single package says counts, too. Neither four times
/// the size nor n-grams that two packages share gave more on Flask, Celery and ureq.
const OPTIONS: PriorOptions = PriorOptions {
    bytes: 3_000_000,
    max_order: 6,
    vocabulary: 12_000,
    packages: 1,
    occurrences: 2,
};
/// One of so many of the workspace's files of a language is kept for measuring, and so many at least.
const HELD_OUT: usize = 4;
const LEAST_HELD_OUT: usize = 8;
/// Files that the live model takes in between two looks at whether to stop.
const BATCH: usize = 256;

/// Why no attempt came to an end.
#[derive(Debug, Error)]
pub enum AdaptError {
    /// The person did not want it any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// What was learnt cannot be read again.
    #[error("what was learnt is of no use: {0}")]
    Prior(#[from] PriorError),
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdaptStep {
    /// The dependencies are read.
    Reading,
    /// A prior is learnt from them.
    Learning,
    /// It is compared with what the program brings.
    Measuring,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptProgress {
    /// The language that it is done for.
    pub language: PriorLanguage,
    /// What is done.
    pub step: AdaptStep,
    /// How much is done, in the step's own units.
    pub done: usize,
    /// How much there is.
    pub total: usize,
}

/// What came of it for one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The new prior is better.
    Better,
    /// It is not, beyond chance.
    NotBetter,
    /// The workspace has too few files or lines of the language to tell.
    TooFewLines,
    /// There is nothing to learn from: no dependency is on this machine, and all files are needed for
    /// measuring.
    NothingToLearn,
}

/// An attempt to learn a better prior for one language.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The language.
    #[serde(serialize_with = "name")]
    pub language: PriorLanguage,
    /// What came of it.
    pub outcome: Outcome,
    /// Packages that it was learnt from.
    pub packages: usize,
    /// Packages that the workspace names and that are not on this machine.
    pub missing: usize,
    /// Files of the workspace that it was learnt from.
    pub own_files: usize,
    /// Files of the workspace that took no part.
    pub held_out_files: usize,
    /// Tokens that it was learnt from.
    pub tokens: usize,
    /// Size of the prior, in bytes.
    pub bytes: usize,
    /// How it compares with what the program brings.
    pub comparison: Option<Comparison>,
    /// The prior's file.
    #[serde(skip)]
    pub prior: Vec<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn name<S: Serializer>(language: &PriorLanguage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(language.name())
}

/// Tries every language of the workspace, whose indexed files are `own`.
pub fn adapt(
    workspace: &Workspace,
    own: &[(String, Arc<str>)],
    places: &Places,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(AdaptProgress),
) -> Result<Vec<Attempt>, AdaptError> {
    let instant = Instant::with_priors(Priors::none());
    for files in own.chunks(BATCH) {
        cancel.check()?;
        instant.update_files(files);
    }
    let packages = packages::find(workspace, own, places);
    let mut attempts = Vec::new();
    for language in PriorLanguage::ALL {
        let of_language = |path: &str| PriorLanguage::of_path(path) == Some(language);
        let is_own = |path: &str| of_language(path) && !packages::is_installed(path);
        let own: Vec<_> = own.iter().filter(|(path, _)| is_own(path)).collect();
        let packages: Vec<_> = packages.iter().filter(|it| it.language == language).collect();
        if !own.is_empty() {
            let task = Task { language, instant: &instant, cancel };
            attempts.push(task.attempt(own, &packages, progress)?);
        }
    }
    Ok(attempts)
}

struct Task<'a> {
    language: PriorLanguage,
    /// Holds the whole workspace.
    instant: &'a Instant,
    cancel: &'a CancelToken,
}

impl Task<'_> {
    fn attempt(
        &self,
        own: Files<'_>,
        packages: &[&Package],
        progress: &mut dyn FnMut(AdaptProgress),
    ) -> Result<Attempt, AdaptError> {
        let (held_out, own) = split(own);
        let mut attempt = Attempt {
            language: self.language,
            outcome: Outcome::TooFewLines,
            packages: 0,
            missing: packages.iter().filter(|package| package.source.is_none()).count(),
            own_files: own.len(),
            held_out_files: held_out.len(),
            tokens: 0,
            bytes: 0,
            comparison: None,
            prior: Vec::new(),
        };
        let lines = measure::count_lines(&held_out);
        if held_out.len() < measure::LEAST_FILES || lines < measure::LEAST_LINES {
            return Ok(attempt);
        }
        let mut trainer = PriorTrainer::new(OPTIONS);
        let mut seen: HashSet<blake3::Hash> =
            held_out.iter().map(|(_, text)| blake3::hash(text.as_bytes())).collect();
        for (path, text) in own {
            if seen.insert(blake3::hash(text.as_bytes())) {
                trainer.add(&format!("/{}", sources::folder_of(path)), text);
            }
        }
        attempt.packages = self.read(packages, &mut seen, &mut trainer, progress)?;
        attempt.tokens = trainer.tokens();
        if attempt.tokens == 0 {
            attempt.outcome = Outcome::NothingToLearn;
            return Ok(attempt);
        }
        let language = self.language;
        let mut told = |step, done, total| progress(AdaptProgress { language, step, done, total });
        let prior = trainer.finish(self.cancel, &mut |done, total| {
            told(AdaptStep::Learning, done, total);
        })?;
        attempt.bytes = prior.len();
        tracing::info!(language = self.language.name(), lines, "measuring");
        let adapted = Prior::read(prior.clone())?;
        let adapted = Priors::bundled().with_adapted(self.language, adapted);
        let comparison = measure::compare(
            self.instant,
            &held_out,
            [Priors::bundled(), adapted],
            self.cancel,
            &mut |done, total| told(AdaptStep::Measuring, done, total),
        )?;
        attempt.outcome = if comparison.is_better() { Outcome::Better } else { Outcome::NotBetter };
        attempt.comparison = Some(comparison);
        attempt.prior = prior;
        Ok(attempt)
    }

    /// Gives the packages' texts to the trainer, each text once and no text in `seen`; says how many packages
    /// had one.
    fn read(
        &self,
        packages: &[&Package],
        seen: &mut HashSet<blake3::Hash>,
        trainer: &mut PriorTrainer,
        progress: &mut dyn FnMut(AdaptProgress),
    ) -> Result<usize, Cancelled> {
        let (mut bytes, mut read) = (0, 0);
        let total = packages.len();
        for (done, package) in packages.iter().enumerate() {
            let (language, step) = (self.language, AdaptStep::Reading);
            progress(AdaptProgress { language, step, done, total });
            let Some(source) = &package.source else { continue };
            let mut learnt = false;
            for source in sources::read(self.language, source, self.cancel)? {
                if bytes < MAX_TEXT && seen.insert(blake3::hash(source.text.as_bytes())) {
                    bytes += source.text.len();
                    learnt = true;
                    trainer.add(&format!("{}/{}", package.name, source.folder), &source.text);
                }
            }
            read += usize::from(learnt);
        }
        Ok(read)
    }
}

/// Paths and texts.
pub(crate) type Files<'f> = Vec<&'f (String, Arc<str>)>;

/// The files for measuring and those for learning. Which one a file belongs to is decided by its path, so
/// that another attempt measures on the same files.
pub(crate) fn split(mut files: Files<'_>) -> (Files<'_>, Files<'_>) {
    files.sort_by_cached_key(|(path, _)| *blake3::hash(path.as_bytes()).as_bytes());
    let held_out = (files.len() / HELD_OUT).max(LEAST_HELD_OUT).min(files.len());
    let mut own = files.split_off(held_out);
    files.sort_by(|a, b| a.0.cmp(&b.0));
    own.sort_by(|a, b| a.0.cmp(&b.0));
    (files, own)
}
