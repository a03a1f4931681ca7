use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};
use static_embedding::{Scratch, StaticEmbedding};
use store::{ConversationSummary, Conversations};

use crate::{AssistantError, AssistantSnapshot};

/// So many of the latest messages are compared with what is looked for: some tenths of a second.
const COMPARED: usize = 2000;
/// So much of each, in bytes: a question says at its beginning what it is about.
const COMPARED_BYTES: usize = 1000;
/// A message below this cosine means something else: in the test below what means something else stays
/// under 0.2 and what means the same is over 0.35.
const SIMILAR: f32 = 0.3;
/// Conversations that are found by their meaning alone.
const MOST_SIMILAR: usize = 8;
/// Characters of a message that are shown of it.
const EXCERPT: usize = 120;

/// What is to be done with conversations. They belong to the workspace they were held in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConversationsParams {
    /// All of the workspace, the latest first.
    List,
    /// One with its messages.
    Get {
        /// Which.
        conversation_id: String,
    },
    /// Give one another title.
    Rename {
        /// Which.
        conversation_id: String,
        /// The title.
        title: String,
    },
    /// Remove one for good.
    Delete {
        /// Which.
        conversation_id: String,
    },
    /// Those with messages that hold all of these words, then those that mean something similar.
    Search {
        /// The words, or a question.
        query: String,
    },
}

impl AssistantSnapshot {
    /// Lists, reads and changes the conversations of this workspace.
    pub fn conversations(&self, params: &ConversationsParams) -> Result<Value, AssistantError> {
        let conversations = self.shared.conversations()?;
        let workspace = self.files.workspace().key();
        let known = |done: bool, id: &str| {
            if done {
                Ok(json!({}))
            } else {
                Err(AssistantError::UnknownConversation { id: id.to_owned() })
            }
        };
        match params {
            ConversationsParams::List => {
                Ok(json!({ "conversations": conversations.list(Some(&workspace))? }))
            }
            ConversationsParams::Search { query } => {
                let mut found = conversations.search(Some(&workspace), query)?;
                found.extend(similar(&conversations, &workspace, query, &found)?);
                Ok(json!({ "conversations": found }))
            }
            ConversationsParams::Get { conversation_id } => {
                let conversation = conversations.get(conversation_id)?.ok_or_else(|| {
                    AssistantError::UnknownConversation { id: conversation_id.clone() }
                })?;
                Ok(json!(conversation))
            }
            ConversationsParams::Rename { conversation_id, title } => {
                known(conversations.rename(conversation_id, title)?, conversation_id)
            }
            ConversationsParams::Delete { conversation_id } => {
                known(conversations.delete(conversation_id)?, conversation_id)
            }
        }
    }
}

/// Conversations, best first, with a message that is near to `query` in meaning and that are not among
/// those `found` by its words. The vectors are made anew each time: nothing of a conversation is kept
/// elsewhere than in its database, from which it can be deleted.
fn similar(
    conversations: &Conversations,
    workspace: &str,
    query: &str,
    found: &[ConversationSummary],
) -> Result<Vec<ConversationSummary>, AssistantError> {
    let found: HashSet<&str> = found.iter().map(|summary| summary.id.as_str()).collect();
    let mut messages = conversations.latest_messages(workspace, COMPARED)?;
    messages.retain(|(id, _)| !found.contains(id.as_str()));
    let mut best: HashMap<&str, (f32, &str)> = HashMap::new();
    for ((id, text), cosine) in messages.iter().zip(nearness(query, &messages)) {
        let known = best.entry(id).or_insert((f32::MIN, text));
        if cosine > known.0 {
            *known = (cosine, text);
        }
    }
    best.retain(|_, (cosine, _)| *cosine >= SIMILAR);
    let mut near = conversations.list(Some(workspace))?;
    near.retain(|summary| best.contains_key(summary.id.as_str()));
    let cosine =
        |summary: &ConversationSummary| best.get(summary.id.as_str()).map_or(0.0, |it| it.0);
    near.sort_by(|a, b| cosine(b).total_cmp(&cosine(a)));
    near.truncate(MOST_SIMILAR);
    for summary in &mut near {
        summary.excerpt = best.get(summary.id.as_str()).map(|(_, text)| excerpt(text));
    }
    Ok(near)
}

/// The cosine of each message with `query`.
fn nearness(query: &str, messages: &[(String, String)]) -> Vec<f32> {
    let table = StaticEmbedding::shipped();
    let mut scratch = Scratch::default();
    let query = table.query(query, &mut scratch);
    let heads = messages.iter().map(|(_, text)| [head(text)]);
    table.embed(heads, &mut scratch).cosines(&query).collect()
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(COMPARED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The beginning of a message on one line.
fn excerpt(text: &str) -> String {
    let words = head(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use store::{Author, MessageState, NewMessage};

    use super::*;

    const QUESTIONS: [&str; 5] = [
        "How do I send a parcel to another country?",
        "Why does the parser reject tabs in YAML files?",
        "Rename the settings window",
        "Where is the database connection opened?",
        "Explain the retry policy of the HTTP client",
    ];

    /// What is found for `query` by meaning alone.
    fn check(query: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let conversations = Conversations::open(&folder.path().join("chat.db")).unwrap();
        for question in QUESTIONS {
            let conversation = conversations.create("w", question).unwrap();
            let message = NewMessage {
                conversation,
                parent: None,
                author: Author::User,
                state: MessageState::Done,
                text: question.into(),
                citations: Value::Null,
                model: Value::Null,
                context: Value::Null,
            };
            conversations.append(&message).unwrap();
        }
        let found = similar(&conversations, "w", query, &[]).unwrap();
        let titles: Vec<&str> = found.iter().map(|summary| summary.title.as_str()).collect();
        let messages: Vec<_> = QUESTIONS.map(|text| (String::new(), text.into())).into();
        let nearness = nearness(query, &messages);
        assert_eq!(titles, expected, "{nearness:?}");
        for (question, cosine) in QUESTIONS.iter().zip(nearness) {
            let same = expected.contains(question);
            assert!(if same { cosine > 0.35 } else { cosine < 0.2 }, "{question}: {cosine}");
        }
        assert!(found.iter().all(|summary| summary.excerpt == Some(summary.title.clone())));
    }

    #[test]
    fn conversations_are_found_by_what_they_mean() {
        check("shipping packages abroad", &QUESTIONS[..1]);
        check("SQL connections", &QUESTIONS[3..4]);
        check("repeating failed requests", &QUESTIONS[4..]);
        check("the weather tomorrow", &[]);
        check("", &[]);
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        assert_eq!(excerpt("a\n b"), "a b");
        let long = excerpt(&"ü".repeat(2000));
        assert_eq!(long.chars().count(), EXCERPT + 1);
    }
}
