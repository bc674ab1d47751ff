//! The events that can happen to one honest authority.

use meshwork_core::consensus::{Effect, Input, Tell};

use super::{
    honest::Honest,
    names::{BlockId, Names, StatementId, bits},
    set::Set,
    setting::{Grain, Setting},
};

/// An event at an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    /// It hears that these authorities say this: by their votes, or by a certificate of these.
    Hear { statement: StatementId, voters: u8 },
    /// It hears one vote.
    Vote { statement: StatementId, voter: u16 },
    /// A block reaches it, together with the missing blocks below it, and the finalization that the block
    /// carries, made of these votes.
    Block { block: BlockId, voters: u8 },
    /// Its timer runs out.
    TimeOut,
}

impl Event {
    /// The inputs by which the event may happen; the first one that makes a difference counts.
    pub(super) fn inputs(self, setting: &Setting, names: &mut Names, to: &Honest) -> Vec<Input> {
        match self {
            Self::TimeOut => vec![Input::Tick],
            Self::Vote { statement, voter } => vec![Input::Votes(vec![names.vote(setting, voter, statement)])],
            Self::Hear { statement, voters } => {
                let others = bits(voters).filter(|voter| *voter != to.authority);
                let votes = others.map(|voter| names.vote(setting, voter, statement)).collect();
                let certificate = names.certificate(setting, voters, statement);
                let tell = Tell { certificates: vec![certificate], ..Tell::default() };
                vec![Input::Votes(votes), Input::Tell(tell)]
            }
            Self::Block { block, voters } => {
                let above = |block: &BlockId| !to.round.has_block(&names.get(*block).digest);
                let lineage: Vec<BlockId> = names.lineage(block).take_while(above).collect();
                let mut proposal = |other| names.proposal(setting, other, if other == block { voters } else { 0 });
                let proposals: Vec<_> = lineage.iter().rev().map(|block| proposal(*block)).collect();
                match &proposals[..] {
                    [] => Vec::new(),
                    [one] => vec![Input::Proposal((**one).clone())],
                    // Each block by itself is another event.
                    _ if setting.bound.grain == Grain::Vote => Vec::new(),
                    _ => vec![Input::Tell(Tell { proposals, ..Tell::default() })],
                }
            }
        }
    }

    /// Hands in one of these inputs, at its time.
    pub(super) fn happen(self, setting: &Setting, honest: &mut Honest, input: Input) -> Vec<Effect> {
        // Longer than any view's timer, however it has grown.
        honest.now_us += if self == Self::TimeOut { setting.long_us() } else { 1 };
        honest.handle(input)
    }

    /// The event in words, with the authority as subject.
    pub(super) fn words(self, setting: &Setting, names: &Names) -> String {
        let who = |voters: u8| {
            let who: Vec<String> = bits(voters).map(|voter| named(setting, voter)).collect();
            who.join(", ")
        };
        match self {
            Self::Hear { statement, voters } => format!("hears {}: {}", who(voters), names.words(statement)),
            Self::Vote { statement, voter } => format!("hears {}: {}", named(setting, voter), names.words(statement)),
            Self::Block { block, .. } => format!("gets block {}", names.block_name(block)),
            Self::TimeOut => "runs out of time".into(),
        }
    }
}

fn named(setting: &Setting, authority: u16) -> String {
    let liar = setting.liars & 1 << authority != 0;
    if liar { format!("liar {authority}") } else { authority.to_string() }
}

/// Everything that can be heard: all that honest authorities ever said, and all that liars may add.
pub(super) struct Air {
    /// What each honest authority has said, in the setting's order.
    pub said: Vec<Set>,
    /// What all of them have said.
    pub all: Set,
    /// All blocks so far.
    pub blocks: Set,
    /// What liars may say besides; only with the grain of single votes.
    pub lies: Vec<StatementId>,
}

impl Air {
    /// All who say this, liars included.
    pub(super) fn voters(&self, setting: &Setting, statement: StatementId) -> u8 {
        let said = self.said.iter().zip(&setting.honest).filter(|(said, _)| said.contains(statement));
        said.fold(setting.liars, |voters, (_, authority)| voters | 1 << authority)
    }
}
