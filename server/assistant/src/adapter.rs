use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant as Clock, SystemTime, UNIX_EPOCH},
};

use adaptation::{AdaptedModel, AdapterComparison, Contest, Corpus};
use base::CancelToken;
use indexer::IndexSnapshot;
use inference::{InferenceError, LanguageModel};
use instant::Instant;
use model_registry::{Converter, Installed, Progress, Registry, Role, TrainingOptions};
use prompt::Excerpt;
use serde::Serialize;

use crate::{
    AssistantError, AssistantSnapshot,
    adapt::own_files,
    excerpts::{self, Spot},
};

/// Files that the live model takes in between two looks at whether to stop.
const BATCH: usize = 256;

/// What came of training a model for a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AdapterOutcome {
    /// It is better than what completed there before, and completes there from now on.
    Better,
    /// It is not, beyond chance; everything is as it was.
    NotBetter,
    /// It is the very one that completes there already.
    Unchanged,
    /// The workspace has too few files or lines to tell.
    TooFewLines,
}

/// An attempt to train a model for a workspace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdapterReport {
    /// The workspace's first folder.
    pub workspace: PathBuf,
    /// What came of it.
    pub outcome: AdapterOutcome,
    /// The model that it was trained on.
    pub base: String,
    /// The model that came of it, by its name.
    pub model: Option<String>,
    /// Files that it was trained on.
    pub files: usize,
    /// Files that took no part.
    pub held_out_files: usize,
    /// How it compares with what completed there before.
    pub comparison: Option<AdapterComparison>,
    /// How long it took, the index apart.
    pub seconds: f64,
}

/// The model that was trained for a workspace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdapterStatus {
    /// Why it is not used, if so.
    pub problem: Option<String>,
    /// What is known of it.
    #[serde(flatten)]
    pub adapted: Option<AdaptedModel>,
}

impl AssistantSnapshot {
    /// Trains an adapter on the workspace's own files, with the pipeline and on the machine that `options` or
    /// the person's settings name, and has the model that comes of it complete in the workspace if that is
    /// better. The index should be up to date. `told` gets lines for people. What was interrupted goes on where
    /// it was, unless files were changed.
    pub fn train_adapter(
        &self,
        registry: &Registry,
        options: &TrainingOptions,
        converter: &dyn Converter,
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<AdapterReport, AssistantError> {
        let begun = Clock::now();
        let key = self.files.workspace().key();
        let trainer = registry.trainer(options, &key, cancel, told)?;
        let index = self.current_index(cancel)?;
        let own = own_files(&index, cancel)?;
        let base = trainer.base();
        let mut report = AdapterReport {
            workspace: self.root(),
            outcome: AdapterOutcome::TooFewLines,
            base: base.id.clone(),
            model: None,
            files: 0,
            held_out_files: 0,
            comparison: None,
            seconds: 0.0,
        };
        let Some(corpus) = Corpus::of(&own) else {
            report.seconds = begun.elapsed().as_secs_f64();
            return Ok(report);
        };
        (report.files, report.held_out_files) = (corpus.trained(), corpus.held_out());
        let work = self.work_folder(&corpus.name(trainer.recipe(), &base.sha256))?;
        let data = work.join("data");
        fs::create_dir_all(&data).and_then(|()| corpus.write(&data)).map_err(files_error(&data))?;
        let adapter = trainer.train(&work, cancel, told)?;

        let installed = self.adapted().adapter()?.map(|adapted| adapted.model);
        let id = Registry::id_for(&key, &adapter, cancel)?;
        report.model = Some(id.clone());
        if installed.as_ref() == Some(&id) {
            report.outcome = AdapterOutcome::Unchanged;
        } else {
            // One that an interruption left behind would only take room.
            registry.remove_of_workspace(&key, installed.as_deref())?;
            let mut progress = |Progress { step, .. }: Progress<'_>| told(step.as_str());
            let files = (adapter.as_path(), base.path.as_path());
            let model =
                registry.import_adapter_for(&key, files, converter, cancel, &mut progress)?;
            let judged = self.judge(&model, &corpus, (&own, &index), cancel, told);
            let chosen = judged.and_then(|comparison| {
                report.comparison = Some(comparison);
                report.outcome = AdapterOutcome::NotBetter;
                if comparison.is_better() {
                    self.choose(&model, &report, comparison)?;
                    report.outcome = AdapterOutcome::Better;
                }
                Ok(())
            });
            let kept = match report.outcome {
                AdapterOutcome::Better => Some(id),
                _ => installed,
            };
            registry.remove_of_workspace(&key, kept.as_deref())?;
            chosen?;
        }
        fs::remove_dir_all(&work).map_err(files_error(&work))?;
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Compares a new model with what completes in the workspace today.
    fn judge(
        &self,
        model: &Installed,
        corpus: &Corpus,
        (own, index): (&[(String, Arc<str>)], &IndexSnapshot),
        cancel: &CancelToken,
        told: &mut dyn FnMut(&str),
    ) -> Result<AdapterComparison, AssistantError> {
        let store = self.adapted();
        let instant = Instant::with_priors(store.load());
        for files in own.chunks(BATCH) {
            cancel.check()?;
            instant.update_files(files);
        }
        told("loading the models");
        let loaded = |model: Arc<dyn LanguageModel>| model.load(cancel).map(|_| model);
        let models = &self.shared.models;
        let after = models.named(&model.id).and_then(loaded)?;
        let today = match store.adapter()? {
            // As ghost text does where that one is gone.
            Some(adapted) => {
                models.named(&adapted.model).or_else(|_| models.model(Role::Completion))
            }
            None => models.model(Role::Completion),
        };
        let before = match today.and_then(loaded) {
            Ok(before) => Some(before),
            Err(InferenceError::NoModel { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let excerpts = |path: &str, before: &str| -> Arc<[Excerpt]> {
            excerpts::find(Spot { path, before, line: 0 }, index, cancel)
        };
        let contest = Contest {
            instant: &instant,
            before: before.as_deref(),
            after: &*after,
            unfit_model: self.shared.config.read().completion_any_model,
            excerpts: &excerpts,
        };
        Ok(adaptation::compare_models(&contest, corpus, cancel, &mut |done, total| {
            told(&format!("measuring: {} %", done * 100 / total.max(1)));
        })?)
    }

    fn choose(
        &self,
        model: &Installed,
        report: &AdapterReport,
        comparison: AdapterComparison,
    ) -> Result<(), AssistantError> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(self.adapted().install_adapter(&AdaptedModel {
            model: model.id.clone(),
            base: report.base.clone(),
            time: time.as_secs(),
            files: report.files,
            comparison,
        })?)
    }

    /// The model that was trained for the workspace, or what is wrong with it.
    pub(crate) fn adapter_status(&self) -> Option<AdapterStatus> {
        match self.adapted().adapter() {
            Ok(adapted) => {
                let adapted = adapted?;
                let problem = Registry::open(&self.shared.folders)
                    .and_then(|registry| registry.installed(&adapted.model))
                    .err()
                    .map(|error| error.to_string());
                Some(AdapterStatus { problem, adapted: Some(adapted) })
            }
            Err(error) => Some(AdapterStatus { problem: Some(error.to_string()), adapted: None }),
        }
    }

    /// Goes back to the person's own completion model: forgets the one that was trained for the workspace, and
    /// removes its files and what an interrupted training left.
    pub(crate) fn remove_adapter(&self) -> Result<Option<String>, AssistantError> {
        let named = self.adapted().adapter().ok().flatten().map(|adapted| adapted.model);
        let removed = self.adapted().remove_adapter()?;
        let key = self.files.workspace().key();
        Registry::open(&self.shared.folders)?.remove_of_workspace(&key, None)?;
        let work = self.works_folder()?;
        if work.exists() {
            fs::remove_dir_all(&work).map_err(files_error(&work))?;
        }
        Ok(removed.then(|| named.unwrap_or_else(|| "a damaged one".to_owned())))
    }

    /// Where trainings for the workspace are under way.
    fn works_folder(&self) -> Result<PathBuf, AssistantError> {
        let cache = self.shared.folders.workspace_cache(&self.files.workspace().key())?;
        Ok(cache.join("adapter"))
    }

    /// The folder of one training; those of others, which were for other texts, go.
    fn work_folder(&self, name: &str) -> Result<PathBuf, AssistantError> {
        let folder = self.works_folder()?;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name() != name {
                fs::remove_dir_all(entry.path()).map_err(files_error(&entry.path()))?;
            }
        }
        Ok(folder.join(name))
    }
}

/// For `map_err` after an operation on a file of ours.
fn files_error(path: &Path) -> impl FnOnce(std::io::Error) -> AssistantError + '_ {
    |source| AssistantError::Files { path: path.to_owned(), source }
}
