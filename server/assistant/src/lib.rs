//! The façade behind every face: one host that changes, snapshots that answer.
//!
//! The language server and the terminal ask here and nowhere else. Documents, index, models,
//! conversations and the journal of edits are brought together; what is decided about code is
//! decided in the features below. No protocol is known here, nothing is printed, and no file of a
//! user is written but through `journal`.

mod actions;
mod adapt;
mod adapter;
mod chat;
mod complete;
mod completion_model;
mod config;
mod conversation;
mod docs_folders;
mod edit;
mod edits;
mod error;
mod excerpts;
mod host;
mod index_service;
mod instant_service;
mod map;
mod models;
mod search;
mod shared;
mod snapshot;
mod status;
mod timings;
mod trust;
mod wire;

pub use actions::{ActionKind, DiagnosticText};
pub use adapt::{AdaptReport, AdaptedLanguage, AdaptedPriors};
pub use adaptation::{
    AdaptProgress, AdaptStep, AdaptedModel, AdaptedPrior, AdapterComparison, Comparison, Outcome,
};
pub use adapter::{AdapterOutcome, AdapterReport, AdapterStatus};
pub use chat::{AskAnswer, AskRequest, ChatParams, ChatPartial, ChatReply, Mention, WireCitation};
pub use complete::{CompleteAnswer, CompleteItem, CompleteRequest, CompletionTimings, Explanation};
pub use config::{Config, EditorSettings};
pub use conversation::ConversationsParams;
pub use docs_folders::DocsFolderStatus;
pub use edit::{
    EditParams, EditPartial, EditReply, EditTimings, FileEditAnswer, FileEditRequest, UndoParams,
    WireHunk,
};
pub use error::AssistantError;
pub use host::{Assistant, AssistantOptions, CompletionEventKind};
pub use index_service::OnChange;
pub use map::{MapAnswer, MapParams, MapResult, MapSymbolEntry};
pub use models::{InstalledModels, LoadSettings, Models, RoleStatus, fake, language_model};
pub use search::{SearchAnswer, SearchParams, SearchResult, SymbolEntry};
pub use shared::CompletionCounts;
pub use snapshot::AssistantSnapshot;
pub use status::{IndexAction, Memory, Status};
pub use timings::Quantiles;
pub use trust::Trust;
pub use wire::{FileEdit, Range, WireEdit};
