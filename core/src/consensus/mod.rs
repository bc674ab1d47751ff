//! The round: how known authorities agree on one chain of blocks. Simplex (Chan & Pass, TCC 2023, eprint 2023/463) as a
//! pure state machine: no clock, no I/O, no randomness. Start at [`Consensus::handle`].
//!
//! n authorities, f = ⌊(n-1)/3⌋ of which may lie, quorum q = n - f, leader of view v = `authorities[v mod n]`. Any two
//! quorums share an honest authority, which is why no view has two notarizations (§3, lemma 3.2), none is both nullified
//! and finalized (lemma 3.3), and so no two chains are final (theorem 3.1).
//!
//! | on | do | source |
//! |---|---|---|
//! | entering view v | start its timer; the leader proposes on the newest notarized block below which no view is left open | Simplex §2.1 |
//! | the first valid proposal of v, its parent notarized and every view between nullified | notarize(v), once per view, also after nullify(v) | §2.1 |
//! | q notarize votes for one block of v, or its notarization | form it; unless nullify(v) was sent, finalize(v); if in v or before, enter v+1 | §2.1 |
//! | the timer of v | nullify(v), unless finalize(v) was sent | §2.1 |
//! | q nullify votes of v, or its nullification | form it; if in v or before, enter v+1 | §2.1 |
//! | q finalize votes for one block, or its finalization | form it; the block and all its ancestors are final; if in v or before, enter v+1 | §2.1 |
//!
//! Simplex writes "iteration" for view, "dummy block" for nullification, and "vote for the dummy block" for nullify.
//!
//! What differs from the paper, and why:
//!
//! * *A block is notarized without executing it.* Its header carries the result of an older, final block instead.
//! * *A notarization of any view, in time or late, is answered with finalize unless the view was nullified here*, and a
//!   certificate for a view ahead is adopted and jumped to. The paper has everyone relay everything; here votes go to
//!   each authority once, so what was lost must still count when it comes. Safe, as finalize and nullify still exclude
//!   each other for ever.
//! * *Certificates are not relayed.* Whoever misses something asks, at most once per Δ, and is told (`handle/ask.rs`,
//!   `handle/tell.rs`). Nothing is ever sent a second time by gossip.
//! * *The timer grows* by half for each view above the last finalization that was nullified here or by a quorum, since a
//!   Δ that was set too small would otherwise halt the network (`handle/timer.rs`).
//! * *Silent leaders are passed over at once*, and *an idle network waits a heartbeat* (`handle/timer.rs`).
//! * *A proposal's F* may be shown by what the voter knows already, not only by the finalization that the proposal
//!   carries, so that nobody can spoil a leader's block by taking the finalization off on the way.
//!
//! # Epochs
//!
//! Authorities come and go: n, f, q, leaders and views are those of one *epoch*. What decides who they are is the
//! application's business; the round asks it two things ([`Application::has_change`], [`Application::close`]).
//!
//! | on | do |
//! |---|---|
//! | proposing, or voting for, a block at a *gate* (a height that is a multiple of `gate_interval`) | it is its epoch's *last* exactly if the result of its own R, as this node executed it, holds a change that was approved in this epoch; its header says which it is |
//! | proposing, or voting for, a block on the last one or on a closing block | it is a *closing block*: the last one's height and time, no transactions, and in a header that carries nothing of R one of two things |
//! | … the last block is final here and executed | it names the next authorities and carries the last block's result: its F is then that height, shown like any F |
//! | … it is not | it names nobody; not on one that does |
//! | a closing block that names the next authorities | vote for it once the last block is final here and executed, and its result and next authorities are one's own |
//! | a final closing block that names nobody | keep it by the last block, for those who fetch; go on |
//! | a final closing block that names the next authorities: the *handover* | do nothing more in this epoch; once the last block is executed here, begin the next one: its authorities, view 1, on the last block |
//! | anything of an epoch before | drop it; an ask is answered with the finalization that ended the epoch before this one |
//! | anything of an epoch to come | it cannot be judged; while this epoch is closing keep a little of the next one's, else ask somebody for the blocks between |
//! | a restart | begin in the epoch that the stored tip is in: the next one's if the handover is stored. Journal records of an epoch before are passed over; one of an epoch to come means that something was lost, and this key does not vote again |
//!
//! Why it is safe:
//!
//! * *One last block.* Within an epoch, closing blocks are Simplex blocks like any other: a parent that is notarized, every
//!   view between nullified, one notarize vote in a view. So all that is final in an epoch is one chain (theorem 3.1). No
//!   honest authority votes for another block than a closing one above a last one, and any certificate needs one, so
//!   that chain has at most one last block, with nothing but closing blocks above it.
//! * *One handover in effect.* Several closing blocks that name the next authorities may become final, on one chain. All name
//!   the same: each was voted for by an honest authority that had executed the one last block and found its own result.
//!   So it does not matter which of them a node sees first, and none has to be told apart as "the first".
//! * *No two chains across the change.* Whoever votes in the next epoch has seen a handover of this one, so it has the last
//!   block, which all others have too, and builds on that. Signatures cover the epoch, so no vote of one counts in another.
//!   Whoever is still in this epoch can make nothing final but closing blocks on the same last one.
//! * *No promise is broken by a restart.* A vote of the next epoch is durable only with, or after, the handover before
//!   it; the journal of this epoch goes only with it. In between a restart comes back to this epoch with all its votes.
//!
//! Why it goes on:
//!
//! * What makes a block the last hangs on its own header's R alone, which whoever votes has executed, so at a gate honest
//!   authorities disagree about no proposal; a block with a younger R may be the last where one with an older R is not.
//! * A closing block needs no clock and no transactions, and there is always a reason for one, so as long as the epoch is not
//!   over its views end as any do. Once the last block is final somewhere, each proposal that names the next
//!   authorities shows it, so voters need not have seen it before.
//! * Those who have seen the handover vote no more in this epoch, and the rest may be too few for a quorum. But whoever votes
//!   has the handover's finalization in its journal, and its blocks are with a quorum; those who are left behind ask,
//!   and any authority of this epoch that went on answers with it, whether or not it is one of the next. Whoever
//!   is no authority of this epoch and is one of the next, or missed several, sees words of an epoch that it cannot judge and
//!   fetches blocks, which prove themselves.
//! * An approved change is a reason for blocks until the epoch is over, so an idle network reaches the gate.
//!
//! Where this differs from the design: a last block says so in its header, so that those who have not executed its R, and those
//! who check a proof, know what may stand on it; the header of a closing block carries the digest of the next authorities and
//! not themselves; and any final closing block that names them is a handover, not only the first.
//!
//! # What its driver owes it
//!
//! Effects are carried out in their order, over all calls; [`Effect::Persist`] is durable
//! before what follows it; [`Input::Executed`] comes after the other effects of the call that said
//! [`Effect::Finalized`]; [`Input::Ask`] and [`Input::Tell`] come from authorities only, over streams that show which. A
//! tell's proposals take up to 4 MiB and one block more.
//!
//! Bounds: votes reach `view_window` views ahead and are kept one per authority, view and kind; proposals reach
//! 16 views ahead and are kept two per view, besides what certificates name; rounds below the final tip are dropped; one
//! evidence per authority. Of the next epoch two proposals and 1024 votes are kept while this one closes. Between the final tip and the present view only quorums add rounds, and a block more than 64
//! heights above its own F holds no transactions.

mod application;
mod chain;
mod effect;
mod evidence;
#[cfg(feature = "explore")]
mod explore;
mod handle;
mod input;
mod journal;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

pub use application::{Application, BuildRequest, Check, Close, Content};
pub use effect::{Effect, Standing};
pub use evidence::Evidence;
#[cfg(feature = "explore")]
pub use explore::Detail;
pub use input::{Ask, Config, Input, Judgement, Message, Monotonic, Now, Tell};
pub use journal::Record;
pub use rules::RUN_BYTES;
pub use state::FinalTip;

use self::{
    chain::MissingSince,
    rules::Rules,
    state::{Early, Kind, Pace, Round},
};
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::SecretKey,
    types::{AuthorityIndex, AuthoritySet, Block, Certificate, Closing, Epoch, Height, Statement, View, Vote},
};

/// One node's part in the round.
#[derive(Clone)]
pub struct Consensus {
    rules: Rules,
    /// Which authority this is; `None` for a follower.
    me: Option<AuthorityIndex>,
    key: Option<SecretKey>,
    /// What this node's journal is good for, were it an authority.
    trust: Standing,
    started: bool,
    last: Monotonic,
    /// When this node last proposed.
    proposed: Option<Monotonic>,
    /// It could propose again, but not at this instant.
    again: bool,

    tip: FinalTip,
    /// The final closing blocks of this epoch.
    closing: Vec<Arc<Block>>,
    /// The finalization that ended the epoch before.
    handover: Option<Certificate>,
    /// What came of the next epoch.
    early: Early,
    executed: Height,
    /// Final blocks that are not executed yet.
    unexecuted: BTreeMap<Height, Arc<Block>>,
    /// The newest finalization known, the tip's own or one above it.
    finalization: Option<Certificate>,

    view: View,
    pace: Pace,
    /// The tip's view and those above.
    rounds: BTreeMap<View, Round>,
    /// In which round a block is.
    index: BTreeMap<Digest, View>,

    /// There is something to order, the replica says.
    reason: bool,
    /// Notarized blocks that are not empty and whose results no certificate covers: since when, by view.
    uncovered: BTreeMap<View, (Height, Monotonic)>,
    /// The newest height whose result a certificate covers.
    covered: Height,

    /// When finalize votes were sent, above the last finalization.
    finalize_sent: BTreeMap<View, Monotonic>,
    missing_since: MissingSince,
    /// When this node last asked.
    asked: Option<Monotonic>,
    /// Whom it asks for what is large, next.
    ask_turn: usize,
    /// When each peer was last answered.
    answered: BTreeMap<AuthorityIndex, Monotonic>,

    /// The newest finalization's view that went over gossip, as far as is known here.
    gossiped: View,
    /// When to gossip a finalization that was formed here, should none come.
    gossip_at: Option<Monotonic>,

    /// In how many views of which a quorum was heard each authority has been silent since it was last heard.
    silence: Vec<u32>,
    evidence: BTreeMap<AuthorityIndex, Evidence>,
}

/// How much is kept of what others said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Views above the final tip of which anything is known; votes are at most three of each authority in each.
    pub rounds: usize,
    /// Leaders' blocks in them.
    pub proposals: usize,
    /// Whatever else is remembered by name: what is missing, not covered, not final, or answered.
    pub named: usize,
}

/// The things that one call of [`Consensus::handle`] gathers.
pub(crate) struct Step<'a> {
    now: Now,
    effects: &'a mut Vec<Effect>,
    /// Own votes, sent together at the end.
    votes: Vec<Vote>,
}

impl Consensus {
    /// Starts on the final tip that is stored, everything up to which has been executed, with the journal's records of
    /// views above it (others are passed over). `standing` is [`Standing::JournalLost`] where the journal is not the one
    /// that belongs to the key, and otherwise [`Standing::Voting`]; what the key is not good for is found out here.
    /// `evidence` is what was kept of it.
    ///
    /// `closing` is what is final of closing blocks above the tip's block, in the tip's epoch or, where that is over, in the
    /// one before.
    ///
    /// What follows from the journal is done at the first input; [`Consensus::next_wake`] is due at once.
    #[must_use]
    pub fn new(
        config: Config,
        tip: FinalTip,
        closing: Option<Closing>,
        journal: Vec<Record>,
        evidence: Vec<Evidence>,
        standing: Standing,
    ) -> Self {
        let rules = Rules::new(&config);
        let me = config.key.as_ref().and_then(|key| rules.set.index_of(&key.public()));
        let (closing, handover) = match closing {
            Some(closing) if closing.handover().is_some() => (Vec::new(), Some(closing.finalization)),
            Some(closing) => (closing.blocks, None),
            None => (Vec::new(), None),
        };
        let view = tip.view.next();
        let silence = vec![0; rules.authorities()];
        let epoch = tip.epoch;
        let of_epoch = evidence.into_iter().filter(|proof| proof.first.epoch == epoch);
        let mut consensus = Self {
            me,
            key: config.key,
            trust: match standing {
                Standing::Follower => Standing::Voting,
                Standing::JournalLost if is_planted(Fault::LostJournalVotes) => Standing::Voting,
                standing => standing,
            },
            started: false,
            last: Monotonic(0),
            proposed: None,
            again: false,
            executed: tip.height,
            unexecuted: BTreeMap::new(),
            finalization: tip.finalization.clone(),
            gossiped: tip.view,
            covered: tip.result_height,
            tip,
            closing,
            handover,
            early: Early::default(),
            view,
            pace: Pace::new(Monotonic(0), 0),
            rounds: BTreeMap::new(),
            index: BTreeMap::new(),
            reason: false,
            uncovered: BTreeMap::new(),
            finalize_sent: BTreeMap::new(),
            missing_since: MissingSince::default(),
            asked: None,
            ask_turn: usize::from(me.map_or(0, |AuthorityIndex(index)| index)),
            answered: BTreeMap::new(),
            gossip_at: None,
            silence,
            evidence: of_epoch.map(|proof| (proof.culprit(), proof)).collect(),
            rules,
        };
        consensus.restore(journal);
        consensus
    }

    /// The epoch that this node is in.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.tip.epoch
    }

    /// Its authorities.
    #[must_use]
    pub const fn authorities(&self) -> &Arc<AuthoritySet> {
        &self.rules.set
    }

    /// The view that this node is in.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// Who leads that view.
    #[must_use]
    pub fn leader(&self) -> AuthorityIndex {
        self.rules.leader(self.view)
    }

    /// Who leads a view.
    #[must_use]
    pub fn leader_of(&self, view: View) -> AuthorityIndex {
        self.rules.leader(view)
    }

    /// Which authority this is, if it is one.
    #[must_use]
    pub const fn me(&self) -> Option<AuthorityIndex> {
        self.me
    }

    /// The newest final block.
    #[must_use]
    pub const fn tip(&self) -> &FinalTip {
        &self.tip
    }

    /// The newest finalization known: the tip's, or one above it whose blocks are missing. `None` before the first.
    #[must_use]
    pub const fn finalization(&self) -> Option<&Certificate> {
        self.finalization.as_ref()
    }

    /// Whether this node votes, and if not, why.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        if self.me.is_some() { self.trust } else { Standing::Follower }
    }

    /// Proof against those who broke their promises in this epoch, at most one each.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.values()
    }

    /// How much is kept of what others said.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let missing = self.missing_since.blocks.len() + self.missing_since.views.len();
        Kept {
            rounds: self.rounds.len(),
            proposals: self.rounds.values().map(|round| round.candidates.len()).sum(),
            named: missing + self.uncovered.len() + self.finalize_sent.len() + self.answered.len(),
        }
    }

    /// The authorities whose views are passed over at once, being silent.
    pub fn silent(&self) -> impl Iterator<Item = AuthorityIndex> + '_ {
        self.rules.indices().filter(|authority| self.is_silent(*authority))
    }

    fn votes(&self) -> bool {
        self.standing() == Standing::Voting
    }

    /// What this authority has said about a view.
    fn own(&self, view: View, kind: Kind) -> Option<Statement> {
        let (statement, _) = self.round(view)?.vote(kind, self.me?)?;
        Some(*statement)
    }
}
