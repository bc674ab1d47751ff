//! One connection, as far as bounds are concerned: it waits, or a request of it is being answered.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, task::yield_now};
use tokio_util::sync::CancellationToken;

use super::{
    Bounds,
    places::{Address, Place},
    refused::Refused,
    waiting::Number,
};

enum Phase {
    /// For a request's head, or for the connection's end. `heard` says whether a part of a head has come, and `again`
    /// whether a request was answered before.
    Waits { number: Number, heard: bool, again: bool },
    /// The places of the request, until the last byte of its answer is with the system. `whole` says whether the HTTP
    /// library has the whole answer.
    Answers { places: Vec<Place>, whole: bool },
}

/// What became of the wish to answer a request.
enum Begun {
    /// It is the connection's first.
    First,
    /// It follows another.
    Again,
    /// The connection is to close.
    Closes,
    /// Another answer is on its way out.
    NotYet,
}

/// A connection. Requests carry it in their extensions.
pub(in crate::api) struct Visit {
    bounds: Arc<Bounds>,
    address: Address,
    local: IpAddr,
    closes: CancellationToken,
    phase: Mutex<Phase>,
    answered: Notify,
}

impl Visit {
    /// A connection from one address to another, of this machine.
    pub(super) fn new(bounds: Arc<Bounds>, from: IpAddr, local: IpAddr) -> Arc<Self> {
        let (address, closes) = (from.into(), CancellationToken::new());
        let number = bounds.enter(address, &closes);
        Arc::new(Self {
            bounds,
            address,
            local: local.to_canonical(),
            closes,
            phase: Mutex::new(Phase::Waits { number, heard: false, again: false }),
            answered: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bounds that hold for it.
    pub(in crate::api) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Who it comes from.
    pub(in crate::api) fn address(&self) -> Address {
        self.address
    }

    /// The address of this machine at which it arrived.
    pub(in crate::api) fn local(&self) -> IpAddr {
        self.local
    }

    /// Completes when it is to close, because it has waited longest.
    pub(super) async fn closes(&self) {
        self.closes.cancelled().await;
    }

    /// Notes that bytes came. If the connection waits, they belong to a head.
    pub(super) fn heard(&self) {
        if let Phase::Waits { heard, .. } = &mut *self.lock() {
            *heard = true;
        }
    }

    /// Whether a part of a head has come, but not all of it.
    pub(super) fn is_amid_head(&self) -> bool {
        matches!(&*self.lock(), Phase::Waits { heard: true, .. })
    }

    /// Begins to answer a request, once the answer to the one before is out: a client that sends many requests and
    /// reads no answer gets one at a time. Pends forever if the connection is to close.
    pub(super) async fn begin(&self) {
        loop {
            let answered = self.answered.notified();
            match self.try_begin() {
                Begun::First => return,
                // Other connections come first, or whoever sends a thousand requests at once would hold them up.
                Begun::Again => return yield_now().await,
                Begun::Closes => return std::future::pending().await,
                Begun::NotYet => answered.await,
            }
        }
    }

    fn try_begin(&self) -> Begun {
        let mut phase = self.lock();
        let Phase::Waits { number, again, .. } = *phase else { return Begun::NotYet };
        if !self.bounds.waiting.leave(self.address, number) {
            return Begun::Closes;
        }
        *phase = Phase::Answers { places: Vec::new(), whole: false };
        if again { Begun::Again } else { Begun::First }
    }

    /// Holds a place until the request is answered.
    pub(in crate::api) fn hold(&self, place: Place) {
        if let Phase::Answers { places, .. } = &mut *self.lock() {
            places.push(place);
        }
    }

    /// Notes that the HTTP library has the whole answer.
    pub(super) fn said_all(&self) {
        if let Phase::Answers { whole, .. } = &mut *self.lock() {
            *whole = true;
        }
    }

    /// Notes that all that the HTTP library had is with the system. If that was the whole answer, the connection waits
    /// again.
    pub(super) fn flushed(&self) {
        let mut phase = self.lock();
        if matches!(&*phase, Phase::Answers { whole: true, .. }) {
            let number = self.bounds.enter(self.address, &self.closes);
            *phase = Phase::Waits { number, heard: false, again: true };
            drop(phase);
            self.answered.notify_waiters();
        }
    }

    /// Notes that the connection closes, whatever was being answered.
    pub(super) fn ends(&self) {
        self.said_all();
        self.flushed();
    }

    /// Counts a refusal, and returns it.
    pub(in crate::api) fn refuse(&self, refused: Refused) -> Refused {
        self.bounds.refuse(refused);
        refused
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Phase::Waits { number, .. } = *self.lock() {
            self.bounds.waiting.leave(self.address, number);
        }
    }
}
