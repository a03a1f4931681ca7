use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base::Folders;
use code_graph::CodeGraph;
use journal::Journal;
use parking_lot::{Mutex, RwLock};
use retrieval::DeepeningCache;
use serde::Serialize;
use store::Conversations;
use vfs::Workspace;

use crate::{
    AssistantError, CompletionEventKind, Config, EditorSettings, Models,
    completion_model::CompletionModel,
    edits::OpenEdits,
    index_service::{IndexService, OnChange},
    instant_service::InstantService,
    timings::{PromptSpeeds, Timings},
};

/// What the host and all its snapshots share. Everything in it may be used from any thread.
pub struct Shared {
    pub folders: Folders,
    pub models: Arc<dyn Models>,
    pub config: RwLock<Config>,
    pub editor_settings: RwLock<EditorSettings>,
    pub trusted: AtomicBool,
    pub timings: Timings,
    pub prompt_speeds: PromptSpeeds,
    pub edits: OpenEdits,
    pub instant: Arc<InstantService>,
    pub completion_events: CompletionEvents,
    pub completion_model: CompletionModel,
    pub activity: Activities,
    /// What models said for searches.
    pub deepening: Arc<DeepeningCache>,
    /// The code graph of the open workspace as it was when it was last asked for.
    pub graph: Mutex<CodeGraph>,
    conversations: Mutex<Option<Arc<Conversations>>>,
    journal: Mutex<Option<Arc<Journal>>>,
    on_change: Option<OnChange>,
}

/// How many suggestions came to what end.
#[derive(Default)]
pub struct CompletionEvents {
    shown: AtomicUsize,
    accepted: AtomicUsize,
    partly: AtomicUsize,
    rejected: AtomicUsize,
}

/// The counts for the status.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionCounts {
    shown: usize,
    accepted: usize,
    partly_accepted: usize,
    rejected: usize,
}

impl CompletionEvents {
    /// Counts one event.
    pub fn count(&self, kind: CompletionEventKind) {
        let counter = match kind {
            CompletionEventKind::Shown => &self.shown,
            CompletionEventKind::Accepted => &self.accepted,
            CompletionEventKind::PartlyAccepted => &self.partly,
            CompletionEventKind::Rejected => &self.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn counts(&self) -> CompletionCounts {
        CompletionCounts {
            shown: self.shown.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            partly_accepted: self.partly.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }
}

/// What a person waits for at the moment.
#[derive(Default)]
pub struct Activities {
    thinking: AtomicUsize,
    editing: AtomicUsize,
    completing: AtomicUsize,
    typed: Mutex<Option<Instant>>,
}

/// After this long without a keystroke the person is thought to have paused.
const PAUSE: Duration = Duration::from_secs(3);

/// One kind of work that a person waits for.
#[derive(Clone, Copy, Debug)]
pub enum Activity {
    /// A chat answer.
    Thinking,
    /// A proposal.
    Editing,
    /// A suggestion from a model.
    Completing,
}

impl Activities {
    fn counter(&self, activity: Activity) -> &AtomicUsize {
        match activity {
            Activity::Thinking => &self.thinking,
            Activity::Editing => &self.editing,
            Activity::Completing => &self.completing,
        }
    }

    /// The person typed.
    pub fn typed(&self) {
        *self.typed.lock() = Some(Instant::now());
    }

    /// Whether nobody waits for anything or types.
    fn is_quiet(&self) -> bool {
        self.word().is_none() && self.typed.lock().is_none_or(|typed| typed.elapsed() > PAUSE)
    }

    /// The word for a status bar, or `None` while nobody waits.
    pub fn word(&self) -> Option<&'static str> {
        let busy = |activity| self.counter(activity).load(Ordering::Relaxed) > 0;
        if busy(Activity::Editing) {
            Some("editing")
        } else if busy(Activity::Thinking) {
            Some("thinking")
        } else if busy(Activity::Completing) {
            Some("completing")
        } else {
            None
        }
    }
}

/// Shows an activity until it is dropped.
pub struct Busy<'a> {
    shared: &'a Shared,
    activity: Activity,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.shared.activity.counter(self.activity).fetch_sub(1, Ordering::Relaxed);
        self.shared.changed();
    }
}

impl Shared {
    pub fn new(
        folders: Folders,
        models: Arc<dyn Models>,
        config: Config,
        trusted: bool,
        on_change: Option<OnChange>,
    ) -> Self {
        Self {
            folders,
            models,
            config: RwLock::new(config),
            editor_settings: RwLock::default(),
            trusted: AtomicBool::new(trusted),
            timings: Timings::default(),
            prompt_speeds: PromptSpeeds::default(),
            edits: OpenEdits::default(),
            instant: Arc::new(InstantService::default()),
            completion_events: CompletionEvents::default(),
            completion_model: CompletionModel::default(),
            activity: Activities::default(),
            deepening: Arc::default(),
            graph: Mutex::default(),
            conversations: Mutex::default(),
            journal: Mutex::default(),
            on_change,
        }
    }

    /// Whether nobody waits for anything or types, so that background work disturbs nobody.
    pub fn is_quiet(&self) -> bool {
        self.activity.is_quiet()
    }

    /// Tells the face that the status may have changed.
    pub fn changed(&self) {
        if let Some(on_change) = &self.on_change {
            on_change();
        }
    }

    /// The index has something new.
    pub fn index_changed(&self) {
        self.instant.notice();
        self.changed();
    }

    /// Keeps the instant model in step with the index, in the background.
    pub fn watch_instant(&self, index: &Arc<IndexService>) {
        self.instant.watch(index);
    }

    /// Shows an activity while the result is held.
    pub fn busy(&self, activity: Activity) -> Busy<'_> {
        self.activity.counter(activity).fetch_add(1, Ordering::Relaxed);
        self.changed();
        Busy { shared: self, activity }
    }

    /// The person's conversations, opened when first needed. What failed, for want of room for
    /// example, is tried again the next time.
    pub fn conversations(&self) -> Result<Arc<Conversations>, AssistantError> {
        let mut conversations = self.conversations.lock();
        if let Some(conversations) = &*conversations {
            return Ok(conversations.clone());
        }
        let path = self.folders.data()?.join("conversations.db");
        let opened = Arc::new(Conversations::open(&path)?);
        *conversations = Some(opened.clone());
        Ok(opened)
    }

    /// The journal of the workspace's edits, opened when first needed.
    pub fn journal(&self, workspace: &Workspace) -> Result<Arc<Journal>, AssistantError> {
        let mut journal = self.journal.lock();
        if let Some(journal) = &*journal {
            return Ok(journal.clone());
        }
        let folder = self.folders.data()?.join("journal");
        let opened = Arc::new(Journal::open(&folder, workspace.clone())?);
        *journal = Some(opened.clone());
        Ok(opened)
    }

    /// Lets go of what belongs to the workspace that was open.
    pub fn forget_workspace(&self) {
        *self.journal.lock() = None;
        *self.graph.lock() = CodeGraph::default();
    }
}
