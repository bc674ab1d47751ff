//! Verdicts on attempts, until the ledger has taken them.

use super::*;

#[test]
fn an_outcome_takes_the_place_of_a_checkpoint_that_waits_to_be_said() {
    let mut story = Story::running(&[0, 1]);
    // Two reports are on their way, so the third waits.
    assert_eq!(story.saved(0, 1), ["report 0 saved 1"]);
    assert_eq!(story.saved(1, 1), ["report 1 saved 1"]);
    assert_eq!(story.saved(0, 2), nothing());
    assert_eq!(story.done(0, success()), nothing());
    let known = vec![Happened::Checkpointed(attempt(1))];
    assert_eq!(story.executes(0, known), ["report 0 succeeded"]);
}

#[test]
fn a_newer_checkpoint_is_said_though_an_older_one_is_on_its_way() {
    let mut story = Story::running(&[0]);
    assert_eq!(story.saved(0, 1), ["report 0 saved 1"]);
    assert_eq!(story.saved(0, 2), ["report 0 saved 2"]);
    assert_eq!(story.executes(1, vec![Happened::Checkpointed(attempt(0))]), nothing());
    assert_eq!(story.executes(0, vec![Happened::Checkpointed(attempt(0))]), nothing());
    assert!(story.worker.outbox.is_empty());
}

#[test]
fn an_outcome_is_said_once_though_its_checkpoint_was_on_its_way() {
    let mut story = Story::running(&[0]);
    story.saved(0, 1);
    assert_eq!(story.done(0, success()), ["report 0 succeeded"]);
    assert_eq!(story.executes(1, vec![Happened::Checkpointed(attempt(0))]), nothing());
}

#[test]
fn what_the_ledger_says_of_an_older_word_settles_no_newer_one() {
    let mut story = Story::running(&[0]);
    story.saved(0, 1);
    story.done(0, failure());
    // The ledger does not believe the checkpoint. It has yet to judge the outcome, whose report is lost.
    assert_eq!(story.executes(1, ignored(0, IgnoredReason::NotDelivered)), nothing());
    assert_eq!(story.voids_last(), ["report 0 failed"]);
}

#[test]
fn what_a_void_report_held_is_said_again() {
    let mut story = Story::running(&[0]);
    assert_eq!(story.done(0, success()), ["report 0 succeeded"]);
    assert_eq!(story.voids_last(), ["report 0 succeeded"]);
}

#[test]
fn what_the_own_replica_refused_is_said_again_after_a_moment() {
    let mut story = Story::running(&[0]);
    story.done(0, success());
    assert_eq!(story.refuses_last(), nothing());
    story.pass(50);
    assert_eq!(story.prepared(&[]), nothing());
    story.pass(60);
    assert_eq!(story.prepared(&[]), ["report 0 succeeded"]);
}

#[test]
fn what_a_lost_report_held_is_said_again() {
    let mut story = Story::running(&[0]);
    story.done(0, success());
    let said = |effects: Vec<String>| effects.iter().filter(|effect| effect.starts_with("report")).count();
    assert_eq!(said(story.after(20_000)), 0);
    assert_eq!(said(story.after(1)), 1);
}

#[test]
fn what_was_taken_back_is_still_said_if_it_is_a_success() {
    let mut story = Story::running(&[0, 1]);
    story.ends(0, EndReason::TakenBack);
    story.ends(1, EndReason::TakenBack);
    assert_eq!(story.ended(0, failure()), nothing());
    assert_eq!(story.ended(1, success()), ["report 1 succeeded"]);
}

#[test]
fn a_success_that_waits_to_be_said_outlives_its_lease_and_a_failure_does_not() {
    let mut story = Story::running(&[0, 1]);
    story.done(0, success());
    story.done(1, failure());
    story.refuses_last();
    let (first, _) = story.handed_in[story.handed_in.len() - 2];
    story.tell(Input::Refused(first));
    story.ends(0, EndReason::ClaimEnded);
    story.ends(1, EndReason::ClaimEnded);
    story.pass(200);
    assert_eq!(story.prepared(&[]), ["report 0 succeeded"]);
    // The ledger takes it late, which ends no lease.
    story.executes_last();
    assert!(story.worker.outbox.is_empty());
}

#[test]
fn what_was_taken_of_another_is_not_said_any_more() {
    let mut story = Story::running(&[0]);
    story.done(0, success());
    story.ends(0, EndReason::Superseded);
    assert_eq!(story.voids_last(), nothing());
}

#[test]
fn an_output_of_which_no_holder_is_believed_is_delivered_four_times_more() {
    let mut story = Story::running(&[0]);
    story.done(0, stored());
    for _ in 0..4 {
        assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), ["deliver 0"]);
        assert_eq!(story.ended(0, stored()), ["report 0 succeeded"]);
    }
    assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), nothing());
    assert_eq!(story.worker.held(), 1);
    story.ends(0, EndReason::TimedOut);
    assert!(story.worker.redelivered.is_empty());
}

#[test]
fn a_failure_is_known_even_if_no_holder_of_what_it_left_is_believed() {
    let mut story = Story::running(&[0]);
    let left = || {
        let Verdict::Succeeded(_, output, usage, _) = stored() else { unreachable!() };
        Verdict::Failed(Failure::Exited(1), Remains::whole(output), usage)
    };
    story.done(0, left());
    for _ in 0..4 {
        assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), ["deliver 0"]);
        assert_eq!(story.ended(0, left()), ["report 0 failed"]);
    }
    assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), ["report 0 failed"]);
    let Some((_, Action::Report(report))) = story.handed_in.last() else { panic!("a report") };
    assert!(report.items[0].verdict.output().is_none(), "without what nobody keeps");
    story.ends(0, EndReason::Failed);
    assert!(story.worker.redelivered.is_empty() && story.worker.outbox.is_empty());
}

#[test]
fn a_stop_while_it_is_delivered_again_ends_that() {
    let mut story = Story::running(&[0]);
    story.done(0, stored());
    story.executes(0, ignored(0, IgnoredReason::NotDelivered));
    assert_eq!(story.ends(0, EndReason::TimedOut), ["stop 0"]);
    assert!(story.worker.redelivered.is_empty());
}

#[test]
fn a_late_success_that_is_delivered_again_leaves_nothing_behind() {
    let mut story = Story::running(&[0]);
    story.ends(0, EndReason::TimedOut);
    story.ended(0, stored());
    assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), ["deliver 0"]);
    story.ended(0, stored());
    story.executes_last();
    assert!(story.worker.redelivered.is_empty() && story.worker.outbox.is_empty());
}

#[test]
fn what_was_said_before_is_forgotten() {
    let mut story = Story::running(&[0]);
    story.done(0, success());
    assert_eq!(story.executes(0, ignored(0, IgnoredReason::TaskEnded)), nothing());
    assert_eq!(story.worker.held(), 0);
}
