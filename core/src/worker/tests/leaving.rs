//! Leaving politely.

use super::*;

#[test]
fn one_that_holds_nothing_drains_at_once_and_is_gone_when_that_is_executed() {
    let mut story = Story::standing();
    assert_eq!(story.tell(Input::Drain), ["drain"]);
    assert_eq!(story.after(1000), nothing());
    assert_eq!(story.executes_last(), ["left"]);
    assert_eq!(story.after(60_000), nothing());
}

#[test]
fn what_has_not_begun_is_returned_and_what_runs_goes_back_with_the_drain() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2]);
    let leaving = ["stop 2", "stop 0", "stop 1", "report 2 returned"];
    assert_eq!(story.tell(Input::Drain), leaving);
    // The end of a stopped run is not reported.
    assert_eq!(story.ran(0, 1000), nothing());
    let end = vec![Happened::Ended { attempt: attempt(2), why: EndReason::Returned }];
    assert_eq!(story.executes(0, end), ["drain"]);
}

#[test]
fn what_is_being_delivered_is_waited_for_and_said() {
    let mut story = Story::running(&[0]);
    story.ran(0, 1000);
    assert_eq!(story.tell(Input::Drain), nothing());
    assert_eq!(story.after(4000), nothing());
    assert_eq!(story.ended(0, stored()), ["report 0 succeeded"]);
    let end = vec![Happened::Ended { attempt: attempt(0), why: EndReason::Succeeded }];
    assert_eq!(story.executes(0, end), ["drain"]);
}

#[test]
fn what_takes_longer_than_five_seconds_goes_back_with_the_drain() {
    let mut story = Story::running(&[0]);
    story.ran(0, 1000);
    story.tell(Input::Drain);
    assert_eq!(story.after(4999), nothing());
    assert_eq!(story.after(1), ["drain"]);
    assert_eq!(story.after(5000), ["left unheard"]);
}

#[test]
fn one_whose_drain_is_refused_has_left() {
    let mut story = Story::standing();
    story.tell(Input::Drain);
    assert_eq!(story.refuses_last(), ["left unheard"]);
}

#[test]
fn what_comes_while_it_leaves_is_left_to_the_drain() {
    let mut story = Story::running(&[0]);
    story.ran(0, 1000);
    story.tell(Input::Drain);
    assert_eq!(story.gives(&[1]), nothing());
    assert_eq!(story.happens(vec![Happened::ClaimEnded { drained: true }]), nothing());
}

#[test]
fn a_drain_is_signed_above_the_last_claim() {
    let mut story = Story::standing();
    let claimed = story.claim().sequence;
    story.tell(Input::Drain);
    let Some((_, Action::Drain(drain))) = story.handed_in.last() else { panic!("it drains") };
    assert!(drain.sequence > claimed);
}

#[test]
fn one_whose_key_a_newer_process_claims_with_leaves_that_claim_alone() {
    let mut story = Story::standing();
    story.happens(vec![Happened::ClaimBegan(Incarnation(BEGAN + 5))]);
    assert_eq!(story.tell(Input::Drain), ["left unheard"]);
}
