//! Tests which genesis files are accepted, which are refused, and in which line.

use super::*;
use crate::{identity::SecretKey, types::KeyLimit};

fn genesis(count: u8) -> Genesis {
    let authorities = (0..count).map(|seed| Authority {
        name: format!("a{seed}"),
        key: SecretKey::from_seed([seed + 1; 32]).public(),
        addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
    });
    Genesis {
        name: "test".into(),
        time: BlockTime(1),
        authorities: authorities.collect(),
        access: Access::default(),
        consensus: ConsensusParameters::default(),
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters::default(),
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut genesis = genesis(4);
    genesis.access.workers = Some(genesis.authority_set().keys().collect());
    let key = genesis.authorities[0].key;
    genesis.access.quotas.insert(key, [(KeyLimit::Tasks, 1000), (KeyLimit::OutputBytes, 1 << 30)].into());
    assert!(genesis.to_toml().contains(&format!("[access.quotas.{key}]\ntasks = 1000\noutput_bytes = ")));
    let read = Genesis::from_toml(&genesis.to_toml()).expect("own text is good");
    assert_eq!(read, genesis);
    assert_eq!(read.network_id(), genesis.network_id());
}

#[test]
fn the_network_id_depends_on_every_part() {
    let plain = genesis(4);
    let mut other = plain.clone();
    other.ledger.losses_max += 1;
    assert_ne!(plain.network_id(), other.network_id());
}

#[test]
fn a_duplicate_authority_is_refused_at_its_line() {
    let mut genesis = genesis(4);
    genesis.authorities[2].key = genesis.authorities[0].key;
    let text = genesis.to_toml();
    let line = text.lines().position(|line| line == "name = \"a2\"").expect("it is there");
    let error = Genesis::from_toml(&text).expect_err("a duplicate");
    let GenesisError::AtLine { line: named, what } = error else { panic!("{error}") };
    assert!((line..=line + 1).contains(&named), "line {named}, not {line}: {what}");
    assert!(what.contains("a2"));
}

#[test]
fn unknown_fields_and_bad_keys_are_refused_with_their_line() {
    let text = genesis(1).to_toml();
    let unknown = text.replace("delta_ms", "delta_msec");
    let line = unknown.lines().position(|line| line.contains("delta_msec")).expect("it is there") + 1;
    let error = Genesis::from_toml(&unknown).expect_err("unknown").to_string();
    assert!(error.contains(&format!("line {line}")) && error.contains("delta_msec"), "{error}");
    let bad = text.replace("key = \"", "key = \"zz");
    let line = bad.lines().position(|line| line.contains("zz")).expect("it is there") + 1;
    let error = Genesis::from_toml(&bad).expect_err("bad").to_string();
    assert!(error.contains(&format!("line {line}")) && error.contains("64 hexadecimal digits"), "{error}");
}

#[test]
fn numbers_that_overflow_when_they_are_reckoned_with_are_refused() {
    // So many leaders in a row time out, each half as long again as the one before, that no number holds the
    // sum.
    let mut genesis = genesis(250);
    genesis.consensus.delta_ms = u64::from(u32::MAX);
    genesis.consensus.timer_ms_max = u64::MAX;
    assert!(matches!(genesis.check(), Err(GenesisError::Rule(_))));
    let mut genesis = self::genesis(1);
    genesis.ledger.transaction_bytes_max = usize::MAX;
    assert!(matches!(genesis.check(), Err(GenesisError::Rule(_))));
}

#[test]
fn whatever_is_read_can_be_written() {
    let text = genesis(1).to_toml();
    for largest in [u64::MAX, i64::MAX as u64] {
        let text = text.replace("time_us = 1\n", &format!("time_us = {largest}\n"));
        assert!(text.contains(&largest.to_string()));
        if let Ok(read) = Genesis::from_toml(&text) {
            assert_eq!(Genesis::from_toml(&read.to_toml()), Ok(read));
        }
    }
}

#[test]
fn leases_must_outlast_stalls() {
    let mut genesis = genesis(4);
    genesis.ledger.claim_stands_ms_max = 3 * genesis.consensus.stall_threshold_ms(1) - 1;
    assert!(matches!(genesis.check(), Err(GenesisError::Rule(_))));
}
