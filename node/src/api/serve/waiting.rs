//! The connections that wait: new ones, idle ones, and those that are slow to send a request.
//!
//! There is always place for one more. Beyond a bound, the connection that has waited longest is closed: if an address
//! is beyond its own, that address's; otherwise, that of the address with the most.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{limits::Bound, places::Address};

/// A waiting connection's number. It is larger than those of all that began to wait before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

#[derive(Default)]
struct Queues {
    next: u64,
    all: usize,
    each: HashMap<Address, BTreeMap<Number, CancellationToken>>,
}

impl Queues {
    fn remove(&mut self, address: Address, number: Number) -> Option<CancellationToken> {
        let queue = self.each.get_mut(&address)?;
        let closes = queue.remove(&number)?;
        if queue.is_empty() {
            self.each.remove(&address);
        }
        self.all -= 1;
        Some(closes)
    }

    fn close_oldest_of(&mut self, address: Address) -> bool {
        let oldest = self.each.get(&address).and_then(|queue| queue.keys().next().copied());
        let closes = oldest.and_then(|number| self.remove(address, number));
        closes.inspect(CancellationToken::cancel).is_some()
    }

    fn close_one(&mut self) -> bool {
        let most = self.each.iter().max_by_key(|(_, queue)| queue.len()).map(|(address, _)| *address);
        most.is_some_and(|address| self.close_oldest_of(address))
    }
}

pub(super) struct Waiting {
    bound: Bound,
    queues: Mutex<Queues>,
}

impl Waiting {
    pub(super) fn new(bound: Bound) -> Self {
        Self { bound, queues: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a connection waits, and how it can be told to close. Returns whether another was closed for it.
    pub(super) fn enter(&self, address: Address, closes: CancellationToken) -> (Number, bool) {
        let mut queues = self.lock();
        let number = Number(queues.next);
        queues.next += 1;
        queues.all += 1;
        let queue = queues.each.entry(address).or_default();
        queue.insert(number, closes);
        let closed = if queue.len() > self.bound.each_address {
            queues.close_oldest_of(address)
        } else {
            queues.all > self.bound.all && queues.close_one()
        };
        (number, closed)
    }

    /// Notes that a connection no longer waits. False if it was told to close.
    pub(super) fn leave(&self, address: Address, number: Number) -> bool {
        self.lock().remove(address, number).is_some()
    }

    /// Closes the connection that has waited longest, of the address with the most. False if none waits.
    pub(super) fn close_one(&self) -> bool {
        self.lock().close_one()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn whoever_has_most_loses_the_oldest_and_nobody_else_loses_any() {
        let waiting = Waiting::new(Bound { all: 4, each_address: 3 });
        let [many, few]: [Address; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap().into());
        let enter = |address| {
            let closes = CancellationToken::new();
            (waiting.enter(address, closes.clone()), closes)
        };
        let lone = enter(few);
        let first: Vec<_> = (0..3).map(|_| enter(many)).collect();
        assert!(first.iter().all(|((_, closed), _)| !closed));
        let (_, fourth) = enter(many);
        assert!(first[0].1.is_cancelled() && !first[1].1.is_cancelled(), "it was beyond its own bound");
        let (_, another) = enter(few);
        assert!(first[1].1.is_cancelled() && !lone.1.is_cancelled(), "all were beyond theirs");
        assert!(!fourth.is_cancelled() && !another.is_cancelled());
        assert!(!waiting.leave(many, first[1].0.0) && waiting.leave(many, first[2].0.0));
    }
}
