use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// Vectors of one byte a dimension, row after row, compared by the cosine.
#[derive(Clone, Default)]
pub struct Matrix {
    dimensions: usize,
    values: Box<[i8]>,
    /// One divided by the length of each row; 0 for a row of zeros.
    inverse_norms: Box<[f32]>,
}

/// One vector of one byte a dimension, of which only the direction counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Box<[i8]>, f32);

impl Matrix {
    /// The rows that [`as_bytes`](Self::as_bytes) gave. What does not fill a row is dropped.
    pub fn from_bytes(bytes: &[u8], dimensions: usize) -> Self {
        let values: Box<[i8]> = bytes.iter().map(|byte| byte.cast_signed()).collect();
        let inverse_norms = match dimensions {
            0 => Box::default(),
            _ => values.chunks_exact(dimensions).map(inverse_norm).collect(),
        };
        Self { dimensions, values, inverse_norms }
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
        let inverse_norms = match dimensions {
            0 => Box::default(),
            _ => values.chunks_exact(dimensions).map(inverse_norm).collect(),
        };
        let dimensions = if values.is_empty() { 0 } else { dimensions };
        Self { dimensions, values: values.into(), inverse_norms }
    }

    /// The bytes of all rows.
    pub fn as_bytes(&self) -> Vec<u8> {
        self.values.iter().map(|value| value.cast_unsigned()).collect()
    }

    /// Number of columns.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.inverse_norms.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.inverse_norms.is_empty()
    }

    /// The cosine of each row with `query`, in order; 0 for rows of zeros. Nothing when the query
    /// has another number of dimensions.
    pub fn cosines<'here>(&'here self, query: &'here Vector) -> impl Iterator<Item = f32> {
        let fits = self.dimensions > 0 && query.0.len() == self.dimensions;
        let rows = self.values.chunks_exact(self.dimensions.max(1));
        let count = if fits { self.len() } else { 0 };
        rows.zip(&self.inverse_norms)
            .take(count)
            .map(|(row, inverse_norm)| dot(row, &query.0) as f32 * inverse_norm * query.1)
    }
}

impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        self.dimensions == other.dimensions && self.values == other.values
    }
}

impl Eq for Matrix {}

/// In the short form `matrix 3 x 256, 90f1…`: nobody reads the numbers, but listings of two equal
/// matrices must be equal and others not.
impl fmt::Debug for Matrix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = DefaultHasher::new();
        self.values.hash(&mut hasher);
        let hash = hasher.finish();
        write!(formatter, "matrix {} x {}, {hash:016x}", self.len(), self.dimensions)
    }
}

impl Vector {
    /// The direction of `vector`.
    pub fn new(vector: &[f32]) -> Self {
        let values: Box<[i8]> = quantised(vector).collect();
        let inverse_norm = inverse_norm(&values);
        Self(values, inverse_norm)
    }

    /// The vector that [`as_bytes`](Self::as_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let values: Box<[i8]> = bytes.iter().map(|byte| byte.cast_signed()).collect();
        let inverse_norm = inverse_norm(&values);
        Self(values, inverse_norm)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> Vec<u8> {
        self.0.iter().map(|value| value.cast_unsigned()).collect()
    }

    /// Whether it has no direction: nothing of the text was known.
    pub fn is_zero(&self) -> bool {
        self.1 == 0.0
    }

    /// The cosine of both; 0 when one has no direction or another number of dimensions.
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        dot(&self.0, &other.0) as f32 * self.1 * other.1
    }
}

fn quantised(row: &[f32]) -> impl Iterator<Item = i8> {
    let most = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = if most > 0.0 { 127.0 / most } else { 0.0 };
    row.iter().map(move |value| (value * scale).round() as i8)
}

fn inverse_norm(row: &[i8]) -> f32 {
    let square = dot(row, row);
    if square == 0 { 0.0 } else { 1.0 / (square as f32).sqrt() }
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_survive_quantising_and_storing() {
        let rows: [&[f32]; 3] = [&[0.3, -0.4, 0.0], &[0.0, 0.0, 0.0], &[-3.0, 4.0, 0.1]];
        let matrix = Matrix::quantise(rows, 3);
        let matrix = Matrix::from_bytes(&matrix.as_bytes(), 3);
        let query = Vector::new(&[0.6, -0.8, 0.0]);
        let cosines: Vec<f32> = matrix.cosines(&query).collect();
        assert_eq!(cosines.len(), 3);
        assert!((cosines[0] - 1.0).abs() < 0.01, "{cosines:?}");
        assert!(cosines[1].abs() < f32::EPSILON, "{cosines:?}");
        assert!((cosines[2] + 1.0).abs() < 0.01, "{cosines:?}");
    }

    #[test]
    fn a_vector_alone_is_compared_as_a_row_is() {
        let vector = Vector::from_bytes(&Vector::new(&[0.3, -0.4]).as_bytes());
        assert!((vector.cosine(&Vector::new(&[3.0, -4.0])) - 1.0).abs() < 1e-3);
        assert!(vector.cosine(&Vector::new(&[1.0])).abs() < f32::EPSILON);
    }

    #[test]
    fn a_query_of_another_table_finds_nothing() {
        let matrix = Matrix::quantise([&[1.0, 2.0][..]], 2);
        assert_eq!(matrix.cosines(&Vector::new(&[1.0])).count(), 0);
        assert_eq!(Matrix::default().cosines(&Vector::new(&[])).count(), 0);
        assert!(Vector::new(&[0.0, 0.0]).is_zero());
    }
}
