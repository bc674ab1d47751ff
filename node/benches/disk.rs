//! What a peer's store takes on disk after a million tasks, for each way of keeping the past:
//! `cargo bench -p meshwork-node --bench disk [TASKS]`.
//!
//! One authority alone orders everything and works: the real replica, in virtual time, on the real store. Each task
//! leaves sixteen bytes. What the store's file takes of the disk is measured as it is, and again after it was opened
//! anew, which may give free room back, with the time that this takes; then what each table has in it, and what the
//! table takes beside that.

use std::{collections::VecDeque, fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Instant};

use meshwork_api::Keep;
use meshwork_core::{
    consensus::{Monotonic, Now, VotingStatus},
    identity::{NetworkId, SecretKey},
    replica::{self, Action, Assignment, Recovered, Replica},
    types::{
        self, BlobRef, BlockTime, Claim, Genesis, InlineOutput, Output, Report, ReportItem, Resources,
        SignedTransaction, Submit, TaskSpec, Tasks, Transaction, Usage, Verdict,
    },
};
use meshwork_node::store::Store;
use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle, TableStats};

/// How many jobs the tasks are in.
const JOBS: u32 = 10;
/// How long a block takes, in microseconds of virtual time.
const BLOCK_US: u64 = 250_000;
/// How long nobody submits anything after a job: all of them together take four hours, and the ledger remembers an
/// ended job for one.
const REST_US: u64 = 24 * 60 * 1_000_000;

struct Peer {
    key: SecretKey,
    network: NetworkId,
    genesis: Arc<Genesis>,
    replica: Replica,
    store: Store,
    now: u64,
    given: VecDeque<Assignment>,
    nonce: u64,
}

impl Peer {
    fn new(file: &Path, keep: Keep) -> Self {
        let key = SecretKey::from_seed([1; 32]);
        let text = format!(
            "name = \"disk\"\ntime_us = 1\n[ledger]\ntasks_max = 4000000\n\
             [[authorities]]\nname = \"only\"\nkey = \"{}\"\n",
            key.public()
        );
        let genesis = Arc::new(Genesis::from_toml(&text).expect("a genesis"));
        let network = genesis.network_id();
        let config = replica::Config { genesis: Arc::clone(&genesis), key: key.clone() };
        let replica = Replica::new(config, Recovered::nothing(VotingStatus::Voting)).expect("nothing to contradict");
        let store = Store::open(file, &[9; 32], &network, keep).expect("a store");
        Self { key, network, genesis, replica, store, now: 1, given: VecDeque::new(), nonce: 0 }
    }

    fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.now), clock: BlockTime(self.now) }
    }

    fn sign(&mut self, action: types::Action) -> Arc<SignedTransaction> {
        self.nonce += 1;
        let transaction = Transaction { nonce: self.nonce, expires: BlockTime(self.now).plus_ms(60_000), action };
        Arc::new(SignedTransaction::sign(transaction, &self.key, &self.network))
    }

    /// Hands in transactions, and goes on until they are executed and stored.
    fn order(&mut self, actions: Vec<types::Action>) {
        let signed = actions.into_iter().map(|action| self.sign(action)).collect();
        let mut out = Vec::new();
        let answers = self.replica.submit(self.now(), signed, &mut out);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        self.carry_out(out);
        while self.replica.pool().has_work() {
            self.tick();
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        self.store.write(&actions).expect("stored");
        for action in actions {
            if let Action::Executed(executed) = action {
                self.given.extend(executed.assignments);
            }
        }
    }

    /// Nothing to do for so long: blocks come all the same.
    fn rest(&mut self, time_us: u64) {
        let until = self.now + time_us;
        while self.now < until {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += BLOCK_US;
        let mut out = Vec::new();
        self.replica.tick(self.now(), &mut out);
        self.carry_out(out);
    }

    fn claim(&mut self, sequence: u64) {
        let waiting = self.genesis.ledger.claim_attempts_max - 1;
        let resources = Resources { millicores: 1000, memory_bytes: 1 << 30 };
        let incarnation = types::Incarnation(1);
        let stands_ms = self.genesis.ledger.claim_stands_ms_max;
        self.order(vec![types::Action::Claim(Claim {
            sequence,
            incarnation,
            slots: 1,
            resources,
            waiting,
            load: 0,
            labels: Default::default(),
            blobs: Default::default(),
            stands_ms,
        })]);
    }

    /// Says of all that it was given that it is done.
    fn report(&mut self) -> usize {
        let output = InlineOutput { stdout: b"sixteen bytes ..".to_vec().into(), ..InlineOutput::default() };
        let given: Vec<Assignment> = self.given.drain(..).collect();
        let item = |given: &Assignment| ReportItem {
            attempt: given.attempt,
            verdict: Verdict::Succeeded(0, Output::Inline(output.clone()), Usage::default(), Vec::new()),
        };
        let items: Vec<ReportItem> = given.iter().map(item).collect();
        let reports = items.chunks(self.genesis.ledger.report_items_max / 2);
        let reports = reports.map(|items| types::Action::Report(Report { items: items.to_vec() })).collect();
        self.order(reports);
        given.len()
    }
}

fn run(tasks: u32, keep: Keep) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("store.redb");
    let mut peer = Peer::new(&file, keep);
    let began = Instant::now();
    let spec = TaskSpec::of(BlobRef { digest: meshwork_core::digest::Digest::of(b"a program"), bytes: 1 });
    let mut claims = 0;
    for _ in 0..JOBS {
        peer.order(vec![types::Action::Submit(Submit::new("disk", spec.clone(), Tasks::Repeat(tasks / JOBS)))]);
        let mut done = 0;
        while done < (tasks / JOBS) as usize {
            if peer.given.is_empty() {
                claims += 1;
                peer.claim(claims);
            }
            done += peer.report();
        }
        peer.rest(REST_US);
    }
    let (height, network) = (peer.replica.ledger().height(), peer.network);
    drop(peer);
    let taken = || fs::metadata(&file).map_or(0, |file| file.blocks() * 512);
    let before = taken();
    let lasted = began.elapsed();
    let began = Instant::now();
    let store = Store::open(&file, &[9; 32], &network, keep).expect("it opens again");
    let opened = began.elapsed();
    store.recover(VotingStatus::Voting).expect("it recovers");
    println!(
        "{:<8} {tasks:>9} tasks {height:>7} blocks {:>9.1} MB in {:.1} s, opened again {:>9.1} MB in {:.0} ms, \
         read in {:.0} ms",
        format!("{keep:?}").to_lowercase(),
        mb(before),
        lasted.as_secs_f64(),
        mb(taken()),
        opened.as_secs_f64() * 1000.0,
        (began.elapsed() - opened).as_secs_f64() * 1000.0
    );
    for (name, stats) in tables(&store) {
        let [stored, beside] = [stats.stored_bytes(), stats.metadata_bytes() + stats.fragmented_bytes()];
        println!("    {name:<18} {:>9.1} MB, and {:>8.1} MB beside it", mb(stored), mb(beside));
    }
}

/// The tables that take more than a megabyte.
fn tables(store: &Store) -> Vec<(String, TableStats)> {
    let read = store.database().begin_read().expect("readable");
    let tables = read.list_tables().expect("readable");
    let stats = tables.map(|table| {
        let stats = read.open_untyped_table(table.clone()).map(|table| table.stats().expect("readable"));
        (table.name().to_owned(), stats.expect("readable"))
    });
    let mut stats: Vec<_> = stats.filter(|(_, stats)| stats.stored_bytes() > 1_000_000).collect();
    stats.sort_by_key(|(_, stats)| std::cmp::Reverse(stats.stored_bytes()));
    stats
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn main() {
    let tasks = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    for keep in [Keep::Archive, Keep::Full, Keep::Pruned] {
        run(tasks, keep);
    }
}
