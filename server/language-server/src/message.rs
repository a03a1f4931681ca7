//! What a body means: a request, a notification or the answer to a request of ours.

use serde_json::Value;
use tower_lsp::jsonrpc::{ErrorCode, Id};

/// A message of the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Wants exactly one answer.
    Request {
        /// Names the request in its answer.
        id: Id,
        /// What is asked.
        method: String,
        /// With what; `Null` when absent.
        params: Value,
    },
    /// Wants none.
    Notification {
        /// What happened.
        method: String,
        /// With what; `Null` when absent.
        params: Value,
    },
    /// Answers a request of ours.
    Response {
        /// Our request.
        id: Id,
        /// What came of it.
        result: Result<Value, Value>,
    },
}

/// Why a body is no message.
#[derive(Clone, Debug, PartialEq)]
pub struct BadMessage {
    /// The request's id where the body has one, else `Id::Null`, as the protocol wants it.
    pub id: Id,
    /// No JSON, or no message.
    pub code: ErrorCode,
    /// What is wrong.
    pub reason: String,
}

/// Reads a body.
pub fn parse(mut body: Vec<u8>) -> Result<Message, BadMessage> {
    repair_surrogates(&mut body);
    let value: Value = serde_json::from_slice(&body).map_err(|error| BadMessage {
        id: Id::Null,
        code: ErrorCode::ParseError,
        reason: format!("the message is not valid JSON: {error}"),
    })?;
    let id = value.get("id").map(|id| serde_json::from_value::<Id>(id.clone()));
    let invalid = |id: Id, reason: &str| BadMessage {
        id,
        code: ErrorCode::InvalidRequest,
        reason: reason.to_owned(),
    };
    let Value::Object(mut fields) = value else {
        return Err(invalid(Id::Null, "a message is a JSON object"));
    };
    let id = match id {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(invalid(Id::Null, "an id is a number or a string")),
    };
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid(id.unwrap_or_default(), "a message says \"jsonrpc\": \"2.0\""));
    }
    let params = fields.remove("params").unwrap_or_default();
    match (fields.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Ok(Message::Request { id, method, params }),
        (Some(Value::String(method)), None) => Ok(Message::Notification { method, params }),
        (None, Some(id)) => {
            let error = fields.remove("error");
            let result = error.map_or_else(|| Ok(fields.remove("result").unwrap_or_default()), Err);
            Ok(Message::Response { id, result })
        }
        (_, id) => Err(invalid(id.unwrap_or_default(), "a message has a method or an id")),
    }
}

/// Replaces escapes of half a surrogate pair by that of U+FFFD, in place. A document of an editor
/// in JavaScript may hold such halves, and no Rust string can; the replacement counts as one unit
/// of UTF-16 too, so positions behind it stay right.
fn repair_surrogates(body: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = body.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\\')) {
        at += found;
        match escape(body, at) {
            Some(0xD800..=0xDBFF) if matches!(escape(body, at + 6), Some(0xDC00..=0xDFFF)) => {
                at += 12;
            }
            Some(0xD800..=0xDFFF) => {
                if let Some(digits) = body.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                at += 6;
            }
            Some(_) => at += 6,
            None => at += 2,
        }
    }
}

/// The unit that the escape `\uXXXX` at `at` stands for.
fn escape(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(body: &str) -> Result<Message, BadMessage> {
        parse(body.as_bytes().to_vec())
    }

    fn params(text: &str) -> Value {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"t":"{text}"}}}}"#);
        match parsed(&body) {
            Ok(Message::Notification { params, .. }) => params["t"].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let request = parsed(r#"{"jsonrpc":"2.0","id":"a","method":"m","params":[1]}"#);
        let (id, method, params) = (Id::from("a"), "m".to_owned(), json!([1]));
        assert_eq!(request, Ok(Message::Request { id, method, params }));
        let response = parsed(r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
        assert_eq!(response, Ok(Message::Response { id: Id::from(1), result: Ok(Value::Null) }));
        let response = parsed(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#);
        let result = Err(json!({"code": 1}));
        assert_eq!(response, Ok(Message::Response { id: Id::from(1), result }));
    }

    #[test]
    fn a_bad_message_is_answered_under_its_id() {
        let code = |body: &str| {
            let bad = parsed(body).expect_err("is not valid");
            (bad.id, bad.code)
        };
        let deep = "[".repeat(100_000);
        for body in ["", "{", "{\"a\"", deep.as_str(), "\u{0}", "{\"jsonrpc\":\"2.0\",}"] {
            assert_eq!(code(body), (Id::Null, ErrorCode::ParseError), "{body:.20}");
        }
        for body in ["[]", "1", "null", r#"{"jsonrpc":"2.0"}"#, r#"{"jsonrpc":"2.0","id":[]}"#] {
            assert_eq!(code(body), (Id::Null, ErrorCode::InvalidRequest), "{body}");
        }
        let invalid = (Id::from(7), ErrorCode::InvalidRequest);
        assert_eq!(code(r#"{"id":7,"method":"m"}"#), invalid);
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":7,"method":5}"#), invalid);
        let bytes = parse(b"{\"a\":\"\xff\"}".to_vec()).map_err(|bad| bad.code);
        assert_eq!(bytes, Err(ErrorCode::ParseError));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_one_replacement_character() {
        assert_eq!(params(r"a\ud83db"), json!("a\u{fffd}b"));
        assert_eq!(params(r"\uDE00"), json!("\u{fffd}"));
        assert_eq!(params(r"\ud83d\ud83d\ude00"), json!("\u{fffd}😀"));
        assert_eq!(params(r"\ud83d\\ude00"), json!("\u{fffd}\\ude00"));
        assert_eq!(params(r"\\ud83d\u0041\n"), json!("\\ud83dA\n"));
        assert_eq!(params(r"\ud83d"), json!("\u{fffd}"));
    }
}
