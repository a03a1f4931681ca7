use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use indexer::{FileRows, IndexSnapshot, SymbolRow, Uses};
use syntax::SymbolKind;

use crate::{
    rank::Matrix,
    resolve::{Place, Resolver},
    weight,
};

/// Stands for the name of an import as a whole.
const NO_NAME: u32 = u32::MAX;

/// Files and how they use each other.
#[derive(Default)]
pub struct CodeGraph {
    /// By slot. A file keeps its slot while it exists; a slot that is free has no file.
    files: Vec<Option<File>>,
    free: Vec<u32>,
    slots: HashMap<Arc<str>, u32>,
    names: HashMap<Arc<str>, u32>,
    /// By name: who defines it, by slot.
    definitions: Vec<Vec<Definition>>,
    /// Made anew when files come or go.
    resolver: Option<Resolver>,
    matrix: OnceLock<Matrix>,
}

struct File {
    rows: Arc<FileRows>,
    /// What it uses of others: by the name that is used, imports last.
    links: Vec<Link>,
    /// The files that these lead to, each once, the heaviest first.
    edges: Vec<(u32, f32)>,
}

/// One name of one file that another uses.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Link {
    target: u32,
    name: u32,
    weight: f32,
}

/// A file defines a name, as these kinds, each with how much of it is left to others.
#[derive(Clone, Debug)]
struct Definition {
    slot: u32,
    kinds: Vec<(SymbolKind, f32)>,
}

/// A file that uses a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Relative to the workspace.
    pub path: Arc<str>,
    /// How often it does, by the way in which it does.
    pub uses: Uses,
}

impl CodeGraph {
    /// The graph of everything in `index`.
    pub fn new(index: &IndexSnapshot) -> Self {
        let mut graph = Self::default();
        graph.update(index);
        graph
    }

    /// Brings the graph up to date; it then equals a new one. Whether anything had changed. Files
    /// whose names nobody else's change can touch cost nothing; when files came or went every link
    /// is found again, as any import may mean another file now.
    pub fn update(&mut self, index: &IndexSnapshot) -> bool {
        index.load_contents();
        let files: Vec<&Arc<FileRows>> = index.files().collect();
        self.update_to(files.iter().copied())
    }

    fn update_to<'a>(&mut self, files: impl Iterator<Item = &'a Arc<FileRows>> + Clone) -> bool {
        let files = files.filter(|rows| takes_part(rows));
        let mut changed: Vec<Arc<FileRows>> = Vec::new();
        let mut known = 0;
        let mut moved = false;
        for rows in files.clone() {
            match self.file(&rows.file.path) {
                Some(file) => {
                    known += 1;
                    if Arc::ptr_eq(&file.rows, rows) {
                        continue;
                    }
                    moved |= file.rows.file.language != rows.file.language;
                }
                None => moved = true,
            }
            changed.push(Arc::clone(rows));
        }
        let mut gone: Vec<Arc<str>> = Vec::new();
        if known < self.slots.len() {
            let there: HashSet<&str> = files.map(|rows| &*rows.file.path).collect();
            let paths = self.slots.keys().filter(|path| !there.contains(&***path));
            gone.extend(paths.map(Arc::clone));
            moved = true;
        }
        if changed.is_empty() && gone.is_empty() {
            return false;
        }
        let mut redefined: HashSet<u32> = HashSet::new();
        let mut relinked: Vec<u32> = Vec::new();
        for path in gone {
            if let Some(slot) = self.slots.remove(&path) {
                self.undefine(slot, &mut redefined);
                self.files[slot as usize] = None;
                self.free.push(slot);
            }
        }
        for rows in changed {
            let slot = self.slot(&rows.file.path);
            let same = self.files[slot as usize].as_ref().is_some_and(|file| {
                definitions(&file.rows).eq(definitions(&rows))
                    && file.rows.file.language == rows.file.language
            });
            if !same {
                self.undefine(slot, &mut redefined);
            }
            let file = File { rows: Arc::clone(&rows), links: Vec::new(), edges: Vec::new() };
            self.files[slot as usize] = Some(file);
            if !same {
                self.define(slot, &rows, &mut redefined);
            }
            relinked.push(slot);
        }
        if moved {
            self.resolver = None;
            relinked = self.live().collect();
        } else if !redefined.is_empty() {
            relinked.extend(self.users_of(&redefined));
            relinked.sort_unstable();
            relinked.dedup();
        }
        self.link(&relinked);
        self.matrix = OnceLock::new();
        true
    }

    /// Number of files that take part.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no file takes part.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The files that `path` uses, the most important for it first, with the share that each has.
    pub fn uses(&self, path: &str) -> Vec<(Arc<str>, f32)> {
        let Some(&slot) = self.slots.get(path) else { return Vec::new() };
        let matrix = self.matrix();
        let mut found: Vec<(Arc<str>, f32)> = matrix
            .out_of(slot)
            .filter_map(|(target, share)| Some((self.path(target)?, share)))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        found
    }

    /// The files that use or import something of `path`, in order.
    pub fn used_by(&self, path: &str) -> Vec<Arc<str>> {
        let Some(&slot) = self.slots.get(path) else { return Vec::new() };
        let mut found: Vec<Arc<str>> = self
            .live_files()
            .filter(|(_, file)| file.links.iter().any(|link| link.target == slot))
            .map(|(_, file)| Arc::clone(&file.rows.file.path))
            .collect();
        found.sort_unstable();
        found
    }

    /// The files that call `name` as `path` defines it, in order, itself included.
    pub fn callers(&self, path: &str, name: &str) -> Vec<User> {
        self.users(path, name, |uses| uses.calls > 0)
    }

    /// The files in which a type is derived from `name` as `path` defines it, in order, itself
    /// included.
    pub fn implementers(&self, path: &str, name: &str) -> Vec<User> {
        self.users(path, name, |uses| uses.implements > 0)
    }

    fn users(&self, path: &str, name: &str, wanted: impl Fn(Uses) -> bool) -> Vec<User> {
        let (Some(&slot), Some(&id)) = (self.slots.get(path), self.names.get(name)) else {
            return Vec::new();
        };
        let linked = |own: u32, file: &File| {
            own == slot || file.links.iter().any(|link| (link.target, link.name) == (slot, id))
        };
        let mut found: Vec<User> = self
            .live_files()
            .filter(|(own, file)| linked(*own, file))
            .map(|(_, file)| User {
                path: Arc::clone(&file.rows.file.path),
                uses: file.rows.links().uses_of(name),
            })
            .filter(|user| wanted(user.uses))
            .collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// Every link in an order that does not depend on history, for comparison.
    pub fn dump(&self) -> Vec<String> {
        let mut names: Vec<&str> = vec![""; self.definitions.len()];
        for (name, id) in &self.names {
            names[*id as usize] = name;
        }
        let mut lines: Vec<String> = self
            .live_files()
            .flat_map(|(_, file)| {
                let names = &names;
                file.links.iter().map(move |link| {
                    let target = self.path(link.target);
                    let target = target.as_deref().unwrap_or("nowhere");
                    let name = names.get(link.name as usize).copied().unwrap_or("import");
                    format!("{} -> {target} {name} {}", file.rows.file.path, link.weight)
                })
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    fn slot(&mut self, path: &Arc<str>) -> u32 {
        if let Some(slot) = self.slots.get(path) {
            return *slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.files.push(None);
            self.files.len() as u32 - 1
        });
        self.slots.insert(Arc::clone(path), slot);
        slot
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.get(*self.slots.get(path)? as usize)?.as_ref()
    }

    pub(crate) fn rows(&self, slot: u32) -> Option<&Arc<FileRows>> {
        self.files.get(slot as usize)?.as_ref().map(|file| &file.rows)
    }

    pub(crate) fn slot_of(&self, path: &str) -> Option<u32> {
        self.slots.get(path).copied()
    }

    fn path(&self, slot: u32) -> Option<Arc<str>> {
        self.rows(slot).map(|rows| Arc::clone(&rows.file.path))
    }

    fn live_files(&self) -> impl Iterator<Item = (u32, &File)> {
        (0..).zip(&self.files).filter_map(|(slot, file)| Some((slot, file.as_ref()?)))
    }

    fn live(&self) -> impl Iterator<Item = u32> {
        self.live_files().map(|(slot, _)| slot)
    }

    fn undefine(&mut self, slot: u32, redefined: &mut HashSet<u32>) {
        let Some(file) = self.files[slot as usize].as_ref() else { return };
        for (name, ..) in definitions(&file.rows) {
            if let Some(&id) = self.names.get(name) {
                self.definitions[id as usize].retain(|definition| definition.slot != slot);
                redefined.insert(id);
            }
        }
    }

    fn define(&mut self, slot: u32, rows: &FileRows, redefined: &mut HashSet<u32>) {
        for (name, kind, exposure) in definitions(rows) {
            let id = match self.names.get(name) {
                Some(id) => *id,
                None => {
                    let id = self.definitions.len() as u32;
                    self.names.insert(name.into(), id);
                    self.definitions.push(Vec::new());
                    id
                }
            };
            redefined.insert(id);
            let known = &mut self.definitions[id as usize];
            match known.binary_search_by_key(&slot, |definition| definition.slot) {
                Ok(at) => known[at].kinds.push((kind, exposure)),
                Err(at) => known.insert(at, Definition { slot, kinds: vec![(kind, exposure)] }),
            }
        }
    }

    /// The files that use one of these names.
    fn users_of(&self, names: &HashSet<u32>) -> Vec<u32> {
        let mut wanted: Vec<&str> = self
            .names
            .iter()
            .filter(|(_, id)| names.contains(id))
            .map(|(name, _)| &**name)
            .collect();
        wanted.sort_unstable();
        // Both are in order, so that one pass over the two tells.
        let last = wanted.last().copied().unwrap_or_default();
        let uses_one = |file: &File| {
            let mut wanted = wanted.iter().peekable();
            file.rows.links().uses().take_while(|(name, _)| *name <= last).any(|(name, _)| {
                while wanted.next_if(|known| **known < name).is_some() {}
                wanted.peek().is_some_and(|known| **known == name)
            })
        };
        self.live_files().filter(|(_, file)| uses_one(file)).map(|(slot, _)| slot).collect()
    }

    /// Finds the links of these files again.
    fn link(&mut self, slots: &[u32]) {
        let resolver = self.resolver.take().unwrap_or_else(|| {
            Resolver::new(self.live_files().map(|(slot, file)| (slot, &file.rows)))
        });
        for slot in slots {
            let links = self.links_of(*slot, &resolver);
            let edges = self.edges_of(&links);
            if let Some(Some(file)) = self.files.get_mut(*slot as usize) {
                (file.links, file.edges) = (links, edges);
            }
        }
        self.resolver = Some(resolver);
    }

    /// Where links lead, each file once and only the heaviest.
    fn edges_of(&self, links: &[Link]) -> Vec<(u32, f32)> {
        let mut by_target: Vec<(u32, f32)> =
            links.iter().map(|link| (link.target, link.weight)).collect();
        // The sort is stable: what leads to one file is added up in the order of the names.
        by_target.sort_by_key(|(target, _)| *target);
        by_target.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            if same {
                sum.1 += next.1;
            }
            same
        });
        // The order must not depend on which slots the files were given.
        by_target.sort_by(|a, b| {
            b.1.total_cmp(&a.1).then_with(|| self.path_of(a.0).cmp(self.path_of(b.0)))
        });
        by_target.truncate(weight::MOST_EDGES);
        by_target.shrink_to_fit();
        by_target
    }

    fn links_of(&self, slot: u32, resolver: &Resolver) -> Vec<Link> {
        let Some(rows) = self.rows(slot) else { return Vec::new() };
        let view = View::new(slot, rows, resolver);
        let mut links = Vec::new();
        let mut meant: Vec<(u32, f32)> = Vec::new();
        for (name, uses) in rows.links().uses() {
            let Some(&id) = self.names.get(name) else { continue };
            let definitions = self.definitions[id as usize].as_slice();
            let of_slot = |slot: u32| {
                let at = definitions.binary_search_by_key(&slot, |definition| definition.slot);
                at.ok().map(|at| &definitions[at])
            };
            // What the file calls so itself is what it means.
            if of_slot(slot).is_some() {
                continue;
            }
            meant.clear();
            let mut nearest = Nearness::Stranger;
            let mut consider = |definition: &Definition| {
                let nearness = view.nearness(definition.slot);
                if nearness < Some(nearest) {
                    return;
                }
                let Some(nearness) = nearness else { return };
                let of_place = |kind| match nearness {
                    Nearness::Imported => weight::IMPORTED,
                    Nearness::OfPackage => weight::OF_PACKAGE,
                    Nearness::Beside => 1.0,
                    Nearness::Stranger => weight::of_stranger(view.language, kind),
                };
                let Some(weight) = attraction(definition, name, uses, &of_place) else { return };
                if nearness > nearest {
                    nearest = nearness;
                    meant.clear();
                }
                meant.push((definition.slot, weight));
            };
            if definitions.len() <= weight::LOOKED_AT {
                definitions.iter().for_each(&mut consider);
            } else {
                view.imported.iter().filter_map(|slot| of_slot(*slot)).for_each(&mut consider);
            }
            let most = match nearest {
                Nearness::Stranger => weight::MOST_STRANGERS,
                _ => weight::MOST_DEFINITIONS,
            };
            if meant.len() > most {
                continue;
            }
            let share = weight::of_name(name) / meant.len() as f32;
            links.extend(meant.iter().map(|(target, weight)| Link {
                target: *target,
                name: id,
                weight: weight * share,
            }));
        }
        links.extend(view.imported.iter().map(|target| Link {
            target: *target,
            name: NO_NAME,
            weight: weight::IMPORT,
        }));
        links.shrink_to_fit();
        links
    }

    /// The weights between the files, made at the first use.
    pub(crate) fn matrix(&self) -> &Matrix {
        self.matrix.get_or_init(|| {
            // Sums in the order of the paths do not depend on the history of the slots.
            let mut order: Vec<u32> = self.live().collect();
            order.sort_by(|a, b| self.path_of(*a).cmp(self.path_of(*b)));
            let edges = order.iter().map(|slot| {
                let edges = self.files[*slot as usize].as_ref().map(|file| file.edges.as_slice());
                (*slot, edges.unwrap_or_default())
            });
            Matrix::new(self.files.len(), &order, edges)
        })
    }

    fn path_of(&self, slot: u32) -> &str {
        self.rows(slot).map_or("", |rows| &rows.file.path)
    }

    /// How much of the rank of its users each used name brings to the file that defines it, by file
    /// and name, for the files that are `wanted`.
    pub(crate) fn name_ranks(
        &self,
        rank: &dyn Fn(u32) -> f64,
        wanted: &HashSet<u32>,
    ) -> HashMap<(u32, &str), f64> {
        let mut is_wanted = vec![false; self.files.len()];
        for slot in wanted {
            is_wanted[*slot as usize] = true;
        }
        let mut by_id: HashMap<(u32, u32), f64> = HashMap::new();
        let matrix = self.matrix();
        for slot in matrix.order() {
            let Some(Some(file)) = self.files.get(*slot as usize) else { continue };
            let scale = rank(*slot) / matrix.out_weight(*slot).max(f64::MIN_POSITIVE);
            for link in &file.links {
                if link.name != NO_NAME && is_wanted[link.target as usize] {
                    *by_id.entry((link.target, link.name)).or_default() +=
                        scale * f64::from(link.weight);
                }
            }
        }
        let of_file = |slot: &u32| {
            let rows = self.rows(*slot)?;
            Some((*slot, definitions(rows)))
        };
        wanted
            .iter()
            .filter_map(of_file)
            .flat_map(|(slot, names)| names.map(move |(name, ..)| (slot, name)))
            .filter_map(|(slot, name)| {
                let id = self.names.get(name)?;
                Some(((slot, name), *by_id.get(&(slot, *id))?))
            })
            .collect()
    }
}

/// How near a definition is to a file that uses its name; only the nearest are meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// Nothing says that the file knows it.
    Stranger,
    /// In the same folder, where that makes a package.
    Beside,
    /// In a package that the file imports.
    OfPackage,
    /// In a file that it imports.
    Imported,
}

/// What a file knows of the others.
struct View<'a> {
    language: &'a str,
    resolver: &'a Resolver,
    own: Option<&'a Place>,
    folder_is_package: bool,
    /// Sorted.
    imported: Vec<u32>,
    /// Numbers of packages, sorted.
    packages: Vec<u32>,
}

impl<'a> View<'a> {
    fn new(slot: u32, rows: &'a FileRows, resolver: &'a Resolver) -> Self {
        let language = rows.file.language.as_deref().unwrap_or_default();
        let mut imported: Vec<u32> = rows
            .links()
            .imports()
            .flat_map(|import| resolver.resolve(slot, rows, import))
            .collect();
        imported.sort_unstable();
        imported.dedup();
        let mut packages: Vec<u32> =
            imported.iter().filter_map(|slot| resolver.place(*slot)?.package).collect();
        if language == "rust" {
            // `name::item` needs no import where `name` is a crate.
            let named = rows.links().uses().filter_map(|(name, _)| resolver.package_named(name));
            packages.extend(named);
        }
        packages.sort_unstable();
        packages.dedup();
        Self {
            language,
            resolver,
            own: resolver.place(slot),
            folder_is_package: weight::folder_is_package(language),
            imported,
            packages,
        }
    }

    /// `None` for a file of another family of languages.
    fn nearness(&self, other: u32) -> Option<Nearness> {
        let (own, place) = (self.own?, self.resolver.place(other)?);
        if own.family != place.family {
            return None;
        }
        Some(if self.imported.binary_search(&other).is_ok() {
            Nearness::Imported
        } else if place.inside.iter().any(|known| self.packages.binary_search(known).is_ok()) {
            Nearness::OfPackage
        } else if self.folder_is_package && own.folder == place.folder {
            Nearness::Beside
        } else {
            Nearness::Stranger
        })
    }
}

fn takes_part(rows: &FileRows) -> bool {
    rows.file.language.as_deref().is_some_and(weight::takes_part)
}

/// How much uses of the name draw to this definition.
fn attraction(
    definition: &Definition,
    name: &str,
    uses: Uses,
    of_place: &dyn Fn(SymbolKind) -> f32,
) -> Option<f32> {
    let of_kind = |kind: SymbolKind, exposure: f32| {
        let fitting = (weight::fitting(uses, kind) as f32).sqrt();
        weight::of_kind(kind, name) * exposure * fitting * of_place(kind)
    };
    definition
        .kinds
        .iter()
        .map(|(kind, exposure)| of_kind(*kind, *exposure))
        .filter(|weight| *weight > 0.0)
        .max_by(f32::total_cmp)
}

/// What others can mean by a name: what stands in a function is its own.
pub(crate) fn definitions_of(rows: &FileRows) -> impl Iterator<Item = (&SymbolRow, SymbolKind)> {
    let mut bodies: Vec<(usize, usize)> = Vec::new();
    rows.symbols().iter().filter_map(move |symbol| {
        let kind = SymbolKind::of_name(&symbol.kind)?;
        while bodies.last().is_some_and(|(_, end)| *end <= symbol.range.start) {
            bodies.pop();
        }
        let inside = bodies
            .iter()
            .any(|(start, end)| *start <= symbol.range.start && symbol.range.end <= *end);
        if kind.is_callable() {
            bodies.push((symbol.range.start, symbol.range.end));
        }
        (!inside && weight::of_kind(kind, &symbol.name) > 0.0).then_some((symbol, kind))
    })
}

fn definitions(rows: &FileRows) -> impl Iterator<Item = (&str, SymbolKind, f32)> {
    let language = rows.file.language.as_deref().unwrap_or_default();
    definitions_of(rows).map(move |(symbol, kind)| {
        let exposure = weight::of_exposure(language, kind, &symbol.name, &symbol.signature);
        (&*symbol.name, kind, exposure)
    })
}

#[cfg(test)]
mod tests;
