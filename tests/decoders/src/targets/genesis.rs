//! The genesis, as a file from someone else.

use std::sync::Arc;

use meshwork_core::{
    consensus::{Monotonic, Now, VotingStatus},
    replica::{Config, Recovered, Replica, gossip_bytes_max, message_bytes_max},
    types::Genesis,
};

use super::{round::go_on, transactions::goes_on_alike};
use crate::{memory::bounded, network::network};

/// A genesis file. If it is accepted, it can be written and read again, and a network can be founded on it.
pub(super) fn genesis(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let Ok(genesis) = bounded(bytes, || Genesis::from_toml(text)) else { return false };
    let again = Genesis::from_toml(&genesis.to_toml());
    assert_eq!(again.as_ref(), Ok(&genesis), "what is written is read back");
    assert_eq!(genesis.check(), Ok(()));
    let (authorities, quorum, faulty) =
        (genesis.authorities.len(), genesis.authority_set().quorum(), genesis.authority_set().faulty_max());
    assert!(3 * faulty < authorities && quorum + faulty == authorities, "{quorum} of {authorities}");
    let _ = (gossip_bytes_max(&genesis), message_bytes_max(&genesis));
    let genesis = Arc::new(genesis);
    goes_on_alike(meshwork_core::ledger::Ledger::new(Arc::clone(&genesis)));
    let now = Now { monotonic: Monotonic(1), clock: genesis.time.plus_ms(1) };
    if now.clock.0 < u64::MAX / 2 {
        let config = Config { genesis, key: network().authorities[0].clone() };
        let replica = Replica::new(config, Recovered::nothing(VotingStatus::Voting)).expect("nothing fits nothing");
        go_on(replica, now);
    }
    true
}
