use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustc_hash::FxHashMap;
use tantivy::{
    DocSet, Searcher, SegmentReader, TERMINATED, Term, columnar::Column,
    fieldnorm::FieldNormReader, postings::Postings, schema::IndexRecordOption,
};

use crate::{
    delta::Delta,
    document::{Field, Fields},
    index::{LexicalError, guarded},
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
    folder: PathBuf,
    fields: Fields,
    segments: Vec<Segment>,
    files: OnceLock<Files>,
}

/// The files of the committed documents, each by its place in a list, so that what ranking asks of every
/// document needs no lookup.
#[derive(Default)]
struct Files {
    /// Their numbers.
    numbers: Vec<u64>,
    places: FxHashMap<u64, usize>,
    /// The documents of each, to be taken away when it is hidden.
    sums: Vec<Sum>,
    all: Sum,
    /// For every document of each segment the place of its file; 0 for one that is deleted.
    of_documents: Vec<Vec<u32>>,
}

/// Sums over documents.
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

/// What one search ranks with: the committed documents that still hold and those of the delta.
struct Search<'index> {
    files: &'index Files,
    delta: &'index Delta<'index>,
    /// For each file whether its committed documents no longer hold; empty when all do.
    hidden: Vec<bool>,
    /// The place of the file of each document of the delta, behind those of the committed ones.
    fresh_files: Vec<usize>,
    /// Number of files, those of the delta among them.
    file_count: usize,
    documents: usize,
    /// What one occurrence counts, by field and by the length of the field as a byte remembers it.
    factors: [[f32; 256]; 5],
}

impl LexicalReader {
    pub(crate) fn new(
        searcher: Searcher,
        folder: &Path,
        fields: Fields,
    ) -> Result<Self, LexicalError> {
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
                folder: folder.to_owned(),
                fields,
                segments,
                files: OnceLock::new(),
            }),
        })
    }

    /// A reader of nothing, for what is searched in memory alone.
    pub fn empty() -> Self {
        let inner = Inner {
            _searcher: None,
            folder: PathBuf::new(),
            fields: Fields::new(),
            segments: Vec::new(),
            files: OnceLock::new(),
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

    /// The `limit` best documents for `query` among those whose file `accept` lets through, if it is given, best
    /// first, with the rarity of each term of the query: 0 for one that no document holds.
    ///
    /// Ranking depends on the documents alone, not on the history of the index: an index made anew
    /// gives the same scores.
    pub fn search(
        &self,
        query: &Query,
        delta: &Delta<'_>,
        accept: Option<&dyn Fn(u64) -> bool>,
        limit: usize,
    ) -> Result<(Vec<LexicalHit>, Vec<f32>), LexicalError> {
        // The files may be trusted and not verified yet.
        guarded(&self.inner.folder, || self.search_unguarded(query, delta, accept, limit))
    }

    fn search_unguarded(
        &self,
        query: &Query,
        delta: &Delta<'_>,
        accept: Option<&dyn Fn(u64) -> bool>,
        limit: usize,
    ) -> Result<(Vec<LexicalHit>, Vec<f32>), LexicalError> {
        let search = self.begin(delta);
        let sizes = self.inner.segments.iter().map(Segment::max).chain([delta.documents.len()]);
        let mut scores: Vec<Vec<f32>> = sizes.clone().map(|size| vec![0.0; size]).collect();
        let mut matches: Vec<Part> = sizes.map(Part::new).collect();
        let mut rarities = Vec::with_capacity(query.terms.len());
        let mut of_files = vec![0.0_f32; search.file_count];
        let mut best_of_files = Part::new(search.file_count);
        for term in &query.terms {
            let spellings = std::iter::once((term.text.as_str(), 1.0))
                .chain(term.variants.iter().map(|(text, share)| (text.as_str(), *share)));
            for (text, share) in spellings {
                self.collect(text, share, &search, &mut matches)?;
            }
            let with = matches.iter().map(|part| part.touched.len()).sum();
            let rarity = if with == 0 { 0.0 } else { ranking::rarity(with, search.documents) };
            rarities.push(rarity);
            for (number, (part, scores)) in matches.iter_mut().zip(&mut scores).enumerate() {
                part.drain(|document, frequency| {
                    let gain = term.weight * ranking::score(rarity, frequency);
                    scores[document] += gain;
                    best_of_files.raise(search.file_of(number, document), gain);
                });
            }
            best_of_files.drain(|file, best| of_files[file] += best);
        }
        Ok((self.best(&scores, &of_files, &search, accept, limit), rarities))
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

    fn files(&self) -> &Files {
        self.inner.files.get_or_init(|| {
            let mut files = Files::default();
            for segment in &self.inner.segments {
                files.add(segment);
            }
            files
        })
    }

    fn begin<'index>(&'index self, delta: &'index Delta<'index>) -> Search<'index> {
        let files = self.files();
        let Sum { mut documents, mut terms } = files.all;
        let hidden: Vec<usize> =
            delta.hidden.iter().filter_map(|number| files.places.get(number).copied()).collect();
        for sum in hidden.iter().filter_map(|place| files.sums.get(*place)) {
            documents -= sum.documents;
            for (total, hidden) in terms.iter_mut().zip(sum.terms) {
                *total -= hidden;
            }
        }
        documents += delta.documents.len();
        let mut new_places = FxHashMap::<u64, usize>::default();
        let mut fresh_files = Vec::with_capacity(delta.documents.len());
        for document in &delta.documents {
            for (total, field) in terms.iter_mut().zip(Field::ALL) {
                *total += u64::from(document.length(field));
            }
            let next = files.numbers.len() + new_places.len();
            let known = files.places.get(&document.file).copied();
            let place = known.unwrap_or_else(|| *new_places.entry(document.file).or_insert(next));
            fresh_files.push(place);
        }
        let averages = terms.map(|total| total as f32 / documents.max(1) as f32);
        let mut flags = Vec::new();
        if !hidden.is_empty() {
            flags.resize(files.numbers.len(), false);
            for place in hidden {
                flags[place] = true;
            }
        }
        Search {
            files,
            delta,
            hidden: flags,
            fresh_files,
            file_count: files.numbers.len() + new_places.len(),
            documents,
            factors: Field::ALL.map(|field| field.factors(averages[field as usize])),
        }
    }

    /// Adds the weighted frequency of one spelling in every document that holds it; the last part is that of
    /// the delta.
    fn collect(
        &self,
        text: &str,
        share: f32,
        search: &Search<'_>,
        matches: &mut [Part],
    ) -> Result<(), LexicalError> {
        for (number, (segment, part)) in
            self.inner.segments.iter().zip(matches.iter_mut()).enumerate()
        {
            for field in Field::ALL {
                let schema_field = self.inner.fields.text(field);
                let term = Term::from_field_text(schema_field, text);
                let inverted = segment.reader.inverted_index(schema_field)?;
                let postings = inverted
                    .read_postings(&term, IndexRecordOption::WithFreqs)
                    .map_err(tantivy::TantivyError::from)?;
                let Some(mut postings) = postings else { continue };
                let factors = &search.factors[field as usize];
                let norms = &segment.norms[field as usize];
                let mut document = postings.doc();
                while document != TERMINATED {
                    if !segment.reader.is_deleted(document)
                        && !search.is_hidden(number, document as usize)
                    {
                        let frequency = postings.term_freq() as f32;
                        let factor = factors[usize::from(norms.fieldnorm_id(document))];
                        part.add(document as usize, share * frequency * factor);
                    }
                    document = postings.advance();
                }
            }
        }
        let fresh = matches.last_mut().expect("the delta has a part");
        for (at, document) in search.delta.documents.iter().enumerate() {
            if !document.holds(text) {
                continue;
            }
            for field in Field::ALL {
                let frequency = f32::from(document.frequency(text, field));
                let factor = search.factors[field as usize][usize::from(document.length_id(field))];
                fresh.add(at, share * frequency * factor);
            }
        }
        Ok(())
    }

    fn best(
        &self,
        scores: &[Vec<f32>],
        of_files: &[f32],
        search: &Search<'_>,
        accept: Option<&dyn Fn(u64) -> bool>,
        limit: usize,
    ) -> Vec<LexicalHit> {
        let mut accepted: Vec<Option<bool>> = vec![None; search.file_count];
        let mut hits = Vec::new();
        for (part, scores) in scores.iter().enumerate() {
            for (document, score) in scores.iter().enumerate().filter(|(_, score)| **score > 0.0) {
                let place = search.file_of(part, document);
                let number = || search.number_of(part, document);
                let accept = || accept.is_none_or(|accept| accept(number()));
                if *accepted[place].get_or_insert_with(accept) {
                    hits.push(Place {
                        score: score + ranking::SHARE_OF_FILE * of_files[place],
                        file: number(),
                        part,
                        document,
                    });
                }
            }
        }
        let order = |a: &Place, b: &Place| {
            b.score
                .total_cmp(&a.score)
                .then((a.file, a.part, a.document).cmp(&(b.file, b.part, b.document)))
        };
        if hits.len() > limit {
            hits.select_nth_unstable_by(limit, order);
            hits.truncate(limit);
        }
        hits.sort_unstable_by(order);
        hits.into_iter()
            .map(|Place { score, file, part, document }| {
                let segment = self.inner.segments.get(part);
                let ordinal = match segment {
                    Some(segment) => segment.ordinals.first(document as u32).unwrap_or_default(),
                    None => search.delta.documents[document].ordinal,
                };
                LexicalHit { file, ordinal, score, fresh: segment.is_none() }
            })
            .collect()
    }
}

/// A document that was found, before it is looked at.
struct Place {
    score: f32,
    file: u64,
    /// Its segment; one more than there are for the delta.
    part: usize,
    document: usize,
}

impl Search<'_> {
    fn is_hidden(&self, segment: usize, document: usize) -> bool {
        !self.hidden.is_empty() && self.hidden[self.file_of(segment, document)]
    }

    /// The place of a document's file.
    fn file_of(&self, part: usize, document: usize) -> usize {
        match self.files.of_documents.get(part) {
            Some(files) => files[document] as usize,
            None => self.fresh_files[document],
        }
    }

    /// The number of a document's file.
    fn number_of(&self, part: usize, document: usize) -> u64 {
        match self.files.of_documents.get(part) {
            Some(files) => self.files.numbers[files[document] as usize],
            None => self.delta.documents[document].file,
        }
    }
}

impl Files {
    fn add(&mut self, segment: &Segment) {
        let mut of_documents = vec![0; segment.max()];
        // The documents of a file stand together.
        let mut last = None;
        for document in segment.reader.doc_ids_alive() {
            let number = segment.files.first(document).unwrap_or_default();
            let place = match last {
                Some((known, place)) if known == number => place,
                _ => self.place(number),
            };
            last = Some((number, place));
            of_documents[document as usize] = place as u32;
            for sum in [&mut self.sums[place], &mut self.all] {
                sum.documents += 1;
                for (total, norms) in sum.terms.iter_mut().zip(&segment.norms) {
                    *total += u64::from(norms.fieldnorm(document));
                }
            }
        }
        self.of_documents.push(of_documents);
    }

    /// The place of the file with this number, a new one if need be.
    fn place(&mut self, number: u64) -> usize {
        *self.places.entry(number).or_insert_with(|| {
            self.numbers.push(number);
            self.sums.push(Sum::default());
            self.numbers.len() - 1
        })
    }
}

impl Segment {
    fn max(&self) -> usize {
        self.reader.max_doc() as usize
    }
}

/// Numbers by document or file, and which of them are not 0.
struct Part {
    values: Vec<f32>,
    touched: Vec<u32>,
}

impl Part {
    fn new(size: usize) -> Self {
        Self { values: vec![0.0; size], touched: Vec::new() }
    }

    fn add(&mut self, at: usize, value: f32) {
        if value > 0.0 {
            if self.values[at] == 0.0 {
                self.touched.push(at as u32);
            }
            self.values[at] += value;
        }
    }

    /// Makes the number at least `value`.
    fn raise(&mut self, at: usize, value: f32) {
        if value > self.values[at] {
            if self.values[at] == 0.0 {
                self.touched.push(at as u32);
            }
            self.values[at] = value;
        }
    }

    /// Hands out what is not 0 and is empty again.
    fn drain(&mut self, mut sink: impl FnMut(usize, f32)) {
        for at in self.touched.drain(..) {
            sink(at as usize, std::mem::take(&mut self.values[at as usize]));
        }
    }
}
