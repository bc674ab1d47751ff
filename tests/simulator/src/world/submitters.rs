//! The submissions, good and bad, each through some peer.

use std::sync::Arc;

use meshwork_core::{
    digest::Digest,
    identity::SecretKey,
    types::{
        Action, AfterJob, Amendment, BlobRef, BlockTime, CatchUp, Claim, Control, Cron, Deadline, Directive, Drain,
        Extend, Filter, Incarnation, JobId, Limits, Overlap, Recur, Recurring, Redundancy, Resources, Retry, Selection,
        SignedTransaction, Submit, TaskSpec, Tasks, Times, Transaction,
    },
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{Event, LIFE_MS, World, graph};
use crate::{
    checks::deaths::KILLS,
    scenario::{START_US, Work},
    worker::{MEMORY_BYTES, SLOTS, SUCCESS},
};

/// How long after its submission a large array is cancelled, and again until that succeeds, in microseconds.
const LARGE_LASTS_US: u64 = 5_000_000;

/// The settings of a job.
struct Wish {
    tasks: u32,
    task_ms: u64,
    priority: i16,
    fails: bool,
    kills: bool,
    /// Whether no worker could ever hold it.
    is_unholdable: bool,
    /// How many workers compute each task, if several do.
    redundancy: Option<Redundancy>,
}

/// A control of a whole job, repeated until the job has ended.
#[derive(Clone, Debug)]
pub(super) struct Insisted {
    owner: usize,
    through: usize,
    job: JobId,
    directive: Directive,
}

const PLAIN: Wish =
    Wish { tasks: 1, task_ms: 5, priority: 0, fails: false, kills: false, is_unholdable: false, redundancy: None };

impl World<'_> {
    pub(super) fn submit_work(&mut self, place: usize, work: &Work) {
        if let Some(harm) = work.harm() {
            self.count(harm);
        }
        match *work {
            Work::Job { through, tasks, task_ms, priority, fails } => {
                self.submit_job(through, &Wish { tasks, task_ms, priority, fails, ..PLAIN });
            }
            Work::Deadly { through, tasks, after_ms } => {
                self.submit_job(through, &Wish { tasks, task_ms: after_ms, kills: true, ..PLAIN });
            }
            Work::Replicated { through, tasks, task_ms, replicas, adaptive } => {
                let redundancy = Some(Redundancy { adaptive, ..Redundancy::of(replicas) });
                self.submit_job(through, &Wish { tasks, task_ms, redundancy, ..PLAIN });
            }
            Work::Unholdable { through, tasks } => {
                self.submit_job(through, &Wish { tasks, is_unholdable: true, ..PLAIN });
            }
            Work::Graph { through, drawn } => self.submit_graph(through, drawn),
            Work::Recurring { through, tasks, task_ms, catch_up, overlap } => {
                self.submit_recurring(through, &Wish { tasks, task_ms, ..PLAIN }, catch_up, overlap);
            }
            Work::Burst { through, jobs } => {
                for _ in 0..jobs {
                    self.submit_job(through, &PLAIN);
                }
            }
            Work::Cancel { through, ago } => {
                if let Some((job, _)) = self.jobs.iter().rev().nth(ago).copied() {
                    self.cancel(through, through, job);
                }
            }
            Work::Replay { through } => {
                let count = self.submitted.len();
                if count > 0 {
                    let again = Arc::clone(&self.submitted[place % count]);
                    self.submit(through, again);
                }
            }
            Work::Spam { through, each } => {
                for _ in 0..each {
                    self.spam(through);
                }
            }
            Work::LargeArray { through, tasks } => {
                let job = self.submit_job(through, &Wish { tasks, ..PLAIN });
                let insisted = Insisted { owner: through, through, job, directive: Directive::Cancel };
                self.post(self.now + LARGE_LASTS_US, Event::Insist(insisted));
            }
            Work::Control { through, ago, drawn } => self.control_some(through, ago, drawn),
            Work::Govern { .. } | Work::Rule(_) => self.govern(place),
            Work::Mutiny { peer } => self.mutiny(peer),
            Work::SecondProcess { through, of } => self.begin_elsewhere(through, of),
            Work::Crowd { through, keys, tasks } => {
                for _ in 0..keys {
                    self.crowd(through, tasks);
                }
            }
            Work::Churn { through, keys } => {
                for _ in 0..keys {
                    self.churn(through);
                }
            }
        }
    }

    pub(super) fn sign(&mut self, index: usize, action: Action) -> Arc<SignedTransaction> {
        let key = self.peers[index].key.clone();
        // By the time of the run, not by a clock that may be wrong by more than a transaction lives.
        self.sign_with(&key, BlockTime(START_US + self.now).plus_ms(LIFE_MS), action)
    }

    pub(super) fn sign_with(&mut self, key: &SecretKey, expires: BlockTime, action: Action) -> Arc<SignedTransaction> {
        let transaction = Transaction { nonce: self.random.random(), expires, action };
        Arc::new(SignedTransaction::sign(transaction, key, &self.genesis.network_id()))
    }

    fn cancel(&mut self, owner: usize, through: usize, job: JobId) {
        let signed = self.sign(owner, Action::Control(Control::cancel(job)));
        self.submit(through, signed);
    }

    /// Repeats a control of a whole job, through one peer after the other, until the job has ended.
    pub(super) fn insist(&mut self, insisted: Insisted) {
        let Insisted { owner, through, job, ref directive } = insisted;
        let held = self.checks.ledger().job(job).is_some_and(|job| job.counts.held > 0);
        let unfinished = self.checks.is_unfinished(&job);
        if unfinished && (held || *directive == Directive::Cancel) {
            let which = Selection::all();
            let signed = self.sign(owner, Action::Control(Control { job, which, directive: directive.clone() }));
            self.submit(through, signed);
        }
        // The job may be admitted late, as long as it has not expired, and so may its hold.
        let may_come = self.now < self.scenario.whole_at_us + LIFE_MS * 1000;
        if unfinished || may_come {
            let through = (through + 1) % self.scenario.peers();
            self.post(self.now + LARGE_LASTS_US, Event::Insist(Insisted { through, ..insisted }));
        }
    }

    /// Holds, releases, amends or cancels some tasks of a job.
    fn control_some(&mut self, through: usize, ago: usize, drawn: u64) {
        let Some((job, owner)) = self.jobs.iter().rev().nth(ago).copied() else { return };
        let mut random = Pcg64Mcg::seed_from_u64(drawn);
        let first = random.random_range(0..20);
        let ranges = match random.random_range(0..3) {
            0 => Vec::new(),
            1 => vec![(first, first + random.random_range(0..10))],
            _ => vec![(0, first), (first + 2, first + 2), (first + 5, first + 30)],
        };
        let mut which = Selection { ranges, ..Selection::all() };
        let directive = match random.random_range(0..8) {
            0..3 => Directive::Hold,
            3 => Directive::Release,
            4 => {
                which.only = [Filter::Ready, Filter::Waiting, Filter::Held].into();
                Directive::Cancel
            }
            5 => Directive::Amend(Amendment { priority: Some(random.random_range(-2..=2)), ..Amendment::default() }),
            6 => Directive::Amend(Amendment { deadline: Some(Deadline::Never), ..Amendment::default() }),
            _ => {
                Directive::Amend(Amendment { millicores: Some(random.random_range(1..=1000)), ..Amendment::default() })
            }
        };
        if directive == Directive::Hold {
            let insisted = Insisted { owner, through, job, directive: Directive::Release };
            self.post(self.now + LARGE_LASTS_US, Event::Insist(insisted));
        }
        let signed = self.sign(owner, Action::Control(Control { job, which, directive }));
        self.submit(through, signed);
    }

    fn submit_job(&mut self, through: usize, wish: &Wish) -> JobId {
        let soon = BlockTime(START_US + self.now).plus_ms(LIFE_MS + wish.task_ms);
        // Few care about their order; the others come after those where deadlines count.
        let deadline = (wish.tasks % 3 == 1).then_some(soon);
        let signed = self.sign(
            through,
            Action::Submit(Submit { times: Times { deadline, ..Times::default() }, ..submission(wish) }),
        );
        let job = JobId(signed.id().0);
        self.jobs.push((job, through));
        self.submit(through, signed);
        job
    }

    fn submit_recurring(&mut self, through: usize, wish: &Wish, catch_up: CatchUp, overlap: Overlap) {
        let until = Some(BlockTime(START_US + self.scenario.whole_at_us));
        let (job, cron) = (submission(wish), Cron::ALWAYS);
        let recurring =
            Recurring { job, cron, catch_up, overlap, from: None, until, runs_max: None, deadline_ms: None };
        let signed = self.sign(through, Action::Recur(Recur::Submit(Box::new(recurring))));
        self.submit(through, signed);
    }

    /// Arrays and tasks that depend on each other; some of them may be added later.
    fn submit_graph(&mut self, through: usize, drawn: u64) {
        let mut random = Pcg64Mcg::seed_from_u64(drawn);
        let arrays = graph::draw(&mut random, |fails| Arc::clone(&submission(&Wish { fails, ..PLAIN }).arrays[0].spec));
        let when = graph::WHENS[random.random_range(0..graph::WHENS.len())];
        let after = self.jobs.last().filter(|_| random.random_ratio(1, 3)).map(|(job, _)| AfterJob { job: *job, when });
        let now = BlockTime(START_US + self.now);
        let later = random.random_range(0..arrays.len());
        let is_open = random.random_ratio(1, 2);
        let times = Times {
            not_before: random.random_ratio(1, 4).then(|| now.plus_ms(3_000)),
            live_ms_max: random.random_ratio(1, 6).then_some(8_000),
            run_ms_max: random.random_ratio(1, 6).then_some(2_000),
            ..Times::default()
        };
        let (first, rest) = if is_open { arrays.split_at(later) } else { (&arrays[..], &[][..]) };
        let submit = Submit {
            arrays: first.to_vec(),
            after: after.into_iter().collect(),
            times,
            open_until: is_open.then(|| now.plus_ms(10_000)),
            ..submission(&PLAIN)
        };
        let signed = self.sign(through, Action::Submit(submit));
        let job = JobId(signed.id().0);
        self.jobs.push((job, through));
        self.submit(through, signed);
        for (place, array) in rest.iter().enumerate() {
            let closes = place + 1 == rest.len();
            let extend = Extend { job, arrays: vec![array.clone()], closes };
            let signed = self.sign(through, Action::Extend(extend));
            self.submit(through, signed);
        }
    }

    /// One of each kind of bad transaction.
    fn spam(&mut self, through: usize) {
        let key = self.peers[through].key.clone();
        let now = BlockTime(START_US + self.now);
        let limits = &self.genesis.ledger;
        let (life_ms, tasks_max) = (limits.transaction_life_ms_max, limits.job_tasks_max);
        let job = self.jobs.first().map_or(JobId(Digest::ZERO), |(job, _)| *job);
        let stranger = SecretKey::from_seed([99; 32]);
        let good = now.plus_ms(LIFE_MS);
        let wishes = [
            (&key, now.plus_ms(0), Action::Submit(submission(&PLAIN))),
            (&key, now.plus_ms(2 * life_ms), Action::Submit(submission(&PLAIN))),
            (&key, good, Action::Submit(submission(&Wish { tasks: tasks_max.saturating_add(1), ..PLAIN }))),
            (&key, good, Action::Submit(submission(&Wish { tasks: 0, ..PLAIN }))),
            (&key, good, Action::Control(Control::cancel(JobId(Digest::ZERO)))),
            (&stranger, good, Action::Control(Control::cancel(job))),
            (&stranger, good, Action::Drain(Drain { sequence: 1 })),
        ];
        for (key, expires, action) in wishes {
            let signed = self.sign_with(key, expires, action);
            self.submit(through, signed);
        }
    }

    /// A key that was never seen before.
    fn new_key(&mut self) -> SecretKey {
        self.churned += 1;
        let mut seed = [11; 32];
        seed[..8].copy_from_slice(&self.churned.to_le_bytes());
        SecretKey::from_seed(seed)
    }

    /// A submitter whose only job this is.
    fn crowd(&mut self, through: usize, tasks: u32) {
        let (key, expires) = (self.new_key(), self.life_end());
        let signed = self.sign_with(&key, expires, Action::Submit(submission(&Wish { tasks, task_ms: 200, ..PLAIN })));
        self.submit(through, signed);
    }

    /// A worker that claims, perhaps drains, and vanishes.
    fn churn(&mut self, through: usize) {
        let key = self.new_key();
        let expires = self.life_end();
        let claim = self.one_claim((1, Incarnation(1)));
        let claim = self.sign_with(&key, expires, Action::Claim(claim));
        self.submit(through, claim);
        if self.churned.is_multiple_of(2) {
            let drain = self.sign_with(&key, expires, Action::Drain(Drain { sequence: 2 }));
            self.submit(through, drain);
        }
    }

    /// When what is signed now expires.
    pub(super) fn life_end(&self) -> BlockTime {
        BlockTime(START_US + self.now).plus_ms(LIFE_MS)
    }

    /// A claim of one slot and one waiting place.
    pub(super) fn one_claim(&self, (sequence, incarnation): (u64, Incarnation)) -> Claim {
        Claim {
            sequence,
            incarnation,
            slots: 1,
            resources: Resources { millicores: 1000, memory_bytes: 1 << 30 },
            waiting: 1,
            stands_ms: self.genesis.ledger.claim_stands_ms_max,
            ..Claim::default()
        }
    }

    pub(super) fn submit(&mut self, through: usize, signed: Arc<SignedTransaction>) {
        self.submitted.push(Arc::clone(&signed));
        let peer = &mut self.peers[through];
        // A submitter that gets no answer from a peer that is down or busy would try again.
        if peer.syncing.is_some() || peer.paused_until > self.now {
            return;
        }
        let now = peer.now(self.now);
        let Some(replica) = &mut peer.replica else { return };
        let mut actions = Vec::new();
        let answers = replica.submit(now, vec![Arc::clone(&signed)], &mut actions);
        // A peer whose clock is ahead accepts what no block may hold yet, and gives it up.
        let lasts_ms = self.genesis.ledger.transaction_life_ms_max;
        let timely = signed.transaction().expires <= BlockTime(START_US + self.now).plus_ms(lasts_ms);
        if timely && answers.first().is_some_and(Result::is_ok) && !peer.is_liar() {
            self.checks.taken(&signed, through, peer.life);
        }
        self.step(through, actions);
        self.go_on(through);
    }
}

/// Short tasks take so little that only slots bound how many run; long ones take everything that a worker has.
const fn millicores(task_ms: u64) -> u32 {
    match task_ms {
        0..=100 => 10,
        101..=5000 => 1000,
        _ => SLOTS * 1000,
    }
}

/// Little, but for eleven tasks, of which no two fit into a worker.
const fn memory_bytes(tasks: u32) -> u64 {
    if tasks == 11 { MEMORY_BYTES / 2 + 1 } else { 1 << 20 }
}

/// Three failures are forgiven, but for forty tasks, which fail at once.
fn retry(tasks: u32) -> Retry {
    if tasks == 40 { Retry::default() } else { Retry::of(3, 50) }
}

fn submission(wish: &Wish) -> Submit {
    let Wish { tasks, task_ms, priority, fails, kills, is_unholdable, redundancy } = *wish;
    let millicores = if is_unholdable { u32::MAX } else { millicores(task_ms) };
    let words = [(fails, "fail"), (kills, KILLS)].into_iter().filter(|(said, _)| *said);
    let spec = TaskSpec {
        arguments: words.map(|(_, word)| word.to_owned()).collect(),
        resources: Resources { millicores, memory_bytes: memory_bytes(tasks) },
        limits: Limits { wall_ms: 10_000, fuel: task_ms, output_bytes: 1000 },
        success: SUCCESS.into(),
        priority,
        retry: retry(tasks),
        expected_ms: task_ms,
        checkpoints: task_ms > 1000 && redundancy.is_none(),
        prefers: if priority > 0 { vec![("zone".into(), "1".into()), ("zone".into(), "2".into())] } else { Vec::new() },
        spread: (tasks % 2 == 0).then(|| "zone".into()),
        spawns: tasks == 5 && redundancy.is_none(),
        redundancy,
        ..TaskSpec::of(BlobRef { digest: Digest::ZERO, bytes: 1 })
    };
    // Fewer than all these tasks try to spawn, so that some are refused.
    Submit { spawns_max: 4, ..Submit::new("job", spec, Tasks::Repeat(tasks)) }
}
