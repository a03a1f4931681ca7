//! Other places of the workspace that a completion model sees beside the open file.

use std::sync::Arc;

use base::CancelToken;
use indexer::IndexSnapshot;
use parking_lot::Mutex;
use prompt::Excerpt;
use retrieval::SearchQuery;

/// Lines before the cursor that say what is being written.
const ASKED_LINES: usize = 16;
/// Places of other files that are shown at most, and the first lines that are shown of each: a
/// definition's documentation and signature stand there.
const PLACES: usize = 4;
const SHOWN_LINES: usize = 12;
/// While the cursor stays within so many lines the same places are shown: they stand at the beginning
/// of the prompt, and another beginning costs its whole evaluation.
const KEPT_LINES: u32 = 24;

/// Where a completion is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    /// The file, relative to the workspace.
    pub path: &'a str,
    /// Its text before the cursor.
    pub before: &'a str,
    /// The cursor's line, from 0.
    pub line: u32,
}

/// The places that were chosen last.
#[derive(Default)]
pub(crate) struct CompletionExcerpts {
    chosen: Mutex<Option<Chosen>>,
}

struct Chosen {
    path: String,
    line: u32,
    excerpts: Arc<[Excerpt]>,
}

impl CompletionExcerpts {
    /// Places of other files that resemble or define what stands before the cursor, best first. The
    /// same for neighbouring lines.
    pub(crate) fn at(
        &self,
        spot: Spot<'_>,
        index: &IndexSnapshot,
        cancel: &CancelToken,
    ) -> Arc<[Excerpt]> {
        let still =
            |it: &&Chosen| it.path == spot.path && it.line.abs_diff(spot.line) <= KEPT_LINES;
        if let Some(chosen) = self.chosen.lock().as_ref().filter(still) {
            return chosen.excerpts.clone();
        }
        // Unlocked: a keystroke in another document need not wait for this search.
        let excerpts = find(spot, index, cancel);
        if !cancel.is_cancelled() {
            *self.chosen.lock() = Some(Chosen {
                path: spot.path.to_owned(),
                line: spot.line,
                excerpts: excerpts.clone(),
            });
        }
        excerpts
    }
}

/// The same, without what was chosen before.
pub(crate) fn find(spot: Spot<'_>, index: &IndexSnapshot, cancel: &CancelToken) -> Arc<[Excerpt]> {
    let lines: Vec<&str> = spot.before.lines().rev().take(ASKED_LINES).collect();
    let text: Vec<&str> = lines.into_iter().rev().collect();
    let query = SearchQuery {
        text: text.join("\n"),
        limit: 2 * PLACES,
        near: vec![spot.path.to_owned()],
        ..SearchQuery::default()
    };
    let others = retrieval::search(index, &query, cancel).into_iter();
    let others = others.filter(|hit| hit.path != spot.path).take(PLACES);
    others.map(|hit| Excerpt { text: first_lines(&hit.text), path: hit.path }).collect()
}

fn first_lines(text: &str) -> String {
    text.split_inclusive('\n').take(SHOWN_LINES).collect()
}
