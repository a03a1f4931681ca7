use std::{collections::HashMap, fmt::Write as _, ops::Range};

use indexer::SymbolRow;
use syntax::SymbolKind;
use text::TextRange;

use crate::{CodeGraph, Ranks, graph::definitions_of};

/// What a definition that nobody else uses counts, as a share of its file.
const UNUSED: f64 = 0.01;
/// A map is filled up with what still fits until so many definitions in a row did not.
const MISFITS: usize = 25;
/// So many files are looked at even for a small map.
const FEWEST_FILES: usize = 256;
/// Of one file no more definitions than this are shown.
const PER_FILE: usize = 40;

/// The most important files of a workspace with their most important definitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The most important first.
    pub entries: Vec<MapEntry>,
    /// How many tokens the [outline](Self::outline) has at most, estimated from its bytes as
    /// prompts are.
    pub tokens: usize,
}

/// One file of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEntry {
    /// Relative to the workspace.
    pub path: String,
    /// How important the file is; the ranks of all files of the workspace add up to one.
    pub rank: f64,
    /// In the order of the text.
    pub symbols: Vec<MapSymbol>,
}

/// One definition of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSymbol {
    /// Name as written.
    pub name: String,
    /// Kind, such as `function`.
    pub kind: String,
    /// What it stands in.
    pub container: Option<String>,
    /// Its head on one line.
    pub signature: String,
    /// Zero-based lines of the definition, the end not included.
    pub lines: Range<u32>,
    /// In how many definitions of the map it stands.
    pub depth: usize,
}

impl Map {
    /// Each path on a line, with the heads of its definitions below, indented as they stand in each
    /// other.
    pub fn outline(&self) -> String {
        let mut outline = String::new();
        for entry in &self.entries {
            outline.push_str(&path_line(&entry.path));
            for symbol in &entry.symbols {
                outline.push_str(&symbol_line(&symbol.signature, symbol.depth));
            }
        }
        outline
    }
}

fn path_line(path: &str) -> String {
    format!("{path}\n")
}

fn symbol_line(signature: &str, depth: usize) -> String {
    let mut line = String::new();
    let _ = writeln!(line, "{:indent$}{signature}", "", indent = 2 * (depth + 1));
    line
}

/// A file that is being put on the map.
struct Sheet<'a> {
    path: &'a str,
    rank: f64,
    /// All that can be shown of it, in the order of the text.
    symbols: Vec<&'a SymbolRow>,
    shown: Vec<bool>,
}

impl Sheet<'_> {
    /// The definitions that the one at `at` stands in.
    fn around(&self, at: usize) -> impl Iterator<Item = usize> {
        let inner = self.symbols[at].range;
        (0..at).filter(move |outer| {
            let range = self.symbols[*outer].range;
            range != inner && range.contains_range(inner)
        })
    }

    /// The lines that showing the definition at `at` takes, those of what it stands in included.
    fn lines(&self, at: usize) -> String {
        let mut lines = String::new();
        if !self.shown.contains(&true) {
            lines.push_str(&path_line(self.path));
        }
        let around: Vec<usize> = self.around(at).collect();
        for (depth, outer) in around.iter().enumerate() {
            if !self.shown[*outer] {
                lines.push_str(&symbol_line(&self.symbols[*outer].signature, depth));
            }
        }
        lines.push_str(&symbol_line(&self.symbols[at].signature, around.len()));
        lines
    }

    fn show(&mut self, at: usize) {
        let around: Vec<usize> = self.around(at).collect();
        for index in around.into_iter().chain([at]) {
            self.shown[index] = true;
        }
    }

    fn entry(&self) -> MapEntry {
        let shown = (0..self.symbols.len()).filter(|at| self.shown[*at]);
        let symbols = shown.map(|at| {
            let symbol = self.symbols[at];
            MapSymbol {
                name: symbol.name.to_string(),
                kind: symbol.kind.to_string(),
                container: symbol.container.as_deref().map(str::to_owned),
                signature: symbol.signature.to_string(),
                lines: symbol.lines.clone(),
                depth: self.around(at).count(),
            }
        });
        MapEntry { path: self.path.to_owned(), rank: self.rank, symbols: symbols.collect() }
    }
}

impl Ranks<'_> {
    /// The map of the workspace that has about `tokens` tokens, never more.
    pub fn map(&self, tokens: usize) -> Map {
        let graph = self.graph();
        let (mut sheets, candidates) = sheets(graph, self, tokens);
        // Bytes are counted, not tokens of each line, which would be rounded up a hundred times.
        let fits = |bytes: usize| prompt::estimate_tokens_of(bytes) <= tokens;
        let (mut bytes, mut misfits) = (0, 0);
        for (sheet, at) in candidates {
            let sheet = &mut sheets[sheet];
            if sheet.shown[at] || sheet.shown.iter().filter(|shown| **shown).count() >= PER_FILE {
                continue;
            }
            let more = sheet.lines(at).len();
            if fits(bytes + more) {
                bytes += more;
                sheet.show(at);
                misfits = 0;
            } else {
                misfits += 1;
                if misfits > MISFITS {
                    break;
                }
            }
        }
        let entries = sheets.iter().filter(|sheet| sheet.shown.contains(&true)).map(Sheet::entry);
        Map { entries: entries.collect(), tokens: prompt::estimate_tokens_of(bytes) }
    }
}

/// The files by rank, and their definitions by how important each is.
fn sheets<'a>(
    graph: &'a CodeGraph,
    ranks: &Ranks<'a>,
    tokens: usize,
) -> (Vec<Sheet<'a>>, Vec<(usize, usize)>) {
    // A file takes some tokens, so what ranks lower can have no place.
    let files: Vec<(u32, f64)> = ranks
        .files()
        .into_iter()
        .take(tokens.max(FEWEST_FILES))
        .filter_map(|(path, rank)| Some((graph.slot_of(path)?, rank)))
        .collect();
    let wanted = files.iter().map(|(slot, _)| *slot).collect();
    let names = graph.name_ranks(&|slot| ranks.of_slot(slot), &wanted);
    let mut sheets = Vec::new();
    let mut scored: Vec<(f64, usize, usize)> = Vec::new();
    for (slot, rank) in files {
        let Some(rows) = graph.rows(slot) else { continue };
        let symbols: Vec<&SymbolRow> = definitions_of(rows)
            .filter(|(symbol, kind)| {
                is_outlined(*kind) && !symbol.signature.is_empty() && !is_empty(symbol.range)
            })
            .map(|(symbol, _)| symbol)
            .collect();
        let mut of_name: HashMap<&str, usize> = HashMap::new();
        for symbol in &symbols {
            *of_name.entry(&symbol.name).or_default() += 1;
        }
        for (at, symbol) in symbols.iter().enumerate() {
            let used = names.get(&(slot, &*symbol.name)).copied().unwrap_or(0.0);
            let alike = of_name.get(&*symbol.name).copied().unwrap_or(1) as f64;
            let own = used / alike + rank * UNUSED / symbols.len() as f64;
            scored.push((own, sheets.len(), at));
        }
        let shown = vec![false; symbols.len()];
        sheets.push(Sheet { path: &rows.file.path, rank, symbols, shown });
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let order = scored.into_iter().map(|(_, sheet, at)| (sheet, at)).collect();
    (sheets, order)
}

fn is_empty(range: TextRange) -> bool {
    range.start >= range.end
}

/// Whether an outline shows definitions of this kind: no insides of types, no values, and no modules,
/// which the paths tell.
fn is_outlined(kind: SymbolKind) -> bool {
    !matches!(
        kind,
        SymbolKind::Field
            | SymbolKind::Variant
            | SymbolKind::Variable
            | SymbolKind::Module
            | SymbolKind::Heading
    )
}
