use std::{collections::VecDeque, sync::Arc};

use edit::EditProposal;
use parking_lot::Mutex;

use crate::AssistantError;

/// Proposals that are held for a decision; older ones were forgotten by the person too.
const HELD: usize = 32;

/// The latest proposals, so that hunks can be accepted and follow-up instructions build on them.
#[derive(Default)]
pub struct OpenEdits {
    proposals: Mutex<VecDeque<Arc<EditProposal>>>,
}

impl OpenEdits {
    /// Holds a proposal.
    pub fn hold(&self, proposal: EditProposal) -> Arc<EditProposal> {
        let proposal = Arc::new(proposal);
        let mut proposals = self.proposals.lock();
        if proposals.len() == HELD {
            proposals.pop_front();
        }
        proposals.push_back(proposal.clone());
        proposal
    }

    /// The proposal of this name.
    pub fn get(&self, id: &str) -> Result<Arc<EditProposal>, AssistantError> {
        let proposals = self.proposals.lock();
        let found = proposals.iter().find(|proposal| proposal.id == id);
        found.cloned().ok_or_else(|| AssistantError::UnknownEdit { id: id.to_owned() })
    }
}
