//! Finding code by name and by words.

use assistant::{MapAnswer, MapParams, SearchAnswer, SearchParams};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{context::Context, failure::Failure};

/// Symbols that an editor gets at once; it asks again when the person types on.
const LIMIT: usize = 128;

/// `WorkspaceSymbolParams`
#[derive(Deserialize)]
pub struct WorkspaceSymbolParams {
    query: String,
}

/// `workspace/symbol`
pub fn workspace_symbol(
    context: &Context,
    params: &WorkspaceSymbolParams,
) -> Result<Vec<Value>, Failure> {
    let assistant = context.assistant()?;
    let found = assistant.workspace_symbols(&params.query, LIMIT, &context.cancel)?;
    let symbol = |symbol: assistant::SymbolEntry| {
        let path = assistant.absolute(&symbol.path).ok()?;
        Some(json!({
            "name": symbol.name,
            "kind": kind(&symbol.kind),
            "containerName": symbol.container,
            "location": { "uri": context.uri(&path), "range": symbol.name_range.unwrap_or(symbol.range) },
        }))
    };
    Ok(found.into_iter().filter_map(symbol).collect())
}

/// `hearth/search`
pub fn search(context: &Context, params: &SearchParams) -> Result<SearchAnswer, Failure> {
    Ok(context.assistant()?.search(params, &context.cancel)?)
}

/// `hearth/map`
pub fn map(context: &Context, params: &MapParams) -> Result<MapAnswer, Failure> {
    Ok(context.assistant()?.map(params, &context.cancel)?)
}

/// The protocol's number for a kind of symbol.
fn kind(name: &str) -> u8 {
    match name {
        "module" => 2,
        "class" => 5,
        "method" => 6,
        "field" => 8,
        "enum" => 10,
        "interface" | "trait" => 11,
        "function" | "macro" => 12,
        "constant" => 14,
        "heading" => 15,
        "variant" => 22,
        "struct" => 23,
        "type" => 26,
        _ => 13,
    }
}
