use std::{fmt, sync::Arc};

use crate::packed::{Reader, Writer};

/// The names that a file uses and what it imports, packed into one piece of memory: a file has some
/// hundred of them, and they are read all at once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Links(Arc<[u8]>);

/// How often a file uses a name, by the way in which it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// A type of the file is derived from it.
    pub implements: u32,
    /// It is called.
    pub calls: u32,
    /// It is used as a type.
    pub types: u32,
    /// It is used in another way.
    pub others: u32,
}

impl Uses {
    /// All of them.
    pub fn total(self) -> u32 {
        self.all().into_iter().fold(0, u32::saturating_add)
    }

    fn all(self) -> [u32; 4] {
        [self.implements, self.calls, self.types, self.others]
    }

    fn of(all: [u32; 4]) -> Self {
        let [implements, calls, types, others] = all;
        Self { implements, calls, types, others }
    }
}

/// One import of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportRow<'a> {
    /// The module, file or package as written.
    pub path: &'a str,
    names: Reader<'a>,
    count: usize,
}

impl<'a> ImportRow<'a> {
    /// What is named of it; nothing where it is taken as a whole.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let mut reader = self.names;
        (0..self.count).map_while(move |_| reader.text())
    }
}

impl Links {
    /// Packs the uses by name, sorted by name and each name once, and the imports in their order,
    /// each with the names that it takes.
    pub fn new(uses: &[(&str, Uses)], imports: &[(&str, Vec<&str>)]) -> Self {
        if uses.is_empty() && imports.is_empty() {
            return Self::default();
        }
        debug_assert!(uses.is_sorted_by(|a, b| a.0 < b.0), "sorted, each name once");
        let mut writer = Writer::default();
        writer.number(uses.len());
        for (name, uses) in uses {
            writer.text(name);
            let counts = uses.all();
            let present = (0..4).filter(|at| counts[*at] > 0).fold(0, |mask, at| mask | 1 << at);
            writer.number(present);
            for count in counts.into_iter().filter(|count| *count > 0) {
                writer.number(count as usize);
            }
        }
        for (path, names) in imports {
            writer.text(path);
            writer.number(names.len());
            for name in names {
                writer.text(name);
            }
        }
        Self(writer.0.into())
    }

    /// The names that the file uses and does not define at that place, in their order.
    pub fn uses(&self) -> impl Iterator<Item = (&str, Uses)> {
        let mut reader = Reader(&self.0);
        let count = reader.number().unwrap_or(0);
        (0..count).map_while(move |_| reader.uses())
    }

    /// How often the file uses `name`.
    pub fn uses_of(&self, name: &str) -> Uses {
        let found = self.uses().find(|(known, _)| *known >= name);
        found.filter(|(known, _)| *known == name).map(|(_, uses)| uses).unwrap_or_default()
    }

    /// What the file imports, in the order of its text.
    pub fn imports(&self) -> impl Iterator<Item = ImportRow<'_>> {
        let mut reader = Reader(&self.0);
        let count = reader.number().unwrap_or(0);
        for _ in 0..count {
            reader.uses();
        }
        std::iter::from_fn(move || reader.import())
    }

    /// As they are stored.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.0
    }

    /// From what was stored. Damaged bytes hold fewer links and nothing worse.
    pub(crate) fn of_packed(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses = self.uses().map(|(name, uses)| (name, uses.all()));
        let imports =
            self.imports().map(|import| (import.path, import.names().collect::<Vec<_>>()));
        f.debug_struct("Links")
            .field("uses", &uses.collect::<Vec<_>>())
            .field("imports", &imports.collect::<Vec<_>>())
            .finish()
    }
}

impl<'a> Reader<'a> {
    fn uses(&mut self) -> Option<(&'a str, Uses)> {
        let name = self.text()?;
        let present = self.number()?;
        let mut counts = [0; 4];
        for (at, count) in counts.iter_mut().enumerate() {
            if present & 1 << at != 0 {
                *count = u32::try_from(self.number()?).unwrap_or(u32::MAX);
            }
        }
        Some((name, Uses::of(counts)))
    }

    fn import(&mut self) -> Option<ImportRow<'a>> {
        let path = self.text()?;
        let count = self.number()?;
        let names = *self;
        for _ in 0..count {
            self.text()?;
        }
        Some(ImportRow { path, names, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        let many = Uses { calls: 300, ..Uses::default() };
        let both = Uses { implements: 1, types: 2, ..Uses::default() };
        Links::new(&[("call", many), ("größe", both)], &[("a::b", vec!["c", "d"]), ("e.h", vec![])])
    }

    #[test]
    fn links_come_back_as_they_were_packed() {
        let links = links();
        let names: Vec<_> = links.uses().map(|(name, uses)| (name, uses.total())).collect();
        assert_eq!(names, [("call", 300), ("größe", 3)]);
        assert_eq!(links.uses_of("größe").types, 2);
        assert_eq!(links.uses_of("d"), Uses::default());
        let imports: Vec<_> = links
            .imports()
            .map(|import| (import.path, import.names().collect::<Vec<_>>()))
            .collect();
        assert_eq!(imports, [("a::b", vec!["c", "d"]), ("e.h", vec![])]);
        assert_eq!(Links::of_packed(links.packed()), links);
        assert_eq!(Links::default().uses().count() + Links::default().imports().count(), 0);
    }

    #[test]
    fn damaged_bytes_hold_fewer_links() {
        let whole = links().packed().to_vec();
        for end in 0..whole.len() {
            let cut = Links::of_packed(&whole[..end]);
            assert!(cut.uses().count() + cut.imports().count() <= 4);
            let mut wrong = whole.clone();
            wrong[end] = 0xff;
            let wrong = Links::of_packed(&wrong);
            assert!(wrong.uses().count() + wrong.imports().count() <= whole.len());
        }
    }
}
