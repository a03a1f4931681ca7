//! A text that could answer a question: it shares words and meaning with the answer that the question
//! itself may lack.

use std::{ops::ControlFlow, sync::Arc};

use base::CancelToken;
use inference::{GenerateRequest, InferenceError, LanguageModel, Priority, Sampling, Sequence};
use lru::LruCache;
use parking_lot::Mutex;
use prompt::{ChatMessage, Role, chat_prompt};

use crate::deepening::{Key, key};

/// Longest such text in tokens: a signature, its documentation and some lines.
const MOST_TOKENS: usize = 96;

/// The text for `question`, written by the model or known from before.
pub(super) fn of(
    model: &dyn LanguageModel,
    question: &str,
    known: &Mutex<LruCache<Key, Arc<str>>>,
    cancel: &CancelToken,
) -> Result<Arc<str>, InferenceError> {
    let info = model.load(cancel)?;
    let key = key([&info.id, question]);
    if let Some(text) = known.lock().get(&key) {
        return Ok(Arc::clone(text));
    }
    let prompt = chat_prompt(&info, &messages(question))
        .map_err(|error| InferenceError::Engine(error.to_string()))?;
    let request = GenerateRequest {
        prompt: prompt.pieces,
        max_tokens: MOST_TOKENS,
        sampling: Sampling::GREEDY,
        stop: prompt.stop,
        priority: Priority::Chat,
        sequence: Sequence::Conversation,
        heal: false,
        grammar: None,
    };
    let generation = model.generate(&request, cancel, &mut |_| ControlFlow::Continue(()))?;
    // Half a text would be kept in place of the whole one.
    cancel.check()?;
    let text: Arc<str> = generation.text.trim().into();
    known.lock().put(key, Arc::clone(&text));
    Ok(text)
}

/// What the model is asked.
fn messages(question: &str) -> [ChatMessage; 1] {
    let ask = format!(
        "Write a short piece of source code with a documentation comment, as it could stand in a \
         program that answers this question. Write nothing else.\n\nQuestion: {question}"
    );
    [ChatMessage::new(Role::User, ask)]
}
