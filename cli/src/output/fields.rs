//! What the API says of one thing, as named facts.

use meshwork_node::api::views::{JobView, Role, StatusView};

use super::{
    Record,
    words::{ago, counts, duration, now_us},
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
            ("finality", finality),
            ("peers", self.peers.to_string()),
            ("workers", self.workers.to_string()),
            ("tasks", counts(&self.tasks)),
            ("pool", format!("{} transactions", self.pool)),
        ];
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
            let left = duration(until.saturating_sub(now_us()) / 1000);
            facts.push(("open", format!("for {left}; `meshwork submit --to` adds to it")));
        }
        facts
    }
}
