//! What outlives damage and deletion.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use super::{insert, read_message};

/// Copies every row that can still be read from the database that was set aside from `path`.
pub(super) fn take_over(path: &Path, fresh: &mut Connection) -> rusqlite::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(damaged) = Connection::open_with_flags(Path::new(&aside), flags) else {
        return Ok(());
    };
    let transaction = fresh.transaction()?;
    let mut copied = 0;
    // From both ends: a bad page in the middle hides nothing but itself.
    for order in ["ASC", "DESC"] {
        each_row(
            &damaged,
            &format!(
                "SELECT id, workspace, title, created, updated FROM conversations
                 WHERE deleted = 0 ORDER BY rowid {order}"
            ),
            |row| copy_conversation(row, &transaction),
        );
    }
    for order in ["ASC", "DESC"] {
        each_row(
            &damaged,
            &format!(
                "SELECT id, parent, role, state, text, citations, model, context, created,
                        conversation
                 FROM messages ORDER BY number {order}"
            ),
            |row| {
                copied += usize::from(copy_message(row, &transaction)?);
                Ok(())
            },
        );
    }
    transaction.commit()?;
    tracing::warn!(copied, "messages were taken over from the damaged conversations");
    Ok(())
}

/// Removes all rows of deleted conversations; the number of conversations.
pub(super) fn remove_deleted(transaction: &Transaction<'_>) -> rusqlite::Result<u32> {
    let doomed = "SELECT id FROM conversations WHERE deleted = 1";
    let count: u32 = transaction.query_row(
        "SELECT count(*) FROM conversations WHERE deleted = 1",
        [],
        |row| row.get(0),
    )?;
    if count == 0 {
        return Ok(0);
    }
    // An external-content index must be told the text that it forgets.
    transaction.execute_batch(&format!(
        "INSERT INTO message_words (message_words, rowid, text)
             SELECT 'delete', number, text FROM messages WHERE conversation IN ({doomed});
         PRAGMA defer_foreign_keys = ON;
         DELETE FROM messages WHERE conversation IN ({doomed});
         DELETE FROM conversations WHERE deleted = 1;
         INSERT INTO message_words (message_words) VALUES ('optimize');"
    ))?;
    Ok(count)
}

fn each_row(
    damaged: &Connection,
    sql: &str,
    mut copy: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) {
    let Ok(mut statement) = damaged.prepare(sql) else { return };
    let Ok(mut rows) = statement.query([]) else { return };
    while let Ok(Some(row)) = rows.next() {
        // A row that cannot be read or no longer fits is passed over.
        let _ = copy(row);
    }
}

fn copy_conversation(row: &Row<'_>, fresh: &Connection) -> rusqlite::Result<()> {
    fresh.execute(
        "INSERT OR IGNORE INTO conversations (id, workspace, title, created, updated)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, i64>(3)?,
            row.get::<_, i64>(4)?
        ],
    )?;
    Ok(())
}

/// `false` when the message is there already.
fn copy_message(row: &Row<'_>, fresh: &Connection) -> rusqlite::Result<bool> {
    let mut message = read_message(row)?;
    let conversation: String = row.get(9)?;
    let known = |table: &str, id: &str| -> rusqlite::Result<bool> {
        fresh.query_row(&format!("SELECT count(*) FROM {table} WHERE id = ?1"), [id], |row| {
            row.get::<_, i64>(0).map(|count| count > 0)
        })
    };
    if known("messages", &message.id)? {
        return Ok(false);
    }
    if !known("conversations", &conversation)? {
        fresh.execute(
            "INSERT INTO conversations (id, workspace, title, created, updated)
             VALUES (?1, '', ?2, ?3, ?3)",
            params![conversation, super::title_of(&message.text), message.created_at],
        )?;
    }
    if let Some(parent) = &message.parent_id
        && !known("messages", parent)?
    {
        message.parent_id = None;
    }
    insert(fresh, &conversation, &message)?;
    Ok(true)
}
