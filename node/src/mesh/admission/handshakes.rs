//! Incoming connections whose handshake is not done yet.
//!
//! A handshake costs computing, and a half-open connection a descriptor. So each source may begin only so many in a
//! time. Beyond a bound of those under way, the oldest gives way to a new one: the oldest of the source itself, or of
//! the source that has most. libp2p can bound handshakes but not end one, so this is part of the transport.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use futures::{
    FutureExt, TryFutureExt,
    future::{AbortHandle, AbortRegistration, Abortable, BoxFuture},
};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use lru::LruCache;

use super::source::Source;
use crate::mesh::{
    allowance::{Allowance, Rate},
    metrics::{Counters, one},
};

/// The most incoming handshakes under way.
const HANDSHAKES_MAX: usize = 256;
/// The most of them of one source.
const SOURCE_HANDSHAKES_MAX: usize = 64;
/// The most sources whose rates are remembered.
const SOURCES_MAX: usize = 4096;

/// All incoming handshakes under way.
#[derive(Clone)]
pub(in crate::mesh) struct Handshakes {
    state: Arc<Mutex<State>>,
    rate: Rate,
    counters: Arc<Counters>,
}

struct State {
    begun: u64,
    under_way: BTreeMap<u64, (Source, AbortHandle)>,
    allowances: LruCache<Source, Allowance>,
}

impl State {
    /// The handshake that gives way to a new one of `source`, if one must.
    fn victim(&self, source: Source) -> Option<u64> {
        let mut sources: HashMap<Source, usize> = HashMap::from([(source, 1)]);
        for (source, _) in self.under_way.values() {
            *sources.entry(*source).or_default() += 1;
        }
        let oldest =
            |of: Source| self.under_way.iter().find(|(_, (source, _))| *source == of).map(|(number, _)| *number);
        if sources[&source] > SOURCE_HANDSHAKES_MAX {
            return oldest(source);
        }
        if self.under_way.len() < HANDSHAKES_MAX {
            return None;
        }
        let most = self.under_way.values().map(|(source, _)| *source).max_by_key(|source| sources[source])?;
        oldest(most)
    }
}

impl Handshakes {
    /// `rate` is how many handshakes each source may begin.
    pub(in crate::mesh) fn new(rate: Rate, counters: Arc<Counters>) -> Self {
        let allowances = LruCache::new(const { NonZeroUsize::new(SOURCES_MAX).expect("it is not 0") });
        let state = State { begun: 0, under_way: BTreeMap::new(), allowances };
        Self { state: Arc::new(Mutex::new(state)), rate, counters }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a handshake, for which another one may be ended; `None` if its source has begun too many.
    fn begin(&self, source: Source, now: Instant) -> Option<(UnderWay, AbortRegistration)> {
        let mut state = self.lock();
        let allowance = state.allowances.get_or_insert_mut(source, || Allowance::new(self.rate, now));
        if !allowance.take(1.0, self.rate, now) {
            one(&self.counters.connections_refused_rate);
            return None;
        }
        if let Some((_, ended)) = state.victim(source).and_then(|victim| state.under_way.remove(&victim)) {
            one(&self.counters.handshakes_displaced);
            ended.abort();
        }
        let (handle, registration) = AbortHandle::new_pair();
        state.begun += 1;
        let number = state.begun;
        state.under_way.insert(number, (source, handle));
        drop(state);
        Some((UnderWay { handshakes: self.clone(), number }, registration))
    }
}

/// A handshake under way, until this is dropped.
struct UnderWay {
    handshakes: Handshakes,
    number: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.handshakes.lock().under_way.remove(&self.number);
    }
}

/// A transport whose incoming handshakes are bounded.
pub(in crate::mesh) struct Gate<T> {
    inner: T,
    handshakes: Handshakes,
}

impl<T> Gate<T> {
    pub(in crate::mesh) const fn new(inner: T, handshakes: Handshakes) -> Self {
        Self { inner, handshakes }
    }
}

impl<T> Transport for Gate<T>
where
    T: Transport<Error = io::Error> + Unpin,
    T::ListenerUpgrade: Send + 'static,
    T::Output: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<T::Output>>;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        let source = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => Source::of(send_back_addr),
            _ => Source::Other,
        };
        let handshakes = &self.handshakes;
        Poll::Ready(event.map_upgrade(|upgrade| match handshakes.begin(source, Instant::now()) {
            Some((under_way, registration)) => {
                let gave_way = |_| Err(io::Error::other("the handshake gave way to another one"));
                let upgrade = Abortable::new(upgrade, registration);
                upgrade.unwrap_or_else(gave_way).inspect(move |_| drop(under_way)).boxed()
            }
            None => {
                let refused = io::Error::other("its address begins too many connections");
                futures::future::ready(Err(refused)).boxed()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshakes(burst: f64) -> Handshakes {
        Handshakes::new(Rate { burst, per_second: 1.0 }, Arc::default())
    }

    #[test]
    fn a_source_that_begins_too_many_is_refused_and_others_are_not() {
        let (handshakes, now) = (handshakes(3.0), Instant::now());
        let begun = (0..5).filter_map(|_| handshakes.begin(Source::V6(1), now)).count();
        assert_eq!((begun, handshakes.lock().under_way.len()), (3, 0));
        assert_eq!(handshakes.counters.snapshot().connections_refused_rate, 2);
        assert!(handshakes.begin(Source::V6(2), now).is_some());
    }

    #[test]
    fn a_source_that_leaves_handshakes_open_displaces_only_its_own() {
        let (handshakes, now) = (handshakes(1e9), Instant::now());
        let honest = handshakes.begin(Source::V6(0), now).unwrap();
        let open: Vec<_> = (0..1000).map(|_| handshakes.begin(Source::V6(1), now).unwrap()).collect();
        assert!(!honest.1.handle().is_aborted());
        let ended = open.iter().filter(|(_, registration)| registration.handle().is_aborted()).count();
        assert_eq!(ended, open.len() - SOURCE_HANDSHAKES_MAX);
    }

    #[test]
    fn of_many_sources_those_that_have_most_give_way() {
        let (handshakes, now) = (handshakes(1e9), Instant::now());
        let honest = handshakes.begin(Source::V6(0), now).unwrap();
        let open: Vec<_> = (0..1000).map(|n| handshakes.begin(Source::V6(1 + n % 100), now).unwrap()).collect();
        assert!(!honest.1.handle().is_aborted());
        assert_eq!(handshakes.lock().under_way.len(), HANDSHAKES_MAX);
        drop(open);
        assert_eq!(handshakes.lock().under_way.len(), 1);
    }
}
