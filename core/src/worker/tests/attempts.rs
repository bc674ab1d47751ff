//! An attempt's life, from its assignment to its end.

use super::*;

#[test]
fn what_is_given_is_prepared_and_begun_in_the_order_of_leases_as_slots_come_free() {
    let mut story = Story::standing();
    assert_eq!(story.gives(&[0, 1, 2]), ["prepare 0", "prepare 1", "prepare 2"]);
    assert_eq!(story.prepared(&[2]), ["run 2"]);
    assert_eq!(story.prepared(&[0, 1]), ["run 0"]);
    assert_eq!(story.worker.running(), 2);
    // A slot is free as soon as the program has ended, wherever its output is.
    assert_eq!(story.ran(2, 1000), ["run 1"]);
    assert_eq!(story.ended(2, success()), ["report 2 succeeded"]);
}

#[test]
fn what_was_prepared_in_the_same_step_is_begun_in_it() {
    let mut story = Story::standing();
    story.gives(&[0, 1, 2]);
    assert_eq!(story.prepared(&[0, 1, 2]), ["run 0", "run 1"]);
}

#[test]
fn what_does_not_fit_beside_what_runs_waits_for_memory_and_lets_others_go_before_it() {
    let mut story = Story::standing();
    let assignment = [600, 600, 300].iter().zip(0..).map(|(memory, index)| story.assignment(index, *memory)).collect();
    story.tell(Input::Executed(News { assignments: assignment, ..News::default() }));
    assert_eq!(story.prepared(&[0, 1, 2]), ["run 0", "run 2"]);
    assert_eq!(story.ran(2, 1000), nothing());
    assert_eq!(story.ran(0, 1000), ["run 1"]);
}

#[test]
fn what_is_another_processes_is_not_begun() {
    let mut story = Story::standing();
    let other = Assignment { incarnation: Incarnation(BEGAN - 1), ..story.assignment(0, 1) };
    assert_eq!(story.tell(Input::Executed(News { assignments: vec![other], ..News::default() })), nothing());
}

#[test]
fn what_cannot_be_prepared_has_its_outcome() {
    let mut story = Story::standing();
    story.gives(&[0]);
    let prepared = Progress::Prepared(attempt(0), Err(failure()));
    assert_eq!(story.tell(Input::Progress(vec![prepared])), ["report 0 failed"]);
    assert_eq!(story.prepared(&[0]), nothing());
}

#[test]
fn what_is_taken_back_is_stopped_wherever_it_is() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2, 3]);
    story.prepared(&[2]);
    // Attempt 0 runs, attempt 2 waits for a slot, and attempt 3 is being prepared.
    assert_eq!(story.ends(0, EndReason::TimedOut), ["stop 0", "run 2"]);
    assert_eq!(story.ends(3, EndReason::TakenBack), ["stop 3"]);
    // Attempt 1 is being delivered, and the delivery stops.
    story.ran(1, 1000);
    assert_eq!(story.ends(1, EndReason::Cancelled), ["stop 1"]);
    assert_eq!((story.worker.held(), story.worker.running()), (1, 1));
    // Attempt 2 ends by its own report.
    story.done(2, success());
    assert_eq!(story.executes(0, vec![Happened::Ended { attempt: attempt(2), why: EndReason::Succeeded }]), nothing());
    assert_eq!(story.worker.held(), 0);
}

#[test]
fn a_slot_that_is_taken_back_is_free_for_the_next() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2]);
    story.prepared(&[2]);
    assert_eq!(story.ends(1, EndReason::Superseded), ["stop 1", "run 2"]);
}

#[test]
fn who_is_asked_to_make_room_yields_at_the_next_checkpoint_that_the_ledger_knows() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2]);
    story.prepared(&[2]);
    assert_eq!(story.happens(vec![Happened::PreemptionRequested(attempt(0))]), nothing());
    assert_eq!(story.saved(0, 1), ["report 0 saved 1"]);
    let known = vec![Happened::Checkpointed(attempt(0))];
    assert_eq!(story.executes(0, known), ["stop 0", "run 2", "report 0 preempted"]);
    assert_eq!(story.worker.running(), 2);
    // An attempt that is not to be preempted goes on.
    story.saved(1, 1);
    assert_eq!(story.executes(0, vec![Happened::Checkpointed(attempt(1))]), nothing());
}

#[test]
fn who_holds_it_no_more_is_not_asked_for_room() {
    let mut story = Story::standing();
    story.happens(vec![Happened::PreemptionRequested(attempt(0))]);
    assert!(story.worker.preempted.is_empty());
}

#[test]
fn what_waits_for_longer_than_the_patience_behind_others_is_given_back() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2, 3]);
    story.prepared(&[2]);
    assert!(!story.after(1900).iter().any(|effect| effect.starts_with("stop")));
    let late = story.after(200);
    assert_eq!(late[..3], ["stop 2", "stop 3", "report 2 returned, 3 returned"]);
    // An attempt whose preparation ends after all is not begun.
    assert_eq!(story.prepared(&[3]), nothing());
    assert_eq!(story.tell(Input::Progress(vec![Progress::Prepared(attempt(3), Err(failure()))])), nothing());
    assert_eq!(story.ran(0, 1000), nothing());
}

#[test]
fn what_waits_while_a_slot_is_free_is_kept() {
    let mut story = Story::running(&[0]);
    story.gives(&[1]);
    let effects = story.after(60_000);
    assert!(!effects.iter().any(|effect| effect.contains("stop")), "{effects:?}");
}

#[test]
fn after_missed_blocks_what_is_held_goes_on_what_is_gone_is_stopped_and_what_is_new_is_taken() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2]);
    let leases = [0, 2, 3].map(|index| story.assignment(index, 1)).to_vec();
    let standing = LedgerStatus { leases, stands: Some(story.worker.incarnation), ..LedgerStatus::default() };
    assert_eq!(story.tell(Input::Resynchronized(standing)), ["stop 1", "prepare 3"]);
    assert_eq!(story.prepared(&[2, 3]), ["run 2"]);
}
