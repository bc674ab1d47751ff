//! Numbers for everything that is ever said or proposed in an exploration, and names for people.

use std::{collections::HashMap, sync::Arc};

use meshwork_core::{
    digest::Digest,
    types::{AuthorityIndex, Certificate, Epoch, Header, Proposal, Signers, Statement, View, Vote},
};

use super::{set::Set, setting::Setting};

/// A block's number.
pub(super) type BlockId = u16;
/// A statement's number.
pub(super) type StatementId = u16;

/// A block that an honest leader proposed, or that a liar could propose.
pub(super) struct Named {
    /// The proposal without its finalization, because the voters of that differ from run to run.
    bare: Arc<Proposal>,
    /// The statement that the finalization certifies.
    pub shows: Option<StatementId>,
    pub digest: Digest,
    /// `None`: the genesis.
    pub parent: Option<BlockId>,
    name: String,
}

impl Named {
    pub(super) fn header(&self) -> &Header {
        &self.bare.block.header
    }
}

/// All numbers.
#[derive(Default)]
pub(super) struct Names {
    blocks: Vec<Named>,
    by_digest: HashMap<Digest, BlockId>,
    statements: Vec<Statement>,
    by_statement: HashMap<Statement, StatementId>,
    /// For each statement, those that no quorum may support if one supports this.
    rivals: Vec<Set>,
    /// The same, but only of final blocks on different chains.
    forks: Vec<Set>,
    votes: HashMap<(u16, StatementId), Vote>,
}

impl Names {
    /// A block's number. Its parent must have one already.
    pub(super) fn block(&mut self, proposal: &Arc<Proposal>) -> BlockId {
        let header = &proposal.block.header;
        let digest = header.digest();
        if let Some(known) = self.by_digest.get(&digest) {
            return *known;
        }
        let parent = self.by_digest.get(&header.parent).copied();
        assert!(parent.is_some() || header.parent == Digest::ZERO, "a block on one that nobody proposed");
        let same_view = self.blocks.iter().filter(|other| other.header().view == header.view).count();
        let on = parent.map_or("genesis".into(), |parent| self.block_name(parent).to_owned());
        let name = format!("{}{}", header.view, letters(same_view));
        let name = format!("{name}[{on}]").split("[genesis]").collect::<String>();
        let block = self.blocks.len() as BlockId;
        assert!(usize::from(block) < Set::LIMIT, "more blocks than can be numbered");
        let bare = Arc::new(Proposal { finalization: None, ..(**proposal).clone() });
        let shows = proposal.finalization.as_ref().map(|shown| self.statement(shown.statement));
        self.blocks.push(Named { bare, shows, digest, parent, name });
        self.by_digest.insert(digest, block);
        block
    }

    pub(super) fn get(&self, block: BlockId) -> &Named {
        &self.blocks[usize::from(block)]
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockId> + use<> {
        0..self.blocks.len() as BlockId
    }

    /// A leader's proposal. The finalization that it carries is made of these votes.
    pub(super) fn proposal(&mut self, setting: &Setting, block: BlockId, voters: u8) -> Arc<Proposal> {
        let Named { bare, shows, .. } = self.get(block);
        match *shows {
            Some(shown) if voters != 0 => {
                let bare = (**bare).clone();
                let finalization = Some(self.certificate(setting, voters, shown));
                Arc::new(Proposal { finalization, ..bare })
            }
            _ => Arc::clone(bare),
        }
    }

    pub(super) fn block_of(&self, digest: &Digest) -> Option<BlockId> {
        self.by_digest.get(digest).copied()
    }

    /// Whether these statements include one to notarize this block.
    pub(super) fn is_notarized(&self, block: BlockId, among: &Set) -> bool {
        let named = self.get(block);
        self.is_among(&Statement::Notarize(named.header().view, named.digest), among)
    }

    /// Whether they include one to finalize it.
    pub(super) fn is_finalized(&self, block: BlockId, among: &Set) -> bool {
        let named = self.get(block);
        self.is_among(&Statement::Finalize(named.header().view, named.digest), among)
    }

    fn is_among(&self, statement: &Statement, among: &Set) -> bool {
        self.by_statement.get(statement).is_some_and(|number| among.contains(*number))
    }

    /// The block and all blocks below it, newest first.
    pub(super) fn lineage(&self, block: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        std::iter::successors(Some(block), |block| self.get(*block).parent)
    }

    pub(super) fn block_name(&self, block: BlockId) -> &str {
        &self.get(block).name
    }

    /// A statement's number. The block that it is about must have one already.
    pub(super) fn statement(&mut self, statement: Statement) -> StatementId {
        if let Some(known) = self.by_statement.get(&statement) {
            return *known;
        }
        let number = self.statements.len() as StatementId;
        assert!(usize::from(number) < Set::LIMIT, "more statements than can be numbered");
        self.statements.push(statement);
        self.by_statement.insert(statement, number);
        let (mut rivals, mut forks) = (Set::default(), Set::default());
        for other in 0..number {
            if self.fork(statement, self.said(other)) {
                forks.insert(other);
                self.forks[usize::from(other)].insert(number);
            }
            if self.fork(statement, self.said(other)) || are_rivals(&statement, &self.said(other)) {
                rivals.insert(other);
                self.rivals[usize::from(other)].insert(number);
            }
        }
        self.rivals.push(rivals);
        self.forks.push(forks);
        number
    }

    /// Whether there would be two chains if both were final.
    fn fork(&self, one: Statement, other: Statement) -> bool {
        let (Statement::Finalize(_, one), Statement::Finalize(_, other)) = (one, other) else { return false };
        let (Some(one), Some(other)) = (self.block_of(&one), self.block_of(&other)) else { return false };
        !self.lineage(one).any(|below| below == other) && !self.lineage(other).any(|below| below == one)
    }

    pub(super) fn said(&self, statement: StatementId) -> Statement {
        self.statements[usize::from(statement)]
    }

    pub(super) fn statements(&self) -> impl Iterator<Item = StatementId> + use<> {
        0..self.statements.len() as StatementId
    }

    pub(super) fn rivals(&self, statement: StatementId) -> &Set {
        &self.rivals[usize::from(statement)]
    }

    pub(super) fn forks(&self, statement: StatementId) -> &Set {
        &self.forks[usize::from(statement)]
    }

    /// An authority's vote.
    pub(super) fn vote(&mut self, setting: &Setting, voter: u16, statement: StatementId) -> Vote {
        let said = self.said(statement);
        let sign = || {
            let key = &setting.keys[usize::from(voter)];
            Vote::sign(Epoch(0), said, AuthorityIndex(voter), key, &setting.network)
        };
        self.votes.entry((voter, statement)).or_insert_with(sign).clone()
    }

    /// The certificate of these authorities' votes.
    pub(super) fn certificate(&mut self, setting: &Setting, voters: u8, statement: StatementId) -> Certificate {
        let votes: Vec<Vote> = bits(voters).map(|voter| self.vote(setting, voter, statement)).collect();
        Certificate {
            epoch: Epoch(0),
            statement: self.said(statement),
            signers: Signers::of(bits(voters).map(AuthorityIndex)),
            signatures: votes.iter().map(|vote| vote.signature).collect(),
        }
    }

    pub(super) fn words(&self, statement: StatementId) -> String {
        self.words_of(&self.said(statement))
    }

    pub(super) fn words_of(&self, statement: &Statement) -> String {
        let name = |digest| self.block_of(digest).map_or("?", |block| self.block_name(block));
        match statement {
            Statement::Notarize(_, block) => format!("notarize {}", name(block)),
            Statement::Finalize(_, block) => format!("finalize {}", name(block)),
            Statement::Nullify(View(view)) => format!("nullify {view}"),
        }
    }
}

/// Whether no two quorums may support these: two blocks of one view, or a final block and the nullification of
/// its view.
fn are_rivals(one: &Statement, other: &Statement) -> bool {
    let finalized = |statement: &Statement| matches!(statement, Statement::Finalize(..));
    one.view() == other.view()
        && match (one.block(), other.block()) {
            (Some(one), Some(other)) => one != other,
            (None, None) => false,
            _ => finalized(one) || finalized(other),
        }
}

/// The authorities whose bits are set.
pub(super) fn bits(mask: u8) -> impl Iterator<Item = u16> {
    (0..8).filter(move |bit| mask & 1 << bit != 0)
}

fn letters(number: usize) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    if number < 26 { letter.into() } else { format!("{}{letter}", number / 26) }
}
