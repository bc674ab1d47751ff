//! Tests that what strangers send to a whole replica costs nobody else.

use std::sync::Arc;

use meshwork_core::{
    codec,
    consensus::{Ask, Evidence, Judgement, Monotonic, Now, Record, VotingStatus},
    digest::Digest,
    identity::SecretKey,
    replica::{Action, Config, Gossip, Message, Recovered, Replica, message_bytes_max},
    types::{
        self, Access, Authority, AuthorityIndex, BlockTime, Certificate, ConsensusParameters, Drain, Epoch, Genesis,
        Height, LedgerLimits, ScheduleParameters, SignedTransaction, Signers, Statement, Transaction, View, Vote,
    },
};

const NOW: Now = Now { monotonic: Monotonic(1000), clock: BlockTime(1_000_000) };

fn key(index: u16) -> SecretKey {
    SecretKey::from_seed([index as u8 + 1; 32])
}

fn genesis() -> Arc<Genesis> {
    let authority = |index| Authority { name: format!("a{index}"), key: key(index).public(), addresses: vec![] };
    Arc::new(Genesis {
        name: "strangers".into(),
        time: BlockTime(1),
        authorities: (0..4).map(authority).collect(),
        access: Access::default(),
        consensus: ConsensusParameters::default(),
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters::default(),
    })
}

fn replica(genesis: &Arc<Genesis>, index: u16, recovered: Recovered) -> Replica {
    let config = Config { genesis: Arc::clone(genesis), key: key(index) };
    Replica::new(config, recovered).expect("nothing to fit together")
}

fn new(genesis: &Arc<Genesis>, index: u16) -> Replica {
    replica(genesis, index, Recovered::nothing(VotingStatus::Voting))
}

fn vote(genesis: &Genesis, voter: u16, signer: &SecretKey, statement: Statement) -> Vote {
    Vote::sign(Epoch(0), statement, AuthorityIndex(voter), signer, &genesis.network_id())
}

#[test]
fn what_one_peer_forwards_no_other_punishes() {
    let genesis = genesis();
    let drain = |index: u16| {
        let action = types::Action::Drain(Drain { sequence: 1 });
        let transaction = Transaction { nonce: u64::from(index), expires: BlockTime(9_000_000), action };
        Arc::new(SignedTransaction::sign(transaction, &key(index), &genesis.network_id()))
    };
    let (mut first, mut second) = (new(&genesis, 50), new(&genesis, 51));
    // The replica has the first transaction and gets a forged version of it: the id says nothing about the
    // signature.
    let known = drain(90);
    let mut envelope = known.envelope().clone();
    envelope.signature.0[0] ^= 1;
    let forged = Arc::new(SignedTransaction::open(envelope).expect("it has the right form"));
    let direct = Message::Transactions(vec![known]);
    assert_eq!(first.message(NOW, key(99).public(), direct, &mut Vec::new()), Judgement::Accept);
    for batch in [vec![drain(91), Arc::clone(&forged)], vec![forged, drain(92)]] {
        let gossip = Gossip::Transactions(batch);
        let at_first = first.gossip(NOW, gossip.clone(), &mut Vec::new());
        let at_second = second.gossip(NOW, gossip, &mut Vec::new());
        assert_eq!(at_first, at_second);
        assert!(matches!(at_first, Judgement::Reject(_)), "{at_first:?}");
    }
}

#[test]
fn votes_are_taken_from_their_voter_alone_and_no_more_than_there_are() {
    let genesis = genesis();
    let stranger = key(98);
    // As many votes as fit a message. To check them all would take longer than a view.
    let forged = vote(&genesis, 1, &stranger, Statement::Nullify(View(1)));
    let bytes = codec::encode(&Message::Votes(vec![forged; 65_000]));
    assert!(bytes.len() <= message_bytes_max(&genesis));
    let mut authority = new(&genesis, 0);
    let mut say = |from: &SecretKey| {
        let message = Message::decode(&bytes, &genesis).expect("it has the right form");
        authority.message(NOW, from.public(), message, &mut Vec::new())
    };
    let others = Judgement::Reject("votes from someone who did not cast them");
    assert_eq!((say(&stranger), say(&key(2))), (others, others));
    assert_eq!(say(&key(1)), Judgement::Reject("more votes than there are to cast"));
}

#[test]
fn what_follows_from_the_journal_is_stored_before_it_is_told_whatever_evidence_is_kept() {
    let genesis = genesis();
    let finalize = Statement::Finalize(View(3), Digest([9; 32]));
    let certificate = Certificate {
        epoch: Epoch(0),
        statement: finalize,
        signers: Signers::of([1, 2, 3].map(AuthorityIndex)),
        signatures: (1..4).map(|voter| vote(&genesis, voter, &key(voter), finalize).signature).collect(),
    };
    let evidence = Evidence {
        first: vote(&genesis, 1, &key(1), Statement::Nullify(View(1))),
        second: vote(&genesis, 1, &key(1), Statement::Finalize(View(1), Digest::ZERO)),
    };
    for evidence in [vec![], vec![evidence]] {
        let journal = vec![Record::Certified(certificate.clone())];
        let kept = evidence.len();
        let recovered = Recovered { journal, evidence, ..Recovered::nothing(VotingStatus::Voting) };
        let mut authority = replica(&genesis, 0, recovered);
        assert_eq!(authority.consensus().evidence().count(), kept);
        let mut actions = Vec::new();
        authority.tick(NOW, &mut actions);
        let ask = Ask {
            epoch: Epoch(0),
            view: View(1),
            final_view: View(0),
            final_height: Height(0),
            proposal: false,
            views: vec![],
            blocks: vec![],
        };
        authority.message(NOW, key(2).public(), Message::Ask(ask), &mut actions);
        let is_ours = |vote: &Vote| vote.voter == AuthorityIndex(0) && vote.statement == finalize;
        let stored =
            actions.iter().any(|action| matches!(action, Action::Persist(Record::Voted(vote)) if is_ours(vote)));
        let told = actions.iter().any(|action| match action {
            Action::Send { message: Message::Tell(tell), .. } => tell.votes.iter().any(is_ours),
            _ => false,
        });
        assert!(stored && told, "kept {kept}: stored {stored}, told {told}");
    }
}
