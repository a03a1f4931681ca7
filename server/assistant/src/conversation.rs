use serde::Deserialize;
use serde_json::{Value, json};

use crate::{AssistantError, AssistantSnapshot};

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
    /// Those with messages that hold all of these words.
    Search {
        /// The words.
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
                let found = conversations.search(Some(&workspace), query)?;
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
