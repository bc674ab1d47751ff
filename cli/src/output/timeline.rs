//! A job's timeline as text: a line for each task with its spans.

use meshwork_api::{TimelineView, ended_in_words};
use meshwork_core::{
    ledger::timeline::{Span, TaskEnd, TaskTimeline, What},
    types::BlockTime,
};

use super::{
    Listing, Record,
    words::{ago, duration, short},
};
use crate::time::now_us;

impl Record for TimelineView {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let after = |time: Option<BlockTime>| match time {
            Some(time) => format!("after {}", duration(time.micros_since(self.submitted) / 1000)),
            None => "not yet".into(),
        };
        vec![
            ("job", self.job.to_string()),
            ("name", self.name.clone()),
            ("submitted", ago(self.submitted.0, now_us())),
            ("began", after(self.began)),
            ("ended", after(self.ended)),
            ("tasks", self.count.to_string()),
        ]
    }
}

impl Listing for TaskTimeline {
    const COLUMNS: &'static [&'static str] = &["task", "array", "ended", "what happened"];
    fn row(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.forgotten() > 0 {
            told.push(format!("({} attempts are forgotten)", self.forgotten()));
        }
        told.extend(self.spans.iter().map(|span| in_words(self, span)));
        told.extend(self.speculative.iter().map(|span| format!("beside it {}", in_words(self, span))));
        let ended = self.ended.map(end_in_words).unwrap_or_default();
        vec![self.index.to_string(), self.array.clone(), ended.to_owned(), told.join(", ")]
    }
}

/// How a task ended.
pub(super) const fn end_in_words(end: TaskEnd) -> &'static str {
    match end {
        TaskEnd::Succeeded => "succeeded",
        TaskEnd::Failed => "failed",
        TaskEnd::Cancelled => "cancelled",
        TaskEnd::Skipped => "skipped",
        TaskEnd::Expired => "expired",
        TaskEnd::Barred => "submitter barred",
        TaskEnd::EndedHosts => "program ended its hosts",
        TaskEnd::Unclaimed => "no claim could hold it",
    }
}

/// What a task does during a span.
pub(super) fn doing(what: &What) -> String {
    match what {
        What::Blocked => "blocked".into(),
        What::Held => "held".into(),
        What::Queued => "queued".into(),
        What::BackingOff => "backing off".into(),
        What::Waiting(attempt) => format!("#{} waiting at {}", attempt.attempt, short(&attempt.worker)),
        What::Running(attempt) => format!("#{} running at {}", attempt.attempt, short(&attempt.worker)),
    }
}

/// A span of a task in words: what it did, for how long, and how that ended.
pub(super) fn in_words(task: &TaskTimeline, span: &Span) -> String {
    let doing = doing(&span.what);
    let Some(to) = span.to else { return format!("{doing} until now") };
    let lasted = format!("{doing} for {}", duration(to.micros_since(span.from) / 1000));
    match span.what.attempt().and_then(|attempt| attempt.ended) {
        Some(why) if task.is_late(span) => {
            format!("{lasted}: {}, though its success was accepted later", ended_in_words(why))
        }
        Some(why) => format!("{lasted}: {}", ended_in_words(why)),
        None => lasted,
    }
}
