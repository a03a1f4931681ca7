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
    /// The model if it is loaded. Otherwise it is started, on a thread of its own: a keystroke is answered
    /// without it until then. Only a model that was made for completing, or chosen for it, is ever found.
    pub(crate) fn ready(&self, shared: &Arc<Shared>) -> Option<Arc<dyn LanguageModel>> {
        if let Some(model) = shared.models.loaded(Role::Completion) {
            return Some(model);
        }
        let mut state = self.state.lock();
        match *state {
            State::Starting => return None,
            State::Failed(when) if when.elapsed() < RETRY => return None,
            State::Idle | State::Failed(_) => *state = State::Starting,
        }
        drop(state);
        let starting = shared.clone();
        let work = move || {
            let loaded = load(&starting, &CancelToken::new());
            let state = if loaded { State::Idle } else { State::Failed(Instant::now()) };
            *starting.completion_model.state.lock() = state;
            starting.changed();
        };
        if let Err(error) = thread::Builder::new().name("completion model".into()).spawn(work) {
            tracing::error!(%error, "no thread to load the completion model on");
            *self.state.lock() = State::Failed(Instant::now());
        }
        None
    }
}

/// The completion model, loaded here and now; `None` when there is none or it cannot be.
pub(crate) fn completion_model(
    shared: &Shared,
    cancel: &CancelToken,
) -> Option<Arc<dyn LanguageModel>> {
    load(shared, cancel);
    shared.models.loaded(Role::Completion)
}

/// Whether the completion model is loaded now.
fn load(shared: &Shared, cancel: &CancelToken) -> bool {
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
