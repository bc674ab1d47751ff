//! What is told of deadlines that cannot be met.

use std::sync::Arc;

use super::mesh::*;
use crate::types::*;

/// An array of tasks that are expected to take so long.
fn array(tasks: u32, expected_ms: u64, after: &[u16]) -> Array {
    let after = after.iter().map(|array| After { array: *array, each: false, when: When::Ok }).collect();
    let spec = TaskSpec { expected_ms, ..spec() };
    Array { after, ..Array::new(spec, Tasks::Repeat(tasks)) }
}

fn late(mesh: &Mesh, arrays: Vec<Array>, within_ms: u64) -> Option<u64> {
    let times = Times { deadline: Some(mesh.now.plus_ms(within_ms)), ..Times::default() };
    let end = mesh.ledger.misses_deadline(&Submit { arrays, times, ..Submit::named("job") })?;
    Some(end.micros_since(mesh.now) / 1000)
}

#[test]
fn a_deadline_is_missed_by_what_cannot_run_at_once_and_by_what_waits() {
    let mut mesh = Mesh::new(genesis());
    assert_eq!(late(&mesh, vec![array(1, 2_000, &[])], 1_000), Some(2_000), "whoever comes to run it");
    assert_eq!(late(&mesh, vec![array(9, 2_000, &[])], 2_000), None, "there may be workers yet");
    // Four places: the second claim has memory for one task only.
    mesh.claim(&key(1), offer(3, 0));
    mesh.claim(&key(2), Claim { resources: Resources { millicores: 9_000, memory_bytes: 199 }, ..offer(9, 0) });
    mesh.next();
    assert_eq!(late(&mesh, vec![array(9, 2_000, &[])], 6_000), None);
    assert_eq!(late(&mesh, vec![array(9, 2_000, &[])], 5_999), Some(6_000));
    let chain = || vec![array(4, 1_000, &[]), array(1, 500, &[]), array(5, 1_000, &[0, 1])];
    assert_eq!((late(&mesh, chain(), 3_000), late(&mesh, chain(), 2_500)), (None, Some(3_000)));
    assert_eq!(late(&mesh, vec![array(100, 0, &[])], 1), None, "nobody expects anything");
}

#[test]
fn what_was_learned_of_a_program_counts_more_than_what_is_declared() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 3, spec());
    mesh.next();
    for index in 0..3 {
        mesh.report(&key(1), attempt(job, index, 0), success());
        mesh.pass(1_500);
    }
    assert!(late(&mesh, vec![array(1, 1, &[])], 1_000).is_some_and(|ms| ms >= 1_400));
    let other =
        TaskSpec { expected_ms: 1, ..TaskSpec::of(BlobRef { digest: crate::digest::Digest::of(b"other"), bytes: 1 }) };
    assert_eq!(late(&mesh, vec![Array { spec: Arc::new(other), ..array(1, 1, &[]) }], 1_000), None);
}
