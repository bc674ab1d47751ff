//! One authority of four, alone with a test that plays all the others.

use std::sync::Arc;

use super::{super::*, config, genesis, key, node::App, transaction};
use crate::types::{
    AuthorityIndex, Block, BlockTime, Certificate, Epoch, Genesis, Header, Height, Proposal, Role, Signers, Statement,
    View, Vote,
};

pub(super) const CLOCK: u64 = 100_000_000;

pub(super) struct Lone {
    pub genesis: Arc<Genesis>,
    pub round: Consensus,
    pub app: App,
    pub now_us: u64,
    /// The effects of the last input.
    pub effects: Vec<Effect>,
    pub journal: Vec<Record>,
    /// The epoch in which all others speak.
    pub epoch: Epoch,
}

impl Lone {
    /// Authority 0, which leads views 4, 8, …
    pub(super) fn new() -> Self {
        Self::restored(Vec::new(), VotingStatus::Voting)
    }

    pub(super) fn restored(journal: Vec<Record>, voting_status: VotingStatus) -> Self {
        let genesis = genesis(4);
        let tip = FinalTip::genesis(&genesis);
        let round =
            Consensus::new(config(&genesis, Some(key(0))), tip, None, journal.clone(), Vec::new(), voting_status);
        Self::of(genesis, round, App::default(), journal)
    }

    pub(super) fn of(genesis: Arc<Genesis>, round: Consensus, app: App, journal: Vec<Record>) -> Self {
        let mut lone = Self { genesis, round, app, now_us: 1000, effects: Vec::new(), journal, epoch: Epoch(0) };
        lone.tell(Input::Tick);
        lone
    }

    pub(super) fn tell(&mut self, input: Input) -> Judgement {
        self.effects.clear();
        let now = Now { monotonic: Monotonic(self.now_us), clock: BlockTime(CLOCK + self.now_us) };
        let judgement = self.round.handle(now, input, &mut self.app, &mut self.effects);
        self.journal.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Persist(record) => Some(record.clone()),
            _ => None,
        }));
        judgement
    }

    /// Pools a transaction.
    pub(super) fn hurry(&mut self) {
        let waiting = transaction(&self.genesis, 1);
        self.app.pool.insert(waiting.id(), waiting);
        self.tell(Input::Pending(true));
    }

    pub(super) fn tick_after_ms(&mut self, ms: u64) {
        self.now_us += ms * 1000;
        self.tell(Input::Tick);
    }

    /// The statements that this authority made on the last input.
    pub(super) fn said(&self) -> Vec<Statement> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::SendVotes(votes) => Some(votes.iter().map(|vote| vote.statement)),
            _ => None,
        });
        sent.flatten().collect()
    }

    pub(super) fn vote(&self, voter: u16, statement: Statement) -> Vote {
        let network = self.genesis.network_id();
        Vote::sign(self.epoch, statement, AuthorityIndex(voter), &key(usize::from(voter)), &network)
    }

    pub(super) fn votes(&mut self, voters: &[u16], statement: Statement) -> Judgement {
        let votes = voters.iter().map(|voter| self.vote(*voter, statement)).collect();
        self.tell(Input::Votes(votes))
    }

    pub(super) fn certificate(&self, signers: &[u16], statement: Statement) -> Certificate {
        Certificate {
            epoch: self.epoch,
            statement,
            signers: Signers::of(signers.iter().map(|signer| AuthorityIndex(*signer))),
            signatures: signers.iter().map(|signer| self.vote(*signer, statement).signature).collect(),
        }
    }

    /// Hands in a certificate that another authority tells.
    pub(super) fn told(&mut self, certificate: Certificate) -> Judgement {
        self.tell(Input::Tell(Tell { certificates: vec![certificate], ..Tell::default() }))
    }

    /// A valid empty block on a parent, as its leader would make it in a view, changed by `edit`.
    pub(super) fn proposal(&self, view: u64, parent: Option<&Proposal>, edit: impl FnOnce(&mut Block)) -> Proposal {
        let parent = parent.map(|parent| parent.block.header.clone());
        let result_height = parent.as_ref().map_or(Height(0), |parent| parent.final_height);
        let header = Header {
            epoch: self.epoch,
            view: View(view),
            role: Role::Inner,
            height: parent.as_ref().map_or(Height(1), |parent| parent.height.next()),
            parent: parent.as_ref().map_or(Digest::ZERO, Header::digest),
            time: BlockTime(CLOCK + view * 10),
            transactions: Block::transactions_digest(&[]),
            final_height: result_height,
            result_height,
            result: self.app.result(result_height).unwrap_or(Digest::ZERO),
            snapshots: Vec::new(),
        };
        let mut block = Block { header, transactions: Vec::new() };
        edit(&mut block);
        let leader = (block.header.view.0 % 4) as u16;
        let signature = self.vote(leader, Statement::Notarize(block.header.view, block.header.digest())).signature;
        Proposal { block: Arc::new(block), signature, finalization: None }
    }

    /// Proposes a block and notarizes it with the votes of 1, 2 and 3.
    pub(super) fn notarized(&mut self, view: u64, parent: Option<&Proposal>) -> Proposal {
        let proposal = self.proposal(view, parent, |_| {});
        self.tell(Input::Proposal(proposal.clone()));
        self.votes(&[1, 2, 3], notarize(&proposal));
        proposal
    }
}

pub(super) fn notarize(proposal: &Proposal) -> Statement {
    Statement::Notarize(proposal.block.header.view, proposal.block.header.digest())
}

pub(super) fn finalize(proposal: &Proposal) -> Statement {
    Statement::Finalize(proposal.block.header.view, proposal.block.header.digest())
}
