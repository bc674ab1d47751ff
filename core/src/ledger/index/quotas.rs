//! Quotas: what submitters have outstanding, what their unfinished jobs take, and how many of their tasks workers
//! hold. Each is counted per submitter and in total, because the genesis and the rules in force bound both. The rules
//! set the limits.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Day, Ledger,
        records::{
            jobs::{Job, Segment},
            stored,
            trust::{ByTrust, Trust},
        },
    },
    schedule::ready::Needs,
    types::{BlockTime, KeyLimit, Permission, Redundancy},
};

/// Amounts that are bounded for each submitter and in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Outstanding {
    /// Unfinished tasks.
    pub(in crate::ledger) tasks: u64,
    /// Bytes of output that they may leave.
    pub(in crate::ledger) output_bytes: u64,
    /// Bytes in which their jobs were submitted.
    pub(in crate::ledger) definition_bytes: u64,
}

impl Outstanding {
    /// Only bytes of definition.
    pub(in crate::ledger) const fn definition(definition_bytes: u64) -> Self {
        Self { tasks: 0, output_bytes: 0, definition_bytes }
    }

    const fn raise(&mut self, more: &Self) {
        self.tasks = self.tasks.saturating_add(more.tasks);
        self.output_bytes = self.output_bytes.saturating_add(more.output_bytes);
        self.definition_bytes = self.definition_bytes.saturating_add(more.definition_bytes);
    }

    const fn lower(&mut self, less: &Self) {
        self.tasks = self.tasks.saturating_sub(less.tasks);
        self.output_bytes = self.output_bytes.saturating_sub(less.output_bytes);
        self.definition_bytes = self.definition_bytes.saturating_sub(less.definition_bytes);
    }
}

/// Tasks of one segment that have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedTasks {
    submitter: PublicKey,
    tasks: u64,
    /// What each of them might have left, in bytes.
    output_bytes: u64,
    /// What all of them together make every peer store, in bytes.
    stored_bytes: u64,
    redundancy: Option<Redundancy>,
    admitted: BlockTime,
}

impl EndedTasks {
    /// So many tasks of a segment, none of which has a receipt.
    pub(super) fn of(job: &Job, segment: &Segment, tasks: u64) -> Self {
        Self {
            submitter: job.record.submitter,
            tasks,
            output_bytes: segment.spec.limits.output_bytes,
            stored_bytes: 0,
            redundancy: segment.spec.redundancy,
            admitted: job.admission(segment.array).time,
        }
    }

    /// The same, with receipts and outputs of so many bytes.
    pub(super) const fn leaving(self, stored_bytes: u64) -> Self {
        Self { stored_bytes, ..self }
    }
}

/// How many segments of unfinished jobs have each set of needs.
type KnownNeeds = BTreeMap<Arc<Needs>, u64>;

/// Counts so many segments fewer with these needs.
fn fewer(known: &mut KnownNeeds, needs: &Arc<Needs>, segments: u64) {
    if let Some(count) = known.get_mut(needs) {
        *count = count.saturating_sub(segments);
        if *count == 0 {
            known.remove(needs);
        }
    }
}

/// How much of the bounded amounts submitters have taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Quotas {
    outstanding: ByTrust<Outstanding>,
    outstanding_by_key: BTreeMap<PublicKey, Outstanding>,
    /// The number of leases of each submitter's tasks.
    leased_by_key: BTreeMap<PublicKey, u64>,
    needs: KnownNeeds,
    needs_by_trust: ByTrust<KnownNeeds>,
    needs_by_key: BTreeMap<PublicKey, KnownNeeds>,
}

impl Quotas {
    pub(super) const fn empty() -> Self {
        const NOTHING: Outstanding = Outstanding::definition(0);
        Self {
            outstanding: ByTrust::new(NOTHING, NOTHING, NOTHING),
            outstanding_by_key: BTreeMap::new(),
            leased_by_key: BTreeMap::new(),
            needs: BTreeMap::new(),
            needs_by_trust: ByTrust::new(BTreeMap::new(), BTreeMap::new(), BTreeMap::new()),
            needs_by_key: BTreeMap::new(),
        }
    }

    /// What is outstanding, by the trust of the submitters.
    pub(in crate::ledger) const fn outstanding(&self) -> &ByTrust<Outstanding> {
        &self.outstanding
    }

    /// What is outstanding for a submitter.
    pub(in crate::ledger) fn outstanding_of(&self, key: &PublicKey) -> Outstanding {
        self.outstanding_by_key.get(key).copied().unwrap_or_default()
    }

    /// The submitters that have anything outstanding, with the amounts.
    pub(in crate::ledger) const fn outstanding_by_key(&self) -> &BTreeMap<PublicKey, Outstanding> {
        &self.outstanding_by_key
    }

    /// How many leases of a submitter's tasks workers hold, speculative ones among them.
    pub(in crate::ledger) fn leased_of(&self, key: &PublicKey) -> u64 {
        self.leased_by_key.get(key).copied().unwrap_or(0)
    }

    /// The needs of unfinished jobs' tasks, each with its number of segments.
    pub(in crate::ledger) const fn needs(&self) -> &BTreeMap<Arc<Needs>, u64> {
        &self.needs
    }

    /// The needs of unfinished jobs' tasks, by the trust of the submitters.
    pub(in crate::ledger) const fn needs_by_trust(&self) -> &ByTrust<BTreeMap<Arc<Needs>, u64>> {
        &self.needs_by_trust
    }

    /// The needs of one submitter's unfinished jobs, each with its number of segments.
    pub(in crate::ledger) fn needs_of(&self, key: &PublicKey) -> Option<&BTreeMap<Arc<Needs>, u64>> {
        self.needs_by_key.get(key)
    }

    /// The shared copy of these needs, if there is one.
    pub(super) fn known_needs(&self, needs: &Needs) -> Option<&Arc<Needs>> {
        self.needs.get_key_value(needs).map(|(known, _)| known)
    }

    /// Counts one more segment of a submitter with these needs.
    fn need(&mut self, submitter: PublicKey, trust: Trust, needs: &Arc<Needs>) {
        *self.needs.entry(Arc::clone(needs)).or_default() += 1;
        *self.needs_by_trust.of_mut(trust).entry(Arc::clone(needs)).or_default() += 1;
        *self.needs_by_key.entry(submitter).or_default().entry(Arc::clone(needs)).or_default() += 1;
    }

    /// Counts one segment fewer of a submitter with these needs.
    fn need_no_more(&mut self, submitter: PublicKey, trust: Trust, needs: &Arc<Needs>) {
        fewer(&mut self.needs, needs, 1);
        fewer(self.needs_by_trust.of_mut(trust), needs, 1);
        if let Some(of_key) = self.needs_by_key.get_mut(&submitter) {
            fewer(of_key, needs, 1);
            if of_key.is_empty() {
                self.needs_by_key.remove(&submitter);
            }
        }
    }

    /// Adds to what a submitter has outstanding. True if it had no unfinished tasks before and has some now.
    pub(super) fn add_outstanding(&mut self, submitter: PublicKey, trust: Trust, more: &Outstanding) -> bool {
        let of_key = self.outstanding_by_key.entry(submitter).or_default();
        let begins = of_key.tasks == 0 && more.tasks > 0;
        of_key.raise(more);
        self.outstanding.of_mut(trust).raise(more);
        begins
    }

    /// Subtracts from what a submitter has outstanding, and returns what remains, if it had anything.
    fn subtract_outstanding(&mut self, submitter: PublicKey, trust: Trust, less: &Outstanding) -> Option<Outstanding> {
        self.outstanding.of_mut(trust).lower(less);
        let of_key = self.outstanding_by_key.get_mut(&submitter)?;
        of_key.lower(less);
        let left = *of_key;
        if left == Outstanding::default() {
            self.outstanding_by_key.remove(&submitter);
        }
        Some(left)
    }

    /// Counts what a submitter has taken with keys of another trust.
    pub(super) fn change_trust(&mut self, submitter: &PublicKey, before: Trust, after: Trust) {
        let own = self.outstanding_of(submitter);
        self.outstanding.of_mut(before).lower(&own);
        self.outstanding.of_mut(after).raise(&own);
        for (needs, segments) in self.needs_by_key.get(submitter).into_iter().flatten() {
            fewer(self.needs_by_trust.of_mut(before), needs, *segments);
            *self.needs_by_trust.of_mut(after).entry(Arc::clone(needs)).or_default() += segments;
        }
    }

    fn count_leased(&mut self, key: PublicKey, more: bool) {
        let leased = self.leased_by_key.entry(key).or_default();
        *leased = if more { leased.saturating_add(1) } else { leased.saturating_sub(1) };
        if *leased == 0 {
            self.leased_by_key.remove(&key);
        }
    }
}

impl Ledger {
    /// Adds to what a submitter has outstanding.
    pub(in crate::ledger) fn add_outstanding(&mut self, submitter: PublicKey, more: Outstanding) {
        if more == Outstanding::default() {
            return;
        }
        let trust = self.trust(Permission::Submit, &submitter);
        if self.index.quotas.add_outstanding(submitter, trust, &more) {
            if self.sequence.is_fair() {
                self.records.shares_mut().begin(&submitter);
            }
            self.freeze_by_rules(submitter);
        }
    }

    /// Charges a submitter for a definition: while its job is unfinished, and for what every peer stores today.
    pub(in crate::ledger) fn charge_definition(&mut self, submitter: PublicKey, definition_bytes: u64) {
        self.add_outstanding(submitter, Outstanding::definition(definition_bytes));
        self.charge_stored(submitter, definition_bytes);
    }

    /// Charges a submitter for what every peer stores today.
    pub(in crate::ledger) fn charge_stored(&mut self, submitter: PublicKey, bytes: u64) {
        let trust = self.trust(Permission::Submit, &submitter);
        self.records.stored_mut().charge(submitter, trust, bytes);
    }

    /// Subtracts tasks that have ended from what their submitter has outstanding, and gives back what they might have
    /// made peers store beyond what they did.
    pub(super) fn settle_tasks(&mut self, ended: &EndedTasks) {
        if is_planted(Fault::DebtsStay) {
            return;
        }
        let EndedTasks { submitter, tasks, output_bytes, stored_bytes, redundancy, admitted } = *ended;
        let output_bytes = output_bytes.saturating_mul(tasks);
        self.subtract_outstanding(submitter, Outstanding { tasks, output_bytes, definition_bytes: 0 });
        if Day::of(admitted) == self.records.stored().day() {
            let charged = stored::task_bytes(&self.genesis.ledger, redundancy).saturating_mul(tasks);
            let trust = self.trust(Permission::Submit, &submitter);
            self.records.stored_mut().give_back(&submitter, trust, charged.saturating_sub(stored_bytes));
        }
    }

    /// Subtracts from what a submitter has outstanding.
    pub(in crate::ledger) fn subtract_outstanding(&mut self, submitter: PublicKey, less: Outstanding) {
        if less == Outstanding::default() {
            return;
        }
        let trust = self.trust(Permission::Submit, &submitter);
        let Some(left) = known(self.index.quotas.subtract_outstanding(submitter, trust, &less)) else { return };
        if left.tasks == 0 {
            if less.tasks > 0 && self.sequence.is_fair() {
                self.records.shares_mut().end(&submitter);
            }
            self.index.ready.freeze(submitter, false, &self.sequence, self.records.shares());
        }
    }

    /// Counts one more segment of a submitter with these needs.
    pub(super) fn need(&mut self, submitter: PublicKey, needs: &Arc<Needs>) {
        let trust = self.trust(Permission::Submit, &submitter);
        self.index.quotas.need(submitter, trust, needs);
    }

    /// Counts one segment fewer of a submitter with these needs.
    pub(super) fn need_no_more(&mut self, submitter: PublicKey, needs: &Arc<Needs>) {
        let trust = self.trust(Permission::Submit, &submitter);
        self.index.quotas.need_no_more(submitter, trust, needs);
    }

    /// Counts one lease more or fewer of a submitter's tasks.
    pub(super) fn count_leased(&mut self, key: PublicKey, more: bool) {
        self.index.quotas.count_leased(key, more);
        self.freeze_by_rules(key);
    }

    /// Whether its quota of leases now keeps all tasks of a submitter from being placed.
    pub(in crate::ledger) fn is_frozen(&self, key: &PublicKey) -> bool {
        let leased = self.index.quotas.leased_of(key);
        leased >= self.key_limit(key, KeyLimit::Running) && !is_planted(Fault::RunsPastQuota)
    }

    /// Freezes or unfreezes a submitter's tasks in the queue, as the rules now require.
    pub(super) fn freeze_by_rules(&mut self, key: PublicKey) {
        self.index.ready.freeze(key, self.is_frozen(&key), &self.sequence, self.records.shares());
    }

    /// Follows a change of the rules for one submitter.
    pub(in crate::ledger) fn follow_rules_of(&mut self, key: PublicKey) {
        if self.index.quotas.outstanding_of(&key).tasks > 0 {
            self.freeze_by_rules(key);
        }
    }

    /// Follows a change of the rules for all submitters.
    pub(in crate::ledger) fn follow_rules(&mut self) {
        let outstanding = self.index.quotas.outstanding_by_key.iter().filter(|(_, outstanding)| outstanding.tasks > 0);
        let keys: Vec<PublicKey> = outstanding.map(|(key, _)| *key).collect();
        for key in keys {
            self.freeze_by_rules(key);
        }
    }
}
