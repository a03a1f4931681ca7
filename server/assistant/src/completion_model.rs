//! Starts the model that completes, without letting anybody wait for it.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use base::CancelToken;
use inference::{InferenceError, LanguageModel};
use model_registry::Role;
use parking_lot::Mutex;

use crate::shared::Shared;

/// A model that could not be loaded is tried again after so long: the person may have mended or replaced it.
const RETRY: Duration = Duration::from_mins(1);

/// Whether the completion model is being started, and when that failed last.
#[derive(Default)]
pub(crate) struct CompletionModel {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Starting,
    Failed(Instant),
}

impl CompletionModel {
    /// The model if it is loaded: the one that was trained for the workspace, `adapter`, else the person's.
    /// Otherwise it is started, on a thread of its own: a keystroke is answered
    /// without it until then. Only a model that was made for completing, or chosen for it, is ever found.
    pub(crate) fn ready(
        &self,
        shared: &Arc<Shared>,
        adapter: Option<Arc<str>>,
    ) -> Option<Arc<dyn LanguageModel>> {
        let trained = adapter.as_deref().and_then(|id| loaded_adapter(shared, id));
        if trained.is_some() {
            return trained;
        }
        let usual = shared.models.loaded(Role::Completion);
        if adapter.is_none() && usual.is_some() {
            return usual;
        }
        let mut state = self.state.lock();
        match *state {
            State::Starting => return usual,
            State::Failed(when) if when.elapsed() < RETRY => return usual,
            State::Idle | State::Failed(_) => *state = State::Starting,
        }
        drop(state);
        let starting = shared.clone();
        let work = move || {
            let loaded = load(&starting, adapter.as_deref(), &CancelToken::new());
            let state = if loaded { State::Idle } else { State::Failed(Instant::now()) };
            *starting.completion_model.state.lock() = state;
            starting.changed();
        };
        if let Err(error) = thread::Builder::new().name("completion model".into()).spawn(work) {
            tracing::error!(%error, "no thread to load the completion model on");
            *self.state.lock() = State::Failed(Instant::now());
        }
        usual
    }
}

/// The completion model, loaded here and now; `None` when there is none or it cannot be.
pub(crate) fn completion_model(
    shared: &Shared,
    adapter: Option<&str>,
    cancel: &CancelToken,
) -> Option<Arc<dyn LanguageModel>> {
    load(shared, adapter, cancel);
    let trained = adapter.and_then(|id| loaded_adapter(shared, id));
    trained.or_else(|| shared.models.loaded(Role::Completion))
}

/// The model that was trained for the workspace, if it is loaded.
fn loaded_adapter(shared: &Shared, id: &str) -> Option<Arc<dyn LanguageModel>> {
    shared.models.named(id).ok().filter(|model| model.loaded().is_some())
}

/// Whether the completion model is loaded now. Where the one that was trained for the workspace cannot be, the
/// person's is loaded in its place.
fn load(shared: &Shared, adapter: Option<&str>, cancel: &CancelToken) -> bool {
    if let Some(id) = adapter {
        match shared.models.named(id).and_then(|model| model.load(cancel)) {
            Ok(_) => return true,
            Err(InferenceError::Cancelled) => return false,
            Err(error) => tracing::warn!(
                %error,
                "the model that was trained for the workspace is left out; `hearth models adapt --remove` \
                 removes it"
            ),
        }
    }
    let usual = load_usual(shared, cancel);
    usual && adapter.is_none()
}

fn load_usual(shared: &Shared, cancel: &CancelToken) -> bool {
    let loaded = shared.models.model(Role::Completion).and_then(|model| model.load(cancel));
    match loaded {
        Ok(_) => true,
        // Most people have none.
        Err(InferenceError::NoModel { .. } | InferenceError::Cancelled) => false,
        Err(error) => {
            tracing::warn!(%error, "the completion model cannot be loaded");
            false
        }
    }
}
