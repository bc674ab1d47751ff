//! The round: how the authorities agree on one chain of blocks. It is Simplex (Chan & Pass, TCC 2023, eprint
//! 2023/463) as a pure state machine: no clock, no I/O, no randomness. Start at [`Consensus::handle`].
//!
//! `docs/glossary.md` explains the words.
//!
//! There are n authorities, of which f = ⌊(n-1)/3⌋ may lie. A quorum is q = n - f. The leader of view v is
//! `authorities[v mod n]`. Any two quorums share an honest authority. So no view has two notarizations (§3,
//! lemma 3.2), no view is both nullified and finalized (lemma 3.3), and no two chains are final (theorem 3.1).
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
//! * *A block is notarized without executing it.* Its header carries the result of an older, final block
//!   instead.
//! * *An authority answers a notarization of any view, in time or late, with finalize, unless it nullified that
//!   view.* It adopts a certificate for a view ahead and jumps there. In the paper everyone relays everything.
//!   Here a vote goes to each authority once, so a message that was lost must still count when it comes. This
//!   is safe, because finalize and nullify still exclude each other for ever.
//! * *Certificates are not relayed.* An authority that misses something asks, at most once per Δ, and is told
//!   (`handle/ask.rs`, `handle/tell.rs`). Nothing is ever sent a second time by gossip.
//! * *The timer grows* by half for each view above the last finalization that this node or a quorum nullified.
//!   A Δ that was set too small would otherwise halt the network (`handle/timer.rs`).
//! * *Silent leaders are passed over at once*, and *an idle network waits a heartbeat* (`handle/timer.rs`).
//! * *A voter may know that a proposal's F is final from anywhere*, not only from the finalization that the
//!   proposal carries. Otherwise anyone on the way could spoil a leader's block by taking the finalization off.
//!
//! # Epochs
//!
//! Authorities come and go. n, f, q, leaders and views belong to one *epoch*. The application decides who the
//! authorities are; the round asks it two things ([`Application::has_change`], [`Application::close`]).
//!
//! | on | do |
//! |---|---|
//! | proposing, or voting for, a block at a *gate* (a height that is a multiple of `gate_interval`) | it is its epoch's *last* exactly if the result of its own R, as this node executed it, holds a change that was approved in this epoch; its header says which it is |
//! | proposing, or voting for, a block on the last one or on a closing block | it is a *closing block*: it has the last block's height and time and no transactions. Its header carries nothing of R, and one of the next two things |
//! | … the last block is final here and executed | it names the next authorities and carries the last block's result: its F is then that height, shown like any F |
//! | … it is not | it names nobody, and does not stand on a closing block that names authorities |
//! | a closing block that names the next authorities | vote for it once the last block is final here and executed, if its result and next authorities are the voter's own |
//! | a final closing block that names nobody | keep it beside the last block, for peers that fetch; go on |
//! | a final closing block that names the next authorities: the *handover* | do nothing more in this epoch; once the last block is executed here, begin the next one: its authorities, view 1, on the last block |
//! | anything of an earlier epoch | drop it; answer an ask with the finalization that ended the epoch before this one |
//! | anything of a later epoch | it cannot be judged; while this epoch is closing, keep a little of the next one's, else ask a peer for the blocks between |
//! | a restart | begin in the epoch that the stored tip is in: the next one if the handover is stored. Pass over journal records of an earlier epoch. A record of a later one means that something was lost: this key does not vote again |
//!
//! Why it is safe:
//!
//! * *One last block.* Within an epoch, closing blocks are Simplex blocks like any other: a parent that is
//!   notarized, every view between nullified, one notarize vote in a view. So all that is final in an epoch is
//!   one chain (theorem 3.1). Above a last block, honest authorities vote for closing blocks only, and any
//!   certificate needs an honest vote. So that chain has at most one last block, with nothing but closing
//!   blocks above it.
//! * *One handover in effect.* Several closing blocks that name the next authorities may become final, on one
//!   chain. All name the same authorities: for each, an honest authority voted that had executed the one last
//!   block and found its own result. So it does not matter which of them a node sees first, and no node has to
//!   find out which is the first.
//! * *No two chains across the change.* An authority that votes in the next epoch has seen a handover of this
//!   one. So it has the last block, which all others have too, and builds on it. Signatures cover the epoch, so
//!   no vote of one epoch counts in another. Authorities that are still in this epoch can finalize nothing but
//!   closing blocks on the same last block.
//! * *A restart breaks no promise.* A vote of the next epoch is durable only with, or after, the handover
//!   before it. The journal of this epoch is dropped only with that handover. A restart before then comes back
//!   to this epoch with all its votes.
//!
//! Why it goes on:
//!
//! * Whether a block is the last depends only on the R in its own header, and every voter has executed that R.
//!   So honest authorities disagree about no proposal at a gate. A block with a younger R may be the last where
//!   one with an older R is not.
//! * A closing block needs no clock and no transactions, and there is always a reason for one. So until the
//!   epoch is over, its views end as any do. Once the last block is final somewhere, each proposal that names
//!   the next authorities shows it, so voters need not have seen that before.
//! * Authorities that have seen the handover vote no more in this epoch, and the rest may be too few for a
//!   quorum. But each voter of the next epoch has the handover's finalization in its journal, and a quorum has
//!   its blocks. Authorities that are left behind ask, and any authority of this epoch that went on answers
//!   with the handover, whether or not it is an authority of the next. An authority of the next epoch that is
//!   none of this one, or that missed several epochs, sees messages of an epoch that it cannot judge. It
//!   fetches blocks, which prove themselves.
//! * An approved change is a reason for blocks until the epoch is over, so an idle network reaches the gate.
//!
//! A last block says so in its header. So peers that have not executed its R, and people who check a proof,
//! know what may stand on it. The header of a closing block carries the digest of the next authorities, not the
//! authorities.
//!
//! # What the driver must do
//!
//! * Carry out effects in their order, over all calls.
//! * Make [`Effect::Persist`] durable before it carries out what follows it.
//! * Hand in [`Input::Executed`] after the other effects of the call that gave [`Effect::Finalized`].
//! * Take [`Input::Ask`] and [`Input::Tell`] from authorities only, over streams that show which authority it
//!   is. The proposals of one tell take up to 4 MiB and one block more.
//!
//! # Bounds
//!
//! * Votes reach `view_window` views ahead. One is kept for each authority, view and kind.
//! * Proposals reach 16 views ahead. Two are kept for each view, besides those that certificates name.
//! * Rounds below the final tip are dropped. Between the final tip and the present view only quorums add
//!   rounds.
//! * One evidence is kept for each authority.
//! * While this epoch closes, two proposals and 1024 votes of the next are kept.
//! * A block more than 64 heights above its own F holds no transactions.

mod application;
mod chain;
mod effect;
mod evidence;
#[cfg(feature = "explore")]
mod explore;
mod fork;
mod handle;
mod input;
mod journal;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

pub use application::{Application, BuildRequest, Check, Close, Content};
pub use effect::{Effect, VotingStatus};
pub use evidence::Evidence;
#[cfg(feature = "explore")]
pub use explore::Detail;
pub use fork::Fork;
pub use input::{Ask, Config, Input, Judgement, Message, Monotonic, Now, Tell};
pub use journal::Record;
pub use rules::RUN_BYTES;
pub use state::FinalTip;

use self::{
    chain::MissingSince,
    rules::Rules,
    state::{Early, Kind, Round, ViewState},
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
    /// How far this node's journal lets it vote, should it be an authority.
    trust: VotingStatus,
    started: bool,
    last: Monotonic,
    /// When this node last proposed.
    proposed: Option<Monotonic>,
    /// Whether it could propose again, but not at this instant.
    again: bool,

    tip: FinalTip,
    /// The final closing blocks of this epoch.
    closing: Vec<Arc<Block>>,
    /// The finalization that ended the previous epoch.
    handover: Option<Certificate>,
    /// Messages of the next epoch that came early.
    early: Early,
    executed: Height,
    /// Final blocks that are not executed yet.
    unexecuted: BTreeMap<Height, Arc<Block>>,
    /// The newest finalization known, the tip's own or one above it.
    finalization: Option<Certificate>,

    view: View,
    view_state: ViewState,
    /// The tip's view and those above.
    rounds: BTreeMap<View, Round>,
    /// The view in whose round each block is.
    index: BTreeMap<Digest, View>,

    /// Whether the replica says that there is something to order.
    pending: bool,
    /// Notarized blocks that are not empty and whose results no certificate covers, by view: their height, and
    /// since when.
    uncovered: BTreeMap<View, (Height, Monotonic)>,
    /// The newest height whose result a certificate covers.
    covered: Height,

    /// When finalize votes were sent, above the last finalization.
    finalize_sent: BTreeMap<View, Monotonic>,
    missing_since: MissingSince,
    /// When this node last asked.
    asked: Option<Monotonic>,
    /// The authority to begin with when this node next asks for something large.
    ask_turn: usize,
    /// When each peer was last answered.
    answered: BTreeMap<AuthorityIndex, Monotonic>,

    /// The view of the newest finalization that went over gossip, as far as this node knows.
    gossiped: View,
    /// When to gossip a finalization that was formed here, should none come before.
    gossip_at: Option<Monotonic>,

    /// How long each authority has been silent: the views in which a quorum was heard since that authority last
    /// was.
    silence: Vec<u32>,
    evidence: BTreeMap<AuthorityIndex, Evidence>,
    /// Whether a fork was shown since this node started.
    forked: bool,
}

/// How much a node keeps of what others said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Views above the final tip of which anything is known. Each holds at most three votes of each authority.
    pub rounds: usize,
    /// Leaders' blocks in those views.
    pub proposals: usize,
    /// Everything else that is remembered by name: missing, not covered, not final, or answered.
    pub named: usize,
}

/// What one call of [`Consensus::handle`] gathers.
pub(crate) struct Step<'a> {
    now: Now,
    effects: &'a mut Vec<Effect>,
    /// This node's votes, sent together at the end.
    votes: Vec<Vote>,
}

impl Consensus {
    /// Starts on the stored final tip. Everything up to the tip has been executed.
    ///
    /// `closing` holds the final closing blocks above the tip's block: of the tip's epoch, or, where that epoch
    /// is over, of the one before. `journal` holds the records of views above the tip; others are passed over.
    /// `evidence` is the evidence that was stored. `voting_status` is [`VotingStatus::JournalLost`] where the journal
    /// is not the one that belongs to the key, and otherwise [`VotingStatus::Voting`]; the round finds out itself what
    /// the key is not good for.
    ///
    /// The consequences of the journal come at the first input; [`Consensus::next_wake`] is due at once.
    #[must_use]
    pub fn new(
        config: Config,
        tip: FinalTip,
        closing: Option<Closing>,
        journal: Vec<Record>,
        evidence: Vec<Evidence>,
        voting_status: VotingStatus,
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
            trust: match voting_status {
                VotingStatus::Follower => VotingStatus::Voting,
                VotingStatus::JournalLost if is_planted(Fault::LostJournalVotes) => VotingStatus::Voting,
                voting_status => voting_status,
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
            view_state: ViewState::new(Monotonic(0), 0),
            rounds: BTreeMap::new(),
            index: BTreeMap::new(),
            pending: false,
            uncovered: BTreeMap::new(),
            finalize_sent: BTreeMap::new(),
            missing_since: MissingSince::default(),
            asked: None,
            ask_turn: usize::from(me.map_or(0, |AuthorityIndex(index)| index)),
            answered: BTreeMap::new(),
            gossip_at: None,
            silence,
            evidence: of_epoch.map(|proof| (proof.culprit(), proof)).collect(),
            forked: false,
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

    /// The authorities of that epoch.
    #[must_use]
    pub const fn authorities(&self) -> &Arc<AuthoritySet> {
        &self.rules.set
    }

    /// The view that this node is in.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// The leader of that view.
    #[must_use]
    pub fn leader(&self) -> AuthorityIndex {
        self.rules.leader(self.view)
    }

    /// The leader of a view.
    #[must_use]
    pub fn leader_of(&self, view: View) -> AuthorityIndex {
        self.rules.leader(view)
    }

    /// The index of this authority, if it is one.
    #[must_use]
    pub const fn me(&self) -> Option<AuthorityIndex> {
        self.me
    }

    /// The newest final block.
    #[must_use]
    pub const fn tip(&self) -> &FinalTip {
        &self.tip
    }

    /// The newest finalization known: the tip's, or one above it whose blocks are missing. `None` before the
    /// first.
    #[must_use]
    pub const fn finalization(&self) -> Option<&Certificate> {
        self.finalization.as_ref()
    }

    /// Whether this node votes, and if not, why.
    #[must_use]
    pub const fn voting_status(&self) -> VotingStatus {
        if self.me.is_some() { self.trust } else { VotingStatus::Follower }
    }

    /// Proof against authorities that broke a promise in this epoch, at most one each.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.values()
    }

    /// How much this node keeps of what others said.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let missing = self.missing_since.blocks.len() + self.missing_since.views.len();
        Kept {
            rounds: self.rounds.len(),
            proposals: self.rounds.values().map(|round| round.candidates.len()).sum(),
            named: missing + self.uncovered.len() + self.finalize_sent.len() + self.answered.len(),
        }
    }

    /// The silent authorities, whose views are passed over at once.
    pub fn silent(&self) -> impl Iterator<Item = AuthorityIndex> + '_ {
        self.rules.indices().filter(|authority| self.is_silent(*authority))
    }

    fn votes(&self) -> bool {
        self.voting_status() == VotingStatus::Voting
    }

    /// What this authority has said about a view.
    fn own(&self, view: View, kind: Kind) -> Option<Statement> {
        let (statement, _) = self.round(view)?.vote(kind, self.me?)?;
        Some(*statement)
    }
}
