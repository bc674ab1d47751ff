//! Batches of verdicts, and their way into the ledger.

use crate::{
    consensus::Monotonic,
    types::{Report, Verdict},
    worker::{Ticket, outbox::Outbox, tests::attempt},
};

const NOW: Monotonic = Monotonic(5_000_000);

/// Takes the next report, and signs it with its number as the id.
fn next(outbox: &mut Outbox, number: u64) -> Option<Vec<u32>> {
    let report = outbox.next(NOW, Ticket(number))?;
    outbox.signed(Ticket(number), super::id(Ticket(number)));
    Some(indices(&report))
}

fn indices(report: &Report) -> Vec<u32> {
    report.items.iter().map(|item| item.attempt.task.index).collect()
}

#[test]
fn outcomes_gather_while_two_reports_are_on_their_way() {
    let mut outbox = Outbox::new(3, 10_000);
    for index in 0..8 {
        outbox.push(attempt(index), Verdict::Returned);
    }
    let first = next(&mut outbox, 1).expect("something to report");
    let second = next(&mut outbox, 2).expect("room for one more");
    assert_eq!((first, second), (vec![0, 1, 2], vec![3, 4, 5]));
    assert!(next(&mut outbox, 3).is_none());
    for index in 0..3 {
        outbox.settle(&attempt(index));
    }
    let id = super::id(Ticket(1));
    assert!(outbox.executed(id, true, NOW).is_some() && outbox.executed(id, true, NOW).is_none());
    assert_eq!(next(&mut outbox, 3), Some(vec![6, 7]));
}

#[test]
fn what_a_report_did_not_settle_is_reported_again() {
    let mut outbox = Outbox::new(9, 10_000);
    outbox.push(attempt(0), Verdict::Returned);
    outbox.push(attempt(1), Verdict::Returned);
    next(&mut outbox, 1).expect("something");
    outbox.settle(&attempt(0));
    outbox.executed(super::id(Ticket(1)), false, NOW);
    assert_eq!(next(&mut outbox, 2), Some(vec![1]));
    outbox.settle(&attempt(1));
    assert!(outbox.is_empty());
}

#[test]
fn what_is_on_its_way_is_reported_again_after_missed_blocks_and_its_round_still_counts() {
    let mut outbox = Outbox::new(1, 10_000);
    for index in 0..3 {
        outbox.push(attempt(index), Verdict::Returned);
    }
    next(&mut outbox, 1).expect("something");
    next(&mut outbox, 2).expect("something");
    assert!(next(&mut outbox, 3).is_none());
    // The missed blocks executed the first report, and what it was about is over.
    outbox.settle(&attempt(0));
    outbox.report_all_again();
    assert_eq!(next(&mut outbox, 3), Some(vec![2]), "nothing is in the way");
    assert_eq!(next(&mut outbox, 4), Some(vec![1]), "and what may be lost is said again");
    let judged = outbox.executed(super::id(Ticket(2)), true, NOW.plus_us(7_000)).expect("a round");
    assert_eq!((judged.took.as_micros(), judged.taken_late.len()), (7_000, 0));
    assert!(!outbox.is_empty(), "the newer report settles it");
}

#[test]
fn what_was_refused_goes_first_after_a_while() {
    let mut outbox = Outbox::new(1, 10_000);
    outbox.push(attempt(0), Verdict::Returned);
    outbox.push(attempt(1), Verdict::Returned);
    next(&mut outbox, 1).expect("something");
    outbox.refused(Ticket(1), NOW);
    assert!(next(&mut outbox, 2).is_none(), "not at once");
    let report = outbox.next(NOW.plus_us(100_000), Ticket(2));
    assert_eq!(report.map(|report| indices(&report)), Some(vec![0]));
}

#[test]
fn reports_keep_to_their_bytes() {
    let mut outbox = Outbox::new(9, 60);
    for index in 0..3 {
        outbox.push(attempt(index), Verdict::Returned);
    }
    assert_eq!(next(&mut outbox, 1), Some(vec![0]));
}

#[test]
fn one_report_holds_an_attempt_once() {
    let mut outbox = Outbox::new(9, 10_000);
    outbox.push_checkpoint(attempt(0), super::checkpoint(1));
    outbox.push_checkpoint(attempt(0), super::checkpoint(2));
    outbox.push(attempt(0), super::success());
    outbox.push_checkpoint(attempt(0), super::checkpoint(3));
    // A verdict replaced while it waits is reported once.
    outbox.push(attempt(1), Verdict::Returned);
    outbox.settle(&attempt(1));
    outbox.push(attempt(1), super::success());
    let report = outbox.next(NOW, Ticket(1)).expect("something");
    let said: Vec<String> = report.items.iter().map(|item| super::word(&item.verdict)).collect();
    assert_eq!((indices(&report), said), (vec![0, 1], vec!["succeeded".to_owned(), "succeeded".to_owned()]));
}
