//! Replicas: the worker commits itself to an answer, and reveals it when it is asked.

use std::collections::BTreeMap;

use super::*;
use crate::types::{Answer, Salt};

fn answered(story: &mut Story, index: u32) -> Vec<String> {
    let ran = Progress::Ran(attempt(index), std::time::Duration::from_secs(1));
    let commitment = Digest([7; 32]);
    story.tell(Input::Progress(vec![ran, Progress::Answered(attempt(index), commitment)]))
}

fn revealed() -> Verdict {
    let output = Output::Inline(InlineOutput::default());
    Verdict::Revealed(Answer::Succeeded(0, output, Usage::default()), Salt([1; 32]))
}

/// A worker with two slots that has reported its commitment to the answer of attempt 0.
fn committed() -> Story {
    let mut story = Story::running(&[0, 1]);
    story.gives(&[2]);
    story.prepared(&[2]);
    assert_eq!(answered(&mut story, 0), ["run 2", "report 0 committed 7"], "its slot is free");
    assert_eq!(story.executes(0, vec![Happened::Committed(attempt(0))]), nothing());
    story
}

#[test]
fn an_answer_is_revealed_when_the_ledger_asks_and_not_before() {
    let mut story = committed();
    assert_eq!(story.after(30_000).iter().filter(|effect| effect.contains("reveal")).count(), 0);
    assert_eq!(story.happens(vec![Happened::RevealAsked(attempt(0))]), ["reveal 0"]);
    assert_eq!(story.happens(vec![Happened::RevealAsked(attempt(0))]), nothing(), "once is enough");
    assert_eq!(story.ended(0, revealed()), ["report 0 revealed"]);
    assert_eq!(story.ends(0, EndReason::Answered), nothing());
    assert_eq!(story.worker.held(), 2);
}

#[test]
fn an_answer_whose_holder_is_not_believed_is_revealed_anew_a_few_times() {
    let mut story = committed();
    story.happens(vec![Happened::RevealAsked(attempt(0))]);
    for _ in 0..4 {
        story.ended(0, revealed());
        assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), ["reveal 0"]);
    }
    story.ended(0, revealed());
    assert_eq!(story.executes(0, ignored(0, IgnoredReason::NotDelivered)), nothing());
}

#[test]
fn a_commitment_that_two_reports_carry_leaves_the_attempt_as_it_is() {
    let mut story = Story::running(&[0]);
    answered(&mut story, 0);
    let again = story.after(21_000);
    assert!(again.contains(&"report 0 committed 7".to_owned()), "{again:?}");
    story.happens(vec![Happened::Committed(attempt(0))]);
    story.executes(0, ignored(0, IgnoredReason::Repeated));
    assert_eq!(story.happens(vec![Happened::RevealAsked(attempt(0))]), ["reveal 0"]);
}

#[test]
fn an_answer_that_nobody_wants_any_more_is_dropped() {
    let mut story = committed();
    assert_eq!(story.ends(0, EndReason::Cancelled), ["stop 0"]);
    let mut story = committed();
    story.happens(vec![Happened::RevealAsked(attempt(0))]);
    assert_eq!(story.ends(0, EndReason::Unrevealed), ["stop 0"]);
}

#[test]
fn a_worker_that_missed_blocks_learns_that_it_is_asked() {
    let mut story = Story::running(&[0]);
    answered(&mut story, 0);
    let leases = vec![story.assignment(0, 1)];
    let committed = BTreeMap::from([(attempt(0), true)]);
    let standing = LedgerStatus { leases, stands: Some(story.worker.incarnation), committed };
    assert_eq!(story.tell(Input::Resynchronized(standing)), ["reveal 0"]);
}

#[test]
fn a_replica_that_cannot_be_prepared_may_have_an_answer_too() {
    let mut story = Story::standing();
    story.gives(&[0]);
    let answered = Progress::Answered(attempt(0), Digest([7; 32]));
    assert_eq!(story.tell(Input::Progress(vec![answered])), ["report 0 committed 7"]);
}

#[test]
fn a_leaving_worker_does_not_wait_for_others_answers() {
    let mut story = committed();
    story.done(1, success());
    story.executes_last();
    story.ends(1, EndReason::Succeeded);
    story.ends(2, EndReason::Cancelled);
    assert_eq!(story.tell(Input::Drain), ["drain"]);
}
