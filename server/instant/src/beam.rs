//! The search for the likeliest way to the end of the line.

use crate::{
    Judgement, Part, Prediction, Query, lexer,
    live::{Live, blanks},
    mixture::{Candidate, Evidence, mix, mix_prior},
    prior::{PriorsOfFile, View, mixed},
    vocabulary::{
        Code, Id, LocalVocabulary, Vocabulary, code, id, is_line_break, is_text, leads_deeper,
        spaces,
    },
};

/// Ways that are followed at the same time. With 1 the score falls by 1 to 5 percent of itself, with 12 it
/// does not rise.
const WIDTH: usize = 4;
/// Longest completion, in tokens.
const MAX_TOKENS: usize = 32;
/// Next tokens that are followed from each way.
const BRANCHES: usize = 12;
/// Places in other files that are considered at each token and in each segment. More blur the picture: 32
/// scores as high as 128 and 400.
const PLACES: usize = 32;
/// Places that are looked at for one that continues a word that has been begun.
const TRIES: usize = 1024;

/// Share of the expected tokens that must agree with a typed blank for the blank to say anything.
const LEAST_SHARE: f32 = 0.25;

/// Share of the best way's probability below which an alternative is not sought.
const ALTERNATIVE: f32 = 0.1;
/// Probability below which a way is given up: `completion` shows nothing that is less likely.
const LEAST: f32 = 0.02;

/// What remains of the probability of a line end that does not open a block, when the next line is indented
/// deeper.
const NO_BLOCK: f32 = 0.05;
/// What remains of the probability of a definition or an import that the document already has.
const REPEATED: f32 = 0.2;
/// First words of lines that stand once in a file.
const ONCE: [&str; 14] = [
    "def",
    "class",
    "fn",
    "struct",
    "enum",
    "trait",
    "import",
    "from",
    "use",
    "mod",
    "type",
    "function",
    "interface",
    "func",
];
/// Words before the first word.
const MODIFIERS: [&str; 8] =
    ["pub", "async", "export", "default", "static", "public", "private", "abstract"];

/// A way so far.
#[derive(Clone)]
struct Path {
    codes: Vec<Code>,
    probability: f32,
    order: usize,
}

struct Search<'s, 't> {
    parts: &'s [Part],
    /// The number of the document's own file in each part.
    own: Vec<Option<usize>>,
    vocabulary: &'s LocalVocabulary<'s, 't>,
    live: &'s Live<'t>,
    words: Vec<(Code, f32)>,
    views: Vec<View<'s, 't>>,
}

impl<'s, 't> Search<'s, 't> {
    fn new(
        parts: &'s [Part],
        vocabulary: &'s LocalVocabulary<'s, 't>,
        priors: PriorsOfFile<'s>,
        live: &'s Live<'t>,
        path: &str,
    ) -> Self {
        let views = priors.into_iter().enumerate();
        let views = views.filter_map(|(place, prior)| Some(View::new(prior?, place, vocabulary)));
        Self {
            parts,
            own: parts.iter().map(|part| part.segment.file(path)).collect(),
            vocabulary,
            live,
            words: live.words(),
            views: views.collect(),
        }
    }
}

pub(crate) fn complete(
    parts: &[Part],
    vocabulary: &Vocabulary,
    priors: PriorsOfFile<'_>,
    query: &Query<'_>,
) -> Vec<Prediction> {
    let mut vocabulary = LocalVocabulary::new(vocabulary, priors);
    let (before, after) = query.around();
    let live = Live::new(before, after, &mut vocabulary);
    let search = Search::new(parts, &vocabulary, priors, &live, query.path);
    let context = live.context();
    let partial = live.partial.map(|(text, _)| text);
    let mut found = search.run(&context, partial, query.alternatives);
    if let (true, Some((_, code))) = (found.is_empty(), live.partial) {
        // No known word begins so: it is a whole word that is new.
        let context = [context, vec![id(code)]].concat();
        found = search.run(&context, None, query.alternatives);
    }
    found
}

/// Probability of a token that the model holds for impossible: it is wrong sometimes.
const LEAST_TOKEN: f32 = 1e-4;

/// What the model makes of the rest of the cursor's line, which it does not see.
pub(crate) fn judge(
    parts: &[Part],
    vocabulary: &Vocabulary,
    priors: PriorsOfFile<'_>,
    query: &Query<'_>,
) -> Judgement {
    let (before, after) = query.around();
    let (tail, below) = after.split_at(after.find('\n').unwrap_or(after.len()));
    let mut vocabulary = LocalVocabulary::new(vocabulary, priors);
    let live = Live::new(before, below, &mut vocabulary);
    let partial = live.partial.map(|(text, _)| text);
    let start = before.len() - partial.map_or(0, str::len);
    let hidden = query.text.get(start..before.len() + tail.len()).unwrap_or_default().trim_end();
    let mut blanks = lexer::blanks_before(hidden);
    let mut codes = Vec::new();
    for token in lexer::tokens(hidden) {
        let spaces = token.spaces.max(std::mem::take(&mut blanks));
        codes.push(code(id(vocabulary.encode(&token)), spaces));
    }
    let search = Search::new(parts, &vocabulary, priors, &live, query.path);
    let mut context = live.context();
    let mut judgement = Judgement { log_probability: 0.0, tokens: codes.len() + 1 };
    let mut add = |probability: f32| {
        judgement.log_probability += f64::from(probability.max(LEAST_TOKEN)).ln();
    };
    for (step, wanted) in codes.iter().enumerate() {
        let candidates = if step == 0 {
            search.at_cursor(search.next(&context, partial), partial.is_some())
        } else {
            search.next(&context, None)
        };
        let found = candidates.iter().find(|it| it.code == *wanted);
        add(found.map_or(0.0, |it| it.probability));
        context.push(id(*wanted));
    }
    add(search.next(&context, None).iter().map(|it| search.line_end(it)).sum());
    judgement
}

impl Search<'_, '_> {
    fn run(&self, context: &[Id], partial: Option<&str>, wanted: usize) -> Vec<Prediction> {
        let mut context = context.to_vec();
        let length = context.len();
        let mut paths = vec![Path { codes: Vec::new(), probability: 1.0, order: 0 }];
        let mut ends: Vec<Prediction> = Vec::new();
        for step in 0..MAX_TOKENS {
            let mut longer: Vec<Path> = Vec::new();
            for path in &paths {
                context.truncate(length);
                context.extend(path.codes.iter().map(|code| id(*code)));
                let mut candidates = self.next(&context, if step == 0 { partial } else { None });
                if step == 0 {
                    candidates = self.at_cursor(candidates, partial.is_some());
                }
                let end: f32 = candidates.iter().map(|it| self.line_end(it)).sum();
                if let Some(prediction) = self.end(&context, path, end, partial) {
                    ends.push(prediction);
                }
                let going = candidates.iter().filter(|it| is_text(id(it.code))).take(BRANCHES);
                longer.extend(going.map(|candidate| Path {
                    codes: [path.codes.as_slice(), &[candidate.code]].concat(),
                    probability: path.probability * candidate.probability,
                    order: if step == 0 { candidate.order } else { path.order },
                }));
            }
            ends.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            ends.truncate(wanted);
            let best = ends.first().map_or(0.0, |end| end.probability);
            let worst = ends.get(wanted.saturating_sub(1)).map_or(0.0, |end| end.probability);
            let worst = worst.max(best * ALTERNATIVE).max(LEAST);
            longer.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            longer.truncate(WIDTH.max(wanted));
            longer.retain(|path| path.probability > worst);
            if longer.is_empty() {
                break;
            }
            paths = longer;
        }
        ends
    }

    /// What may follow `context`, likeliest first; only what begins with `partial`.
    fn next(&self, context: &[Id], partial: Option<&str>) -> Vec<Candidate> {
        let mut evidence = Vec::new();
        self.live.matches(context, &mut evidence);
        let continues = |code: Code| {
            partial.is_none_or(|partial| self.vocabulary.text(id(code)).starts_with(partial))
        };
        let tries = if partial.is_some() { TRIES } else { 2 * PLACES };
        for (part, own) in self.parts.iter().zip(&self.own) {
            let wanted = |file: usize, code: Code| {
                Some(file) != *own
                    && !part.dead.get(file).copied().unwrap_or_default()
                    && continues(code)
            };
            part.segment.nearest(context, PLACES, tries, wanted, &mut |it| {
                evidence.push(Evidence { code: it.code, order: it.order, weight: 1.0 });
            });
        }
        let mut candidates = mix(&self.words, &evidence);
        if !self.views.is_empty() {
            let order = evidence.iter().map(|it| it.order).max().unwrap_or_default();
            let guesses = self.views.iter().map(|view| view.guess(context, &candidates));
            let guess = mixed(guesses.collect());
            mix_prior(&mut candidates, order, &guess);
        }
        if partial.is_some() {
            candidates.retain(|candidate| continues(candidate.code));
            normalise(&mut candidates, 0.0);
        }
        candidates
            .sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.code.cmp(&b.code)));
        candidates
    }

    /// The candidates for the first token, by what stands before the cursor: blanks that are typed already
    /// are not written again, and a blank before the cursor means that the next token has one.
    fn at_cursor(&self, candidates: Vec<Candidate>, partial: bool) -> Vec<Candidate> {
        let typed = self.live.after_blank && !self.live.line_start;
        if !partial && !typed && !self.live.line_start {
            return candidates;
        }
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            if typed && !partial && spaces(candidate.code) == 0 && is_text(id(candidate.code)) {
                continue;
            }
            let bare = code(id(candidate.code), 0);
            match kept.iter_mut().find(|it| it.code == bare) {
                Some(same) => {
                    same.probability += candidate.probability;
                    same.order = same.order.max(candidate.order);
                }
                None => kept.push(Candidate { code: bare, ..candidate }),
            }
        }
        if typed && !partial {
            normalise(&mut kept, LEAST_SHARE);
        }
        kept.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.code.cmp(&b.code)));
        kept
    }

    /// The share of a candidate that ends the line here.
    fn line_end(&self, candidate: &Candidate) -> f32 {
        let token = id(candidate.code);
        if !is_line_break(token) {
            0.0
        } else if self.live.next_is_deeper && !leads_deeper(token) {
            candidate.probability * NO_BLOCK
        } else {
            candidate.probability
        }
    }

    /// The prediction that the line ends after `path`, if it leads up to the text after the cursor.
    fn end(
        &self,
        context: &[Id],
        path: &Path,
        end: f32,
        partial: Option<&str>,
    ) -> Option<Prediction> {
        let rest = &self.live.rest;
        let kept = path.codes.len().checked_sub(rest.len())?;
        let (codes, tail) = path.codes.split_at(kept);
        if codes.is_empty()
            || end <= 0.0
            || !tail.iter().map(|code| id(*code)).eq(rest.iter().copied())
        {
            return None;
        }
        let mut text = String::new();
        for code in codes {
            text.push_str(blanks(spaces(*code)));
            text.push_str(self.vocabulary.text(id(*code)));
        }
        let text = text.strip_prefix(partial.unwrap_or_default())?;
        if text.is_empty() {
            return None;
        }
        let repeated = if self.repeats_definition(context) { REPEATED } else { 1.0 };
        let probability = path.probability * end * repeated;
        Some(Prediction { text: text.to_owned(), probability, order: path.order })
    }

    /// Whether the last line of `context` defines or imports what another line of the document does. Lines
    /// that stand twice already, such as a method of several types, may stand once more.
    fn repeats_definition(&self, context: &[Id]) -> bool {
        let line = context.rsplit(|id| is_line_break(*id)).next().unwrap_or_default();
        let text = |id: &Id| self.vocabulary.text(*id);
        let first = line.iter().map(text).find(|word| !MODIFIERS.contains(word));
        first.is_some_and(|word| ONCE.contains(&word))
            && self.live.count_line(line, is_line_break) == 1
    }
}

/// Scales the probabilities to a sum of 1, unless they sum to less than `least`: then little is known, and
/// they stay as much smaller.
fn normalise(candidates: &mut [Candidate], least: f32) {
    let total: f32 = candidates.iter().map(|it| it.probability).sum();
    let total = total.max(least);
    if total > 0.0 {
        for candidate in candidates {
            candidate.probability /= total;
        }
    }
}
