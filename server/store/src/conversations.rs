//! Conversations: append-only message rows, each durable before it is acknowledged.

mod salvage;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    StoreError,
    database::{self, Durability},
};

/// Characters of a title that is made from a message.
const TITLE_CHARACTERS: usize = 60;

/// A message is never changed: the triggers make that true for every writer. A deleted
/// conversation is marked first and swept later, so that a crash in between leaves no half of it.
const SCHEMA: &str = "
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    title TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversations (id),
    parent TEXT REFERENCES messages (id),
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    state TEXT NOT NULL CHECK (state IN ('done', 'stopped', 'failed')),
    text TEXT NOT NULL,
    citations TEXT NOT NULL,
    model TEXT NOT NULL,
    context TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_of_conversation ON messages (conversation, number);
CREATE TRIGGER messages_are_never_changed BEFORE UPDATE ON messages
BEGIN SELECT RAISE(ABORT, 'messages are append-only'); END;
CREATE VIRTUAL TABLE message_words USING fts5 (
    text, content = 'messages', content_rowid = 'number', tokenize = 'unicode61'
);
";

/// The person's conversations, in one database for all workspaces. Shared by threads; other
/// processes may use the same file.
pub struct Conversations {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// The person.
    User,
    /// The assistant.
    Assistant,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It is whole.
    #[default]
    Done,
    /// The person stopped it.
    Stopped,
    /// The model failed.
    Failed,
}

/// A message to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// The conversation it belongs to.
    pub conversation: String,
    /// The message it answers or follows; `None` for a first one. Two messages with one parent are
    /// branches.
    pub parent: Option<String>,
    /// Who wrote it.
    pub author: Author,
    /// How it ended.
    pub state: MessageState,
    /// Markdown.
    pub text: String,
    /// The places it rests on, as the caller's JSON; `null` for none.
    pub citations: Value,
    /// The model that wrote it, as the caller's JSON; `null` for none.
    pub model: Value,
    /// What was mentioned, attached or selected, as the caller's JSON; `null` for nothing.
    pub context: Value,
}

/// A message that was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMessage {
    /// Its identifier.
    pub id: String,
    /// See [`NewMessage::parent`].
    pub parent_id: Option<String>,
    /// Who wrote it.
    pub role: Author,
    /// How it ended.
    pub state: MessageState,
    /// Markdown.
    pub text: String,
    /// The places it rests on.
    pub citations: Value,
    /// The model that wrote it.
    pub model: Value,
    /// What was mentioned, attached or selected.
    pub context: Value,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationSummary {
    /// Its identifier.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Milliseconds since 1970 of the first message.
    pub created_at: i64,
    /// Milliseconds since 1970 of the last change.
    pub updated_at: i64,
    /// Number of messages, of all branches.
    pub messages: i64,
    /// The words that a search found, with `…` where text was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// A conversation with its messages, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredConversation {
    /// Its identifier.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its messages, of all branches.
    pub messages: Vec<StoredMessage>,
}

impl Conversations {
    /// Opens or makes the database at `path`. A damaged one is set aside beside it, and what can be
    /// read of it is taken over.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = match open_checked(path) {
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "conversations are damaged and set aside");
                database::set_aside(path)?;
                let mut fresh = open_checked(path)?;
                salvage::take_over(path, &mut fresh).map_err(StoreError::sqlite(path))?;
                fresh
            }
            other => other?,
        };
        let conversations = Self { path: path.to_owned(), connection: Mutex::new(connection) };
        conversations.sweep();
        Ok(conversations)
    }

    /// Begins a conversation of `workspace`, whose title is made from `first_message`.
    pub fn create(&self, workspace: &str, first_message: &str) -> Result<String, StoreError> {
        let id = new_id();
        let now = now();
        self.lock()
            .execute(
                "INSERT INTO conversations (id, workspace, title, created, updated)
                 VALUES (?1, ?2, ?3, ?4, ?4)",
                params![id, workspace, title_of(first_message), now],
            )
            .map_err(StoreError::sqlite(&self.path))?;
        Ok(id)
    }

    /// Keeps a message. When this returns, the message survives a crash and a power cut.
    pub fn append(&self, message: &NewMessage) -> Result<StoredMessage, StoreError> {
        let stored = StoredMessage {
            id: new_id(),
            parent_id: message.parent.clone(),
            role: message.author,
            state: message.state,
            text: message.text.clone(),
            citations: message.citations.clone(),
            model: message.model.clone(),
            context: message.context.clone(),
            created_at: now(),
        };
        let mut connection = self.lock();
        let fail = StoreError::sqlite(&self.path);
        let transaction = connection.transaction().map_err(&fail)?;
        insert(&transaction, &message.conversation, &stored).map_err(&fail)?;
        transaction
            .execute(
                "UPDATE conversations SET updated = ?2 WHERE id = ?1",
                params![message.conversation, stored.created_at],
            )
            .map_err(&fail)?;
        transaction.commit().map_err(&fail)?;
        Ok(stored)
    }

    /// The conversations of `workspace`, or of all with `None`, the last changed first.
    pub fn list(&self, workspace: Option<&str>) -> Result<Vec<ConversationSummary>, StoreError> {
        self.summaries(
            "SELECT id, title, created, updated,
                    (SELECT count(*) FROM messages WHERE conversation = conversations.id), NULL
             FROM conversations
             WHERE deleted = 0 AND (?1 IS NULL OR workspace = ?1)
             ORDER BY updated DESC, id DESC",
            params![workspace],
        )
    }

    /// One conversation with its messages; `None` when there is no such one.
    pub fn get(&self, id: &str) -> Result<Option<StoredConversation>, StoreError> {
        let connection = self.lock();
        let fail = StoreError::sqlite(&self.path);
        let title: Option<String> = connection
            .query_row(
                "SELECT title FROM conversations WHERE id = ?1 AND deleted = 0",
                [id],
                |row| row.get(0),
            )
            .optional()
            .map_err(&fail)?;
        let Some(title) = title else { return Ok(None) };
        let mut statement = connection
            .prepare_cached(
                "SELECT id, parent, role, state, text, citations, model, context, created
                 FROM messages WHERE conversation = ?1 ORDER BY number",
            )
            .map_err(&fail)?;
        let messages =
            statement.query_map([id], read_message).and_then(Iterator::collect).map_err(&fail)?;
        Ok(Some(StoredConversation { id: id.to_owned(), title, messages }))
    }

    /// The messages that lead to `message`, itself included, oldest first: one branch. Empty when
    /// the conversation has no such message.
    pub fn branch(
        &self,
        conversation: &str,
        message: &str,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let Some(conversation) = self.get(conversation)? else { return Ok(Vec::new()) };
        let mut branch = Vec::new();
        let mut wanted = Some(message.to_owned());
        // Parents are older, so one pass from the newest meets each of them.
        for message in conversation.messages.into_iter().rev() {
            if Some(&message.id) == wanted.as_ref() {
                wanted.clone_from(&message.parent_id);
                branch.push(message);
            }
        }
        branch.reverse();
        Ok(branch)
    }

    /// Gives a conversation another title; `false` when there is no such one.
    pub fn rename(&self, id: &str, title: &str) -> Result<bool, StoreError> {
        self.lock()
            .execute(
                "UPDATE conversations SET title = ?2 WHERE id = ?1 AND deleted = 0",
                params![id, title_of(title)],
            )
            .map(|changed| changed > 0)
            .map_err(StoreError::sqlite(&self.path))
    }

    /// Deletes a conversation for good; `false` when there is no such one.
    pub fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let marked = self
            .lock()
            .execute("UPDATE conversations SET deleted = 1 WHERE id = ?1 AND deleted = 0", [id])
            .map_err(StoreError::sqlite(&self.path))?;
        if marked > 0 {
            self.sweep();
        }
        Ok(marked > 0)
    }

    /// The conversations of `workspace` (of all with `None`) with messages that hold all words of
    /// `query`, the best first. The last word may be the beginning of one.
    pub fn search(
        &self,
        workspace: Option<&str>,
        query: &str,
    ) -> Result<Vec<ConversationSummary>, StoreError> {
        let Some(query) = words_query(query) else { return Ok(Vec::new()) };
        self.summaries(
            "WITH hit AS MATERIALIZED (
                 SELECT rowid AS number, rank, snippet(message_words, 0, '', '', '…', 12) AS excerpt
                 FROM message_words WHERE message_words MATCH ?2
             )
             SELECT c.id, c.title, c.created, c.updated,
                    (SELECT count(*) FROM messages WHERE conversation = c.id),
                    found.excerpt
             FROM (
                 SELECT m.conversation AS conversation, min(hit.rank) AS best, hit.excerpt AS excerpt
                 FROM hit JOIN messages AS m ON m.number = hit.number
                 GROUP BY m.conversation
             ) AS found JOIN conversations AS c ON c.id = found.conversation
             WHERE c.deleted = 0 AND (?1 IS NULL OR c.workspace = ?1)
             ORDER BY found.best, c.updated DESC",
            params![workspace, query],
        )
    }

    /// The latest messages of `workspace`'s conversations, at most `limit`, each with the identifier of
    /// its conversation: for whoever looks through them in another way than by words.
    pub fn latest_messages(
        &self,
        workspace: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let connection = self.lock();
        let fail = StoreError::sqlite(&self.path);
        let mut statement = connection
            .prepare_cached(
                "SELECT c.id, m.text FROM messages AS m
                 JOIN conversations AS c ON c.id = m.conversation
                 WHERE c.deleted = 0 AND c.workspace = ?1
                 ORDER BY m.number DESC LIMIT ?2",
            )
            .map_err(&fail)?;
        statement
            .query_map(params![workspace, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(&fail)
    }

    fn summaries(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<ConversationSummary>, StoreError> {
        let connection = self.lock();
        let fail = StoreError::sqlite(&self.path);
        let mut statement = connection.prepare_cached(sql).map_err(&fail)?;
        statement
            .query_map(parameters, |row| {
                Ok(ConversationSummary {
                    id: row.get(0)?,
                    title: row.get(1)?,
                    created_at: row.get(2)?,
                    updated_at: row.get(3)?,
                    messages: row.get(4)?,
                    excerpt: row.get(5)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(&fail)
    }

    /// Removes the rows of conversations that are marked as deleted, and gives their pages back, so
    /// that the text is gone from the file. What fails here is done at the next start.
    fn sweep(&self) {
        let mut connection = self.lock();
        let swept = connection.transaction().and_then(|transaction| {
            let removed = salvage::remove_deleted(&transaction)?;
            transaction.commit()?;
            Ok(removed)
        });
        let result = swept.and_then(|removed| match removed {
            0 => Ok(()),
            _ => connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);"),
        });
        if let Err(error) = result {
            tracing::warn!(%error, "deleted conversations are not swept yet");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic cut off was rolled back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_checked(path: &Path) -> Result<Connection, StoreError> {
    let connection = database::open(path, &[SCHEMA], Durability::Kept)?;
    let fail = StoreError::sqlite(path);
    connection.pragma_update(None, "secure_delete", "ON").map_err(&fail)?;
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&fail)?;
    if found != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(fail(rusqlite::Error::SqliteFailure(code, Some(found))));
    }
    Ok(connection)
}

/// Inserts a message and its words.
fn insert(
    connection: &Connection,
    conversation: &str,
    message: &StoredMessage,
) -> rusqlite::Result<()> {
    let role = if message.role == Author::User { "user" } else { "assistant" };
    let state = match message.state {
        MessageState::Done => "done",
        MessageState::Stopped => "stopped",
        MessageState::Failed => "failed",
    };
    connection
        .prepare_cached(
            "INSERT INTO messages
                 (id, conversation, parent, role, state, text, citations, model, context, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            message.id,
            conversation,
            message.parent_id,
            role,
            state,
            message.text,
            message.citations.to_string(),
            message.model.to_string(),
            message.context.to_string(),
            message.created_at,
        ])?;
    connection
        .prepare_cached("INSERT INTO message_words (rowid, text) VALUES (?1, ?2)")?
        .execute(params![connection.last_insert_rowid(), message.text])?;
    Ok(())
}

fn read_message(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    let json = |column| -> rusqlite::Result<Value> {
        // The columns are written by `insert` alone; what cannot be read is as good as absent.
        Ok(serde_json::from_str(&row.get::<_, String>(column)?).unwrap_or_default())
    };
    Ok(StoredMessage {
        id: row.get(0)?,
        parent_id: row.get(1)?,
        role: match row.get::<_, String>(2)?.as_str() {
            "user" => Author::User,
            _ => Author::Assistant,
        },
        state: match row.get::<_, String>(3)?.as_str() {
            "stopped" => MessageState::Stopped,
            "failed" => MessageState::Failed,
            _ => MessageState::Done,
        },
        text: row.get(4)?,
        citations: json(5)?,
        model: json(6)?,
        context: json(7)?,
        created_at: row.get(8)?,
    })
}

/// An FTS5 query for all words of what a person typed; `None` when there is none. Quoted, so that
/// nothing in it is taken for the query language.
fn words_query(typed: &str) -> Option<String> {
    let words: Vec<String> = typed
        .split(|ch: char| !ch.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| format!("\"{word}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(" ") + "*")
}

/// The first line that says something, shortened at a word.
fn title_of(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("New chat");
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= TITLE_CHARACTERS {
        return words;
    }
    let cut: String = words.chars().take(TITLE_CHARACTERS).collect();
    let head = cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head);
    format!("{head}…")
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}

#[cfg(test)]
mod tests;
