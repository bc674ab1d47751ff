//! The API's values as named facts.

use bytesize::ByteSize;
use meshwork_api::{JobView, Keep, Progress, RecurringState, RecurringView, Role, StatusView};

use super::{
    Record,
    words::{ago, counts, duration, recurring_state, short},
};
use crate::time::{now_us, until_ms};
use crate::{
    parse::word,
    recurrence::{CATCH_UP, OVERLAP},
    time::moment,
};

impl Record for StatusView {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let role = match self.role {
            Role::Follower => "follower",
            Role::Authority => "authority",
            Role::AuthorityWithoutJournal => {
                "authority that must not vote: its journal is lost or lacks a vote of its own; it follows"
            }
        };
        let time = if self.height.0 == 0 { "no block yet".into() } else { ago(self.time_us, now_us()) };
        let finality = match (self.finality_ms_p50, self.finality_ms_p99) {
            (Some(p50), Some(p99)) => format!("{p50:.1} ms median, {p99:.1} ms 99th percentile"),
            _ => "not measured yet".into(),
        };
        let mut facts = vec![
            ("network", format!("{} ({})", self.network_name, self.network)),
            ("node", self.key.to_string()),
            ("role", role.into()),
            ("version", format!("{}, up for {}", self.version, duration(self.uptime_ms))),
            ("height", format!("{} (epoch {}, view {}), {time}", self.height, self.epoch, self.view)),
            ("keeps", keeps(self)),
            ("disk", disk(self)),
            ("finality", finality),
            ("peers", self.peers.to_string()),
            ("workers", self.workers.to_string()),
            ("tasks", counts(&self.tasks)),
            ("ended", format!("{} tasks since the genesis", self.tasks_ended)),
            ("pool", format!("{} transactions", self.pool)),
        ];
        if let Some(off_ms) = self.clock_off_ms {
            let side = if off_ms < 0 { "behind" } else { "ahead of" };
            facts.push(("clock", format!("{} {side} the network's: set it right", duration(off_ms.unsigned_abs()))));
        }
        if !self.confinement_lacks.is_empty() {
            let lacks = self.confinement_lacks.join(", ");
            facts.push(("sandbox", format!("without {lacks}, which this machine does not have or does not allow")));
        }
        if let Some(why) = &self.apart {
            facts.push(("apart from", why.clone()));
        }
        if let Some(Progress { height, fetched, chunks }) = self.syncing {
            facts.push(("syncing", format!("{fetched} of {chunks} chunks of the snapshot at height {height}")));
        }
        facts.extend(self.alarms.iter().map(|alarm| ("alarm", alarm.clone())));
        if !self.convicted.is_empty() {
            let names = self.convicted.join(", ");
            facts.push((
                "liars",
                format!("{names}: signed conflicting votes; the network should replace these authorities"),
            ));
        }
        facts
    }
}

fn disk(status: &StatusView) -> String {
    let free = ByteSize(status.disk_free_bytes);
    if status.takes_more {
        format!("{free} free")
    } else {
        format!("nearly full, or all that it may use (--disk) is taken; {free} free: it takes no more tasks")
    }
}

fn keeps(status: &StatusView) -> String {
    let blocks = status.blocks_from.map_or_else(|| "no blocks".into(), |from| format!("blocks from height {from}"));
    match status.keep {
        Keep::Archive => format!("{blocks} on, and everything there is to come (archive)"),
        Keep::Full => format!("{blocks} on, and all receipts (full)"),
        Keep::Pruned => format!("{blocks} on, and receipts of jobs that the ledger knows (pruned)"),
    }
}

impl Record for JobView {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let ended = match self.ended_us {
            Some(ended) => format!("after {}", duration(ended.saturating_sub(self.submitted_us) / 1000)),
            None => "not yet".into(),
        };
        let mut facts = vec![
            ("job", self.id.to_string()),
            ("name", self.name.clone()),
            ("submitter", self.submitter.to_string()),
            ("submitted", format!("{} at height {}", ago(self.submitted_us, now_us()), self.height)),
            ("ended", ended),
            ("tasks", format!("{}: {}", self.tasks, counts(&self.counts))),
        ];
        if let Some(until) = self.open_until_us {
            let left = duration(until_ms(until));
            facts.push(("open", format!("for {left}; `meshwork submit --to` adds to it")));
        }
        if let Some(run) = self.occurrence_of {
            facts.push(("occurrence of", format!("recurring job {}, at {}", run.recurring, moment(run.occurrence_us))));
        }
        facts
    }
}

impl Record for RecurringView {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("recurring", self.id.to_string()),
            ("name", self.name.clone()),
            ("submitter", self.submitter.to_string()),
            ("submitted", format!("{} at height {}", ago(self.submitted_us, now_us()), self.height)),
            ("state", recurring_state(self.state).into()),
            ("cron", format!("{}, in UTC", self.cron)),
            ("catch-up", word(&self.catch_up, &CATCH_UP).into()),
            ("overlap", word(&self.overlap, &OVERLAP).into()),
        ];
        let bounds = [("from", self.from_us.map(moment)), ("until", self.until_us.map(moment))];
        let spans = [
            ("runs", self.runs_max.map(|runs| format!("{runs} at most"))),
            ("deadline", self.deadline_ms.map(|ms| format!("{} after each occurrence", duration(ms)))),
        ];
        facts.extend(bounds.into_iter().chain(spans).filter_map(|(name, value)| Some((name, value?))));
        let upcoming: Vec<String> = self.upcoming_us.iter().map(|time| moment(*time)).collect();
        if !upcoming.is_empty() {
            let unless = if self.state == RecurringState::Paused { " (once it is resumed)" } else { "" };
            facts.push(("next", format!("{}{unless}", upcoming.join(", "))));
        }
        facts.push(("occurrences", format!("{} run, {} skipped", self.ran, self.skipped)));
        if !self.live.is_empty() {
            facts.push(("under way", self.live.iter().map(short).collect::<Vec<_>>().join(" ")));
        }
        facts
    }
}
