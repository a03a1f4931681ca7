use serde::{Deserialize, Serialize};
use text::{LineIndex, TextRange};
use tree_sitter::Node;

use crate::{
    Language, Symbol, SymbolKind, Syntax,
    outline::{Outline, begins_its_line},
    windows::windows,
};

/// Most bytes of a chunk, except where one line alone is longer.
pub const CHUNK_BYTES: usize = 1600;

/// Most lines of a chunk.
pub const CHUNK_LINES: usize = 60;

/// Small neighbours are put together up to this many bytes.
const GROUP_BYTES: usize = 1300;

/// A unit of at least this many bytes is never put together with its neighbours.
const ALONE_BYTES: usize = 400;

/// What is left of a definition that was cut is put with what is before it when it is this small.
const REST_BYTES: usize = 200;

/// A piece this small is put with a neighbour whenever the two fit.
const TINY_BYTES: usize = 120;

/// How many levels of nesting are followed into a long definition. Deeper code is cut by lines.
const MAX_DEPTH: usize = 64;

/// A part of a file that search finds as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its bytes. The chunks of a file cover it in order, without gap or overlap.
    pub range: TextRange,
    /// Name of the definition that fills most of it, or that it is a part of.
    pub symbol: Option<String>,
    /// Kind of that definition.
    pub kind: Option<SymbolKind>,
    /// What that definition is defined in.
    pub container: Option<String>,
    /// Signature of that definition; empty where there is none.
    pub signature: String,
    /// First 16 bytes of the BLAKE3 hash of its text.
    pub hash: [u8; 16],
}

/// Cuts a file into chunks at the borders of its definitions: a definition of some size is a chunk
/// with its comments and attributes, small ones are put together, long ones are cut between
/// statements. Without a tree the text is cut into windows of lines. The chunks follow each other and cover
/// the text, but for long pictures in a notebook.
///
/// `syntax` must be a tree of `text`. An empty text has no chunks.
pub fn chunks(language: Option<Language>, text: &str, syntax: Option<&Syntax>) -> Vec<Chunk> {
    let lines = LineIndex::new(text);
    let whole = TextRange::new(0, text.len());
    let syntax = syntax.filter(|syntax| language.is_none_or(|known| known == syntax.language()));
    let Some(syntax) = syntax else {
        return windows(text, &lines, whole)
            .into_iter()
            .map(|range| Chunk::new(text, range, None))
            .collect();
    };
    let outline = syntax.outline(text);
    let mut cutter = Cutter { text, lines: &lines, outline, pieces: Vec::new() };
    cutter.cut(syntax.tree().root_node(), whole, 0);
    join(&lines, cutter.pieces)
        .into_iter()
        .map(|range| Chunk::new(text, range, main_symbol(&outline.symbols, text, range)))
        .collect()
}

impl Chunk {
    fn new(text: &str, range: TextRange, symbol: Option<&Symbol>) -> Self {
        let content = range.slice(text).unwrap_or_default();
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(content.as_bytes()).as_bytes()[..16]);
        Self {
            range,
            symbol: symbol.map(|symbol| symbol.name.clone()),
            kind: symbol.map(|symbol| symbol.kind),
            container: symbol.and_then(|symbol| symbol.container.clone()),
            signature: symbol.map(|symbol| symbol.signature.clone()).unwrap_or_default(),
            hash,
        }
    }
}

/// Extent of a range.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    bytes: usize,
    lines: usize,
}

impl Size {
    pub(crate) fn of(lines: &LineIndex, range: TextRange) -> Self {
        let last = range.end.saturating_sub(1).max(range.start);
        Self { bytes: range.len(), lines: lines.line_of(last) - lines.line_of(range.start) + 1 }
    }

    pub(crate) fn fits(self) -> bool {
        self.bytes <= CHUNK_BYTES && self.lines <= CHUNK_LINES
    }
}

/// A stretch of whole lines between two places where the file may be cut.
struct Piece {
    range: TextRange,
    /// Whether it is a unit, small or not.
    is_unit: bool,
    /// Not to be put together with others.
    alone: bool,
    /// A unit that was cut begins or ends here: what is before belongs to something else.
    wall_before: bool,
}

struct Cutter<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    outline: &'a Outline,
    pieces: Vec<Piece>,
}

impl Cutter<'_> {
    /// Cuts `range`, the lines that belong to `node`, between its children, and what is too long
    /// between theirs.
    fn cut(&mut self, node: Node<'_>, range: TextRange, depth: usize) {
        let segments = self.segments(node, range);
        for (segment, largest) in segments {
            let is_unit =
                largest.is_some_and(|child| self.outline.is_unit(child.byte_range().into()));
            if Size::of(self.lines, segment).fits() {
                let alone = is_unit && segment.len() >= ALONE_BYTES;
                self.pieces.push(Piece { range: segment, is_unit, alone, wall_before: false });
                continue;
            }
            let first = self.pieces.len();
            match largest {
                Some(child) if self.outline.is_omitted(child.byte_range().into()) => {}
                Some(child) if depth < MAX_DEPTH && child.child_count() > 0 => {
                    self.cut(child, segment, depth + 1);
                }
                _ => {
                    let cut = windows(self.text, self.lines, segment).into_iter();
                    let piece =
                        |range| Piece { range, is_unit: false, alone: true, wall_before: false };
                    self.pieces.extend(cut.map(piece));
                }
            }
            if is_unit {
                self.wall(first);
            }
        }
    }

    /// Marks the borders of a unit whose pieces begin at index `first`.
    fn wall(&mut self, first: usize) {
        if let Some(piece) = self.pieces.get_mut(first) {
            piece.wall_before = true;
        }
        // The piece that comes next begins behind this wall; an empty one stands for it until then.
        let end = self.pieces.last().map_or(0, |piece| piece.range.end);
        let range = TextRange::empty(end);
        self.pieces.push(Piece { range, is_unit: false, alone: false, wall_before: true });
    }

    /// Splits `range` where a child of `node` begins a line, comments and attributes before it
    /// included. With each segment comes its largest child.
    fn segments<'tree>(
        &self,
        node: Node<'tree>,
        range: TextRange,
    ) -> Vec<(TextRange, Option<Node<'tree>>)> {
        let mut segments: Vec<(TextRange, Option<Node<'tree>>)> = vec![(range, None)];
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            let start = self.outline.leads.start_with_lead(self.text, child.start_byte());
            let line = self.lines.line_range(self.lines.line_of(start)).start;
            let Some((open, largest)) = segments.last_mut() else { continue };
            if line > open.start && line < open.end && begins_its_line(self.text, start) {
                let end = open.end;
                open.end = line;
                segments.push((TextRange::new(line, end), Some(child)));
            } else if largest
                .is_none_or(|known| known.byte_range().len() < child.byte_range().len())
            {
                *largest = Some(child);
            }
        }
        segments
    }
}

/// Puts small neighbours together: first what has no wall between, then whatever is left over and
/// too small to be of use.
fn join(lines: &LineIndex, pieces: Vec<Piece>) -> Vec<TextRange> {
    let mut wall = false;
    let mut groups: Vec<Piece> = Vec::new();
    for mut piece in pieces {
        piece.wall_before |= wall;
        wall = piece.range.is_empty();
        if wall {
            continue;
        }
        if let Some(last) = groups.last_mut()
            && !piece.wall_before
            && let Some(both) = fitting(lines, last.range, piece.range)
            && (tiny(last.range)
                || tiny(piece.range)
                || !piece.is_unit && piece.range.len() < REST_BYTES
                || !last.alone && !piece.alone && both.len() <= GROUP_BYTES)
        {
            last.range = both;
            last.alone |= piece.alone;
        } else {
            groups.push(piece);
        }
    }
    let mut joined: Vec<TextRange> = Vec::new();
    for group in groups {
        match joined.last_mut() {
            Some(last) if tiny(*last) || tiny(group.range) => {
                match fitting(lines, *last, group.range) {
                    Some(both) => *last = both,
                    None => joined.push(group.range),
                }
            }
            _ => joined.push(group.range),
        }
    }
    joined
}

/// Two neighbours as one, if that is not too large for a chunk.
fn fitting(lines: &LineIndex, first: TextRange, second: TextRange) -> Option<TextRange> {
    let both = TextRange::new(first.start, second.end);
    Size::of(lines, both).fits().then_some(both)
}

fn tiny(range: TextRange) -> bool {
    range.len() < TINY_BYTES
}

/// The definition that a chunk is about: of those named in it and the one that goes on into it and
/// ends there, the one that fills most of it; without any the smallest that it is a part of.
fn main_symbol<'a>(symbols: &'a [Symbol], text: &str, range: TextRange) -> Option<&'a Symbol> {
    let first = symbols.partition_point(|symbol| symbol.name_range.start < range.start);
    let mut named =
        symbols[first..].iter().take_while(|symbol| symbol.name_range.start < range.end).peekable();
    let content = range.slice(text).unwrap_or_default();
    let start = range.start + (content.len() - content.trim_start().len());
    let part = TextRange::new(start.min(range.end), range.end);
    let around = symbols[..first]
        .iter()
        .filter(|symbol| symbol.range.intersects(part) && symbol.range.touches(part.start))
        .min_by_key(|symbol| symbol.range.len());
    let filled = |symbol: &Symbol| {
        symbol.range.end.min(range.end).saturating_sub(symbol.range.start.max(range.start))
    };
    // The first of equals is the outer one.
    let ending = around
        .filter(|symbol| named.peek().is_none_or(|next| symbol.range.end <= next.range.start));
    let best = ending.into_iter().chain(named).fold(None, |best, symbol| match best {
        Some(known) if filled(known) >= filled(symbol) => best,
        _ => Some(symbol),
    });
    best.or(around)
}
