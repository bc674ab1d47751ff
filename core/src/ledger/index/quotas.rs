//! What is owed to submitters, and what their unfinished jobs take: counted for each of them and in all, since the genesis bounds
//! both.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    identity::PublicKey,
    ledger::{Ledger, Owed},
    schedule::ready::Needs,
};

impl Ledger {
    /// Counts one segment more of a submitter and of these needs.
    pub(in crate::ledger) fn need(&mut self, submitter: PublicKey, needs: &Arc<Needs>) {
        *self.needs.entry(Arc::clone(needs)).or_default() += 1;
        *self.needs_by_key.entry(submitter).or_default().entry(Arc::clone(needs)).or_default() += 1;
    }

    /// Counts one segment less of a submitter and of these needs.
    pub(in crate::ledger) fn need_no_more(&mut self, submitter: PublicKey, needs: &Arc<Needs>) {
        let less = |known: &mut BTreeMap<Arc<Needs>, u64>| {
            if let Some(jobs) = known.get_mut(needs) {
                *jobs -= 1;
                if *jobs == 0 {
                    known.remove(needs);
                }
            }
        };
        less(&mut self.needs);
        if let Some(of_key) = self.needs_by_key.get_mut(&submitter) {
            less(of_key);
            if of_key.is_empty() {
                self.needs_by_key.remove(&submitter);
            }
        }
    }

    /// Counts what more is owed to a submitter.
    pub(in crate::ledger) fn owe(&mut self, submitter: PublicKey, more: Owed) {
        if more == Owed::default() {
            return;
        }
        let of_key = self.owed_by_key.entry(submitter).or_default();
        if of_key.tasks == 0 && more.tasks > 0 && self.sequence.is_fair() {
            self.shares.begin(&submitter);
        }
        let begins = of_key.tasks == 0 && more.tasks > 0;
        for owed in [of_key, &mut self.owed] {
            owed.tasks = owed.tasks.saturating_add(more.tasks);
            owed.output_bytes = owed.output_bytes.saturating_add(more.output_bytes);
            owed.definition_bytes = owed.definition_bytes.saturating_add(more.definition_bytes);
        }
        if begins {
            self.hold_up_by_rules(submitter);
        }
    }

    /// Counts so many fewer unfinished tasks of a submitter, each of which promised so many bytes.
    pub(in crate::ledger) fn settle_debt(&mut self, submitter: PublicKey, output_bytes: u64, tasks: u64) {
        let output_bytes = output_bytes.saturating_mul(tasks);
        self.owe_less(submitter, Owed { tasks, output_bytes, definition_bytes: 0 });
    }

    pub(in crate::ledger) fn owe_less(&mut self, submitter: PublicKey, less: Owed) {
        let lower = |owed: &mut Owed| {
            owed.tasks = owed.tasks.saturating_sub(less.tasks);
            owed.output_bytes = owed.output_bytes.saturating_sub(less.output_bytes);
            owed.definition_bytes = owed.definition_bytes.saturating_sub(less.definition_bytes);
        };
        lower(&mut self.owed);
        if let Some(of_key) = self.owed_by_key.get_mut(&submitter) {
            lower(of_key);
            if of_key.tasks == 0 && less.tasks > 0 && self.sequence.is_fair() {
                self.shares.end(&submitter);
            }
            if of_key.tasks == 0 {
                self.ready.hold_up(submitter, false, &self.sequence, &self.shares);
            }
            if *of_key == Owed::default() {
                self.owed_by_key.remove(&submitter);
            }
        }
    }
}
