//! When a worker claims, and what it offers.

use super::*;
use crate::types::Claim;

fn claims(effects: &[String]) -> Vec<&String> {
    effects.iter().filter(|effect| effect.starts_with("claim")).collect()
}

/// How long a claim stands, in milliseconds.
fn stands_ms(story: &Story) -> u64 {
    story.claim().stands_ms
}

#[test]
fn a_claim_is_renewed_each_third_of_its_life() {
    let mut story = Story::standing();
    let third = stands_ms(&story) / 3;
    assert_eq!(story.after(third - 1), nothing());
    assert_eq!(story.after(1), ["look up", "claim 2 and 2"]);
}

#[test]
fn a_claim_that_is_not_executed_is_followed_by_another() {
    let mut story = Story::begun();
    story.tick();
    assert_eq!(story.after(2999), nothing());
    assert_eq!(claims(&story.after(1)).len(), 1);
    story.refuses_last();
    assert_eq!(claims(&story.after(2000)).len(), 0);
    assert_eq!(claims(&story.after(1000)).len(), 1);
}

#[test]
fn the_end_of_a_claim_is_answered_with_another_at_once() {
    let mut story = Story::standing();
    assert_eq!(story.happens(vec![Happened::ClaimEnded { drained: false }]), ["look up", "claim 2 and 2"]);
}

#[test]
fn a_change_of_the_load_is_worth_a_claim_and_a_small_one_is_not() {
    let mut story = Story::standing();
    story.load = 99;
    assert_eq!(story.after(600), nothing());
    story.load = 100;
    assert_eq!(claims(&story.after(600)).len(), 1);
    assert_eq!(story.claim().load, 100);
}

#[test]
fn as_many_waiting_places_are_asked_for_as_are_run_in_two_rounds() {
    let mut story = Story::running(&[0]);
    // A task takes a tenth of a second, and a report one second.
    story.tell(Input::Progress(vec![
        Progress::Ran(attempt(0), std::time::Duration::from_millis(100)),
        Progress::Ended(attempt(0), success()),
    ]));
    story.pass(1000);
    let end = vec![Happened::Ended { attempt: attempt(0), why: EndReason::Succeeded }];
    assert_eq!(story.executes(0, end), ["look up", "claim 2 and 40"]);
}

#[test]
fn nothing_is_claimed_while_blocks_are_lacking() {
    let mut story = Story::begun();
    story.lacks_blocks = true;
    assert_eq!(story.tick(), ["look up"]);
    assert_eq!(story.tick(), ["look up"]);
    story.lacks_blocks = false;
    assert_eq!(story.tick(), ["look up", "claim 2 and 2"]);
}

#[test]
fn what_is_being_looked_up_is_not_asked_for_again() {
    let mut story = Story::begun();
    let mut effects = Vec::new();
    story.worker.handle(story.now, Input::Tick { load: 0, has_disk_space: true }, &mut effects);
    story.worker.handle(story.now, Input::Tick { load: 0, has_disk_space: true }, &mut effects);
    assert_eq!(effects.len(), 1);
}

#[test]
fn a_process_signs_above_what_its_key_signed_before_whatever_its_clock_says() {
    let mut story = Story::begun();
    story.last = Some((2 * BEGAN, Incarnation(3 * BEGAN)));
    story.tick();
    let &Claim { sequence, incarnation, .. } = story.claim();
    assert_eq!((sequence, incarnation), (2 * BEGAN + 1, Incarnation(3 * BEGAN + 1)));
    story.executes_last();
    // Its own claims do not change its incarnation.
    story.last = Some((sequence, incarnation));
    story.after(stands_ms(&story));
    assert_eq!((story.claim().sequence, story.claim().incarnation), (2 * BEGAN + 2, incarnation));
}

#[test]
fn once_a_newer_process_of_its_key_stands_it_claims_no_more_until_that_one_has_drained() {
    let mut story = Story::running(&[0]);
    let newer = Incarnation(BEGAN + 5);
    let news =
        vec![Happened::Ended { attempt: attempt(0), why: EndReason::NewIncarnation }, Happened::ClaimBegan(newer)];
    assert_eq!(story.happens(news), ["stop 0"]);
    story.last = Some((9 * BEGAN, newer));
    assert_eq!(story.after(10 * stands_ms(&story)), nothing());
    assert_eq!(story.worker.newer(), Some(newer));
    assert_eq!(claims(&story.happens(vec![Happened::ClaimEnded { drained: true }])).len(), 1);
    assert_eq!((story.claim().sequence, story.claim().incarnation), (9 * BEGAN + 1, newer.next()));
    assert_eq!(story.worker.newer(), None);
}

#[test]
fn a_newer_process_whose_claim_ran_out_is_gone_when_it_claims_nothing_for_as_long_as_a_claim_stands() {
    let mut story = Story::standing();
    let (newer, stands) = (Incarnation(BEGAN + 5), stands_ms(&story));
    story.happens(vec![Happened::ClaimBegan(newer)]);
    assert_eq!(story.happens(vec![Happened::ClaimEnded { drained: false }]), nothing());
    assert_eq!(story.after(stands - 1), nothing());
    // It is back in time.
    story.happens(vec![Happened::ClaimBegan(newer)]);
    assert_eq!(story.after(2 * stands), nothing());
    assert_eq!(story.happens(vec![Happened::ClaimEnded { drained: false }]), nothing());
    story.last = Some((9 * BEGAN, newer));
    assert_eq!(story.after(stands - 1), nothing());
    assert_eq!(story.worker.newer(), Some(newer));
    assert_eq!(claims(&story.after(1)).len(), 1);
    assert_eq!((story.worker.newer(), story.claim().incarnation), (None, newer.next()));
}

#[test]
fn a_newer_process_is_noticed_after_missed_blocks_too_and_so_is_its_end() {
    let mut story = Story::standing();
    let standing = |stands| Input::Resynchronized(LedgerStatus { stands, ..LedgerStatus::default() });
    assert_eq!(story.tell(standing(Some(Incarnation(BEGAN + 5)))), nothing());
    assert_eq!(story.after(stands_ms(&story)), nothing());
    assert_eq!(story.tell(standing(None)), nothing());
    assert_eq!(story.after(stands_ms(&story) - 1), nothing());
    // Hearing the same again does not put it off.
    assert_eq!(story.tell(standing(None)), nothing());
    assert_eq!(claims(&story.after(1)).len(), 1);
}

#[test]
fn what_an_earlier_process_claimed_last_is_exceeded_though_it_is_executed_only_now() {
    let mut story = Story::begun();
    story.tick();
    let earlier = Incarnation(BEGAN + 5);
    story.happens(vec![Happened::ClaimBegan(earlier)]);
    story.last = Some((2 * BEGAN, earlier));
    assert_eq!(claims(&story.after(3000)).len(), 1);
    assert_eq!(story.claim().incarnation, earlier.next());
}

#[test]
fn without_space_on_the_disk_nothing_is_offered_and_what_is_held_goes_on() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2]);
    story.prepared(&[2]);
    story.has_disk_space = false;
    assert_eq!(story.after(600), ["look up", "claim 0 and 0"]);
    story.executes_last();
    assert_eq!(story.ran(0, 60_000), ["run 2"]);
    // A worker does not repeat that it offers nothing.
    assert_eq!(story.after(600), nothing());
    story.has_disk_space = true;
    assert_eq!(claims(&story.after(600)).len(), 1);
}

#[test]
fn a_pause_offers_nothing_and_returns_what_has_not_begun() {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2, 3]);
    story.prepared(&[2]);
    story.pass(600);
    let paused = ["stop 2", "stop 3", "report 2 returned, 3 returned", "look up", "claim 0 and 0"];
    assert_eq!(story.tell(Input::Pause), paused);
    story.executes_last();
    // Assignments from before the ledger knew of the pause are returned too.
    assert_eq!(story.gives(&[4]), ["stop 4", "report 4 returned"]);
    assert_eq!(story.worker.running(), 2);
    assert_eq!(story.ran(0, 1000), nothing());
    story.pass(600);
    assert_eq!(claims(&story.tell(Input::Resume)).len(), 1);
    assert_eq!(story.claim().slots, 2);
    assert_eq!(story.gives(&[5]), ["prepare 5"]);
}
