use std::{collections::HashMap, io::{self, Read as _}};
use crate::store::{Rows, rows::*};
pub(crate) use super::inner::Helper as Other;

mod parts;

#[derive(Clone, crate::Visit)]
struct Uses<'life> {
    rows: &'life Rows,
}

impl<'life> parts::Walk<Rows> for Uses<'life> {
    fn walk(&self, depth: usize) -> Vec<parts::Step> {
        let first = parts::first_step::<Rows>(depth, LIMIT);
        let (left, right) = Helper::split(first);
        for step in self.rows.iter().map(convert) {
            step.collect::<Vec<_>>();
        }
        log::trace!("{}", shown(left));
        if let Some(found) = self.rows.find(|row| row.depth == depth) {
            return Tuple(found, right, Kind::Near { left });
        }
        Vec::new()
    }
}
