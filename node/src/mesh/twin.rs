//! Another process with this peer's own key: the two meet when one dials the other, and finds its own peer id there.
//!
//! A peer that dials an address of its own, such as the one that its router has, is at both ends of the connection. One
//! end finds its own id, and the other may only see that the connection breaks off. So a meeting is judged a moment later,
//! and only one without another end here is the sign of another process.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use libp2p::Multiaddr;

/// How far apart the two ends of one connection are seen, at most: a router
/// between the two may be slow.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
/// How long after a meeting it is judged.
const JUDGED_AFTER: Duration = Duration::from_secs(4);
/// How long another process counts as there after it was met. It is dialled again sooner.
const THERE_FOR: Duration = Duration::from_secs(60);
/// The most events of each kind that are remembered.
const EVENTS_MAX: usize = 64;

/// Events of one kind, oldest first.
struct Events<T>(VecDeque<(Instant, T)>);

impl<T> Default for Events<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Events<T> {
    fn push(&mut self, event: T, now: Instant) {
        while self.0.len() >= EVENTS_MAX || self.0.front().is_some_and(|(at, _)| now - *at > 3 * JUDGED_AFTER) {
            self.0.pop_front();
        }
        self.0.push_back((now, event));
    }

    /// Whether there was one at about this time.
    fn has(&self, when: Instant) -> bool {
        self.0.iter().any(|(at, _)| at.max(&when).saturating_duration_since(*at.min(&when)) < ENDS_WITHIN)
    }
}

/// What this peer saw of connections on which it found its own id.
#[derive(Default)]
pub(super) struct Meetings {
    /// Addresses that it dialled, and found its own id there. The flag is whether that was looked at.
    dialled: Events<(Multiaddr, bool)>,
    /// Addresses from which one with its own id dialled it, likewise.
    taken: Events<(Multiaddr, bool)>,
    /// Dials that failed for whatever reason.
    failed: Events<()>,
    /// Connections that came in, whoever made them.
    incoming: Events<()>,
    /// When another process was last met, and how, in words.
    last: Option<(Instant, String)>,
}

impl Meetings {
    /// Notes that this peer dialled an address, and found its own id there.
    pub(super) fn dialled(&mut self, address: Multiaddr, now: Instant) {
        self.dialled.push((address, false), now);
    }

    /// Notes that whoever dialled from this address has this peer's own id.
    pub(super) fn taken(&mut self, address: Multiaddr, now: Instant) {
        self.taken.push((address, false), now);
    }

    /// Notes that a dial failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failed.push((), now);
    }

    /// Notes that somebody begins a connection to this peer.
    pub(super) fn incoming(&mut self, now: Instant) {
        self.incoming.push((), now);
    }

    /// That another process has this peer's key, in a sentence for people, if it is there.
    pub(super) fn twin(&mut self, now: Instant) -> Option<String> {
        let Self { dialled, taken, failed, incoming, last } = self;
        let is_due = |at: &Instant| now.saturating_duration_since(*at) >= JUDGED_AFTER;
        for (at, (address, is_seen)) in dialled.0.iter_mut().filter(|(at, (_, is_seen))| !is_seen && is_due(at)) {
            *is_seen = true;
            if !incoming.has(*at) {
                *last = Some((now, format!("answers at {address}")));
            }
        }
        for (at, (address, is_seen)) in taken.0.iter_mut().filter(|(at, (_, is_seen))| !is_seen && is_due(at)) {
            *is_seen = true;
            if !failed.has(*at) {
                *last = Some((now, format!("dials this one from {address}")));
            }
        }
        let (_, how) = last.as_ref().filter(|(met, _)| now.saturating_duration_since(*met) < THERE_FOR)?;
        Some(format!(
            "another process has this peer's own key, and {how}: stop one of the two, and give it a key of its own. \
             Neither gets all that is sent to it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn a_peer_that_meets_itself_is_at_both_ends() {
        let (mut meetings, start) = (Meetings::default(), Instant::now());
        meetings.incoming(start);
        meetings.dialled(address(1), start);
        assert_eq!(meetings.twin(start + JUDGED_AFTER), None);
        let again = start + 4 * JUDGED_AFTER;
        meetings.taken(address(2), again);
        meetings.failed(again);
        assert_eq!(meetings.twin(again + JUDGED_AFTER), None);
    }

    #[test]
    fn another_process_is_there_for_a_while_after_each_meeting() {
        let (mut meetings, start) = (Meetings::default(), Instant::now());
        meetings.dialled(address(1), start);
        assert_eq!(meetings.twin(start), None);
        let noticed = start + JUDGED_AFTER;
        assert!(meetings.twin(noticed).is_some_and(|how| how.contains("answers at /ip4/10.0.0.1/tcp/1")));
        assert!(meetings.twin(noticed + THERE_FOR / 2).is_some());
        meetings.incoming(noticed + THERE_FOR / 2);
        meetings.taken(address(2), noticed + THERE_FOR / 2);
        assert!(meetings.twin(noticed + THERE_FOR).is_some_and(|how| how.contains("dials this one from")));
        assert_eq!(meetings.twin(noticed + THERE_FOR * 2), None);
    }
}
