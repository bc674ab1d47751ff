//! What is in a directory.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use super::files::NodeId;

/// The entries of a directory.
#[derive(Debug, Default)]
pub(super) struct Entries {
    by_name: BTreeMap<Arc<str>, NodeId>,
    /// In the order of their creation, so that a large directory is listed in parts at no cost for what was listed.
    by_number: BTreeMap<NodeId, Arc<str>>,
}

impl Entries {
    pub(super) fn get(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn insert(&mut self, name: &str, id: NodeId) {
        let name: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&name), id);
        self.by_number.insert(id, name);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(id) = self.by_name.remove(name) {
            self.by_number.remove(&id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.by_name.iter().map(|(name, id)| (&**name, *id))
    }

    /// Those with numbers above `after`, in the order of their numbers.
    pub(super) fn after(&self, after: NodeId) -> impl Iterator<Item = (NodeId, &str)> {
        self.by_number.range((Excluded(after), Unbounded)).map(|(id, name)| (*id, &**name))
    }
}
