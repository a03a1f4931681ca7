//! The state of everything, and the switch of the index.

use assistant::{IndexAction, Status};
use serde::Deserialize;
use serde_json::Value;

use crate::{context::Context, failure::Failure};

/// Parameters of `hearth/index`.
#[derive(Deserialize)]
pub struct IndexParams {
    action: IndexAction,
}

/// Parameters of `hearth/status`: none.
#[derive(Deserialize)]
pub struct StatusParams {}

/// `hearth/index`
pub fn index(context: &Context, params: &IndexParams) -> Result<Value, Failure> {
    let status = context.assistant()?.index_control(params.action)?;
    serde_json::to_value(status).map_err(|_| Failure::Internal)
}

/// `hearth/status`
pub fn status(context: &Context, _params: &StatusParams) -> Result<Status, Failure> {
    Ok(context.assistant()?.status())
}
