use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
    sync::Arc,
};

/// Vectors of one byte a dimension, row after row, compared by the cosine. Cheap to clone.
#[derive(Clone, Default)]
pub struct Matrix {
    dimensions: usize,
    block: Arc<Block>,
    /// Which rows of the block.
    rows: Range<usize>,
}

/// The rows of one matrix, or of several that were [gathered](Matrix::gather).
#[derive(Default)]
struct Block {
    /// Signed numbers, as they are stored.
    values: Box<[u8]>,
    /// One divided by the length of each row; 0 for a row of zeros.
    inverse_norms: Box<[f32]>,
}

/// One vector of one byte a dimension, of which only the direction counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Box<[u8]>, f32);

impl Matrix {
    fn new(values: Vec<u8>, dimensions: usize) -> Self {
        let inverse_norms: Box<[f32]> = match dimensions {
            0 => Box::default(),
            _ => values.chunks_exact(dimensions).map(inverse_norm).collect(),
        };
        let rows = 0..inverse_norms.len();
        Self { dimensions, block: Arc::new(Block { values: values.into(), inverse_norms }), rows }
    }

    /// The rows that [`as_bytes`](Self::as_bytes) gave. What does not fill a row is dropped.
    pub fn from_bytes(bytes: &[u8], dimensions: usize) -> Self {
        let whole = bytes.len() - bytes.len().checked_rem(dimensions).unwrap_or(0);
        Self::new(bytes.get(..whole).unwrap_or_default().to_vec(), dimensions)
    }

    /// Quantises each row of `rows` to the whole range of a byte: its length is lost, its
    /// direction kept.
    pub fn quantise<'rows>(
        rows: impl IntoIterator<Item = &'rows [f32]>,
        dimensions: usize,
    ) -> Self {
        let mut values = Vec::new();
        for row in rows {
            let start = values.len();
            values.extend(quantised(row));
            values.resize(start + dimensions, 0);
        }
        let dimensions = if values.is_empty() { 0 } else { dimensions };
        Self::new(values, dimensions)
    }

    /// Lays the rows of many matrices of one width behind each other in memory: to look through all of them,
    /// in the order of their [places](Self::place), then waits less for memory.
    pub fn gather<'all>(matrices: impl IntoIterator<Item = &'all mut Self>) {
        let mut matrices: Vec<&mut Self> = matrices.into_iter().collect();
        let Some(dimensions) = matrices.iter().map(|matrix| matrix.dimensions).max() else {
            return;
        };
        matrices.retain(|matrix| matrix.dimensions == dimensions && !matrix.is_empty());
        let count = matrices.iter().map(|matrix| matrix.len()).sum();
        let mut values = Vec::with_capacity(count * dimensions);
        let mut inverse_norms = Vec::with_capacity(count);
        for matrix in &matrices {
            values.extend_from_slice(matrix.as_bytes());
            inverse_norms.extend_from_slice(matrix.inverse_norms());
        }
        let block = Arc::new(Block { values: values.into(), inverse_norms: inverse_norms.into() });
        let mut start = 0;
        for matrix in matrices {
            let end = start + matrix.len();
            *matrix = Self { dimensions, block: Arc::clone(&block), rows: start..end };
            start = end;
        }
    }

    /// Where the rows lie in memory, for looking through many matrices in this order.
    pub fn place(&self) -> (usize, usize) {
        (Arc::as_ptr(&self.block).addr(), self.rows.start)
    }

    /// The bytes of all rows.
    pub fn as_bytes(&self) -> &[u8] {
        let bytes = self.rows.start * self.dimensions..self.rows.end * self.dimensions;
        self.block.values.get(bytes).unwrap_or_default()
    }

    fn inverse_norms(&self) -> &[f32] {
        self.block.inverse_norms.get(self.rows.clone()).unwrap_or_default()
    }

    /// Number of columns.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The cosine of each row with `query`, in order; 0 for rows of zeros. Nothing when the query
    /// has another number of dimensions.
    pub fn cosines<'here>(&'here self, query: &'here Vector) -> impl Iterator<Item = f32> {
        let fits = self.dimensions > 0 && query.0.len() == self.dimensions;
        let rows = self.as_bytes().chunks_exact(self.dimensions.max(1));
        let count = if fits { self.len() } else { 0 };
        rows.zip(self.inverse_norms())
            .take(count)
            .map(|(row, inverse_norm)| dot(row, &query.0) as f32 * inverse_norm * query.1)
    }

    /// The cosine of one row with `query`, as [`cosines`](Self::cosines) has it; none where there is no such row.
    pub fn cosine(&self, row: usize, query: &Vector) -> Option<f32> {
        if query.0.len() != self.dimensions {
            return None;
        }
        let inverse_norm = self.inverse_norms().get(row)?;
        let start = row * self.dimensions;
        let row = self.as_bytes().get(start..start + self.dimensions)?;
        Some(dot(row, &query.0) as f32 * inverse_norm * query.1)
    }
}

/// The cosine of two rows as [`Matrix::as_bytes`] has them; 0 when one has no direction. Of rows of different
/// lengths what is in both counts.
pub fn cosine_of_bytes(a: &[u8], b: &[u8]) -> f32 {
    let (product, a, b) = with_squares(a, b);
    if a == 0 || b == 0 { 0.0 } else { product as f32 / (a as f32 * b as f32).sqrt() }
}

impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        self.dimensions == other.dimensions && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Matrix {}

/// In the short form `matrix 3 x 256, 90f1…`: nobody reads the numbers, but listings of two equal
/// matrices must be equal and others not.
impl fmt::Debug for Matrix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = DefaultHasher::new();
        self.as_bytes().hash(&mut hasher);
        let hash = hasher.finish();
        write!(formatter, "matrix {} x {}, {hash:016x}", self.len(), self.dimensions)
    }
}

impl Vector {
    /// The direction of `vector`.
    pub fn new(vector: &[f32]) -> Self {
        let values: Box<[u8]> = quantised(vector).collect();
        let inverse_norm = inverse_norm(&values);
        Self(values, inverse_norm)
    }

    /// The vector that [`as_bytes`](Self::as_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into(), inverse_norm(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has no direction: nothing of the text was known.
    pub fn is_zero(&self) -> bool {
        self.1 == 0.0
    }

    /// The direction between both, each of which counts the same. The other one where one has no
    /// direction; this one where the other has another number of dimensions.
    #[must_use]
    pub fn mean(&self, other: &Self) -> Self {
        if self.0.len() != other.0.len() {
            return self.clone();
        }
        let unit = |vector: &Self, byte: u8| f32::from(byte.cast_signed()) * vector.1;
        let pairs = self.0.iter().zip(&other.0);
        let sum: Vec<f32> = pairs.map(|(a, b)| unit(self, *a) + unit(other, *b)).collect();
        Self::new(&sum)
    }

    /// The cosine of both; 0 when one has no direction or another number of dimensions.
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        dot(&self.0, &other.0) as f32 * self.1 * other.1
    }
}

fn quantised(row: &[f32]) -> impl Iterator<Item = u8> {
    let most = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = if most > 0.0 { 127.0 / most } else { 0.0 };
    row.iter().map(move |value| ((value * scale).round() as i8).cast_unsigned())
}

fn inverse_norm(row: &[u8]) -> f32 {
    let square = dot(row, row);
    if square == 0 { 0.0 } else { 1.0 / (square as f32).sqrt() }
}

/// The product of two rows, and of each with itself.
fn with_squares(a: &[u8], b: &[u8]) -> (i32, i32, i32) {
    // As in `dot`.
    #[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it.
        return unsafe { with_squares_avx2(a, b) };
    }
    products_with_squares(a, b)
}

#[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
#[target_feature(enable = "avx2")]
fn with_squares_avx2(a: &[u8], b: &[u8]) -> (i32, i32, i32) {
    products_with_squares(a, b)
}

#[expect(clippy::inline_always, reason = "compiled with the instructions of its caller")]
#[inline(always)]
fn products_with_squares(a: &[u8], b: &[u8]) -> (i32, i32, i32) {
    a.iter().zip(b).fold((0, 0, 0), |(product, a_square, b_square), (a, b)| {
        let (a, b) = (i32::from(a.cast_signed()), i32::from(b.cast_signed()));
        (product + a * b, a_square + a * a, b_square + b * b)
    })
}

fn dot(a: &[u8], b: &[u8]) -> i32 {
    // A program that travels is built for processors without it, where this takes four times as long.
    #[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it.
        return unsafe { dot_avx2(a, b) };
    }
    products(a, b)
}

#[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
#[target_feature(enable = "avx2")]
fn dot_avx2(a: &[u8], b: &[u8]) -> i32 {
    products(a, b)
}

#[expect(clippy::inline_always, reason = "compiled with the instructions of its caller")]
#[inline(always)]
fn products(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_survive_quantising_and_storing() {
        let rows: [&[f32]; 3] = [&[0.3, -0.4, 0.0], &[0.0, 0.0, 0.0], &[-3.0, 4.0, 0.1]];
        let matrix = Matrix::quantise(rows, 3);
        let matrix = Matrix::from_bytes(matrix.as_bytes(), 3);
        let query = Vector::new(&[0.6, -0.8, 0.0]);
        let cosines: Vec<f32> = matrix.cosines(&query).collect();
        assert_eq!(cosines.len(), 3);
        assert!((cosines[0] - 1.0).abs() < 0.01, "{cosines:?}");
        assert!(cosines[1].abs() < f32::EPSILON, "{cosines:?}");
        assert!((cosines[2] + 1.0).abs() < 0.01, "{cosines:?}");
    }

    #[test]
    fn gathered_rows_are_what_they_were() {
        let of = |rows: &[[f32; 2]]| Matrix::quantise(rows.iter().map(|row| &row[..]), 2);
        let before = [of(&[[1.0, 2.0], [3.0, -1.0]]), Matrix::default(), of(&[[-1.0, 0.5]])];
        let mut after = before.clone();
        Matrix::gather(&mut after);
        assert_eq!(after, before);
        let query = Vector::new(&[1.0, 2.0]);
        for (after, before) in after.iter().zip(&before) {
            assert!(after.cosines(&query).eq(before.cosines(&query)));
        }
        assert_eq!(after[0].place().0, after[2].place().0);
        assert!(after[0].place() < after[2].place());
    }

    #[test]
    fn one_row_is_compared_as_all_are() {
        let rows: [&[f32]; 3] = [&[0.3, -0.4, 0.0], &[0.0, 0.0, 0.0], &[-3.0, 4.0, 0.1]];
        let matrix = Matrix::quantise(rows, 3);
        let query = Vector::new(&[0.6, -0.8, 0.5]);
        for (row, cosine) in matrix.cosines(&query).enumerate() {
            assert_eq!(matrix.cosine(row, &query), Some(cosine));
            let bytes = &matrix.as_bytes()[row * 3..][..3];
            assert!((cosine_of_bytes(bytes, query.as_bytes()) - cosine).abs() < 1e-6);
        }
        assert_eq!(matrix.cosine(3, &query), None);
        assert_eq!(matrix.cosine(0, &Vector::new(&[1.0])), None);
    }

    #[test]
    fn a_vector_alone_is_compared_as_a_row_is() {
        let vector = Vector::from_bytes(Vector::new(&[0.3, -0.4]).as_bytes());
        assert!((vector.cosine(&Vector::new(&[3.0, -4.0])) - 1.0).abs() < 1e-3);
        assert!(vector.cosine(&Vector::new(&[1.0])).abs() < f32::EPSILON);
    }

    #[test]
    fn a_mean_is_as_near_to_both_whatever_their_lengths() {
        let (a, b) = (Vector::new(&[1.0, 0.1]), Vector::new(&[0.2, 40.0]));
        let mean = a.mean(&b);
        assert!((mean.cosine(&a) - mean.cosine(&b)).abs() < 0.02 && mean.cosine(&a) > 0.7);
        let nothing = Vector::new(&[0.0, 0.0]);
        assert!((nothing.mean(&a).cosine(&a) - 1.0).abs() < 1e-3);
        assert_eq!(a.mean(&Vector::new(&[1.0])), a);
    }

    #[test]
    fn a_query_of_another_table_finds_nothing() {
        let matrix = Matrix::quantise([&[1.0, 2.0][..]], 2);
        assert_eq!(matrix.cosines(&Vector::new(&[1.0])).count(), 0);
        assert_eq!(Matrix::default().cosines(&Vector::new(&[])).count(), 0);
        assert!(Vector::new(&[0.0, 0.0]).is_zero());
    }
}
