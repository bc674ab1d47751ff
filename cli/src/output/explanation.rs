//! Explains in sentences why a task is where it is.

#[cfg(test)]
mod tests;

use meshwork_api::{Comparison, ExplanationView, ReplicasView, attempt_in_words, ended_in_words, setback_in_words};
use meshwork_core::{
    ledger::{
        Gone,
        explain::reasons::{
            Ahead, Avoided, AwaitedArray, AwaitedTask, BackingOff, Blocked, Done, Hindrance, LeaseStage, Leased, Need,
            NoOutcome, Precedence, Ready, Requirement, ShareNow, SpeculationNow, Why,
        },
    },
    types::{BlockTime, OrderPolicy, PlacementPolicy, When},
};

use super::{
    Record,
    words::{ago, bytes, duration, short},
};
use crate::time::now_us;

/// Named facts, in reading order.
type Facts = Vec<(&'static str, String)>;

impl Record for ExplanationView {
    fn facts(&self) -> Facts {
        let mut facts = vec![
            ("task", format!("{}/{}", self.job, self.index)),
            ("as of", format!("height {}, {}", self.height, ago(self.time.0, now_us()))),
        ];
        let now = self.time;
        match &self.why {
            Why::Blocked(why) => blocked(why, now, &mut facts),
            Why::Held => facts.push(("state", "held by its submitter".into())),
            Why::BackingOff(why) => backing_off(why, now, &mut facts),
            Why::Ready(why) => ready(why, now, &mut facts),
            Why::Leased(why) => leased(why, now, &mut facts),
            Why::Done(why) => done(why, now, &mut facts),
            Why::Gone(why) => gone(why, &mut facts),
        }
        if let Some(replicas) = &self.replicas {
            facts.push(("replicas", replicas_in_words(replicas)));
            let missing = u32::from(replicas.missing());
            if let Some(able) = self.could_join.filter(|able| *able < missing) {
                let needed = of(missing, "more worker");
                facts.push(("lacks", format!("{needed} of different operators, which could hold it; {able} claim")));
            }
        }
        facts
    }
}

/// How far the workers have come that compute a task.
fn replicas_in_words(replicas: &ReplicasView) -> String {
    let ReplicasView { quorum, comparison, wanted, most, held, committed, asked, revealed, alike } = *replicas;
    let missing = replicas.missing();
    let are_asked = if asked { ", and are asked for their answers" } else { "" };
    let answers = if revealed > 0 { format!(", of which {alike} are alike") } else { String::new() };
    match comparison {
        Comparison::Undrawn => {
            return "its worker is relied on: once it has an answer, it is drawn whether that is compared".into();
        }
        Comparison::Relied(row) => {
            return format!("its worker is relied on, after {row} agreed answers in a row: its answer is not compared");
        }
        Comparison::Quorum => {}
    }
    format!(
        "{wanted} answers are wanted, of which {quorum} must be the same: {missing} wait for a worker, {held} are being \
         computed, {committed} have a commitment{are_asked}, {revealed} are revealed{answers}; at most {most} in all"
    )
}

/// When a time comes, seen from the last block.
fn within(time: BlockTime, now: BlockTime) -> String {
    format!("in {}", duration(time.micros_since(now) / 1000))
}

fn since(time: BlockTime, now: BlockTime) -> String {
    format!("{} before", duration(now.micros_since(time) / 1000))
}

/// A count with its noun, in the singular or plural.
fn of(count: impl Into<u64>, one: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

const fn to_become(when: When) -> &'static str {
    match when {
        When::Ok => "to end well",
        When::Any => "to end, however",
        When::Fail => "to fail",
    }
}

/// The arrays and tasks that a task waits for, or waited for before it was skipped.
fn awaited(name: &'static str, arrays: &[AwaitedArray], tasks: &[AwaitedTask], more: u64, facts: &mut Facts) {
    for array in arrays {
        let called = if array.name.is_empty() { array.array.to_string() } else { array.name.clone() };
        let AwaitedArray { tasks, ended, failed, gone, .. } = array;
        let fates =
            format!("{ended} of {} ended, {failed} of them badly, {gone} without an outcome", of(*tasks, "task"));
        facts.push((name, format!("array {called} {}: {fates}", to_become(array.when))));
    }
    for task in tasks {
        facts.push((name, format!("task {} {}", task.index, to_become(task.when))));
    }
    if more > 0 {
        facts.push((name, format!("{more} more tasks")));
    }
}

fn blocked(why: &Blocked, now: BlockTime, facts: &mut Facts) {
    facts.push(("state", "blocked: it may not begin yet".into()));
    if let Some(time) = why.not_before {
        facts.push(("waits for", format!("its job's time, {}", within(time, now))));
    }
    for job in &why.jobs {
        let left = job.unfinished.map(|left| format!(": {} unfinished", of(left, "task"))).unwrap_or_default();
        facts.push(("waits for", format!("job {} {}{left}", short(&job.job), to_become(job.when))));
    }
    let more = u64::from(why.tasks).saturating_sub(why.first_tasks.len() as u64);
    awaited("waits for", &why.arrays, &why.first_tasks, more, facts);
    if why.held {
        facts.push(("then", "it is held by its submitter".into()));
    }
}

fn backing_off(why: &BackingOff, now: BlockTime, facts: &mut Facts) {
    facts.push(("state", format!("backing off: it is ready again {}", within(why.until, now))));
    if let Some(after) = &why.after {
        let how = attempt_in_words(after.why, after.failure);
        facts.push((
            "after",
            format!("#{} on {}: {how}, {}", after.number, short(&after.worker), since(after.ended, now)),
        ));
    }
    let BackingOff { failures, losses, returns, .. } = why;
    facts.push(("counted", format!("failures: {failures}, losses: {losses}, returns: {returns}")));
    for (kind, times) in &why.setbacks {
        facts.push(("", format!("of these, {}: {times}", setback_in_words(*kind))));
    }
}

fn requirement(requirement: &Requirement, standing: u32) -> String {
    let (what, note) = match &requirement.need {
        Need::Slot => ("a slot".to_owned(), String::new()),
        Need::Millicores { needed, offered } => {
            let cores = |millicores: u32| format!("{:.3} cores", f64::from(millicores) / 1000.0);
            (cores(*needed), format!("; the most that any offers is {}", cores(*offered)))
        }
        Need::Memory { needed, offered } => {
            (format!("{} of memory", bytes(*needed)), format!("; the most that any offers is {}", bytes(*offered)))
        }
        Need::Label { label, value, others } => {
            let note = format!("; {others} with another value of {label}");
            (format!("label {label}={value}"), if *others == 0 { String::new() } else { note })
        }
    };
    let note = if requirement.claims == 0 || note.contains("value") { note } else { String::new() };
    format!("{what}: {} of {}{note}", requirement.claims, of(standing, "claim"))
}

fn avoids(avoids: &[Avoided], facts: &mut Facts) {
    for one in avoids {
        let stands = if one.stands { "" } else { "; it is not there now" };
        let why = format!("{}, the last {}", of(one.attempts, "attempt"), ended_in_words(one.last));
        facts.push(("avoids", format!("{}: {why}{stands}", short(&one.worker))));
    }
}

fn ready(why: &Ready, now: BlockTime, facts: &mut Facts) {
    let claims = &why.claims;
    let hindrance = match why.hindrance {
        Hindrance::NoClaim if claims.standing == 0 => "no claim stands",
        Hindrance::NoClaim => "no claim that stands could ever hold it",
        Hindrance::Full => "the claims that could hold it are full",
        Hindrance::Avoidance => "the claims that could hold it are full, but for those that it would rather avoid",
        Hindrance::Quota => "workers hold as many of its submitter's tasks as they may",
        Hindrance::Nothing => "there is a place for it, which it takes in the next block",
    };
    facts.push(("state", format!("ready: {hindrance}")));
    if why.hindrance == Hindrance::Quota {
        facts.push((
            "quota",
            format!("{} of {} run or wait at workers; as one ends, another is placed", why.leased, why.leased_max),
        ));
    }
    let together = format!("all of it together: {} of {}", claims.capable, of(claims.standing, "claim"));
    facts.extend(why.requirements.iter().map(|one| ("needs", requirement(one, claims.standing))));
    facts.push(("needs", together));
    if claims.capable > 0 {
        let avoided = format!("{} avoided, of which {} have a place", claims.avoided, claims.avoided_open);
        facts.push(("claims", format!("{} full, {} with a place, {avoided}", claims.full, claims.open)));
    }
    if let Some(ends) = why.ends {
        facts.push(("ends", format!("{} without an outcome, unless such a claim comes", within(ends, now))));
    }
    if let Some(frees) = why.frees {
        facts.push(("place", format!("one comes free {} at the latest, if nothing stalls", within(frees, now))));
    }
    avoids(&why.avoids, facts);
    if claims.capable > 0 {
        ahead(&why.ahead, facts);
    }
    if let Some(of_share) = &why.share {
        share(of_share, now, facts);
    }
}

fn by(precedence: Precedence) -> &'static str {
    match precedence {
        Precedence::Policy(OrderPolicy::Fifo) | Precedence::Admission => "admitted before",
        Precedence::Policy(OrderPolicy::Priority) => "by priority, with ageing",
        Precedence::Policy(OrderPolicy::Deadline) => "by an earlier deadline",
        Precedence::Policy(OrderPolicy::Shortest) => "expected to be shorter",
        Precedence::Policy(OrderPolicy::Fair) => "since its submitter has had less",
        Precedence::WithinJob => "of the same job, by place",
    }
}

fn ahead(ahead: &Ahead, facts: &mut Facts) {
    if ahead.tasks == 0 && ahead.all {
        return facts.push(("ahead", "nothing: it is the next to be placed there".into()));
    }
    let least = if ahead.all { "" } else { "at least " };
    let who = format!("{} and {}", of(ahead.jobs, "job"), of(ahead.submitters, "submitter"));
    facts.push(("ahead", format!("{least}{}, of {who}", of(ahead.tasks, "task"))));
    for job in &ahead.first {
        let whose = format!("job {} of {}", short(&job.job), short(&job.submitter));
        facts.push(("", format!("{} of {whose}: {}", of(job.tasks, "task"), by(job.by))));
    }
    let more = (ahead.jobs as usize).saturating_sub(ahead.first.len());
    if more > 0 {
        facts.push(("", format!("and {more} more jobs")));
    }
}

fn share(share: &ShareNow, now: BlockTime, facts: &mut Facts) {
    let state = if share.spent { "its submitter's slice is spent" } else { "its submitter's turn has come" };
    let (turn, round) = (share.turn, share.round);
    let left = match share.left_ms {
        left @ ..0 => format!("overdrawn by {}", duration(left.unsigned_abs())),
        left => format!("{} left", duration(left.unsigned_abs())),
    };
    facts.push(("share", format!("{state}: turn in round {turn}, newest round {round}, {left}")));
    if let Some(ends) = share.slice_ends {
        facts.push((
            "preemption",
            format!("a slice of who has had more ends {}: it may be preempted", within(ends, now)),
        ));
    }
    if let Some(preemption) = &share.preemption {
        let task = format!("{}/{} on {}", short(&preemption.job), preemption.index, short(&preemption.worker));
        facts.push((
            "preemption",
            format!("task {task} is to be preempted for it; another may be {}", within(preemption.until, now)),
        ));
    }
}

const fn policy(policy: PlacementPolicy) -> &'static str {
    match policy {
        PlacementPolicy::LeastLoaded => "least loaded",
        PlacementPolicy::RoundRobin => "round robin",
        PlacementPolicy::Random => "random",
        PlacementPolicy::Pack => "pack",
        PlacementPolicy::Trusted => "trusted",
        PlacementPolicy::Locality => "locality",
    }
}

fn leased(why: &Leased, now: BlockTime, facts: &mut Facts) {
    facts.push(match why.stage {
        LeaseStage::Running { since: began, ends } => (
            "state",
            format!(
                "its worker fetches what it needs, and runs it, since {}; it times out {} if nothing stalls",
                since(began, now),
                within(ends, now)
            ),
        ),
        LeaseStage::Committed { reveal_until: Some(until) } => {
            ("state", format!("it has run; its worker has to reveal its answer {}", within(until, now)))
        }
        LeaseStage::Committed { reveal_until: None } => {
            ("state", "it has run; its worker has committed itself to its answer, and waits for others".into())
        }
        LeaseStage::Waiting { ends } => {
            ("state", format!("waiting at its worker; it is taken back {} if nothing stalls", within(ends, now)))
        }
    });
    facts.push(("worker", format!("{} (attempt #{}, leased {})", why.worker, why.attempt, since(why.leased, now))));
    facts.push(("claims", format!("{} of {} could ever hold it", why.capable, why.standing)));
    match why.speculation {
        SpeculationNow::Unwatched => {}
        SpeculationNow::Watched { look } => {
            facts.push((
                "speculation",
                format!("not known to be slow; looked at {} if nothing stalls", within(look, now)),
            ));
        }
        SpeculationNow::Slow => facts.push((
            "speculation",
            "slow: a speculative attempt goes to the first claim that has nothing else to do".into(),
        )),
        SpeculationNow::Speculated { attempt, worker, leased } => {
            let words =
                format!("slow: {worker} runs a speculative one (attempt #{attempt}, leased {})", since(leased, now));
            facts.push(("speculation", words));
        }
    }
    if why.alone {
        let words = "its worker runs nothing beside it, because workers died while they ran it or its program";
        facts.push(("alone", words.into()));
    }
    for wish in &why.prefers {
        let met = if wish.met { "met" } else { "not met" };
        facts.push(("prefers", format!("{}={}: {met}", wish.label, wish.value)));
    }
    if let Some(spread) = &why.spread {
        let at = |value: &str, leases: u32| format!("{value}: {}", of(leases, "lease"));
        let leases: Vec<String> = spread.leases.iter().map(|one| at(&one.value, one.leases)).collect();
        let own = spread.value.as_deref().map_or_else(|| "it has none".into(), |own| format!("here {own}"));
        let more = (spread.values as usize).saturating_sub(spread.leases.len());
        let more = if more > 0 { format!(", and {more} more values") } else { String::new() };
        facts.push(("spread", format!("over {} ({own}): {}{more}", spread.label, leases.join(", "))));
    }
    if let Some(input) = &why.input {
        let held = if input.cached { "the worker has it" } else { "the worker does not say that it has it" };
        facts.push(("input", format!("{}, the largest: {held}", short(&input.digest))));
    }
    let policies: Vec<&str> = why.placement.iter().map(|one| policy(*one)).collect();
    facts.push(("policies", format!("{}, then the smallest key", policies.join(", then "))));
    avoids(&why.avoids, facts);
    if let Some(preemption) = &why.preemption {
        facts.push(("preemption", format!("it is to be preempted for {}", short(&preemption.by))));
    }
}

fn done(why: &Done, now: BlockTime, facts: &mut Facts) {
    let state = if why.succeeded { "succeeded" } else { "failed, for good" };
    let ended = why.ended.map(|ended| format!(", {}", since(ended, now))).unwrap_or_default();
    facts.push(("state", format!("{state} at height {}{ended}", why.height)));
    match (&why.failure, why.status) {
        (Some(failure), _) => facts.push(("why", failure.to_string())),
        (None, Some(status)) if status != 0 => {
            facts.push(("status", format!("{status}, which its task counts as a success")))
        }
        _ => {}
    }
    let worker = why.worker.map_or_else(|| "nobody knows any more".into(), |worker| worker.to_string());
    facts.push(("worker", format!("{worker} (attempt #{})", why.attempt)));
}

fn gone(why: &NoOutcome, facts: &mut Facts) {
    let state = match why.how {
        Gone::Cancelled => "cancelled by its submitter",
        Gone::Expired => "expired: its job's time ran out",
        Gone::Barred => "stopped: its submitter was barred from submitting, which ends all that it has unfinished",
        Gone::Unclaimed => "ended: for too long, no claim that stood could ever hold it",
        Gone::EndedHosts => "stopped: too many workers died while they ran its program for this job",
        Gone::Skipped => "skipped: what it waited for cannot be any more",
    };
    facts.push(("state", state.into()));
    if why.how == Gone::Skipped && why.arrays.is_empty() && why.tasks.is_empty() {
        facts.push(("waited for", "what, is not kept of a job that has ended".into()));
    }
    awaited("waited for", &why.arrays, &why.tasks, 0, facts);
}
