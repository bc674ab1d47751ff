//! Watches the network from outside, several times a second: every peer's height and role, and how many tasks
//! have ended.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use meshwork::{
    client::Client,
    failure::{Done, Failure},
};
use meshwork_api::{Role as RoundRole, StatusView};
use tokio::task::JoinHandle;

use crate::{
    hosts::{Member, Role},
    network::Network,
    report::say,
};

/// How often each peer is asked.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// How long a peer may take to answer. It is not asked again before.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How often to say what is still missing.
const LONG: Duration = Duration::from_secs(15);

/// How long ago the newest height may have been reached that a peer must have, to be up to date.
const LAG: Duration = Duration::from_millis(1000);

/// How long to remember when heights and tasks were reached.
const REMEMBERED: Duration = Duration::from_secs(1800);

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// When it came.
    pub at: Instant,
    /// The newest height that the peer has executed.
    pub height: u64,
    /// Whether the peer has the role that it should have.
    pub in_its_role: bool,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    latest: BTreeMap<String, Reading>,
    asked: BTreeSet<String>,
    /// When the newest height of all, and the number of ended tasks, rose; oldest first.
    heights: VecDeque<(Instant, u64)>,
    ended: VecDeque<(Instant, u64)>,
    clients: BTreeMap<String, (String, Client)>,
}

/// An observer. It stops when it is dropped.
pub(crate) struct Sight {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Sight {
    /// Starts to watch.
    #[must_use]
    pub(crate) fn open(network: Network) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(look(network, seen.clone()));
        Self { seen, task }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// The newest height of all.
    #[must_use]
    pub(crate) fn height(&self) -> u64 {
        self.lock().heights.back().map_or(0, |(_, height)| *height)
    }

    /// How many tasks have ended.
    #[must_use]
    pub(crate) fn ended(&self) -> u64 {
        self.lock().ended.back().map_or(0, |(_, ended)| *ended)
    }

    /// The height of each peer that has ever answered.
    #[must_use]
    pub(crate) fn heights(&self) -> BTreeMap<String, u64> {
        self.lock().latest.iter().map(|(name, reading)| (name.clone(), reading.height)).collect()
    }

    /// The longest time in which no task ended, within a span.
    #[must_use]
    pub(crate) fn standstill(&self, from: Instant, to: Instant) -> Duration {
        let seen = self.lock();
        let within = seen.ended.iter().map(|(at, _)| *at).filter(|at| (from..=to).contains(at));
        let (last, longest) = within.fold((from, Duration::ZERO), |(last, longest), at| (at, longest.max(at - last)));
        longest.max(to.saturating_duration_since(last))
    }

    /// Waits until tasks end again and every peer is up to date and has its role. Returns how long after
    /// `since` that was.
    ///
    /// # Errors
    /// That does not happen in time; the sentence says what is missing.
    pub(crate) async fn recovered(&self, network: &Network, since: Instant, within: Duration) -> Done<Duration> {
        let mut saying = LONG;
        loop {
            network.look()?;
            let missing = self.lock().missing(&network.members(), since);
            let Some(missing) = missing else { return Ok(since.elapsed()) };
            if since.elapsed() > saying {
                say(&format!("  not recovered after {} s: {missing}", since.elapsed().as_secs()));
                saying += LONG;
            }
            if since.elapsed() > within {
                return Err(Failure::failed(format!(
                    "After {} s the network has not recovered: {missing}.",
                    within.as_secs()
                )));
            }
            tokio::time::sleep(INTERVAL / 2).await;
        }
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // Each answer changes the state in one step, so the state is good after any panic.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn take(&mut self, member: &Member, status: &StatusView) {
        let at = Instant::now();
        let (height, ended) = (status.height.0, status.tasks_ended);
        let in_its_role = match member.role {
            Role::Authority => status.role == RoundRole::Authority,
            Role::Worker | Role::Gateway => status.role == RoundRole::Follower,
        };
        self.latest.insert(member.name.clone(), Reading { at, height, in_its_role });
        for (risen, value) in [(&mut self.heights, height), (&mut self.ended, ended)] {
            if risen.back().is_none_or(|(_, last)| *last < value) {
                risen.push_back((at, value));
            }
            while risen.len() > 1 && risen.front().is_some_and(|(at, _)| at.elapsed() > REMEMBERED) {
                risen.pop_front();
            }
        }
    }

    /// What the network still lacks to have recovered, in words.
    fn missing(&self, members: &[Member], since: Instant) -> Option<String> {
        if self.ended.back().is_none_or(|(at, _)| *at <= since) {
            return Some("no task has ended since".into());
        }
        let wanted = self.heights.iter().rev().find(|(at, _)| at.elapsed() >= LAG).map_or(0, |(_, height)| *height);
        members.iter().find_map(|member| {
            let name = &member.name;
            match self.latest.get(name).filter(|reading| reading.at > since) {
                _ if member.pid.is_none() => Some(format!("{name} does not run")),
                None => Some(format!("{name} has not answered since")),
                Some(reading) if !reading.in_its_role => Some(format!("{name} is not what it should be to the round")),
                Some(reading) if reading.height < wanted => {
                    Some(format!("{name} is at height {}, others at {wanted} and more", reading.height))
                }
                Some(_) => None,
            }
        })
    }
}

async fn look(network: Network, seen: Arc<Mutex<Seen>>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let members = network.members();
        lock(&seen).latest.retain(|name, _| members.iter().any(|member| member.name == *name));
        for member in members.into_iter().filter(|member| member.pid.is_some()) {
            let Some(client) = begin(&mut lock(&seen), &member) else { continue };
            let seen = seen.clone();
            tokio::spawn(async move {
                let answer = tokio::time::timeout(ANSWER_WITHIN, client.status()).await;
                let mut seen = lock(&seen);
                seen.asked.remove(&member.name);
                if let Ok(Ok(status)) = answer {
                    seen.take(&member, &status);
                }
            });
        }
    }
}

/// A client for a peer, unless a request to it is under way.
fn begin(seen: &mut Seen, member: &Member) -> Option<Client> {
    let api = member.api()?;
    if !seen.asked.insert(member.name.clone()) {
        return None;
    }
    if let Some((known, client)) = seen.clients.get(&member.name)
        && *known == api
    {
        return Some(client.clone());
    }
    let client = Client::new(&api).ok()?;
    seen.clients.insert(member.name.clone(), (api, client.clone()));
    Some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        Member { name: name.into(), role: Role::Gateway, address: None, pid: Some(1), restarts: 0 }
    }

    #[test]
    fn a_network_has_recovered_when_tasks_end_and_everyone_is_there() {
        let since = Instant::now();
        let after = since + Duration::from_millis(1);
        let mut seen = Seen::default();
        let members = [member("a"), member("b")];
        let said = |seen: &Seen| seen.missing(&members, since).unwrap_or_default();
        assert!(said(&seen).contains("no task"));
        seen.ended.push_back((after, 1));
        seen.latest.insert("a".into(), Reading { at: after, height: 5, in_its_role: true });
        assert!(said(&seen).contains("b has not answered"));
        seen.latest.insert("b".into(), Reading { at: after, height: 5, in_its_role: false });
        assert!(said(&seen).contains("not what it should be"));
        seen.latest.insert("b".into(), Reading { at: after, height: 5, in_its_role: true });
        assert_eq!(said(&seen), "");
    }
}
