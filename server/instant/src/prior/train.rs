//! Learns a prior.

use std::collections::BTreeMap;

use base::{CancelToken, Cancelled};

use super::{
    ENTRY, HEADER, MAGIC, MAX_NEXT, NEXT, VERSION, place, quantised_back_off, quantised_share,
    symbols::{ContextHash, FIRST_TEXT, MAX_SYMBOLS, Next, Slots, Symbol, WINDOW, is_new, unknown},
};
use rustc_hash::FxHashMap as HashMap;

use crate::vocabulary::{self, BOUNDARY, Code, Vocabulary, is_text};

/// How a prior is made.
#[derive(Clone, Copy, Debug)]
pub struct PriorOptions {
    /// Size of the file at most, in bytes.
    pub bytes: usize,
    /// Longest context in tokens, at most 15.
    pub max_order: usize,
    /// Frequent tokens at most.
    pub vocabulary: usize,
    /// Packages that must have a token or an n-gram. With 1 a prior holds the names of single programs.
    pub packages: usize,
    /// Occurrences that an n-gram must have. What occurs once is soon too much for the memory.
    pub occurrences: usize,
}

impl Default for PriorOptions {
    fn default() -> Self {
        Self { bytes: 1_500_000, max_order: 6, vocabulary: 8000, packages: 2, occurrences: 2 }
    }
}

/// Collects code and makes a prior of it. The same files in the same order give the same bytes.
pub struct PriorTrainer {
    options: PriorOptions,
    vocabulary: Vocabulary,
    packages: HashMap<String, u32>,
    /// All files, each after a border.
    codes: Vec<Code>,
    /// For each token the number of its package.
    origins: Vec<u32>,
}

/// Weight of `count` occurrences in one package: code repeats itself, and what is said a hundred times in
/// one program is not a hundred times as usual.
fn weight(count: usize) -> f64 {
    (count as f64).sqrt()
}

/// An n-gram that may be kept.
struct Pair {
    context: u64,
    next: Next,
    /// Its share after the context, and after the shorter one.
    share: f32,
    shorter: f32,
    /// What is lost without it, in nats over all the training text.
    loss: f32,
}

/// The model before pruning, by context.
#[derive(Default)]
struct Unpruned {
    shares: HashMap<(u64, Next), f32>,
    back_off: HashMap<u64, f32>,
}

impl PriorTrainer {
    /// A trainer without any code.
    pub fn new(options: PriorOptions) -> Self {
        Self {
            options,
            vocabulary: Vocabulary::default(),
            packages: HashMap::default(),
            codes: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// Takes in a file of a package.
    pub fn add(&mut self, package: &str, text: &str) {
        let new = self.packages.len() as u32;
        let package = *self.packages.entry(package.to_owned()).or_insert(new);
        self.codes.push(BOUNDARY);
        self.codes.extend(self.vocabulary.encode(text));
        self.origins.resize(self.codes.len(), package);
    }

    /// Number of tokens so far.
    pub fn tokens(&self) -> usize {
        self.codes.len()
    }

    /// The prior as the bytes of its file. Takes about two seconds a million tokens; `progress` is told how
    /// many rounds are done, of how many.
    pub fn finish(
        self,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<u8>, Cancelled> {
        progress(0, self.options.max_order + 1);
        let frequent = self.frequent();
        let text = |id: u32| self.vocabulary.text(id).unwrap_or_default();
        let mut symbols: Vec<Symbol> = (0..self.vocabulary.len() as u32)
            .map(|id| if is_text(id) { unknown(text(id)) } else { id as Symbol })
            .collect();
        for (token, id) in frequent.iter().enumerate() {
            if let Some(symbol) = symbols.get_mut(*id as usize) {
                *symbol = FIRST_TEXT + token as Symbol;
            }
        }
        let corpus = Corpus::new(&self.codes, &self.origins, &symbols);
        let pairs = corpus.pairs(&self.options, cancel, progress)?;
        let tokens: Vec<&str> = frequent.iter().map(|id| text(*id)).collect();
        Ok(encode(&self.options, &tokens, pairs))
    }

    /// The frequent tokens, sorted by their texts.
    fn frequent(&self) -> Vec<u32> {
        let mut counts: HashMap<(u32, u32), usize> = HashMap::default();
        for (code, origin) in self.codes.iter().zip(&self.origins) {
            *counts.entry((vocabulary::id(*code), *origin)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable();
        let mut tokens: Vec<(u32, usize, f64)> = Vec::new();
        for ((id, _), count) in counts {
            match tokens.last_mut().filter(|last| last.0 == id) {
                Some(last) => {
                    last.1 += 1;
                    last.2 += weight(count);
                }
                None => tokens.push((id, 1, weight(count))),
            }
        }
        let text = |id: u32| self.vocabulary.text(id).unwrap_or_default();
        tokens.retain(|(id, packages, _)| is_text(*id) && *packages >= self.options.packages);
        tokens.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then_with(|| text(a.0).cmp(text(b.0))));
        tokens.truncate(self.options.vocabulary.min(MAX_SYMBOLS - usize::from(FIRST_TEXT)));
        tokens.sort_unstable_by(|a, b| text(a.0).cmp(text(b.0)));
        tokens.into_iter().map(|(id, ..)| id).collect()
    }
}

/// The text as symbols.
struct Corpus<'c> {
    codes: &'c [Code],
    origins: &'c [u32],
    /// The symbol of each token; unknown words by their shape.
    symbols: Vec<Symbol>,
    /// What each place says of the places before it.
    next: Vec<Next>,
}

impl<'c> Corpus<'c> {
    fn new(codes: &'c [Code], origins: &'c [u32], by_id: &[Symbol]) -> Self {
        let symbol = |code: &Code| by_id.get(vocabulary::id(*code) as usize).copied();
        let symbols: Vec<Symbol> =
            codes.iter().map(|code| symbol(code).unwrap_or_default()).collect();
        let mut corpus = Self { codes, origins, symbols, next: Vec::new() };
        corpus.next = (0..codes.len()).map(|place| corpus.next_at(place)).collect();
        corpus
    }

    /// Tokens before a place backwards, with their names, up to the border of the file.
    fn back(&self, place: usize) -> impl Iterator<Item = (Symbol, u32)> + '_ {
        let symbols = self.symbols.get(..place).unwrap_or_default().iter().rev();
        let names = self.codes.get(..place).unwrap_or_default().iter().rev();
        symbols
            .zip(names)
            .map(|(symbol, code)| (*symbol, vocabulary::id(*code)))
            .take_while(|(_, id)| *id != BOUNDARY)
    }

    fn next_at(&self, place: usize) -> Next {
        let symbol = self.symbols.get(place).copied().unwrap_or_default();
        let code = self.codes.get(place).copied().unwrap_or_default();
        let symbol = if is_new(symbol) {
            let mut slots = Slots::default();
            for (symbol, name) in self.back(place).take(WINDOW) {
                slots.back(symbol, name);
            }
            slots.next(symbol, vocabulary::id(code))
        } else {
            symbol
        };
        symbol << 2 | vocabulary::spaces(code) as Next
    }

    /// The names of the contexts of 1 to `orders` tokens before a place.
    fn contexts(&self, place: usize, orders: usize) -> impl Iterator<Item = u64> + '_ {
        let mut slots = Slots::default();
        let mut name = ContextHash::NOTHING;
        self.back(place).take(orders).map(move |(symbol, id)| {
            name = name.back(slots.back(symbol, id));
            name.finish()
        })
    }

    /// All n-grams worth a thought.
    fn pairs(
        &self,
        options: &PriorOptions,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Pair>, Cancelled> {
        let mut model = Unpruned::default();
        let mut pairs = Vec::new();
        // Order 0: each token's share.
        let mut places: Vec<u32> = (0..self.codes.len() as u32)
            .filter(|place| self.codes.get(*place as usize).is_some_and(|code| *code != BOUNDARY))
            .collect();
        self.group(&places, &[], options, &mut model, &mut Vec::new());
        for order in 1..=options.max_order {
            cancel.check()?;
            progress(order, options.max_order + 1);
            let mut named: Vec<(u64, u32)> = places
                .iter()
                .filter_map(|place| {
                    let context = self.contexts(*place as usize, order).nth(order - 1)?;
                    Some((context, *place))
                })
                .collect();
            named.sort_unstable();
            places.clear();
            for group in named.chunk_by(|a, b| a.0 == b.0) {
                cancel.check()?;
                let group_places: Vec<u32> = group.iter().map(|(_, place)| *place).collect();
                let first = group_places.first().copied().unwrap_or_default();
                let contexts: Vec<u64> = self.contexts(first as usize, order).collect();
                if self.group(&group_places, &contexts, options, &mut model, &mut pairs) {
                    places.extend(group_places);
                }
            }
            places.sort_unstable();
        }
        Ok(pairs)
    }

    /// Estimates what follows one context, whose name is the last of `contexts` after those of its shorter
    /// ones, from its places. False when it is too rare.
    fn group(
        &self,
        places: &[u32],
        contexts: &[u64],
        options: &PriorOptions,
        model: &mut Unpruned,
        pairs: &mut Vec<Pair>,
    ) -> bool {
        let origin = |place: &u32| self.origins.get(*place as usize).copied().unwrap_or_default();
        let next = |place: &u32| self.next.get(*place as usize).copied().unwrap_or_default();
        if places.len() < options.packages.max(options.occurrences) {
            return false;
        }
        let mut rows: Vec<(Next, u32)> = places.iter().map(|it| (next(it), origin(it))).collect();
        rows.sort_unstable();
        let first = rows.first().map(|row| row.1);
        if options.packages > 1 && rows.iter().all(|row| Some(row.1) == first) {
            return false;
        }
        let (mut total, mut types) = (0.0, 0.0);
        let mut followers: Vec<(Next, f64)> = Vec::new();
        for rows in rows.chunk_by(|a, b| a.0 == b.0) {
            let counts = rows.chunk_by(|a, b| a.1 == b.1).map(<[_]>::len);
            let sum: f64 = counts.clone().map(weight).sum();
            total += sum;
            types += 1.0;
            let enough = rows.len() >= options.occurrences && counts.count() >= options.packages;
            if let (true, Some(row)) = (enough, rows.first()) {
                followers.push((row.0, sum));
            }
        }
        let (context, shorter) =
            contexts.split_last().map_or((0, [].as_slice()), |(it, rest)| (*it, rest));
        let (mut kept, mut kept_shorter) = (0.0, 0.0);
        for (next, sum) in followers {
            let below = if contexts.is_empty() { 1e-5 } else { model.share(shorter, next) };
            let lean = LEAN_PER_TYPE * types;
            let share = (sum + lean * f64::from(below)) / (total + lean);
            kept += share;
            kept_shorter += f64::from(below);
            model.shares.insert((context, next), share as f32);
            let loss = sum * (share / f64::from(below)).ln();
            if loss > LEAST_LOSS && !contexts.is_empty() {
                pairs.push(Pair {
                    context,
                    next,
                    share: share as f32,
                    shorter: below,
                    loss: loss as f32,
                });
            }
        }
        let left = (1.0 - kept).max(1e-3) / (1.0 - kept_shorter).max(1e-3);
        model.back_off.insert(context, left.min(1.0) as f32);
        true
    }
}

/// How strongly a context leans on the shorter one, for each different token seen after it.
const LEAN_PER_TYPE: f64 = 0.5;
/// An n-gram that gains less would never be kept.
const LEAST_LOSS: f64 = 0.5;

impl Unpruned {
    /// The share of a token after the longest of `contexts`.
    fn share(&self, contexts: &[u64], next: Next) -> f32 {
        let mut factor = 1.0;
        for context in contexts.iter().rev() {
            if let Some(share) = self.shares.get(&(*context, next)) {
                return factor * share;
            }
            factor *= self.back_off.get(context).copied().unwrap_or(1.0);
        }
        factor * self.shares.get(&(0, next)).copied().unwrap_or(1e-6)
    }
}

/// Keeps the n-grams whose loss would be greatest, as many as there is room for, and writes the file.
fn encode(options: &PriorOptions, tokens: &[&str], mut pairs: Vec<Pair>) -> Vec<u8> {
    let text_bytes: usize = tokens.iter().map(|text| text.len()).sum();
    let fixed = HEADER + 4 * (tokens.len() + 1) + text_bytes + super::CHECKSUM;
    // A rough count of contexts is enough to choose the number of buckets.
    let room = options.bytes.saturating_sub(fixed);
    let bucket_bits = (room / 64).max(1).ilog2().min(20);
    let room = room.saturating_sub(4 * ((1 << bucket_bits) + 1));

    pairs.sort_unstable_by(|a, b| {
        b.loss.total_cmp(&a.loss).then((a.context, a.next).cmp(&(b.context, b.next)))
    });
    let mut contexts: BTreeMap<(usize, u64), Vec<Pair>> = BTreeMap::new();
    let mut used = 0;
    for pair in pairs {
        let (bucket, _) = place(pair.context, bucket_bits);
        let entry = contexts.entry((bucket, pair.context)).or_default();
        let cost = NEXT + if entry.is_empty() { ENTRY } else { 0 };
        if used + cost > room {
            break;
        }
        if entry.len() < MAX_NEXT {
            used += cost;
            entry.push(pair);
        }
    }
    contexts.retain(|_, pairs| !pairs.is_empty());

    let mut entries = Vec::new();
    let mut buckets: Vec<u32> = Vec::new();
    for ((bucket, context), mut pairs) in contexts {
        buckets.resize(bucket + 1, entries.len() as u32);
        pairs.sort_unstable_by(|a, b| b.share.total_cmp(&a.share).then(a.next.cmp(&b.next)));
        let kept: f32 = pairs.iter().map(|pair| pair.share).sum();
        let shorter: f32 = pairs.iter().map(|pair| pair.shorter).sum();
        let left = (1.0 - kept).max(1e-3) / (1.0 - shorter).max(1e-3);
        let (_, mark) = place(context, bucket_bits);
        entries.extend(mark.to_le_bytes());
        entries.push((pairs.len() - 1) as u8 | quantised_back_off(left.min(1.0)) << 4);
        for pair in &pairs {
            entries.extend(pair.next.to_le_bytes());
            entries.push(quantised_share(pair.share));
        }
    }
    buckets.resize((1 << bucket_bits) + 1, entries.len() as u32);

    let mut file = Vec::with_capacity(options.bytes);
    file.extend(MAGIC);
    file.extend(VERSION.to_le_bytes());
    file.extend([options.max_order as u8, bucket_bits as u8]);
    for number in [tokens.len(), text_bytes, entries.len()] {
        file.extend((number as u32).to_le_bytes());
    }
    let mut start = 0;
    for text in tokens {
        file.extend((start as u32).to_le_bytes());
        start += text.len();
    }
    file.extend((start as u32).to_le_bytes());
    file.extend(tokens.iter().flat_map(|text| text.bytes()));
    file.extend(buckets.iter().flat_map(|start| start.to_le_bytes()));
    file.extend(entries);
    let checksum = blake3::hash(&file);
    file.extend(checksum.as_bytes());
    file
}
