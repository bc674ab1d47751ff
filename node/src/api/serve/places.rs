//! Places for what is bounded for all and for each address: requests of a kind, or bytes.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::limits::Bound;

/// Who a connection comes from, as far as bounds are concerned: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::api) struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 => v4,
        })
    }
}

/// The bound that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Full {
    /// That for all addresses.
    All(usize),
    /// That for one address.
    Address(usize),
}

#[derive(Default)]
struct Taken {
    all: usize,
    each: HashMap<Address, usize>,
}

/// The places of one kind.
pub(in crate::api) struct Places {
    bound: Bound,
    taken: Mutex<Taken>,
}

impl Places {
    pub(super) fn new(bound: Bound) -> Arc<Self> {
        Arc::new(Self { bound, taken: Mutex::default() })
    }

    /// Takes places until the answer is dropped.
    pub(in crate::api) fn take(self: &Arc<Self>, address: Address, count: usize) -> Result<Place, Full> {
        let mut place = Place { places: Arc::clone(self), address, count: 0 };
        place.grow(count)?;
        Ok(place)
    }

    /// As [`Places::take`]. If no other place is taken, the bounds do not hold.
    pub(super) fn take_or_be_alone(self: &Arc<Self>, address: Address, count: usize) -> Result<Place, Full> {
        let mut taken = self.lock();
        if taken.all > 0 {
            drop(taken);
            return self.take(address, count);
        }
        taken.all = count;
        taken.each.insert(address, count);
        drop(taken);
        Ok(Place { places: Arc::clone(self), address, count })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places that are taken. They are given back when this is dropped.
pub(in crate::api) struct Place {
    places: Arc<Places>,
    address: Address,
    count: usize,
}

impl Place {
    /// Takes more places.
    pub(in crate::api) fn grow(&mut self, more: usize) -> Result<(), Full> {
        let Bound { all, each_address } = self.places.bound;
        let mut taken = self.places.lock();
        if taken.all.saturating_add(more) > all {
            return Err(Full::All(all));
        }
        let own = taken.each.get(&self.address).copied().unwrap_or(0);
        if own.saturating_add(more) > each_address {
            return Err(Full::Address(each_address));
        }
        taken.all += more;
        taken.each.insert(self.address, own + more);
        drop(taken);
        self.count += more;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= self.count;
        if let Some(own) = taken.each.get_mut(&self.address) {
            *own -= self.count;
            if *own == 0 {
                taken.each.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn places_are_bounded_for_each_address_and_for_all_and_come_back() {
        let places = Places::new(Bound { all: 3, each_address: 2 });
        let [one, other] = [address("192.0.2.1"), address("192.0.2.2")];
        let held = places.take(one, 2).ok().unwrap();
        assert_eq!(places.take(one, 1).err(), Some(Full::Address(2)));
        let mut last = places.take(other, 1).ok().unwrap();
        assert_eq!(last.grow(1), Err(Full::All(3)));
        drop(held);
        assert_eq!(last.grow(1), Ok(()));
        drop(last);
        assert!(places.lock().each.is_empty() && places.lock().all == 0);
    }

    #[test]
    fn what_is_larger_than_the_bound_gets_its_places_when_it_is_alone() {
        let places = Places::new(Bound { all: 3, each_address: 2 });
        let one = address("192.0.2.1");
        let large = places.take_or_be_alone(one, 10).ok().unwrap();
        assert_eq!(places.take_or_be_alone(one, 1).err(), Some(Full::All(3)));
        drop(large);
        assert!(places.take_or_be_alone(one, 1).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_address_is_itself() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
