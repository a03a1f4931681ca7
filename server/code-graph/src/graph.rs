use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use indexer::{FileRows, IndexSnapshot, SymbolRow, Uses};
use syntax::SymbolKind;

use crate::{rank::Matrix, resolve::Resolver, weight};

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
    /// By name, in no order: who defines it.
    definitions: Vec<Vec<Definition>>,
    matrix: OnceLock<Matrix>,
}

struct File {
    rows: Arc<FileRows>,
    /// What it uses of others: by the name that is used, imports last.
    links: Vec<Link>,
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
        self.update_to(index.files())
    }

    fn update_to<'a>(&mut self, files: impl Iterator<Item = &'a Arc<FileRows>>) -> bool {
        let mut changed: Vec<Arc<FileRows>> = Vec::new();
        let mut seen: HashSet<&str> = HashSet::new();
        let mut came = false;
        for rows in files.filter(|rows| takes_part(rows)) {
            seen.insert(&rows.file.path);
            match self.file(&rows.file.path) {
                Some(file) if Arc::ptr_eq(&file.rows, rows) => continue,
                Some(_) => {}
                None => came = true,
            }
            changed.push(Arc::clone(rows));
        }
        let gone: Vec<Arc<str>> =
            self.slots.keys().filter(|path| !seen.contains(&***path)).map(Arc::clone).collect();
        if changed.is_empty() && gone.is_empty() {
            return false;
        }
        let mut redefined: HashSet<u32> = HashSet::new();
        let mut relinked: Vec<u32> = Vec::new();
        for path in &gone {
            if let Some(slot) = self.slots.remove(path) {
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
            let links = Vec::new();
            self.files[slot as usize] = Some(File { rows: Arc::clone(&rows), links });
            if !same {
                self.define(slot, &rows, &mut redefined);
            }
            relinked.push(slot);
        }
        if came || !gone.is_empty() {
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
                uses: file.rows.links.uses_of(name),
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
            match known.iter_mut().find(|definition| definition.slot == slot) {
                Some(definition) => definition.kinds.push((kind, exposure)),
                None => known.push(Definition { slot, kinds: vec![(kind, exposure)] }),
            }
        }
    }

    /// The files that use one of these names.
    fn users_of(&self, names: &HashSet<u32>) -> Vec<u32> {
        let uses_one = |file: &File| {
            file.rows
                .links
                .uses()
                .any(|(name, _)| self.names.get(name).is_some_and(|id| names.contains(id)))
        };
        self.live_files().filter(|(_, file)| uses_one(file)).map(|(slot, _)| slot).collect()
    }

    /// Finds the links of these files again.
    fn link(&mut self, slots: &[u32]) {
        let files = self.live_files().map(|(slot, file)| (slot, &file.rows));
        let resolver = Resolver::new(files);
        let found: Vec<(u32, Vec<Link>)> =
            slots.iter().map(|slot| (*slot, self.links_of(*slot, &resolver))).collect();
        for (slot, links) in found {
            if let Some(Some(file)) = self.files.get_mut(slot as usize) {
                file.links = links;
            }
        }
    }

    fn links_of(&self, slot: u32, resolver: &Resolver) -> Vec<Link> {
        let Some(rows) = self.rows(slot) else { return Vec::new() };
        let mut imported: Vec<u32> =
            rows.links.imports().flat_map(|import| resolver.resolve(slot, rows, import)).collect();
        imported.sort_unstable();
        imported.dedup();
        let language = rows.file.language.as_deref().unwrap_or_default();
        let mut packages: Vec<&str> =
            imported.iter().filter_map(|at| resolver.package(*at)).collect();
        if language == "rust" {
            // `name::item` needs no import where `name` is a crate.
            let named = rows.links.uses().filter_map(|(name, _)| resolver.package_named(name));
            packages.extend(named);
        }
        let packages = |path: &str| packages.iter().any(|folder| path.starts_with(folder));
        let mut links = Vec::new();
        let mut meant: Vec<(u32, f32)> = Vec::new();
        for (name, uses) in rows.links.uses() {
            let Some(&id) = self.names.get(name) else { continue };
            let definitions = &self.definitions[id as usize];
            // What the file calls so itself is what it means.
            if definitions.iter().any(|definition| definition.slot == slot) {
                continue;
            }
            let is_imported = |target: u32| imported.binary_search(&target).is_ok();
            let in_package = |target: u32| packages(self.path_of(target));
            let here = folder(&rows.file.path);
            let is_beside = |target: u32| folder(self.path_of(target)) == here;
            let some = |test: &dyn Fn(u32) -> bool| {
                definitions.iter().any(|definition| test(definition.slot))
            };
            let anyone = |_: u32| true;
            let folder_is_package = weight::folder_is_package(language);
            let (known, factor): (&dyn Fn(u32) -> bool, _) = if some(&is_imported) {
                (&is_imported, weight::IMPORTED)
            } else if some(&in_package) {
                (&in_package, weight::OF_PACKAGE)
            } else if folder_is_package && some(&is_beside) {
                (&is_beside, 1.0)
            } else {
                (&anyone, 0.0)
            };
            meant.clear();
            for definition in definitions.iter().filter(|definition| known(definition.slot)) {
                let other =
                    self.rows(definition.slot).and_then(|rows| rows.file.language.as_deref());
                if other.map(weight::family) != Some(weight::family(language)) {
                    continue;
                }
                let of_kind =
                    |kind| if factor > 0.0 { factor } else { weight::of_stranger(language, kind) };
                let weight = attraction(definition, name, uses, &of_kind);
                meant.extend(weight.map(|weight| (definition.slot, weight)));
            }
            let factor = weight::of_name(name);
            if meant.len() > weight::MOST_DEFINITIONS {
                continue;
            }
            let share = factor / meant.len() as f32;
            links.extend(meant.iter().map(|(target, weight)| Link {
                target: *target,
                name: id,
                weight: weight * share,
            }));
        }
        links.extend(imported.into_iter().map(|target| Link {
            target,
            name: NO_NAME,
            weight: weight::IMPORT,
        }));
        links
    }

    /// The weights between the files, made at the first use.
    pub(crate) fn matrix(&self) -> &Matrix {
        self.matrix.get_or_init(|| {
            // Sums in the order of the paths do not depend on the history of the slots.
            let mut order: Vec<u32> = self.live().collect();
            order.sort_by(|a, b| self.path_of(*a).cmp(self.path_of(*b)));
            let edges = order.iter().map(|slot| {
                let links = self.files[*slot as usize].as_ref().map(|file| file.links.as_slice());
                (*slot, links.unwrap_or_default().iter().map(|link| (link.target, link.weight)))
            });
            Matrix::new(self.files.len(), &order, edges)
        })
    }

    fn path_of(&self, slot: u32) -> &str {
        self.rows(slot).map_or("", |rows| &rows.file.path)
    }

    /// How much of the rank of its users each used name brings to the file that defines it: by file
    /// and name.
    pub(crate) fn name_ranks(&self, rank: &dyn Fn(u32) -> f64) -> HashMap<(u32, &str), f64> {
        let mut by_id: HashMap<(u32, u32), f64> = HashMap::new();
        let matrix = self.matrix();
        for slot in matrix.order() {
            let Some(Some(file)) = self.files.get(*slot as usize) else { continue };
            let scale = rank(*slot) / matrix.out_weight(*slot).max(f64::MIN_POSITIVE);
            for link in file.links.iter().filter(|link| link.name != NO_NAME) {
                *by_id.entry((link.target, link.name)).or_default() +=
                    scale * f64::from(link.weight);
            }
        }
        let mut named: HashMap<(u32, &str), f64> = HashMap::with_capacity(by_id.len());
        for (name, id) in &self.names {
            for definition in &self.definitions[*id as usize] {
                if let Some(rank) = by_id.get(&(definition.slot, *id)) {
                    named.insert((definition.slot, name), *rank);
                }
            }
        }
        named
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
    rows.symbols.iter().filter_map(move |symbol| {
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

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests;
