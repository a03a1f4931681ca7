use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tantivy::{
    DocSet, Searcher, SegmentReader, TERMINATED, Term, columnar::Column,
    fieldnorm::FieldNormReader, postings::Postings, schema::IndexRecordOption,
};

use crate::{
    delta::Delta,
    document::{Field, Fields},
    index::LexicalError,
    ranking::{self, Query},
};

/// The committed documents at one moment. Cheap to clone; never changes.
#[derive(Clone)]
pub struct LexicalReader {
    inner: Arc<Inner>,
}

struct Inner {
    /// Keeps the files of its segments from being removed; none where nothing was committed.
    _searcher: Option<Searcher>,
    fields: Fields,
    segments: Vec<Segment>,
    totals: OnceLock<Totals>,
}

/// Sums over the committed documents: of all, and of each file, to be taken away when it is hidden.
#[derive(Default)]
struct Totals {
    all: Sum,
    files: HashMap<u64, Sum>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    documents: usize,
    terms: [u64; 5],
}

/// One segment with what ranking asks of every document.
struct Segment {
    reader: SegmentReader,
    files: Column<u64>,
    ordinals: Column<u64>,
    norms: [FieldNormReader; 5],
}

/// A found document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LexicalHit {
    /// Number of the file.
    pub file: u64,
    /// Number of the chunk in its file.
    pub ordinal: u64,
    /// BM25F over all fields, and a share of what the chunks of its file score together, each
    /// term counted where it scores best.
    pub score: f32,
    /// Whether it is one of the delta's documents.
    pub fresh: bool,
}

/// A committed document, for comparing two indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredDocument {
    /// Number of the file.
    pub file: u64,
    /// Number of the chunk in its file.
    pub ordinal: u64,
    /// Differs when any searched text does.
    pub digest: u64,
}

/// Totals that ranking needs: of the committed documents that still hold and of the delta's.
struct Statistics {
    documents: usize,
    /// Mean number of terms of each field.
    averages: [f32; 5],
}

impl LexicalReader {
    pub(crate) fn new(searcher: Searcher, fields: Fields) -> Result<Self, LexicalError> {
        let mut segments = Vec::new();
        for reader in searcher.segment_readers() {
            let files = reader.fast_fields().u64("file")?;
            let ordinals = reader.fast_fields().u64("ordinal")?;
            let mut norms = Vec::with_capacity(Field::ALL.len());
            for field in Field::ALL {
                norms.push(reader.get_fieldnorms_reader(fields.text(field))?);
            }
            let norms = norms.try_into().ok().expect("as many as there are fields");
            segments.push(Segment { reader: reader.clone(), files, ordinals, norms });
        }
        Ok(Self {
            inner: Arc::new(Inner {
                _searcher: Some(searcher),
                fields,
                segments,
                totals: OnceLock::new(),
            }),
        })
    }

    /// A reader of nothing, for what is searched in memory alone.
    pub fn empty() -> Self {
        let inner = Inner {
            _searcher: None,
            fields: Fields::new(),
            segments: Vec::new(),
            totals: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Number of committed documents.
    pub fn len(&self) -> usize {
        self.inner.segments.iter().map(|segment| segment.reader.num_docs() as usize).sum()
    }

    /// Whether nothing is committed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `limit` best documents for `query` among those whose file `accept` lets through, best
    /// first, with the rarity of each term of the query: 0 for one that no document holds.
    ///
    /// Ranking depends on the documents alone, not on the history of the index: an index made anew
    /// gives the same scores.
    pub fn search(
        &self,
        query: &Query,
        delta: &Delta<'_>,
        accept: &dyn Fn(u64) -> bool,
        limit: usize,
    ) -> Result<(Vec<LexicalHit>, Vec<f32>), LexicalError> {
        let statistics = self.statistics(delta);
        let mut scores: Vec<Vec<f32>> =
            self.inner.segments.iter().map(|segment| vec![0.0; segment.max()]).collect();
        let mut fresh = vec![0.0; delta.documents.len()];
        let mut rarities = Vec::with_capacity(query.terms.len());
        let mut matches = self.matches(delta);
        let mut files = HashMap::<u64, f32>::new();
        let mut best_of_file = HashMap::<u64, f32>::new();
        for term in &query.terms {
            let spellings = std::iter::once((term.text.as_str(), 1.0))
                .chain(term.variants.iter().map(|(text, share)| (text.as_str(), *share)));
            for (text, share) in spellings {
                self.collect(text, share, delta, &statistics, &mut matches)?;
            }
            let with = matches.count();
            let rarity = if with == 0 { 0.0 } else { ranking::rarity(with, statistics.documents) };
            rarities.push(rarity);
            let (last, committed) = matches.0.split_last_mut().expect("the delta has a part");
            let mut count = |file: u64, score: &mut f32, frequency: f32| {
                let gain = term.weight * ranking::score(rarity, frequency);
                *score += gain;
                let best = best_of_file.entry(file).or_default();
                *best = best.max(gain);
            };
            for ((segment, scores), part) in
                self.inner.segments.iter().zip(&mut scores).zip(committed)
            {
                part.drain(|at, frequency| {
                    let file = segment.files.first(at as u32).unwrap_or_default();
                    count(file, &mut scores[at], frequency);
                });
            }
            last.drain(|at, frequency| {
                count(delta.documents[at].file, &mut fresh[at], frequency);
            });
            for (file, best) in best_of_file.drain() {
                *files.entry(file).or_default() += best;
            }
        }
        Ok((self.best(&scores, &fresh, &files, delta, accept, limit), rarities))
    }

    /// Number of documents that hold `term` in any field.
    pub fn documents_with(&self, term: &str, delta: &Delta<'_>) -> Result<usize, LexicalError> {
        let statistics = Statistics { documents: 0, averages: [1.0; 5] };
        let mut matches = self.matches(delta);
        self.collect(term, 1.0, delta, &statistics, &mut matches)?;
        Ok(matches.count())
    }

    /// Every committed document, sorted.
    pub fn documents(&self) -> Result<Vec<StoredDocument>, LexicalError> {
        let mut documents = Vec::new();
        for segment in &self.inner.segments {
            let digests = segment.reader.fast_fields().u64("digest")?;
            for document in segment.reader.doc_ids_alive() {
                documents.push(StoredDocument {
                    file: segment.files.first(document).unwrap_or_default(),
                    ordinal: segment.ordinals.first(document).unwrap_or_default(),
                    digest: digests.first(document).unwrap_or_default(),
                });
            }
        }
        documents.sort_unstable();
        Ok(documents)
    }

    fn statistics(&self, delta: &Delta<'_>) -> Statistics {
        let totals = self.inner.totals.get_or_init(|| self.totals());
        let Sum { mut documents, mut terms } = totals.all;
        for hidden in delta.hidden.iter().filter_map(|file| totals.files.get(file)) {
            documents -= hidden.documents;
            for (total, hidden) in terms.iter_mut().zip(hidden.terms) {
                *total -= hidden;
            }
        }
        documents += delta.documents.len();
        for document in &delta.documents {
            for (total, field) in terms.iter_mut().zip(Field::ALL) {
                *total += u64::from(document.length(field));
            }
        }
        let averages = terms.map(|total| total as f32 / documents.max(1) as f32);
        Statistics { documents, averages }
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for segment in &self.inner.segments {
            for document in segment.reader.doc_ids_alive() {
                let file = segment.files.first(document).unwrap_or_default();
                let of_file = totals.files.entry(file).or_default();
                of_file.documents += 1;
                totals.all.documents += 1;
                for (number, norms) in segment.norms.iter().enumerate() {
                    let length = u64::from(norms.fieldnorm(document));
                    of_file.terms[number] += length;
                    totals.all.terms[number] += length;
                }
            }
        }
        totals
    }

    fn matches(&self, delta: &Delta<'_>) -> Matches {
        let sizes = self.inner.segments.iter().map(Segment::max);
        Matches(sizes.chain([delta.documents.len()]).map(Part::new).collect())
    }

    /// Adds the weighted frequency of one spelling in every document that holds it.
    fn collect(
        &self,
        text: &str,
        share: f32,
        delta: &Delta<'_>,
        statistics: &Statistics,
        matches: &mut Matches,
    ) -> Result<(), LexicalError> {
        for (number, segment) in self.inner.segments.iter().enumerate() {
            for field in Field::ALL {
                let term = Term::from_field_text(self.inner.fields.text(field), text);
                let inverted = segment.reader.inverted_index(self.inner.fields.text(field))?;
                let postings = inverted
                    .read_postings(&term, IndexRecordOption::WithFreqs)
                    .map_err(tantivy::TantivyError::from)?;
                let Some(mut postings) = postings else { continue };
                let average = statistics.averages[field as usize];
                let norms = &segment.norms[field as usize];
                let mut document = postings.doc();
                while document != TERMINATED {
                    if !segment.reader.is_deleted(document) && !segment.is_hidden(document, delta) {
                        let frequency = postings.term_freq() as f32;
                        let length = norms.fieldnorm(document) as f32;
                        matches.0[number].add(
                            document as usize,
                            share * field.weighted(frequency, length, average),
                        );
                    }
                    document = postings.advance();
                }
            }
        }
        let fresh = matches.0.last_mut().expect("the delta has a part");
        for (at, document) in delta.documents.iter().enumerate() {
            if !document.holds(text) {
                continue;
            }
            for field in Field::ALL {
                let frequency = f32::from(document.frequency(text, field));
                let length = document.length(field) as f32;
                let average = statistics.averages[field as usize];
                fresh.add(at, share * field.weighted(frequency, length, average));
            }
        }
        Ok(())
    }

    fn best(
        &self,
        scores: &[Vec<f32>],
        fresh: &[f32],
        files: &HashMap<u64, f32>,
        delta: &Delta<'_>,
        accept: &dyn Fn(u64) -> bool,
        limit: usize,
    ) -> Vec<LexicalHit> {
        let mut hits = Vec::new();
        let with_file = |file: u64, score: f32| {
            score + ranking::SHARE_OF_FILE * files.get(&file).copied().unwrap_or_default()
        };
        for (segment, scores) in self.inner.segments.iter().zip(scores) {
            for (document, score) in (0..).zip(scores).filter(|(_, score)| **score > 0.0) {
                let file = segment.files.first(document).unwrap_or_default();
                if accept(file) {
                    let ordinal = segment.ordinals.first(document).unwrap_or_default();
                    let score = with_file(file, *score);
                    hits.push(LexicalHit { file, ordinal, score, fresh: false });
                }
            }
        }
        for (document, score) in delta.documents.iter().zip(fresh) {
            if *score > 0.0 && accept(document.file) {
                let (file, ordinal) = (document.file, document.ordinal);
                let score = with_file(file, *score);
                hits.push(LexicalHit { file, ordinal, score, fresh: true });
            }
        }
        let order = |a: &LexicalHit, b: &LexicalHit| {
            b.score.total_cmp(&a.score).then((a.file, a.ordinal).cmp(&(b.file, b.ordinal)))
        };
        if hits.len() > limit {
            hits.select_nth_unstable_by(limit, order);
            hits.truncate(limit);
        }
        hits.sort_unstable_by(order);
        hits
    }
}

impl Segment {
    fn max(&self) -> usize {
        self.reader.max_doc() as usize
    }

    fn is_hidden(&self, document: u32, delta: &Delta<'_>) -> bool {
        !delta.hidden.is_empty()
            && self.files.first(document).is_some_and(|file| delta.hidden.contains(&file))
    }
}

/// Weighted frequencies of one term: a part for each segment, and the last for the delta.
struct Matches(Vec<Part>);

/// Frequencies by document, and which of them are not 0.
struct Part {
    frequencies: Vec<f32>,
    touched: Vec<usize>,
}

impl Matches {
    fn count(&self) -> usize {
        self.0.iter().map(|part| part.touched.len()).sum()
    }
}

impl Part {
    fn new(documents: usize) -> Self {
        Self { frequencies: vec![0.0; documents], touched: Vec::new() }
    }

    fn add(&mut self, document: usize, frequency: f32) {
        let known = &mut self.frequencies[document];
        if frequency > 0.0 {
            if *known == 0.0 {
                self.touched.push(document);
            }
            *known += frequency;
        }
    }

    /// Hands out what was added and is empty again.
    fn drain(&mut self, mut sink: impl FnMut(usize, f32)) {
        for document in self.touched.drain(..) {
            sink(document, std::mem::take(&mut self.frequencies[document]));
        }
    }
}
