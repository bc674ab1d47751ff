//! Measures growth on networks so small that it takes a moment.

use meshwork_simulator::scale::{Figures, Setup, run};

fn small(peers: usize, authorities: usize) -> Setup {
    Setup { seconds: 5, warm_up_s: 6, ..Setup::of(peers, authorities) }
}

fn is_plausible(run: &Figures, setup: &Setup) {
    let volunteers = (setup.peers - setup.authorities - 1) as u64;
    assert_eq!((run.workers, run.jobs_not_final, run.caught_up), (volunteers, 0, 0), "{run:?}");
    assert!(run.void_per_s == 0.0 && run.backlog_tasks < 60, "{run:?}");
    assert!(run.blocks_per_s > 2.0 && run.tasks_per_s > 10.0 && run.claims_per_s > 0.0, "{run:?}");
    // Three message delays and a way back take between a tenth of a second and a second.
    assert!((100..1000).contains(&run.job_final.p50_ms) && run.job_final.p99_ms < 3000, "{run:?}");
    assert!(run.block_final.p50_ms <= run.job_final.p50_ms && run.job_known.p50_ms <= run.job_final.p50_ms, "{run:?}");
    assert!(run.sooner_ms_max < 200.0 && run.later_ms_max < 10.0, "{run:?}");
    // Everyone hears everything at least once, and at most once from each neighbour and from the publisher.
    assert!((1.0..=9.0).contains(&run.copies), "{run:?}");
    let kinds = run.kinds.transactions + run.kinds.blocks + run.kinds.finalizations + run.kinds.control;
    assert!((kinds / run.ordinary.bytes_in - 1.0).abs() < 0.1, "{run:?}");
}

#[test]
fn small_networks_order_everything_and_what_they_cost_is_counted() {
    for setup in [small(10, 4), small(100, 7)] {
        is_plausible(&run(&setup), &setup);
    }
}

#[test]
fn one_setup_gives_one_run() {
    let setup = small(30, 4);
    assert_eq!(run(&setup), run(&setup));
    assert_ne!(run(&setup), run(&Setup { seed: 2, ..setup }));
}

#[test]
fn claims_that_stand_for_longer_are_fewer() {
    let setup = small(100, 4);
    let often = run(&Setup { claim_stands_ms: 20_000, ..setup.clone() });
    assert!(often.claims_per_s > 2.0 * run(&setup).claims_per_s, "{}", often.claims_per_s);
}
