//! Authorities that break the rules. A liar runs an ordinary replica and follows the network with it. Its other
//! messages are made here, and signed with its real key.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::{
    consensus::{Ask, Tell},
    digest::Digest,
    identity::{NetworkId, SecretKey},
    replica::{Executed, Gossip, Message},
    types::{
        AuthorityIndex, AuthoritySet, Block, BlockTime, Certificate, Epoch, Genesis, Header, Height, Proposal, Role,
        SignedTransaction, Signers, SnapshotDigest, Statement, View, Vote,
    },
};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

/// How many headers, roots and certificates a forger keeps to build on.
const KEPT: usize = 256;

/// How an authority lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Lie {
    /// Its key votes in two places: a second instance runs as one more peer, with a disk of its own.
    Twin,
    /// It withholds most of what it should say.
    Withholds,
    /// Only every other peer hears it.
    Selective,
    /// It says things of these kinds, which no honest authority would say.
    Forges(Vec<Forgery>),
}

impl Lie {
    /// Its kind, in a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Twin => "twin",
            Self::Withholds => "withholding authority",
            Self::Selective => "selective authority",
            Self::Forges(_) => "forging authority",
        }
    }
}

/// The lies of a forger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Forgery {
    /// A block on its grandparent, though the view between was not nullified.
    OldParent,
    /// A block that claims that its own parent is final, without a finalization.
    HighF,
    /// A block with another result than that of its execution.
    FalseResult,
    /// A block with a state digest that nobody has.
    FalseSnapshot,
    /// A block with the latest time that a voter accepts.
    TimeAtBound,
    /// A block from the far future.
    TimeBeyond,
    /// A block that is not later than its parent.
    NotLater,
    /// A block with a transaction that was executed before.
    Repeats,
    /// A block that is its epoch's last but should not be, or the other way round.
    WrongRole,
    /// A closing block that names authorities that nobody approved.
    FalseNext,
    /// One block to some peers, another to the others.
    TwoBlocks,
    /// Votes of every kind for one view, and for a block that does not exist.
    Conflicting,
    /// Votes for views far ahead.
    FarVotes,
    /// Votes for views that are long over.
    OldVotes,
    /// A finalization with too few signers, with one signer twice, or over something other than what was
    /// signed.
    BadCertificate,
    /// It asks for too much, and too often, and answers nothing.
    Chatter,
}

impl Forgery {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::OldParent,
        Self::HighF,
        Self::FalseResult,
        Self::FalseSnapshot,
        Self::TimeAtBound,
        Self::TimeBeyond,
        Self::NotLater,
        Self::Repeats,
        Self::WrongRole,
        Self::FalseNext,
        Self::TwoBlocks,
        Self::Conflicting,
        Self::FarVotes,
        Self::OldVotes,
        Self::BadCertificate,
        Self::Chatter,
    ];

    /// Whether it is a lie about proposals.
    const fn is_of_block(self) -> bool {
        !matches!(self, Self::Conflicting | Self::FarVotes | Self::OldVotes | Self::BadCertificate | Self::Chatter)
    }
}

/// The peers that are to hear a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everyone.
    All,
    /// The peers of even number, or those of odd number.
    Half(bool),
}

impl Audience {
    /// Whether a peer is one of them.
    #[must_use]
    pub const fn has(self, peer: usize) -> bool {
        match self {
            Self::All => true,
            Self::Half(odd) => (peer % 2 == 1) == odd,
        }
    }
}

/// A forged message.
pub enum Forged {
    /// By gossip.
    Gossip(Gossip, Audience),
    /// Directly, to authorities.
    Message(Message, Audience),
}

/// What a forger knows and builds on.
pub struct Forger {
    kinds: Vec<Forgery>,
    key: SecretKey,
    /// Its epoch, and its place in it; after it has left, those of the last epoch in which it was an authority.
    epoch: Epoch,
    me: AuthorityIndex,
    network: NetworkId,
    authorities: u64,
    view_window: u64,
    bound_us: u64,
    headers: BTreeMap<Digest, Header>,
    order: Vec<Digest>,
    roots: BTreeMap<Height, Digest>,
    executed: Option<Arc<SignedTransaction>>,
    finalization: Option<Certificate>,
}

impl Forger {
    /// A forger with an authority's key.
    #[must_use]
    pub fn new(kinds: Vec<Forgery>, key: SecretKey, index: usize, genesis: &Genesis) -> Self {
        Self {
            kinds,
            key,
            epoch: Epoch(0),
            me: AuthorityIndex(index as u16),
            network: genesis.network_id(),
            authorities: genesis.authorities.len() as u64,
            view_window: genesis.consensus.view_window,
            bound_us: genesis.consensus.clock_bound_ms * 1000,
            headers: BTreeMap::new(),
            order: Vec::new(),
            roots: BTreeMap::new(),
            executed: None,
            finalization: None,
        }
    }

    /// Its replica has reached an epoch. A liar that is no authority any more goes on as if nothing had
    /// happened.
    pub fn on_epoch(&mut self, epoch: Epoch, authorities: &AuthoritySet) {
        if let Some(me) = authorities.index_of(&self.key.public()) {
            (self.epoch, self.me, self.authorities) = (epoch, me, authorities.count() as u64);
        }
    }

    /// Takes in what its replica executes.
    pub fn on_executed(&mut self, executed: &Executed) {
        self.roots.insert(executed.block.header.height, executed.root);
        while self.roots.len() > KEPT {
            self.roots.pop_first();
        }
        if let Some(transaction) = executed.block.transactions.last() {
            self.executed = Some(Arc::clone(transaction));
        }
        if let Some(finalization) = &executed.finalization {
            self.finalization = Some(finalization.clone());
        }
    }

    fn keep(&mut self, header: &Header) {
        let digest = header.digest();
        if self.headers.insert(digest, header.clone()).is_none() {
            self.order.push(digest);
            if self.order.len() > KEPT {
                let oldest = self.order.remove(0);
                self.headers.remove(&oldest);
            }
        }
    }

    fn draw(&self, of_block: bool, random: &mut Pcg64Mcg) -> Option<Forgery> {
        let kinds: Vec<Forgery> = self.kinds.iter().copied().filter(|kind| kind.is_of_block() == of_block).collect();
        (!kinds.is_empty()).then(|| kinds[random.random_range(0..kinds.len())])
    }

    /// Its replica proposes: returns the lies that are told instead.
    pub fn instead_of(&mut self, proposal: &Proposal, clock: BlockTime, random: &mut Pcg64Mcg) -> Option<Vec<Forged>> {
        self.keep(&proposal.block.header);
        let kind = self.draw(true, random)?;
        self.forge_block(&proposal.block, kind, clock, random)
    }

    /// Another authority proposes: returns the lies in answer. If its own replica does `not_vote` any more, the
    /// forger invents its blocks.
    pub fn on_proposal(
        &mut self,
        proposal: &Proposal,
        not_vote: bool,
        clock: BlockTime,
        random: &mut Pcg64Mcg,
    ) -> Vec<Forged> {
        let header = &proposal.block.header;
        self.keep(header);
        let leads_next = header.view.next().0 % self.authorities == u64::from(self.me.0);
        if leads_next
            && not_vote
            && let Some(block) = self.child(header, clock)
            && let Some(kind) = self.draw(true, random)
        {
            return self.forge_block(&block, kind, clock, random).unwrap_or_default();
        }
        match self.draw(false, random) {
            Some(kind) if random.random_range(0..4) == 0 => self.forge_word(header, kind, random),
            _ => Vec::new(),
        }
    }

    /// An empty block on this one.
    fn child(&self, parent: &Header, clock: BlockTime) -> Option<Block> {
        let header = Header {
            epoch: self.epoch,
            view: parent.view.next(),
            role: Role::Inner,
            height: parent.height.next(),
            parent: parent.digest(),
            time: clock.max(BlockTime(parent.time.0 + 1)),
            transactions: Block::transactions_digest(&[]),
            final_height: parent.final_height,
            result_height: parent.final_height,
            result: *self.roots.get(&parent.final_height)?,
            snapshots: Vec::new(),
        };
        Some(Block { header, transactions: Vec::new() })
    }

    fn forge_block(
        &self,
        block: &Block,
        kind: Forgery,
        clock: BlockTime,
        random: &mut Pcg64Mcg,
    ) -> Option<Vec<Forged>> {
        let mut forged = block.clone();
        let header = &mut forged.header;
        let parent = self.headers.get(&header.parent);
        match kind {
            Forgery::OldParent => {
                let below = self.headers.get(&parent?.parent)?;
                header.parent = parent?.parent;
                header.height = below.height.next();
                header.final_height = below.final_height;
                header.result_height = below.final_height;
                header.result = *self.roots.get(&below.final_height)?;
                header.snapshots.clear();
            }
            Forgery::HighF => header.final_height = header.height.previous(),
            Forgery::FalseResult => header.result = Digest(random.random()),
            Forgery::FalseSnapshot => {
                let height = header.result_height;
                header.snapshots.push(SnapshotDigest { height, state: Digest(random.random()) });
            }
            Forgery::TimeAtBound => header.time = header.time.max(BlockTime(clock.0 + self.bound_us)),
            Forgery::TimeBeyond => header.time = BlockTime(clock.0 + 600_000_000),
            Forgery::NotLater => header.time = parent?.time,
            Forgery::Repeats => {
                forged.transactions.push(Arc::clone(self.executed.as_ref()?));
                forged.header.transactions = Block::transactions_digest(&forged.transactions);
            }
            Forgery::WrongRole => {
                header.role = match header.role {
                    Role::Inner => Role::Last,
                    Role::Last => Role::Inner,
                    Role::Closing(_) => Role::Closing(None),
                }
            }
            Forgery::FalseNext if header.role.is_closing() => {
                header.role = Role::Closing(Some(Digest(random.random())));
                (header.final_height, header.result_height) = (header.height, header.height);
                header.result = *self.roots.get(&header.height)?;
            }
            _ => header.time = BlockTime(header.time.0 + 1),
        }
        let forged = Gossip::Proposal(Box::new(self.sign_block(forged)));
        if kind == Forgery::TwoBlocks {
            let first = Gossip::Proposal(Box::new(self.sign_block(block.clone())));
            return Some(vec![
                Forged::Gossip(first, Audience::Half(false)),
                Forged::Gossip(forged, Audience::Half(true)),
            ]);
        }
        Some(vec![Forged::Gossip(forged, Audience::All)])
    }

    fn sign_block(&self, block: Block) -> Proposal {
        let signature = self.vote(Statement::Notarize(block.header.view, block.header.digest())).signature;
        let shown = block.header.final_height > block.header.result_height;
        Proposal { block: Arc::new(block), signature, finalization: self.finalization.clone().filter(|_| shown) }
    }

    fn vote(&self, statement: Statement) -> Vote {
        Vote::sign(self.epoch, statement, self.me, &self.key, &self.network)
    }

    fn forge_word(&self, seen: &Header, kind: Forgery, random: &mut Pcg64Mcg) -> Vec<Forged> {
        let view = seen.view;
        let nowhere = Digest(random.random());
        let side = random.random();
        let votes = |of: Vec<Statement>, audience| {
            Forged::Message(Message::Votes(of.into_iter().map(|said| self.vote(said)).collect()), audience)
        };
        match kind {
            Forgery::Conflicting => vec![
                votes(vec![Statement::Nullify(view), Statement::Notarize(view, nowhere)], Audience::Half(side)),
                votes(vec![Statement::Finalize(view, seen.digest())], Audience::Half(!side)),
                votes(vec![Statement::Finalize(view, nowhere)], Audience::Half(side)),
            ],
            Forgery::FarVotes => {
                let far = (0..20).map(|_| View(view.0 + random.random_range(1..=2 * self.view_window)));
                let mut said: Vec<Statement> = far.map(Statement::Nullify).collect();
                said.push(Statement::Nullify(View(u64::MAX)));
                said.push(Statement::Notarize(View(view.0 + self.view_window), nowhere));
                vec![votes(said, Audience::All)]
            }
            Forgery::OldVotes => {
                let old = (1..20).map(|ago| View(view.0.saturating_sub(ago * 7)));
                vec![votes(old.map(Statement::Nullify).collect(), Audience::All)]
            }
            Forgery::BadCertificate => self.bad_certificate(nowhere, random).into_iter().collect(),
            _ => {
                let ask = Ask {
                    epoch: self.epoch,
                    view: View(view.0.saturating_sub(random.random_range(0..50))),
                    final_view: View(0),
                    final_height: Height(0),
                    proposal: true,
                    views: (0..random.random_range(0..40)).map(|ahead| View(view.0.saturating_sub(ahead))).collect(),
                    blocks: vec![seen.parent, nowhere],
                };
                let mut said: Vec<Forged> =
                    (0..5).map(|_| Forged::Message(Message::Ask(ask.clone()), Audience::All)).collect();
                said.push(Forged::Message(Message::Tell(Box::default()), Audience::All));
                said
            }
        }
    }

    fn bad_certificate(&self, nowhere: Digest, random: &mut Pcg64Mcg) -> Option<Forged> {
        let mut certificate = self.finalization.clone()?;
        let view = certificate.statement.view();
        match random.random_range(0..4) {
            0 => {
                certificate.signatures.pop();
                let signers: Vec<AuthorityIndex> = certificate.signers.iter().collect();
                certificate.signers = Signers::of(signers.into_iter().take(certificate.signatures.len()));
            }
            1 => {
                let own = self.vote(certificate.statement).signature;
                certificate.signatures.fill(own);
            }
            2 => certificate.statement = Statement::Finalize(view, nowhere),
            _ => certificate.statement = Statement::Finalize(view.next(), nowhere),
        }
        let tells = random.random();
        Some(if tells {
            let tell = Tell { certificates: vec![certificate], ..Tell::default() };
            Forged::Message(Message::Tell(Box::new(tell)), Audience::All)
        } else {
            Forged::Gossip(Gossip::Finalization(certificate), Audience::All)
        })
    }
}
