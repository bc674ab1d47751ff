//! The network under test as the rest of the breaker sees it: its hosts behind a lock, and a list of the
//! present peers for all who ask their APIs.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meshwork::{
    client::Client,
    failure::{Done, Failure},
};
use meshwork_core::types::Genesis;
use tokio::sync::watch;

use crate::hosts::{Hosts, Member, Role};

/// How often to look at the hosts while waiting.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a peer may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A network that can be broken and asked.
#[derive(Clone)]
pub(crate) struct Network {
    /// Nothing once the hosts were taken down.
    hosts: Arc<Mutex<Option<Box<dyn Hosts>>>>,
    roster: Arc<watch::Sender<Vec<Member>>>,
    /// The peers that no fault may end.
    spared: Arc<[&'static str]>,
    genesis: Arc<Genesis>,
    kind: &'static str,
}

impl Network {
    /// Looks at the hosts for the first time. The peers of these names are to live through everything, so that
    /// it can be seen how their processes age.
    ///
    /// # Errors
    /// The system does not answer.
    pub(crate) fn new(mut hosts: Box<dyn Hosts>, spared: &[&'static str]) -> Done<Self> {
        let genesis = Arc::new(hosts.founding().genesis.clone());
        let kind = hosts.kind();
        let roster = Arc::new(watch::Sender::new(hosts.look()?));
        Ok(Self { hosts: Arc::new(Mutex::new(Some(hosts))), roster, spared: spared.into(), genesis, kind })
    }

    /// Lends the hosts, to be broken. Nobody else has them meanwhile. Afterwards, looks which peers are there.
    ///
    /// # Errors
    /// The errors of what is done.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut dyn Hosts) -> Done<T>) -> Done<T> {
        let mut hosts = self.lock();
        let hosts = hosts.as_mut().ok_or_else(|| Failure::failed("The network was taken down."))?;
        let done = work(&mut **hosts)?;
        self.roster.send_replace(hosts.look()?);
        Ok(done)
    }

    /// Lends the hosts, only to be looked at. Nothing once they were taken down.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&dyn Hosts) -> T) -> Option<T> {
        self.lock().as_ref().map(|hosts| look(&**hosts))
    }

    /// Takes all hosts down, whoever else still uses this network.
    pub(crate) fn take_down(&self) {
        drop(self.lock().take());
    }

    /// Looks which peers are there now.
    ///
    /// # Errors
    /// The system does not answer.
    pub(crate) fn look(&self) -> Done {
        self.with(|_| Ok(()))
    }

    /// Lets time pass, and looks after the hosts meanwhile.
    ///
    /// # Errors
    /// The system does not say how they are.
    pub(crate) async fn hold(&self, time: Duration) -> Done {
        let until = tokio::time::Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(left.min(LOOK_INTERVAL)).await;
            self.look()?;
        }
    }

    /// All peers, as of the last look.
    #[must_use]
    pub(crate) fn members(&self) -> Vec<Member> {
        self.roster.borrow().clone()
    }

    /// The names of the peers that faults may end.
    #[must_use]
    pub(crate) fn mortals(&self) -> Vec<String> {
        let names = self.members().into_iter().map(|member| member.name);
        names.filter(|name| !self.spared.contains(&name.as_str())).collect()
    }

    /// The names of the workers among them.
    #[must_use]
    pub(crate) fn mortal_workers(&self) -> Vec<String> {
        let is_worker = |name: &String| self.member(name).is_ok_and(|member| member.role == Role::Worker);
        self.mortals().into_iter().filter(is_worker).collect()
    }

    /// A peer by its name.
    ///
    /// # Errors
    /// There is no peer of that name.
    pub(crate) fn member(&self, name: &str) -> Done<Member> {
        let found = self.members().into_iter().find(|member| member.name == name);
        found.ok_or_else(|| Failure::failed(format!("There is no peer {name} any more.")))
    }

    /// The addresses of all but some.
    #[must_use]
    pub(crate) fn addresses_but(&self, names: &[&str]) -> Vec<Ipv4Addr> {
        let others = self.members().into_iter().filter(|member| !names.contains(&member.name.as_str()));
        others.filter_map(|member| member.address).collect()
    }

    /// The genesis and keys of the network.
    #[must_use]
    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The kind of its hosts, in words.
    #[must_use]
    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Clients of the living peers, the gateway first: the order in which a submitter would ask.
    #[must_use]
    pub(crate) fn clients(&self) -> Vec<(String, Client)> {
        let mut members: Vec<Member> = self.members().into_iter().filter(|member| member.pid.is_some()).collect();
        members.sort_by_key(|member| (member.role != Role::Gateway, member.name.clone()));
        let client = |member: Member| Some((member.name.clone(), Client::new(&member.api()?).ok()?));
        members.into_iter().filter_map(client).collect()
    }

    /// The state of every peer, a line each, and the end of the log of peers that are behind: for when
    /// something has gone wrong.
    pub(crate) async fn in_words(&self) -> Vec<String> {
        const LOG_LINES: usize = 12;
        /// A peer that is this many heights below the highest is behind.
        const BEHIND: u64 = 20;
        let mut seen = Vec::new();
        for (name, client) in self.clients() {
            let status = tokio::time::timeout(ANSWER_WITHIN, client.status()).await;
            seen.push((name, status.ok().and_then(Result::ok)));
        }
        let newest = seen.iter().filter_map(|(_, status)| Some(status.as_ref()?.height.0)).max().unwrap_or(0);
        let mut said = Vec::new();
        for (name, status) in seen {
            said.push(match &status {
                None => format!("{name} does not answer"),
                Some(status) => format!(
                    "{name}: height {}, {:?} ms ago, view {}, {} peers, {} transactions in its pool, {:?}, up for {} ms",
                    status.height,
                    status.executed_ms_ago,
                    status.view,
                    status.peers,
                    status.pool,
                    status.role,
                    status.uptime_ms
                ),
            });
            if status.is_none_or(|status| status.height.0 + BEHIND < newest) {
                let log = self.peek(|hosts| hosts.log(&name, LOG_LINES)).unwrap_or_default();
                said.extend(log.lines().map(|line| format!("  {line}")));
            }
        }
        said
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Hosts>>> {
        // After a panic the hosts are only taken down.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
