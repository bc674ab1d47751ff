//! Shows the authorities, the changes that they propose, and what the rules allow a key.

use meshwork_api::{AuthorityView, ChangeView, KeyView, LimitView, ProposalView, RulesView};
use meshwork_core::{
    ledger::Admission,
    types::{KeyLimit, Limit, NetworkLimit, Permission, Quota, ScheduleParameters},
};
use serde::Serialize;

use super::{
    Listing, Record,
    words::{bytes, duration, short},
};
use crate::time::until_ms;

impl Listing for AuthorityView {
    const COLUMNS: &'static [&'static str] = &["authority", "key", "addresses"];
    fn row(&self) -> Vec<String> {
        vec![self.name.clone(), self.key.to_string(), self.addresses.join(" ")]
    }
}

impl Listing for ProposalView {
    const COLUMNS: &'static [&'static str] = &["proposal", "change", "proposer", "approved by"];
    fn row(&self) -> Vec<String> {
        let approvals: Vec<String> = self.approvals.iter().map(short).collect();
        vec![
            self.id.to_string(),
            change(&self.change),
            short(&self.proposer),
            format!("{} of {}: {}", approvals.len(), self.quorum, approvals.join(" ")),
        ]
    }
}

/// A proposed change, in a few words.
fn change(change: &ChangeView) -> String {
    match change {
        ChangeView::AddAuthority(authority) => format!("add {} ({})", authority.name, short(&authority.key)),
        ChangeView::RemoveAuthority(key) => format!("remove {}", short(key)),
        ChangeView::Permit { key, permission } => format!("permit {} to {}", short(key), permission_word(*permission)),
        ChangeView::Bar { key, permission } => format!("bar {} from {}", short(key), bar_word(*permission)),
        ChangeView::SetQuota { key, quota } if quota.is_empty() => format!("no quota of its own for {}", short(key)),
        ChangeView::SetQuota { key, quota } => format!("quota of {}: {}", short(key), quota_words(quota)),
        ChangeView::SetLimit { limit: Limit::Key(limit), most } => format!("each key: {}", amount(*limit, *most)),
        ChangeView::SetLimit { limit: Limit::Network(limit), most } => {
            format!("in all: {}", network_amount(*limit, *most))
        }
        ChangeView::SetSchedule(schedule) => format!("schedule: {}", schedule_words(schedule)),
    }
}

/// A limit in all, with its unit.
pub fn network_amount(limit: NetworkLimit, most: u64) -> String {
    match limit {
        NetworkLimit::Tasks => amount(KeyLimit::Tasks, most),
        NetworkLimit::OutputBytes => amount(KeyLimit::OutputBytes, most),
        NetworkLimit::DefinitionBytes => amount(KeyLimit::DefinitionBytes, most),
        NetworkLimit::Recurring => amount(KeyLimit::Recurring, most),
        NetworkLimit::DailyStoredBytes => amount(KeyLimit::DailyStoredBytes, most),
        NetworkLimit::UnprovenPermille => format!("{most}‰ of each limit for unproven keys together"),
    }
}

const fn permission_word(permission: Permission) -> &'static str {
    match permission {
        Permission::Submit => "submit",
        Permission::Work => "work",
    }
}

const fn bar_word(permission: Permission) -> &'static str {
    match permission {
        Permission::Submit => "submitting",
        Permission::Work => "working",
    }
}

/// The limits of one key, in a few words.
pub fn quota_words(quota: &Quota) -> String {
    quota.iter().map(|(limit, most)| amount(*limit, *most)).collect::<Vec<_>>().join(", ")
}

/// An amount of a limited thing, with its unit.
pub fn amount(limit: KeyLimit, most: u64) -> String {
    match limit {
        KeyLimit::OutputBytes | KeyLimit::DefinitionBytes | KeyLimit::DailyStoredBytes => {
            format!("{} of {}", bytes(most), limit_word(limit))
        }
        KeyLimit::Tasks | KeyLimit::Running | KeyLimit::Recurring => format!("{most} {}", limit_word(limit)),
    }
}

/// What a limit counts, in a few words.
pub const fn limit_word(limit: KeyLimit) -> &'static str {
    match limit {
        KeyLimit::Tasks => "unfinished tasks",
        KeyLimit::Running => "tasks at workers",
        KeyLimit::OutputBytes => "promised output",
        KeyLimit::DefinitionBytes => "job definitions",
        KeyLimit::Recurring => "recurring jobs",
        KeyLimit::DailyStoredBytes => "stored for good today",
    }
}

/// The scheduler's policies, in a few words.
pub fn schedule_words(schedule: &ScheduleParameters) -> String {
    let of = |name: &str, words: Vec<String>| format!("{name} {}", words.join(","));
    let order = schedule.order.iter().map(word).collect();
    let placement = schedule.placement.iter().map(word).collect();
    let (ageing, slice) = (duration(schedule.ageing_ms), duration(schedule.slice_ms));
    let mut all =
        vec![of("order", order), of("placement", placement), format!("ageing {ageing}"), format!("slice {slice}")];
    all.extend(schedule.weights.iter().map(|(key, weight)| format!("weight of {} {weight}", short(key))));
    all.join(", ")
}

/// A policy's name.
fn word(policy: &impl Serialize) -> String {
    serde_json::to_value(policy).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

impl Listing for LimitView {
    const COLUMNS: &'static [&'static str] = &["limit", "taken", "of", "whose"];
    fn row(&self) -> Vec<String> {
        let figure = |count: u64| match self.limit {
            KeyLimit::OutputBytes | KeyLimit::DefinitionBytes | KeyLimit::DailyStoredBytes => bytes(count),
            KeyLimit::Tasks | KeyLimit::Running | KeyLimit::Recurring => count.to_string(),
        };
        let whose = if self.own { "its own" } else { "each key's" };
        vec![limit_word(self.limit).into(), figure(self.used), figure(self.most), whose.into()]
    }
}

impl Record for KeyView {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let may = |may: bool| if may { "yes" } else { "no" }.to_owned();
        let mut facts =
            vec![("key", self.key.to_string()), ("may submit", may(self.may_submit)), ("may work", may(self.may_work))];
        if let Some(first_end) = self.first_end_us {
            let within = duration(until_ms(first_end));
            facts.push((
                "first end",
                format!("in {within} at the latest one of its attempts has ended, if nothing stalls"),
            ));
        }
        facts
    }
}

impl Record for RulesView {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let limits = |limits: Vec<String>| limits.join(", ");
        let network = self.network_limits.iter().map(|(limit, most)| network_amount(*limit, *most)).collect();
        let each = self.key_limits.iter().map(|(limit, most)| amount(*limit, *most)).collect();
        let mut facts = vec![
            ("submitters", admission(&self.submitters)),
            ("workers", admission(&self.workers)),
            ("schedule", schedule_words(&self.schedule)),
            ("in all", limits(network)),
            ("each key", limits(each)),
        ];
        facts.extend(
            self.quotas.iter().map(|(key, quota)| ("quota", format!("{}: {}", short(key), quota_words(quota)))),
        );
        facts
    }
}

fn admission(admission: &Admission) -> String {
    let names = admission.named().iter().map(short).collect::<Vec<_>>().join(" ");
    match admission {
        Admission::AllBut(barred) if barred.is_empty() => "everyone".into(),
        Admission::AllBut(_) => format!("everyone but {names}"),
        Admission::Only(permitted) if permitted.is_empty() => "nobody".into(),
        Admission::Only(_) => format!("only {names}"),
    }
}
