//! Why a request has no result, as the client reads it.

use assistant::AssistantError;
use serde_json::{Value, json};
use thiserror::Error;
use tower_lsp::jsonrpc::{Error as RpcError, ErrorCode};

/// The protocol's code for a request that was valid and could not be done.
const REQUEST_FAILED: i64 = -32803;

/// The protocol's code for a message before `initialize`.
const NOT_INITIALIZED: i64 = -32002;

/// Why a request has no result.
#[derive(Debug, Error)]
pub enum Failure {
    /// The client, or a newer request, made it needless.
    #[error("cancelled")]
    Cancelled,
    /// The parameters do not fit the method.
    #[error("{0}")]
    InvalidParams(String),
    /// No such method.
    #[error("there is no method {0}")]
    UnknownMethod(String),
    /// The method does not fit the state of the connection.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// Nothing is answered before `initialize`.
    #[error("the server has not been initialized")]
    NotInitialized,
    /// Too many requests wait.
    #[error("the server is busy with other requests; try again in a moment")]
    Busy,
    /// The handler failed in a way that it should not.
    #[error("the request failed inside the server; its log tells more")]
    Internal,
    /// The assistant says why.
    #[error(transparent)]
    Assistant(AssistantError),
}

impl From<AssistantError> for Failure {
    fn from(error: AssistantError) -> Self {
        match error {
            AssistantError::Cancelled => Self::Cancelled,
            error => Self::Assistant(error),
        }
    }
}

impl From<Failure> for RpcError {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Cancelled => ErrorCode::RequestCancelled,
            Failure::InvalidParams(_) => ErrorCode::InvalidParams,
            Failure::UnknownMethod(_) => ErrorCode::MethodNotFound,
            Failure::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Failure::NotInitialized => ErrorCode::ServerError(NOT_INITIALIZED),
            Failure::Internal => ErrorCode::InternalError,
            Failure::Busy | Failure::Assistant(_) => ErrorCode::ServerError(REQUEST_FAILED),
        };
        let data: Option<Value> = match &failure {
            Failure::Assistant(error) => {
                Some(json!({ "kind": error.kind(), "command": error.command() }))
            }
            Failure::Busy => Some(json!({ "kind": "busy" })),
            _ => None,
        };
        let mut error = Self::new(code);
        error.message = failure.to_string().into();
        error.data = data;
        error
    }
}
