//! Tests that what strangers and liars put into messages costs nobody else.

use std::sync::Arc;

use super::{
    super::*,
    config, genesis, key,
    lone::{CLOCK, Lone, finalize, notarize},
    node::App,
};
use crate::{
    codec,
    digest::Digest,
    identity::Signature,
    replica::{self, message_bytes_max},
    types::{
        Action, BlobRef, Block, BlockTime, Certificate, Epoch, Genesis, Limits, Proposal, Resources, Retry,
        SignedTransaction, Signers, Statement, Submit, TaskSpec, Tasks, Transaction, View,
    },
};

/// A peer that only follows, with its clock.
struct Follower {
    round: Consensus,
    now_us: u64,
}

impl Follower {
    fn new(genesis: &Arc<Genesis>) -> Self {
        let tip = FinalTip::genesis(genesis);
        let round = Consensus::new(config(genesis, None), tip, None, Vec::new(), Vec::new(), VotingStatus::Follower);
        Self { round, now_us: 1000 }
    }

    fn hear(&mut self, input: Input) -> Judgement {
        self.now_us += 1000;
        let now = Now { monotonic: Monotonic(self.now_us), clock: BlockTime(CLOCK + self.now_us) };
        self.round.handle(now, input, &mut App::default(), &mut Vec::new())
    }
}

/// A finalization without meaning. Nobody signs which finalization a proposal carries, so a stranger can put
/// anything there.
fn junk(epoch: Epoch, view: View, signatures: usize) -> Certificate {
    let statement = Statement::Finalize(view, Digest::ZERO);
    Certificate { epoch, statement, signers: Signers::default(), signatures: vec![Signature([7; 64]); signatures] }
}

#[test]
fn what_a_proposal_shows_for_a_finalization_deafens_nobody() {
    let lone = Lone::new();
    let (near, far) = (lone.proposal(1, None, |_| {}), lone.proposal(40, None, |_| {}));
    for forged in [false, true] {
        let mut follower = Follower::new(&genesis(4));
        let shown = forged.then(|| junk(Epoch(1), View(u64::MAX), 0));
        let judged = follower.hear(Input::Proposal(Proposal { finalization: shown, ..near.clone() }));
        assert_eq!(matches!(judged, Judgement::Reject(_)), forged, "{judged:?}");
        let finalization = lone.certificate(&[1, 2, 3], finalize(&far));
        assert_eq!(follower.hear(Input::Certificate(finalization)), Judgement::Accept);
        let next = lone.proposal(41, Some(&far), |_| {});
        assert_eq!(follower.hear(Input::Proposal(next)), Judgement::Accept);
    }
}

#[test]
fn a_proposal_with_what_can_be_no_finalization_is_kept_by_nobody() {
    let mut lone = Lone::new();
    let base = lone.proposal(1, None, |_| {});
    lone.tell(Input::Proposal(base.clone()));
    lone.votes(&[1, 2, 3], notarize(&base));
    lone.votes(&[1, 2, 3], finalize(&base));
    assert_eq!(lone.round.tip().view, View(1));
    let good = lone.proposal(2, Some(&base), |_| {});
    for finalization in [junk(Epoch(0), View(1), 16_000), junk(Epoch(0), View(1), 0)] {
        let copy = Proposal { finalization: Some(finalization), ..good.clone() };
        assert!(matches!(lone.tell(Input::Proposal(copy)), Judgement::Reject(_)));
    }
    assert_eq!(lone.tell(Input::Proposal(good)), Judgement::Accept);
}

#[test]
fn a_follower_that_is_behind_keeps_few_proposals() {
    let lone = Lone::new();
    let mut follower = Follower::new(&genesis(4));
    // The authority never gets the block of view 1.
    let mut parent = lone.proposal(1, None, |_| {});
    for view in 2..600 {
        let proposal = lone.proposal(view, Some(&parent), |_| {});
        follower.hear(Input::Proposal(proposal.clone()));
        follower.hear(Input::Certificate(lone.certificate(&[1, 2, 3], finalize(&proposal))));
        parent = proposal;
    }
    let kept: usize = follower.round.rounds.values().map(|round| round.candidates.len()).sum();
    assert!(kept <= 64, "{kept} blocks are kept");
}

/// Fills a block to nearly the largest size.
fn fill(block: &mut Block, nonce: u64, genesis: &Genesis) {
    let spec = TaskSpec {
        arguments: vec!["x".repeat(767 << 10)],
        resources: Resources { millicores: 1, memory_bytes: 1 },
        limits: Limits { wall_ms: 1, fuel: 1, output_bytes: 1 },
        retry: Retry::default(),
        ..TaskSpec::of(BlobRef { digest: Digest::ZERO, bytes: 1 })
    };
    let submit = Submit::new(String::new(), spec, Tasks::Repeat(1));
    let transaction = Transaction { nonce, expires: BlockTime(u64::MAX), action: Action::Submit(submit) };
    block.transactions = vec![Arc::new(SignedTransaction::sign(transaction, &key(50), &genesis.network_id()))];
    block.header.transactions = Block::transactions_digest(&block.transactions);
}

#[test]
fn what_could_become_final_together_can_be_fetched_together() {
    let mut lone = Lone::new();
    let genesis = Arc::clone(&lone.genesis);
    let mut chain: Vec<Proposal> = Vec::new();
    let mut good = 0;
    for view in (1..=12).filter(|view| view % 4 != 0) {
        let proposal = lone.proposal(view, chain.last(), |block| fill(block, view, &genesis));
        lone.tell(Input::Proposal(proposal.clone()));
        good += usize::from(lone.said().contains(&notarize(&proposal)));
        lone.votes(&[1, 2, 3], notarize(&proposal));
        if view % 4 == 3 {
            lone.told(lone.certificate(&[1, 2, 3], Statement::Nullify(View(view + 1))));
        }
        chain.push(proposal);
    }
    let bytes = |count: usize| {
        let last = &chain[count - 1];
        let blocks = chain[..count].iter().map(|proposal| Arc::clone(&proposal.block)).collect();
        let finalization = Box::new(lone.certificate(&[1, 2, 3], finalize(last)));
        codec::encode(&replica::Message::Blocks(blocks, finalization)).len()
    };
    assert!((2..chain.len()).contains(&good), "{good} of {} blocks are voted for", chain.len());
    assert!(bytes(good) <= message_bytes_max(&genesis) && bytes(chain.len()) > message_bytes_max(&genesis));
}
