//! The tokens of some files, with their places sorted by what stands before them.

use std::{cmp::Ordering, sync::Arc};

use crate::vocabulary::{BOUNDARY, Code, Id, id};

/// How many tokens before a place are compared. Longer agreement is copying, and 20 tell it well enough.
pub(crate) const MAX_ORDER: usize = 20;

/// So many tokens before a place are compared by their low bits first.
const KEYED: usize = 4;
const KEY_BITS: Id = (1 << 21) - 1;

/// The token and its place in the order.
pub(crate) const BYTES_PER_TOKEN: usize = 8;

/// Immutable. A suffix array over the reversed text: the places whose preceding tokens agree longest with
/// a context stand next to each other, around where the context itself would stand.
pub(crate) struct Segment {
    /// All files, each followed by [`BOUNDARY`], which also stands first.
    codes: Vec<Code>,
    /// Places in `codes`, ordered by the tokens before them read backwards.
    order: Vec<u32>,
    /// Where each file begins in `codes`.
    starts: Vec<u32>,
    /// Sorted.
    paths: Vec<Arc<str>>,
}

/// A place that agrees with a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// The token there.
    pub code: Code,
    /// Tokens before it that agree, at least 1.
    pub order: usize,
    /// Its file.
    pub file: usize,
}

impl Segment {
    /// Each file's tokens are let go of as soon as they are copied.
    pub(crate) fn build<T: AsRef<[Code]>>(mut files: Vec<(Arc<str>, T)>) -> Self {
        files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let total = 1 + files.iter().map(|(_, codes)| codes.as_ref().len() + 1).sum::<usize>();
        let mut codes = Vec::with_capacity(total);
        codes.push(BOUNDARY);
        let (mut starts, mut paths) = (Vec::new(), Vec::new());
        for (path, file) in files {
            starts.push(codes.len() as u32);
            paths.push(path);
            codes.extend_from_slice(file.as_ref());
            codes.push(BOUNDARY);
        }
        let mut segment = Self { codes, order: Vec::new(), starts, paths };
        segment.order = segment.sorted();
        segment
    }

    /// Counts by the token before, then sorts the places of each such token by three more in one number, which
    /// settles most comparisons without a look at the text. Beside the result it needs room for the places of
    /// one token.
    fn sorted(&self) -> Vec<u32> {
        let bits = |place: u32, back: usize| self.before(place as usize, back) & KEY_BITS;
        let places = || {
            let codes = (0..).zip(&self.codes).skip(1);
            codes.filter(|(_, code)| **code != BOUNDARY).map(|(place, _): (u32, _)| place)
        };
        let mut ends = Vec::new();
        for place in places() {
            let token = bits(place, 0) as usize;
            if ends.len() <= token {
                ends.resize(token + 1, 0);
            }
            ends[token] += 1;
        }
        let mut count = 0;
        for end in &mut ends {
            (*end, count) = (count, count + *end);
        }
        let mut order = vec![0; count];
        for place in places() {
            let end = &mut ends[bits(place, 0) as usize];
            order[*end] = place;
            *end += 1;
        }
        let mut keyed: Vec<(u64, u32)> = Vec::new();
        let mut start = 0;
        for end in ends {
            let bucket = &mut order[start..end];
            start = end;
            if bucket.len() < 2 {
                continue;
            }
            keyed.clear();
            keyed.extend(bucket.iter().map(|place| {
                let key = (1..KEYED).fold(0, |key, back| key << 21 | u64::from(bits(*place, back)));
                (key, *place)
            }));
            keyed.sort_unstable_by(|a, b| {
                a.0.cmp(&b.0)
                    .then_with(|| self.compare_places(a.1 as usize, b.1 as usize))
                    .then(a.1.cmp(&b.1))
            });
            for (place, (_, sorted)) in bucket.iter_mut().zip(&keyed) {
                *place = *sorted;
            }
        }
        order
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    pub(crate) fn paths(&self) -> &[Arc<str>] {
        &self.paths
    }

    /// The number of the file with this path.
    pub(crate) fn file(&self, path: &str) -> Option<usize> {
        self.paths.binary_search_by(|it| (**it).cmp(path)).ok()
    }

    pub(crate) fn file_len(&self, file: usize) -> usize {
        self.range(file).len()
    }

    /// Every file's path and tokens.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Arc<str>, &[Code])> {
        self.paths.iter().enumerate().map(|(file, path)| {
            (path.clone(), self.codes.get(self.range(file)).unwrap_or_default())
        })
    }

    fn range(&self, file: usize) -> std::ops::Range<usize> {
        let start = self.starts.get(file).map_or(self.codes.len(), |start| *start as usize);
        let next = self.starts.get(file + 1).map_or(self.codes.len(), |next| *next as usize);
        start..next.saturating_sub(1).max(start)
    }

    /// The token `back` places before the one before `place`; [`BOUNDARY`] before the beginning.
    fn before(&self, place: usize, back: usize) -> Id {
        place.checked_sub(back + 1).and_then(|at| self.codes.get(at)).map_or(BOUNDARY, |it| id(*it))
    }

    fn compare_places(&self, a: usize, b: usize) -> Ordering {
        compare(|back| self.before(a, back), |back| self.before(b, back))
    }

    /// How many tokens before `place` agree with the end of `context`.
    fn agreement(&self, place: u32, context: &[Id]) -> usize {
        let matches = |back: &usize| {
            let token = self.before(place as usize, *back);
            token != BOUNDARY && context.iter().nth_back(*back) == Some(&token)
        };
        (0..MAX_ORDER).take_while(matches).count()
    }

    /// Up to `limit` places that agree longest with the end of `context` and whose file and token `wanted`
    /// takes, longest agreement first. At most `tries` places are looked at.
    pub(crate) fn nearest(
        &self,
        context: &[Id],
        limit: usize,
        tries: usize,
        mut wanted: impl FnMut(usize, Code) -> bool,
        found: &mut impl FnMut(Match),
    ) {
        let ahead = |back: usize| context.iter().nth_back(back).copied().unwrap_or(BOUNDARY);
        let at = self.order.partition_point(|place| {
            compare_keyed(|back| self.before(*place as usize, back), ahead).is_lt()
        });
        let (mut left, mut right) = (at, at);
        let agreement = |index: Option<usize>| {
            let place = index.and_then(|index| self.order.get(index));
            place.map_or(0, |place| self.agreement(*place, context))
        };
        let mut left_order = agreement(left.checked_sub(1));
        let mut right_order = agreement(Some(right));
        let mut taken = 0;
        for _ in 0..tries {
            let order = left_order.max(right_order);
            if order == 0 || taken == limit {
                return;
            }
            let index = if right_order >= left_order {
                right += 1;
                right_order = agreement(Some(right));
                right - 1
            } else {
                left -= 1;
                left_order = agreement(left.checked_sub(1));
                left
            };
            let Some(place) = self.order.get(index) else { return };
            let file = self.starts.partition_point(|start| start <= place) - 1;
            let Some(code) = self.codes.get(*place as usize).copied() else { return };
            if wanted(file, code) {
                taken += 1;
                found(Match { code, order, file });
            }
        }
    }
}

/// Compares two rows of tokens, each read backwards, up to the beginning of a file.
fn compare(a: impl Fn(usize) -> Id, b: impl Fn(usize) -> Id) -> Ordering {
    for back in 0..MAX_ORDER {
        let (a, b) = (a(back), b(back));
        if a != b {
            return a.cmp(&b);
        }
        if a == BOUNDARY {
            break;
        }
    }
    Ordering::Equal
}

/// The order of [`Segment::sorted`]: the low bits of the nearest tokens, then all of every token.
fn compare_keyed(a: impl Fn(usize) -> Id, b: impl Fn(usize) -> Id) -> Ordering {
    for back in 0..KEYED {
        let (a, b) = (a(back) & KEY_BITS, b(back) & KEY_BITS);
        if a != b {
            return a.cmp(&b);
        }
    }
    compare(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::code;

    fn segment(files: &[&[Id]]) -> Segment {
        let files = files.iter().enumerate().map(|(file, ids)| {
            let codes: Vec<Code> = ids.iter().map(|id| code(*id, 0)).collect();
            (Arc::from(file.to_string()), codes)
        });
        Segment::build(files.collect())
    }

    fn nearest(segment: &Segment, context: &[Id], limit: usize) -> Vec<(Id, usize, usize)> {
        let mut found = Vec::new();
        segment.nearest(context, limit, 100, |_, _| true, &mut |it| {
            found.push((id(it.code), it.order, it.file));
        });
        found
    }

    #[test]
    fn the_longest_agreement_comes_first() {
        let segment = segment(&[&[10, 11, 12, 13], &[20, 11, 12, 14], &[12, 15]]);
        assert_eq!(nearest(&segment, &[10, 11, 12], 9), [(13, 3, 0), (14, 2, 1), (15, 1, 2)]);
        assert_eq!(nearest(&segment, &[10, 11, 12], 1), [(13, 3, 0)]);
        assert_eq!(nearest(&segment, &[30], 9), []);
        assert_eq!(nearest(&segment, &[], 9), []);
    }

    #[test]
    fn agreement_ends_at_the_border_of_a_file() {
        let segment = segment(&[&[10], &[11, 12]]);
        assert_eq!(nearest(&segment, &[10, 11], 9), [(12, 1, 1)]);
    }

    #[test]
    fn files_come_back_as_they_went_in() {
        let segment = segment(&[&[10, 11], &[12]]);
        let files: Vec<_> = segment.files().collect();
        assert_eq!(files, [("0".into(), [40, 44].as_slice()), ("1".into(), &[48])]);
        assert_eq!((segment.file_len(0), segment.file_len(1), segment.file_len(2)), (2, 1, 0));
    }

    proptest::proptest! {
        #[test]
        fn the_search_finds_what_a_scan_finds(
            files in proptest::collection::vec(proptest::collection::vec(5_u32..9, 0..12), 1..4),
            context in proptest::collection::vec(5_u32..9, 0..6),
        ) {
            let rows: Vec<&[Id]> = files.iter().map(Vec::as_slice).collect();
            let segment = segment(&rows);
            let mut expected: Vec<usize> = files.iter().flat_map(|file| {
                let agreement = |place: usize| file[..place].iter().rev()
                    .zip(context.iter().rev()).take_while(|(a, b)| a == b).count();
                (0..file.len()).map(agreement).filter(|order| *order > 0).collect::<Vec<_>>()
            }).collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            let found: Vec<usize> =
                nearest(&segment, &context, 100).into_iter().map(|(_, order, _)| order).collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
