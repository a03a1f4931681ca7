use static_embedding::{Matrix, Vector};

use crate::{VectorIndex, VectorIndexError};

/// Looks at every vector: what an approximate index is measured against.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    keys: Vec<u64>,
    vectors: Matrix,
}

impl Exact {
    /// Vectors of `dimensions` bytes each under their keys. Those of another length are left out.
    pub fn new<'all>(
        dimensions: usize,
        vectors: impl IntoIterator<Item = (u64, &'all [u8])>,
    ) -> Self {
        let (mut keys, mut bytes) = (Vec::new(), Vec::new());
        for (key, vector) in vectors.into_iter().filter(|(_, vector)| vector.len() == dimensions) {
            keys.push(key);
            bytes.extend_from_slice(vector);
        }
        Self { keys, vectors: Matrix::from_bytes(&bytes, dimensions) }
    }
}

impl VectorIndex for Exact {
    fn search(&self, query: &Vector, limit: usize) -> Result<Vec<(u64, f32)>, VectorIndexError> {
        let mut found: Vec<(u64, f32)> =
            self.keys.iter().copied().zip(self.vectors.cosines(query)).collect();
        found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        Ok(found)
    }

    fn len(&self) -> usize {
        self.keys.len()
    }
}
