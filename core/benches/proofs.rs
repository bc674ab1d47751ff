//! How large a proof is and how long it takes to check, on ledgers of many tasks. Run
//! `cargo bench -p meshwork-core --bench proofs`.
//!
//! All leaves of the made-up history are alike, so that its nodes need not be stored: what is on a path does not matter to
//! its length, nor to the time.

use std::time::Instant;

use meshwork_core::{
    codec,
    digest::Digest,
    identity::SecretKey,
    merkle,
    proof::Proof,
    types::{
        Agreement, Answer, Answered, AttemptId, AttemptNumber, AuthorityIndex, Basis, BlockTime, Certificate, Epoch,
        Genesis, Header, Height, InlineOutput, JobId, OutcomeReceipt, Output, Receipt, Redundancy, Role, Signers,
        Statement, TaskId, Usage, View, Vote,
    },
};

const RUNS: usize = 101;
/// What the project promises at ten million tasks.
const BYTES_MAX: usize = 4096;

fn main() {
    println!("| tasks | outcomes in a block | authorities | answers | bytes | checked in (median) |");
    println!("| --: | --: | --: | --: | --: | --: |");
    for (tasks, each, authorities, answers) in [
        (1_000_000, 100, 4, 0),
        (10_000_000, 1, 4, 0),
        (10_000_000, 1000, 4, 0),
        (10_000_000, 1000, 4, 3),
        (10_000_000, 1000, 4, 16),
        (10_000_000, 1000, 10, 16),
    ] {
        measure(tasks, each, authorities, answers);
    }
}

fn measure(tasks: u64, each: usize, authorities: u8, answers: u8) {
    let keys: Vec<SecretKey> = (1..=authorities).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    let listed = keys
        .iter()
        .enumerate()
        .map(|(at, key)| format!("[[authorities]]\nname = \"a{at}\"\nkey = \"{}\"\n", key.public()));
    let genesis = format!("name = \"proofs\"\ntime_us = 1\n{}", listed.collect::<String>());
    let genesis = Genesis::from_toml(&genesis).expect("a genesis");
    let receipt = Receipt::Outcome(outcome(answers));
    let leaves = vec![receipt.digest(); each];
    let heights = tasks / each as u64;
    // The root of a complete subtree at each level.
    let mut levels = vec![merkle::root(&leaves)];
    while 1_u64 << levels.len() <= heights {
        let last = levels[levels.len() - 1];
        levels.push(merkle::root_from_path(&last, 0, 2, &[last]).expect("two leaves"));
    }
    let node = &mut |position: merkle::Position| levels.get(usize::from(position.level)).copied();
    let place = heights / 2;
    let history_path = merkle::path(place, heights, node).expect("a leaf");
    let root = merkle::root_from_path(&levels[0], place, heights, &history_path).expect("a path");
    let header = header(heights, root);
    let proof = Proof {
        receipt,
        height: Height(place + 1),
        index: 0,
        count: each as u32,
        block_path: merkle::path_of(&leaves, 0).expect("a leaf"),
        history_path,
        finalization: finalize(&header, &keys, &genesis),
        headers: vec![header],
        handovers: Vec::new(),
    };
    let encoded = codec::encode(&proof);
    assert!(encoded.len() < BYTES_MAX || answers > 3, "{} bytes", encoded.len());
    let mut spent: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let proof = Proof::decode(&encoded).expect("canonical");
            assert_eq!(proof.verify(&genesis), Ok(()));
            start.elapsed()
        })
        .collect();
    spent.sort_unstable();
    let (bytes, median) = (encoded.len(), spent[RUNS / 2]);
    println!("| {tasks} | {each} | {authorities} | {answers} | {bytes} | {median:.1?} |");
}

/// An outcome of the size of most: some words on standard output. Of a task that so many workers computed, if any did.
fn outcome(answers: u8) -> OutcomeReceipt {
    let output = InlineOutput { stdout: [b'x'; 64].as_slice().into(), ..InlineOutput::default() };
    let answer = Answer::Succeeded(0, Output::Inline(output), Usage::default());
    let answered = |number: u8| Answered {
        attempt: AttemptNumber(number.into()),
        worker: SecretKey::from_seed([number + 50; 32]).public(),
        answer: answer.digest(),
    };
    let worker = answered(0).worker;
    let agreement = (answers > 0).then(|| Agreement {
        basis: Basis::Quorum(Redundancy::of(answers).quorum),
        answers: (0..answers).map(answered).collect(),
    });
    OutcomeReceipt {
        attempt: AttemptId { task: TaskId { job: JobId(Digest([4; 32])), index: 7 }, number: AttemptNumber(0) },
        worker,
        height: Height(2),
        verdict: answer.into(),
        agreement,
    }
}

fn header(height: u64, result: Digest) -> Header {
    Header {
        epoch: Epoch(0),
        role: Role::Inner,
        view: View(height),
        height: Height(height + 2),
        parent: Digest::ZERO,
        time: BlockTime(height),
        transactions: Digest::ZERO,
        final_height: Height(height),
        result_height: Height(height),
        result,
        snapshots: Vec::new(),
    }
}

/// The finalization of a header by a quorum.
fn finalize(header: &Header, keys: &[SecretKey], genesis: &Genesis) -> Certificate {
    let (epoch, statement) = (header.epoch, Statement::Finalize(header.view, header.digest()));
    let quorum = genesis.authority_set().quorum();
    let voters = keys.iter().take(quorum).zip((0..).map(AuthorityIndex));
    let network = genesis.network_id();
    let votes: Vec<Vote> = voters.map(|(key, voter)| Vote::sign(epoch, statement, voter, key, &network)).collect();
    Certificate {
        epoch,
        statement,
        signers: Signers::of(votes.iter().map(|vote| vote.voter)),
        signatures: votes.iter().map(|vote| vote.signature).collect(),
    }
}
