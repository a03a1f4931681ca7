use std::path::PathBuf;

use base::CancelToken;
use code_graph::{Map, MapSymbol};
use serde::{Deserialize, Serialize};
use text::Position;

use crate::{AssistantError, AssistantSnapshot, wire::Range};

/// Tokens of a map when nobody says how many: what a prompt can spare.
const DEFAULT_TOKENS: usize = 1024;

/// Which map is wanted, as a face sends it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapParams {
    /// How many tokens its outline may have.
    #[serde(default)]
    pub tokens: Option<usize>,
    /// Files that the person has in mind, relative to the workspace or absolute.
    #[serde(default)]
    pub focus: Vec<PathBuf>,
}

/// The most important files and definitions.
#[derive(Clone, Debug, Serialize)]
pub struct MapAnswer {
    /// How many tokens the outline has at most.
    pub tokens: usize,
    /// The files, the most important first.
    pub entries: Vec<MapResult>,
    /// The same as text: paths with the heads of their definitions below.
    #[serde(skip)]
    pub outline: String,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct MapResult {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// How important it is; all files of the workspace together have 1.
    pub rank: f64,
    /// The definitions that others use most, in the order of the text.
    pub symbols: Vec<MapSymbolEntry>,
}

/// One definition.
#[derive(Clone, Debug, Serialize)]
pub struct MapSymbolEntry {
    /// Its name.
    pub name: String,
    /// Its kind, such as `function`.
    pub kind: String,
    /// What it is defined in.
    pub container: Option<String>,
    /// Its head on one line.
    pub signature: String,
    /// The whole definition.
    pub range: Range,
}

impl AssistantSnapshot {
    /// The most important files and definitions, those near the focus and the open documents first.
    pub fn map(
        &self,
        params: &MapParams,
        cancel: &CancelToken,
    ) -> Result<MapAnswer, AssistantError> {
        let mut focus = self.open_paths();
        for file in &params.focus {
            focus.push(self.relative(file)?);
        }
        let index = self.index.current(cancel)?;
        let mut graph = self.shared.graph.lock();
        graph.update(&index);
        cancel.check()?;
        Ok(answer(graph.rank(&focus).map(params.tokens.unwrap_or(DEFAULT_TOKENS))))
    }
}

fn answer(map: Map) -> MapAnswer {
    let outline = map.outline();
    let entries = map.entries.into_iter().map(|entry| MapResult {
        path: entry.path,
        rank: entry.rank,
        symbols: entry.symbols.into_iter().map(symbol).collect(),
    });
    MapAnswer { tokens: map.tokens, entries: entries.collect(), outline }
}

fn symbol(symbol: MapSymbol) -> MapSymbolEntry {
    MapSymbolEntry {
        range: Range {
            start: Position::new(symbol.lines.start, 0),
            end: Position::new(symbol.lines.end, 0),
        },
        name: symbol.name,
        kind: symbol.kind,
        container: symbol.container,
        signature: symbol.signature,
    }
}
