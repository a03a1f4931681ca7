//! What a model is sent: fill-in-the-middle, left-to-right and chat layouts, stop strings and the
//! token budget. The families' markers are data in `models/formats`; the functions are pure.
//!
//! Nothing here runs a model, reads a file or decides what is worth putting into a prompt.

mod budget;
mod capability;
mod chat;
mod fim;
mod format;
mod template;

pub use budget::{Budget, estimate_tokens, estimate_tokens_of, keep_end, keep_start};
pub use capability::Capability;
pub use chat::{ChatMessage, ChatPrompt, PromptError, Role, chat_prompt};
pub use fim::{Excerpt, FimContext, FimPrompt, fim_prompt};
pub use format::{Fim, Format, Order, fit_for_completion};
