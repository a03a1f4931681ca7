use serde::Serialize;

use crate::{Hardware, ModelEntry, Registry, Role};

/// Tokens of context that are planned for when a model is recommended.
const PLANNED_CONTEXT: u64 = 8192;
/// Machines by memory: the size they are sold with, in GB, and the least that the system reports then.
const TIERS: [(u32, u64); 4] =
    [(4, 3_500_000_000), (8, 7_000_000_000), (16, 14_500_000_000), (32, 29_000_000_000)];
/// Physical cores below which a machine is treated as one with less memory: larger models would fit
/// and be too slow to use.
const MANY_CORES: usize = 4;

/// A model that suits the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// For what.
    pub role: Role,
    /// The model; none where nothing is better than doing without one.
    pub id: Option<String>,
    /// Bytes to download.
    pub bytes: u64,
    /// Bytes of memory with 8,192 tokens of context.
    pub memory: u64,
    /// Whether it is installed.
    pub installed: bool,
    /// Why this one.
    pub reason: String,
    /// The command that makes it so.
    pub command: Option<String>,
}

impl Registry {
    /// The best model of the manifest for each role on such a machine.
    pub fn recommend(&self, hardware: &Hardware) -> Vec<Recommendation> {
        [Role::Completion, Role::Chat, Role::Edit, Role::Embedding]
            .into_iter()
            .map(|role| self.recommend_for(role, hardware))
            .collect()
    }

    fn recommend_for(&self, role: Role, hardware: &Hardware) -> Recommendation {
        let tier = tier(hardware);
        let best = self
            .manifest
            .models
            .iter()
            .filter(|entry| entry.roles.contains(&role))
            .filter(|entry| entry.recommended_from.is_some_and(|from| from <= tier))
            // The rest is left to the editor, its language servers and everything else.
            .filter(|entry| entry.memory(PLANNED_CONTEXT) <= hardware.memory / 5 * 3)
            .max_by_key(|entry| entry.recommended_from);
        let Some(entry) = best else {
            return Recommendation {
                role,
                id: None,
                bytes: 0,
                memory: 0,
                installed: false,
                reason: without(role).to_owned(),
                command: None,
            };
        };
        let installed = self.installed(&entry.id).is_ok();
        Recommendation {
            role,
            id: Some(entry.id.clone()),
            bytes: entry.bytes,
            memory: entry.memory(PLANNED_CONTEXT),
            installed,
            reason: format!("{}{}", describe(hardware), note(entry)),
            command: (!installed).then(|| format!("hearth models pull {}", entry.id)),
        }
    }
}

/// The size of machine that models are chosen for.
fn tier(hardware: &Hardware) -> u32 {
    let fitting = TIERS.iter().rev().filter(|(_, memory)| *memory <= hardware.memory);
    let slower = usize::from(hardware.cores < MANY_CORES);
    fitting.map(|(tier, _)| *tier).nth(slower).unwrap_or(0)
}

fn describe(hardware: &Hardware) -> String {
    let slow =
        if hardware.cores < MANY_CORES { ", few enough that a small model is better" } else { "" };
    format!(
        "for {:.0} GB of memory and {} cores{slow}",
        hardware.memory as f64 / 1e9,
        hardware.cores
    )
}

fn note(entry: &ModelEntry) -> String {
    if entry.note.is_empty() { String::new() } else { format!(": {}", entry.note) }
}

fn without(role: Role) -> &'static str {
    match role {
        Role::Completion => {
            "on this machine the suggestions from the workspace itself are better than any model that \
             is fast enough"
        }
        _ => "no model of the list fits into this machine's memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_of_the_size_it_is_sold_with() {
        let of = |gb: f64, cores| {
            tier(&Hardware { memory: (gb * 1e9) as u64, cores, ..Hardware::default() })
        };
        let sizes = [of(2.0, 4), of(4.0, 4), of(7.8, 4), of(16.5, 8), of(33.0, 8), of(67.0, 16)];
        assert_eq!(sizes, [0, 4, 8, 16, 32, 32]);
        assert_eq!([of(4.0, 2), of(7.8, 2), of(16.5, 2), of(33.0, 2)], [0, 4, 8, 16]);
    }
}
