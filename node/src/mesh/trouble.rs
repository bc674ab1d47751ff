//! What stands in the way of a peer that this one is to be connected to, in words, and when it is worth telling.

use std::{
    error::Error,
    iter,
    time::{Duration, Instant},
};

use libp2p::{
    core::{transport::TransportError, upgrade::NegotiationError},
    noise,
    swarm::DialError,
};

/// How long a peer may be out of reach before that is told. Peers that are started together find each other sooner.
const TOLD_AFTER: Duration = Duration::from_secs(3);
/// By how much longer it is until it is told again, each time.
const TOLD_MORE_RARELY: u32 = 4;
/// The longest time between two times.
const TOLD_EVERY_MAX: Duration = Duration::from_secs(6 * 3600);

/// Dials that failed, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// Why the last of them failed.
    pub why: String,
    /// How many they are.
    pub dials: u32,
    /// When the first of them failed.
    since: Instant,
    /// How long after the first it is told next.
    told_after: Duration,
}

impl Trouble {
    /// Adds a dial that failed. Returns whether that is to be told.
    pub(super) fn add(trouble: &mut Option<Self>, why: String, now: Instant) -> bool {
        let new = || Self { why: String::new(), dials: 0, since: now, told_after: TOLD_AFTER };
        let trouble = trouble.get_or_insert_with(new);
        trouble.why = why;
        trouble.dials = trouble.dials.saturating_add(1);
        let lasts = now.saturating_duration_since(trouble.since);
        let tells = lasts >= trouble.told_after;
        if tells {
            trouble.told_after = lasts + trouble.told_after.saturating_mul(TOLD_MORE_RARELY).min(TOLD_EVERY_MAX);
        }
        tells
    }
}

/// Why a dial failed, in words for people; `None` if that says nothing of the peer.
pub(super) fn in_words(error: &DialError) -> Option<String> {
    Some(match error {
        DialError::WrongPeerId { obtained, .. } => {
            format!("who answers there is {obtained}, and not the peer that the address names")
        }
        DialError::NoAddresses => "no address of it is known".to_owned(),
        DialError::Denied { cause } => deepest(cause).to_string(),
        DialError::Transport(errors) => {
            let mut reasons: Vec<String> = errors.iter().map(|(_, error)| of_transport(error)).collect();
            reasons.dedup();
            reasons.join("; ")
        }
        // Its own id is there: this peer's, or another process' with its key, which is told otherwise.
        DialError::LocalPeerId { .. } | DialError::DialPeerConditionFalse(_) | DialError::Aborted => return None,
    })
}

/// Whether whoever was there broke the handshake off.
pub(super) fn was_there(error: &TransportError<std::io::Error>) -> bool {
    let mut causes = iter::successors(error.source(), |&cause| cause.source());
    causes.any(|cause| cause.is::<noise::Error>() || cause.is::<NegotiationError>())
}

fn of_transport(error: &TransportError<std::io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "this peer has no such transport".to_owned(),
        TransportError::Other(_) if was_there(error) => {
            "what answers there is no peer: another program, or a peer's API".to_owned()
        }
        TransportError::Other(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "nobody answered in time: see the port, the transport and any firewall".to_owned()
        }
        TransportError::Other(error) => {
            let cause = deepest(error).to_string();
            match cause.contains("timed out") || cause.contains("imeout") {
                true => format!("{cause}: see the port, the transport and any firewall"),
                false => cause,
            }
        }
    }
}

/// The innermost cause of an error. The others are layers of libraries.
pub(super) fn deepest<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_then_ever_more_rarely() {
        let start = Instant::now();
        let (mut trouble, mut told) = (None, Vec::new());
        for second in 0..86_400 {
            let now = start + Duration::from_secs(second);
            if Trouble::add(&mut trouble, "refused".into(), now) {
                told.push(second);
            }
        }
        assert_eq!(told[0], 3);
        assert!(told.windows(3).all(|three| three[2] - three[1] >= three[1] - three[0]), "{told:?}");
        assert!((5..12).contains(&told.len()), "{told:?}");
        assert_eq!(trouble.map(|trouble| trouble.dials), Some(86_400));
    }
}
