use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;

struct Fixture {
    folder: TempDir,
    conversations: Conversations,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let conversations = Conversations::open(&folder.path().join("chat.db")).unwrap();
        Self { folder, conversations }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("chat.db")
    }

    fn say(&self, conversation: &str, parent: Option<&str>, text: &str) -> String {
        self.conversations.append(&message(conversation, parent, text)).unwrap().id
    }
}

fn message(conversation: &str, parent: Option<&str>, text: &str) -> NewMessage {
    NewMessage {
        conversation: conversation.into(),
        parent: parent.map(str::to_owned),
        author: Author::User,
        state: MessageState::Done,
        text: text.into(),
        citations: Value::Null,
        model: Value::Null,
        context: Value::Null,
    }
}

#[test]
fn messages_outlive_the_process_with_all_their_parts() {
    let fixture = Fixture::new();
    let id = fixture.conversations.create("w", "What is\n a lexer?").unwrap();
    let written = NewMessage {
        author: Author::Assistant,
        state: MessageState::Stopped,
        citations: json!([{"path": "a.rs"}]),
        model: json!("smollm2"),
        ..message(&id, None, "It splits `text`.")
    };
    let stored = fixture.conversations.append(&written).unwrap();
    let again = Conversations::open(&fixture.path()).unwrap();
    let conversation = again.get(&id).unwrap().unwrap();
    assert_eq!(conversation.title, "What is");
    assert_eq!(conversation.messages, [stored]);
    assert_eq!(again.list(Some("w")).unwrap().len(), 1);
    assert!(again.list(Some("other")).unwrap().is_empty());
}

#[test]
fn a_branch_leads_from_the_first_message_to_the_named_one() {
    let fixture = Fixture::new();
    let id = fixture.conversations.create("w", "q").unwrap();
    let first = fixture.say(&id, None, "q");
    let answer = fixture.say(&id, Some(&first), "a");
    fixture.say(&id, Some(&first), "another a");
    let last = fixture.say(&id, Some(&answer), "q2");
    let texts = |leaf: &str| -> Vec<String> {
        let branch = fixture.conversations.branch(&id, leaf).unwrap();
        branch.into_iter().map(|message| message.text).collect()
    };
    assert_eq!(texts(&last), ["q", "a", "q2"]);
    assert_eq!(texts(&first), ["q"]);
    assert!(texts("nobody").is_empty());
}

#[test]
fn a_message_needs_its_conversation_and_is_never_changed() {
    let fixture = Fixture::new();
    assert!(fixture.conversations.append(&message("nowhere", None, "q")).is_err());
    let id = fixture.conversations.create("w", "q").unwrap();
    fixture.say(&id, None, "q");
    let changed = fixture.conversations.lock().execute("UPDATE messages SET text = 'x'", []);
    assert!(changed.is_err());
}

#[test]
fn words_are_found_whatever_stands_between_them() {
    let fixture = Fixture::new();
    let lexer = fixture.conversations.create("w", "lexer").unwrap();
    fixture.say(&lexer, None, "How does the tokenizer split camelCase?");
    let other = fixture.conversations.create("w", "other").unwrap();
    fixture.say(&other, None, "What is the scheduler?");
    let found = |query: &str| -> Vec<String> {
        let found = fixture.conversations.search(Some("w"), query).unwrap();
        found.into_iter().map(|summary| summary.id).collect()
    };
    assert_eq!(found("split token"), std::slice::from_ref(&lexer));
    assert_eq!(found("\"SPLIT\" OR*"), Vec::<String>::new());
    assert_eq!(found("what"), [other]);
    assert_eq!(found("*"), Vec::<String>::new());
    let summary = fixture.conversations.search(None, "tokenizer").unwrap().pop().unwrap();
    assert!(summary.excerpt.unwrap().contains("tokenizer"));
}

#[test]
fn the_latest_messages_of_a_workspace_are_handed_out() {
    let fixture = Fixture::new();
    let one = fixture.conversations.create("w", "one").unwrap();
    fixture.say(&one, None, "first");
    let elsewhere = fixture.conversations.create("v", "elsewhere").unwrap();
    fixture.say(&elsewhere, None, "not here");
    let two = fixture.conversations.create("w", "two").unwrap();
    fixture.say(&two, None, "second");
    let gone = fixture.conversations.create("w", "gone").unwrap();
    fixture.say(&gone, None, "third");
    fixture.conversations.delete(&gone).unwrap();
    let latest = |limit| fixture.conversations.latest_messages("w", limit).unwrap();
    let (second, first) = ((two, "second".to_owned()), (one, "first".to_owned()));
    assert_eq!(latest(1), std::slice::from_ref(&second));
    assert_eq!(latest(9), [second, first]);
}

#[test]
fn a_deleted_conversation_is_gone_from_the_file_too() {
    let fixture = Fixture::new();
    let id = fixture.conversations.create("w", "titleofasecret").unwrap();
    let first = fixture.say(&id, None, "wordofasecret");
    fixture.say(&id, Some(&first), "wordofasecret again");
    let kept = fixture.conversations.create("w", "kept").unwrap();
    fixture.say(&kept, None, "kept");
    assert!(fixture.conversations.delete(&id).unwrap());
    assert!(!fixture.conversations.delete(&id).unwrap());
    assert_eq!(fixture.conversations.get(&id).unwrap(), None);
    assert!(fixture.conversations.search(None, "wordofasecret").unwrap().is_empty());
    assert_eq!(fixture.conversations.search(None, "kept").unwrap().len(), 1);
    for entry in fs::read_dir(fixture.folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"ofasecret"));
    }
}

#[test]
fn a_title_can_be_given_and_long_ones_are_cut_at_a_word() {
    let fixture = Fixture::new();
    let id = fixture.conversations.create("w", &"word ".repeat(30)).unwrap();
    let title = fixture.conversations.get(&id).unwrap().unwrap().title;
    assert!(title.ends_with("word…") && title.chars().count() <= TITLE_CHARACTERS + 1, "{title}");
    assert!(fixture.conversations.rename(&id, "mine").unwrap());
    assert_eq!(fixture.conversations.list(None).unwrap()[0].title, "mine");
    assert!(!fixture.conversations.rename("nobody", "x").unwrap());
}

#[test]
fn what_can_be_read_of_a_damaged_file_is_taken_over() {
    let fixture = Fixture::new();
    let id = fixture.conversations.create("w", "many").unwrap();
    for number in 0..200 {
        fixture.say(&id, None, &format!("message {number} {}", "filler ".repeat(40)));
    }
    fixture.conversations.lock().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let path = fixture.path();
    let folder = fixture.folder;
    drop(fixture.conversations);
    let mut bytes = fs::read(&path).unwrap();
    // One page in the middle becomes noise.
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 4096].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let conversations = Conversations::open(&path).unwrap();
    let kept = conversations.get(&id).unwrap().unwrap().messages.len();
    assert!((100..=200).contains(&kept), "{kept} of 200 messages");
    assert!(folder.path().join("chat.db.damaged").is_file());
}
