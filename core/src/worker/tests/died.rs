//! Deaths: what the process before this one died of is told first, and what is suspect runs alone.

use super::*;

fn died(index: u32, alone: bool) -> Died {
    Died { attempt: attempt(index), alone }
}

#[test]
fn what_the_process_before_died_of_is_told_before_anything_is_claimed() {
    let mut story = Story::after_a_death(vec![died(0, true), died(1, false)]);
    assert_eq!(story.tick(), ["look up", "report 0 died alone, 1 died"]);
    assert_eq!(story.after(1000), nothing(), "the claim would end them as lost");
    let ended = |index| Happened::Ended { attempt: attempt(index), why: EndReason::HostDied { alone: true } };
    let mut told = story.executes(0, vec![ended(0), ended(1)]);
    told.sort();
    assert_eq!(told, ["claim 2 and 2", "forget 0", "forget 1", "look up"]);
}

#[test]
fn a_claim_waits_no_longer_than_five_seconds_for_deaths_to_be_heard() {
    let mut story = Story::after_a_death(vec![died(0, true)]);
    story.tick();
    assert_eq!(story.after(4_999), nothing());
    assert_eq!(story.after(1), ["look up", "claim 2 and 2"]);
    // The claim ends the attempt, and the ledger takes the death all the same.
    assert_eq!(story.ends(0, EndReason::NewIncarnation), nothing());
    assert_eq!(story.executes(1, Vec::new()), ["forget 0"]);
}

#[test]
fn a_death_that_was_not_heard_is_told_again() {
    let mut story = Story::after_a_death(vec![died(0, true)]);
    story.tick();
    assert_eq!(story.voids_last(), ["report 0 died alone"]);
    assert_eq!(story.executes(0, ignored(0, IgnoredReason::UnknownTask)), ["forget 0", "look up", "claim 2 and 2"]);
}

#[test]
fn a_peer_that_lacks_blocks_tells_later() {
    let mut story = Story::after_a_death(vec![died(0, true)]);
    story.lacks_blocks = true;
    assert_eq!(story.tick(), ["look up"]);
    story.lacks_blocks = false;
    assert_eq!(story.after(500), ["look up", "report 0 died alone"]);
}

/// A block gives the worker an attempt that is to run alone.
fn gives_alone(story: &mut Story, index: u32) -> Vec<String> {
    let assignment = Assignment { alone: true, ..of_other_program(story, index) };
    story.tell(Input::Executed(News { assignments: vec![assignment], ..News::default() }))
}

/// An assignment of another program than those of other tests.
fn of_other_program(story: &Story, index: u32) -> Assignment {
    Assignment { spec: Arc::new(TaskSpec::of(blob(9))), ..story.assignment(index, 1) }
}

#[test]
fn what_runs_alone_waits_for_all_before_it_and_all_after_it_wait() {
    let mut story = Story::running(&[0]);
    assert_eq!(gives_alone(&mut story, 1), nothing());
    assert_eq!(story.gives(&[2]), nothing());
    assert_eq!(story.done(0, success()), ["prepare 1", "report 0 succeeded"]);
    assert_eq!(story.prepared(&[1]), ["run 1"]);
    assert_eq!(story.gives(&[3]), nothing());
    let told = story.done(1, success());
    assert_eq!(told, ["prepare 2", "prepare 3", "report 1 succeeded"]);
}

#[test]
fn what_runs_alone_keeps_others_out_for_a_minute_at_most() {
    let mut story = Story::running(&[]);
    assert_eq!(gives_alone(&mut story, 1), ["prepare 1"]);
    story.prepared(&[1]);
    story.after(59_000);
    assert!(!story.gives(&[2]).contains(&"prepare 2".to_owned()));
    assert!(!story.after(500).contains(&"prepare 2".to_owned()));
    assert!(story.after(600).contains(&"prepare 2".to_owned()));
}

#[test]
fn what_waits_too_long_because_of_it_is_returned() {
    let mut story = Story::running(&[0]);
    gives_alone(&mut story, 1);
    story.gives(&[2]);
    assert_eq!(story.after(2_000), nothing());
    assert_eq!(story.after(1), ["stop 1", "stop 2", "report 1 returned, 2 returned"]);
}

#[test]
fn what_runs_alone_runs_beside_its_own_program() {
    let mut story = Story::standing();
    assert_eq!(gives_alone(&mut story, 0), ["prepare 0"]);
    assert_eq!(gives_alone(&mut story, 1), ["prepare 1"]);
    let more = of_other_program(&story, 2);
    let told = story.tell(Input::Executed(News { assignments: vec![more], ..News::default() }));
    assert_eq!(told, ["prepare 2"], "it need not run alone, and is of the same program");
    assert_eq!(story.gives(&[3]), nothing());
}
