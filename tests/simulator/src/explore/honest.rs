//! One honest authority: the real round, with a disk that keeps what it is told to keep. It orders empty
//! blocks, and always has a reason for one.

use std::sync::Arc;

use meshwork_core::{
    consensus::{
        Application, BuildRequest, Check, Close, Consensus, Content, Detail, Effect, FinalTip, Input, Monotonic, Now,
        Record, VotingStatus,
    },
    digest::Digest,
    types::{AuthoritySet, Block, Certificate, Closing, Epoch, Height, Proposal, Statement, View},
};

use super::{
    names::{BlockId, Names},
    set::Set,
    setting::{CLOCK, Grain, Setting},
};

/// An application with empty blocks, which always has a reason for one.
pub(super) struct Nothing {
    /// The next authorities, if the first block is its epoch's last.
    next: Option<Arc<AuthoritySet>>,
}

impl Application for Nothing {
    fn build(&mut self, _: &BuildRequest<'_>) -> Option<Content> {
        Some(Content { transactions: Vec::new(), result: Digest::ZERO, snapshots: Vec::new() })
    }

    fn check(&mut self, block: &Block, _: &[Arc<Block>]) -> Check {
        match block.header.result {
            Digest::ZERO => Check::Valid,
            _ => Check::Invalid("another result"),
        }
    }

    fn has_change(&mut self, _: Epoch, _: Height) -> bool {
        self.next.is_some()
    }

    fn close(&mut self, _: Height) -> Option<Close> {
        self.next.clone().map(|next| Close { result: Digest::ZERO, next })
    }
}

/// The state that survives a crash.
#[derive(Clone, Default)]
pub(super) struct Disk {
    journal: Vec<Record>,
    pub chain: Vec<Arc<Block>>,
    pub finalization: Option<Certificate>,
}

/// An honest authority, and everything that it has ever said.
#[derive(Clone)]
pub(super) struct Honest {
    pub authority: u16,
    pub round: Consensus,
    next: Option<Arc<AuthoritySet>>,
    pub disk: Disk,
    pub now_us: u64,
    /// What it has said about the explored views, over all crashes.
    pub said: Set,
    /// The blocks that it has proposed in these views.
    pub proposed: Set,
}

impl Honest {
    /// An authority that has just begun, and knows that there is a reason for a block.
    pub(super) fn new(setting: &Setting, names: &mut Names, authority: u16) -> Self {
        let disk = Disk::default();
        let mut honest = Self {
            authority,
            round: start(setting, authority, &disk),
            next: setting.next(),
            disk,
            now_us: 0,
            said: Set::default(),
            proposed: Set::default(),
        };
        honest.input(setting, names, Input::Pending(true));
        honest
    }

    /// Hands in an input, a moment after the last one, and carries out its effects.
    pub(super) fn input(&mut self, setting: &Setting, names: &mut Names, input: Input) {
        self.now_us += 1;
        let effects = self.handle(input);
        self.carry_out(setting, names, &effects);
    }

    /// The effects of an input, not carried out yet.
    pub(super) fn handle(&mut self, input: Input) -> Vec<Effect> {
        let now = Now { monotonic: Monotonic(self.now_us), clock: CLOCK };
        let mut effects = Vec::new();
        if self.round.epoch() == Epoch(0) {
            let mut app = Nothing { next: self.next.clone() };
            self.round.handle(now, input, &mut app, &mut effects);
        }
        // Effects in the next epoch are ignored: an authority that has reached it says nothing more in this
        // one.
        if let Some(over) = effects.iter().position(|effect| matches!(effect, Effect::Epoch { .. })) {
            effects.truncate(over);
        }
        effects
    }

    /// Stores, executes, and notes what the authority says. Messages need no delivery, because whatever was
    /// said can be heard from now on. Returns the effects of executing.
    pub(super) fn carry_out(&mut self, setting: &Setting, names: &mut Names, effects: &[Effect]) -> Vec<Effect> {
        let height = self.disk.chain.len();
        self.store(setting, names, effects);
        let Some(last) = self.disk.chain.last().filter(|_| self.disk.chain.len() > height) else { return Vec::new() };
        let executed = Input::Executed(last.header.height);
        self.now_us += 1;
        let mut more = self.handle(executed);
        let late = self.carry_out(setting, names, &more);
        more.extend(late);
        more
    }

    /// Carries out the effects before a crash.
    pub(super) fn store(&mut self, setting: &Setting, names: &mut Names, effects: &[Effect]) {
        effects.iter().for_each(|effect| self.carry_out_one(setting, names, effect));
    }

    fn carry_out_one(&mut self, setting: &Setting, names: &mut Names, effect: &Effect) {
        match effect {
            Effect::Persist(record) => self.persist(setting, names, record),
            Effect::Prune { epoch, below } => {
                self.disk.journal.retain(|record| record.place().is_none_or(|place| place >= (*epoch, *below)));
            }
            Effect::SendVotes(votes) => votes.iter().for_each(|vote| self.say(setting, names, vote.statement)),
            Effect::GossipProposal(proposal) => self.show(setting, names, proposal),
            Effect::Finalized { blocks, finalization } => {
                for block in blocks {
                    let parent = self.disk.chain.last().map_or(Digest::ZERO, |parent| parent.header.digest());
                    assert_eq!(block.header.parent, parent, "a final block does not stand on the one before");
                    self.disk.chain.push(Arc::clone(block));
                }
                self.disk.finalization = Some(finalization.clone());
            }
            Effect::Send { .. }
            | Effect::GossipFinalization(_)
            | Effect::Behind { .. }
            | Effect::Evidence(_)
            | Effect::Fork(_)
            | Effect::VotingStatus(_) => {}
            Effect::Closed { closing, .. } => {
                self.disk.chain.retain(|block| !block.header.role.is_closing());
                self.disk.chain.extend(closing.blocks.iter().cloned());
                self.disk.finalization = Some(closing.finalization.clone());
            }
            Effect::Epoch { .. } => unreachable!("it is cut off"),
        }
    }

    /// A durable vote counts as said: if it does not go out now, it will when somebody asks.
    fn persist(&mut self, setting: &Setting, names: &mut Names, record: &Record) {
        match record {
            Record::Voted(_) | Record::Notarized(..) if !setting.bound.votes_durable => return,
            Record::Voted(vote) => self.say(setting, names, vote.statement),
            Record::Notarized(vote, proposal) => {
                self.show(setting, names, proposal);
                self.say(setting, names, vote.statement);
            }
            Record::Certified(_) | Record::Stopped => {}
        }
        self.disk.journal.push(record.clone());
    }

    fn say(&mut self, setting: &Setting, names: &mut Names, statement: Statement) {
        if statement.view() <= setting.views() {
            self.said.insert(names.statement(statement));
        }
    }

    fn show(&mut self, setting: &Setting, names: &mut Names, proposal: &Arc<Proposal>) {
        let view = proposal.block.header.view;
        if view <= setting.views() {
            let block = names.block(proposal);
            if setting.leader(view).0 == self.authority {
                self.proposed.insert(block);
                self.say(setting, names, Statement::Notarize(view, proposal.block.header.digest()));
            }
        }
    }

    /// Crashes, and starts from the disk.
    pub(super) fn crash(&mut self, setting: &Setting, names: &mut Names) {
        self.round = start(setting, self.authority, &self.disk);
        self.input(setting, names, Input::Pending(true));
    }

    /// A digest of all that decides what the authority does next, and of what it has said.
    pub(super) fn identity(&self, setting: &Setting) -> Digest {
        let detail = if setting.bound.grain == Grain::Vote { Detail::Votes } else { Detail::Blocks };
        let said: Vec<u16> = self.said.iter().collect();
        let said: Vec<u8> = said.iter().flat_map(|statement| statement.to_le_bytes()).collect();
        let memory = self.round.memory(setting.views(), detail);
        let journal = if setting.bound.crashes > 0 { self.journal(setting) } else { Vec::new() };
        let length = said.len() as u64;
        // The round forgets closing blocks once their epoch is over.
        let newest = self.disk.chain.last().map_or(Digest::ZERO, |newest| newest.header.digest());
        let parts = [&[self.authority as u8][..], &memory.0, &newest.0, &length.to_le_bytes(), &said, &journal];
        Digest::of_parts("meshwork explorer authority", &parts)
    }

    /// What the journal would restore.
    fn journal(&self, setting: &Setting) -> Vec<u8> {
        let open = |view: View| view <= setting.views() && view > self.round.tip().view;
        let records = self.disk.journal.iter().filter(|record| record.place().is_none_or(|(_, view)| open(view)));
        let mut names: Vec<[u8; 41]> = records.map(name_of).collect();
        names.sort_unstable();
        names.dedup();
        names.concat()
    }

    /// Whether two states differ in anything that could ever make a difference.
    pub(super) fn differs(&self, setting: &Setting, other: &Self) -> bool {
        let memory = |honest: &Self| honest.round.memory(setting.views(), Detail::Effective);
        self.said != other.said || memory(self) != memory(other)
    }

    /// The final blocks, by their numbers.
    pub(super) fn finals(&self, setting: &Setting, names: &Names) -> Vec<BlockId> {
        let explored = self.disk.chain.iter().filter(|block| block.header.view <= setting.views());
        explored.filter_map(|block| names.block_of(&block.header.digest())).collect()
    }
}

fn start(setting: &Setting, authority: u16, disk: &Disk) -> Consensus {
    let (blocks, above): (Vec<_>, Vec<_>) =
        disk.chain.iter().cloned().partition(|block| !block.header.role.is_closing());
    let closes = disk.finalization.clone().filter(|_| !above.is_empty());
    let closing = closes.map(|finalization| Closing { blocks: above, finalization });
    let tip = match blocks.last() {
        None => FinalTip::genesis(&setting.genesis),
        Some(block) => FinalTip::stored(&block.header, disk.finalization.clone(), closing.as_ref()),
    };
    Consensus::new(setting.config(authority), tip, closing, disk.journal.clone(), Vec::new(), VotingStatus::Voting)
}

fn name_of(record: &Record) -> [u8; 41] {
    let (kind, statement) = match record {
        Record::Notarized(vote, _) | Record::Voted(vote) => (0, Some(vote.statement)),
        Record::Certified(certificate) => (1, Some(certificate.statement)),
        Record::Stopped => (2, None),
    };
    let mut name = [0; 41];
    if let Some(statement) = statement {
        name[0] = kind * 4
            + match statement {
                Statement::Notarize(..) => 0,
                Statement::Nullify(_) => 1,
                Statement::Finalize(..) => 2,
            };
        name[1..9].copy_from_slice(&statement.view().0.to_le_bytes());
        name[9..].copy_from_slice(&statement.block().unwrap_or(Digest::ZERO).0);
    } else {
        name[0] = u8::MAX;
    }
    name
}
