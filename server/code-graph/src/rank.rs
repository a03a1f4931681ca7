use crate::CodeGraph;

/// The chance to follow a use rather than to begin anew.
const DAMPING: f64 = 0.85;
/// Rounds end when less than this share of the rank moves, and after so many at the latest.
const SETTLED: f64 = 1e-4;
const MOST_ROUNDS: usize = 40;
/// How much of what begins anew does so at the files that the person has in mind, and how much of
/// that at those that use them.
const FOCUSED: f64 = 0.8;
const USERS_OF_FOCUSED: f64 = 0.25;

/// The weights between the files of a graph, by slot.
#[derive(Debug)]
pub(crate) struct Matrix {
    /// The slots in the order of their paths.
    order: Vec<u32>,
    /// Where the row of each slot ends in `edges`; the row begins where that of the slot before
    /// ends.
    ends: Vec<usize>,
    /// Users and the share of their rank that they give.
    edges: Vec<(u32, f32)>,
    /// Sum of the weights that leave each slot.
    out: Vec<f64>,
}

impl Matrix {
    /// From the weighted targets of each slot, in the order of the paths.
    pub(crate) fn new<'a>(
        slots: usize,
        order: &[u32],
        edges: impl Iterator<Item = (u32, &'a [(u32, f32)])> + Clone,
    ) -> Self {
        let mut out = vec![0.0; slots];
        let mut counts = vec![0_usize; slots];
        for (source, targets) in edges.clone() {
            for (target, weight) in targets {
                out[source as usize] += f64::from(*weight);
                counts[*target as usize] += 1;
            }
        }
        let mut ends = Vec::with_capacity(slots);
        let mut next = Vec::with_capacity(slots);
        let mut end = 0;
        for count in counts {
            next.push(end);
            end += count;
            ends.push(end);
        }
        let mut users = vec![(0, 0.0); end];
        for (source, targets) in edges {
            for (target, weight) in targets {
                let at = &mut next[*target as usize];
                users[*at] = (source, (f64::from(*weight) / out[source as usize]) as f32);
                *at += 1;
            }
        }
        Self { order: order.to_vec(), ends, edges: users, out }
    }

    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    pub(crate) fn out_weight(&self, slot: u32) -> f64 {
        self.out.get(slot as usize).copied().unwrap_or(0.0)
    }

    /// Who uses a file, and which share of its own rank each gives to it.
    fn users(&self, slot: u32) -> &[(u32, f32)] {
        let end = self.ends.get(slot as usize).copied().unwrap_or(0);
        let begin = (slot as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        self.edges.get(begin..end).unwrap_or_default()
    }

    /// What a file uses, with its shares.
    pub(crate) fn out_of(&self, slot: u32) -> impl Iterator<Item = (u32, f32)> {
        self.order.iter().filter_map(move |target| {
            let share = self.users(*target).iter().find(|(source, _)| *source == slot)?.1;
            Some((*target, share))
        })
    }

    /// The stationary chances of someone who follows uses from file to file and now and then begins
    /// anew at `starts`, whose chances add up to one.
    fn walk(&self, starts: &[f64]) -> Vec<f64> {
        let mut ranks = starts.to_vec();
        let mut next = vec![0.0; ranks.len()];
        for _ in 0..MOST_ROUNDS {
            let stuck: f64 = self
                .order
                .iter()
                .filter(|slot| self.out[**slot as usize] == 0.0)
                .map(|slot| ranks[*slot as usize])
                .sum();
            let anew = 1.0 - DAMPING + DAMPING * stuck;
            let mut moved = 0.0;
            for slot in &self.order {
                let given: f64 = self
                    .users(*slot)
                    .iter()
                    .map(|(user, share)| ranks[*user as usize] * f64::from(*share))
                    .sum();
                let at = *slot as usize;
                next[at] = anew * starts[at] + DAMPING * given;
                moved += (next[at] - ranks[at]).abs();
            }
            std::mem::swap(&mut ranks, &mut next);
            if moved < SETTLED {
                break;
            }
        }
        ranks
    }
}

/// How important each file is; the ranks of all files add up to one.
pub struct Ranks<'a> {
    graph: &'a CodeGraph,
    by_slot: Vec<f64>,
}

impl CodeGraph {
    /// Ranks the files by PageRank: important is what important files use. With `focus`, paths that
    /// the person has open or speaks of, it is what matters to them; unknown paths are left out.
    pub fn rank(&self, focus: &[impl AsRef<str>]) -> Ranks<'_> {
        let matrix = self.matrix();
        let mut starts = vec![0.0; matrix.ends.len()];
        let mut focused: Vec<u32> =
            focus.iter().filter_map(|path| self.slot_of(path.as_ref())).collect();
        focused.sort_unstable();
        focused.dedup();
        let share = if focused.is_empty() { 0.0 } else { FOCUSED };
        for slot in matrix.order() {
            starts[*slot as usize] = (1.0 - share) / matrix.order().len() as f64;
        }
        for slot in &focused {
            let share = share / focused.len() as f64;
            let users = matrix.users(*slot);
            let all: f64 = users.iter().map(|(_, weight)| f64::from(*weight)).sum();
            let to_users = if all > 0.0 { share * USERS_OF_FOCUSED } else { 0.0 };
            starts[*slot as usize] += share - to_users;
            for (user, weight) in users {
                starts[*user as usize] += to_users * f64::from(*weight) / all;
            }
        }
        Ranks { graph: self, by_slot: matrix.walk(&starts) }
    }
}

impl<'a> Ranks<'a> {
    /// The rank of a file; 0 for one that takes no part.
    pub fn of(&self, path: &str) -> f64 {
        self.graph.slot_of(path).map_or(0.0, |slot| self.of_slot(slot))
    }

    pub(crate) fn graph(&self) -> &'a CodeGraph {
        self.graph
    }

    pub(crate) fn of_slot(&self, slot: u32) -> f64 {
        self.by_slot.get(slot as usize).copied().unwrap_or(0.0)
    }

    /// The files with their ranks, the most important first, equals by path.
    pub fn files(&self) -> Vec<(&'a str, f64)> {
        let mut files: Vec<(&'a str, f64)> = self
            .graph
            .matrix()
            .order()
            .iter()
            .filter_map(|slot| Some((&*self.graph.rows(*slot)?.file.path, self.of_slot(*slot))))
            .collect();
        files.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        files
    }
}
