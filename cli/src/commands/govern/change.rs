//! A proposed change, as written on the command line.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use bytesize::ByteSize;
use clap::Args;
use meshwork_core::{
    identity::PublicKey,
    types::{Change, KeyLimit, Limit, NetworkLimit, Permission, Quota, ScheduleParameters},
};

use super::super::genesis::{NewAuthority, Order, Placement};
use crate::{
    failure::{Done, Failure},
    time::milliseconds,
};

/// The change: a single one, or several parts of the schedule at once.
#[derive(Args, Debug)]
pub struct Propose {
    #[command(flatten)]
    one: OneChange,
    #[command(flatten)]
    schedule: ScheduleChange,
}

#[derive(Args, Debug)]
#[group(id = "one", required = false, multiple = false, conflicts_with = "schedule")]
struct OneChange {
    /// Add an authority, last in the order in which they lead. Its peer must be running: it counts from its first
    /// view on
    #[arg(long, value_name = "NAME=KEY[@MULTIADDR[,MULTIADDR]]")]
    add: Option<NewAuthority>,
    /// Remove the authority with this key
    #[arg(long, value_name = "KEY")]
    remove: Option<PublicKey>,
    /// Let this key submit
    #[arg(long, value_name = "KEY")]
    permit_submitter: Option<PublicKey>,
    /// Accept nothing more from this key. Its waiting tasks are not placed until it may submit again
    #[arg(long, value_name = "KEY")]
    bar_submitter: Option<PublicKey>,
    /// Let this key work
    #[arg(long, value_name = "KEY")]
    permit_worker: Option<PublicKey>,
    /// Forbid this key to work. Tasks that it holds go to other workers
    #[arg(long, value_name = "KEY")]
    bar_worker: Option<PublicKey>,
    /// Give a submitter a quota of its own: limits on tasks, running, output-bytes, definition-bytes, recurring; or
    /// `none`
    #[arg(long, value_name = "KEY:LIMIT=N[,LIMIT=N]")]
    quota: Option<NewQuota>,
    /// Set a limit for the network (tasks, output-bytes, definition-bytes, recurring) or for each key (key-tasks,
    /// key-running and so on)
    #[arg(long, value_name = "LIMIT=N")]
    limit: Option<NewLimit>,
}

#[derive(Args, Debug)]
#[group(id = "schedule", required = false, multiple = true)]
struct ScheduleChange {
    /// Policies that order ready tasks; each one breaks the ties that those before it leave
    #[arg(long, value_enum, value_delimiter = ',')]
    order: Vec<Order>,
    /// Policies that choose a task's worker; each one breaks the ties that those before it leave
    #[arg(long, value_enum, value_delimiter = ',')]
    placement: Vec<Placement>,
    /// Waiting time that makes up for one level of priority
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    ageing: Option<Duration>,
    /// Core time that one round grants a submitter of weight 1
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    slice: Option<Duration>,
    /// Weight of a submitter's share. Repeat for each submitter
    #[arg(long = "weight", value_name = "KEY=N")]
    weights: Vec<Weight>,
}

/// A submitter's quota, as written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NewQuota(PublicKey, Quota);

/// A limit for the network or for each key, as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NewLimit(Limit, u64);

/// A submitter's weight, as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weight(PublicKey, u32);

const KEY_LIMITS: &[(&str, KeyLimit)] = &[
    ("tasks", KeyLimit::Tasks),
    ("running", KeyLimit::Running),
    ("output-bytes", KeyLimit::OutputBytes),
    ("definition-bytes", KeyLimit::DefinitionBytes),
    ("recurring", KeyLimit::Recurring),
    ("daily-stored-bytes", KeyLimit::DailyStoredBytes),
];

const NETWORK_LIMITS: &[(&str, NetworkLimit)] = &[
    ("tasks", NetworkLimit::Tasks),
    ("output-bytes", NetworkLimit::OutputBytes),
    ("definition-bytes", NetworkLimit::DefinitionBytes),
    ("recurring", NetworkLimit::Recurring),
    ("daily-stored-bytes", NetworkLimit::DailyStoredBytes),
    ("unproven-permille", NetworkLimit::UnprovenPermille),
];

fn find<T: Copy>(name: &str, among: &[(&str, T)]) -> Result<T, String> {
    among.iter().find(|(known, _)| *known == name).map(|(_, limit)| *limit).ok_or_else(|| {
        let names: Vec<&str> = among.iter().map(|(name, _)| *name).collect();
        format!("{name:?} is no limit here; there are {}", names.join(", "))
    })
}

/// Parses a number, or a size if the limit counts bytes.
fn parse_most(name: &str, text: &str) -> Result<u64, String> {
    if name.ends_with("bytes") {
        return text
            .parse::<ByteSize>()
            .map(|size| size.as_u64())
            .map_err(|_| format!("{text:?} is not a size; write 64MiB"));
    }
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn split<'a>(text: &'a str, at: char, form: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once(at).ok_or_else(|| format!("write {form}"))
}

impl FromStr for NewQuota {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, limits) = split(text, ':', "KEY:LIMIT=N[,LIMIT=N], or KEY:none")?;
        let key = key.parse().map_err(|error| format!("{error}"))?;
        if limits == "none" {
            return Ok(Self(key, Quota::new()));
        }
        let limit = |limit: &str| {
            let (name, most) = split(limit, '=', "LIMIT=N")?;
            Ok((find(name, KEY_LIMITS)?, parse_most(name, most)?))
        };
        Ok(Self(key, limits.split(',').map(limit).collect::<Result<_, String>>()?))
    }
}

impl FromStr for NewLimit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, most) = split(text, '=', "LIMIT=N")?;
        let limit = match name.strip_prefix("key-") {
            Some(name) => Limit::Key(find(name, KEY_LIMITS)?),
            None => Limit::Network(find(name, NETWORK_LIMITS)?),
        };
        Ok(Self(limit, parse_most(name, most)?))
    }
}

impl FromStr for Weight {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, weight) = split(text, '=', "KEY=N")?;
        let weight = weight.parse().map_err(|_| format!("{weight:?} is not a whole number"))?;
        Ok(Self(key.parse().map_err(|error| format!("{error}"))?, weight))
    }
}

impl Propose {
    /// The change to propose, given the policies in force.
    ///
    /// # Errors
    /// No change was given.
    pub fn change(self, present: &ScheduleParameters) -> Done<Change> {
        let one = self.one.change();
        let change = one.or_else(|| self.schedule.change(present));
        change.ok_or_else(|| Failure::usage("Say what is to change, such as --add, --bar-worker, --quota or --order."))
    }
}

impl OneChange {
    fn change(self) -> Option<Change> {
        let Self { add, remove, permit_submitter, bar_submitter, permit_worker, bar_worker, quota, limit } = self;
        let by = |make: fn(Permission, PublicKey) -> Change, permission| move |key| make(permission, key);
        add.map(|authority| Change::AddAuthority(authority.0))
            .or(remove.map(Change::RemoveAuthority))
            .or(permit_submitter.map(by(Change::Permit, Permission::Submit)))
            .or(bar_submitter.map(by(Change::Bar, Permission::Submit)))
            .or(permit_worker.map(by(Change::Permit, Permission::Work)))
            .or(bar_worker.map(by(Change::Bar, Permission::Work)))
            .or(quota.map(|NewQuota(key, quota)| Change::SetQuota(key, quota)))
            .or(limit.map(|NewLimit(limit, most)| Change::SetLimit(limit, most)))
    }
}

impl ScheduleChange {
    fn change(self, present: &ScheduleParameters) -> Option<Change> {
        let Self { order, placement, ageing, slice, weights } = self;
        if order.is_empty() && placement.is_empty() && ageing.is_none() && slice.is_none() && weights.is_empty() {
            return None;
        }
        let mut next = present.clone();
        if !order.is_empty() {
            next.order = order.into_iter().map(Into::into).collect();
        }
        if !placement.is_empty() {
            next.placement = placement.into_iter().map(Into::into).collect();
        }
        next.ageing_ms = ageing.map_or(next.ageing_ms, milliseconds);
        next.slice_ms = slice.map_or(next.slice_ms, milliseconds);
        let weights: BTreeMap<PublicKey, u32> = weights.into_iter().map(|Weight(key, weight)| (key, weight)).collect();
        next.weights.extend(weights);
        // A weight of 1 is the default and is not stored.
        next.weights.retain(|_, weight| *weight != 1);
        Some(Change::SetSchedule(Box::new(next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units() {
        let key = "5f".repeat(32);
        let quota: NewQuota = format!("{key}:tasks=10,running=2,output-bytes=1GiB").parse().expect("good");
        let limits = [(KeyLimit::Tasks, 10), (KeyLimit::Running, 2), (KeyLimit::OutputBytes, 1 << 30)];
        assert_eq!(quota.1, limits.into());
        assert_eq!(format!("{key}:none").parse::<NewQuota>().expect("good").1, Quota::new());
        assert_eq!("key-running=5".parse(), Ok(NewLimit(Limit::Key(KeyLimit::Running), 5)));
        assert_eq!("output-bytes=2KiB".parse(), Ok(NewLimit(Limit::Network(NetworkLimit::OutputBytes), 2048)));
        for bad in ["running=5", "tasks", "key-tasks=many", "key-nothing=1"] {
            assert!(bad.parse::<NewLimit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_mentioned_of_a_schedule_stays() {
        let present = ScheduleParameters::default();
        let key: PublicKey = "5f".repeat(32).parse().expect("digits");
        let change = ScheduleChange {
            order: vec![Order::Fair],
            placement: Vec::new(),
            ageing: None,
            slice: Some(Duration::from_secs(5)),
            weights: vec![Weight(key, 3)],
        };
        let Some(Change::SetSchedule(next)) = change.change(&present) else { panic!("a schedule") };
        assert_eq!(
            (next.placement.clone(), next.ageing_ms, next.slice_ms),
            (present.placement, present.ageing_ms, 5_000)
        );
        assert_eq!(next.weights, [(key, 3)].into());
        let back = ScheduleChange {
            order: Vec::new(),
            placement: Vec::new(),
            ageing: None,
            slice: None,
            weights: vec![Weight(key, 1)],
        };
        let Some(Change::SetSchedule(last)) = back.change(&next) else { panic!("a schedule") };
        assert!(last.weights.is_empty());
    }
}
