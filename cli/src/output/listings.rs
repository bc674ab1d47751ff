//! The API's listings as rows of tables.

use meshwork_api::{
    ArrayView, JobView, OccurrencesView, PeerView, RecordView, RecurringView, TaskView, TrackView, WorkerView,
};

use super::{
    Listing,
    words::{ago, bytes, counts, duration, recurring_state, short, state},
};
use crate::time::{moment, now_us};

impl Listing for JobView {
    const COLUMNS: &'static [&'static str] = &["job", "name", "submitter", "tasks", "state", "submitted"];
    fn row(&self) -> Vec<String> {
        let took = self.ended_us.map(|ended| duration(ended.saturating_sub(self.submitted_us) / 1000));
        let state = match took {
            Some(took) => format!("{}, after {took}", counts(&self.counts)),
            None => counts(&self.counts),
        };
        vec![
            short(&self.id),
            self.name.clone(),
            short(&self.submitter),
            self.tasks.to_string(),
            state,
            ago(self.submitted_us, now_us()),
        ]
    }
}

impl Listing for RecurringView {
    const COLUMNS: &'static [&'static str] =
        &["recurring", "name", "submitter", "cron (utc)", "state", "next", "ran", "skipped"];
    fn row(&self) -> Vec<String> {
        let next = self.upcoming_us.first().map(|next| moment(*next)).unwrap_or_default();
        vec![
            short(&self.id),
            self.name.clone(),
            short(&self.submitter),
            self.cron.clone(),
            recurring_state(self.state).into(),
            next,
            self.ran.to_string(),
            self.skipped.to_string(),
        ]
    }
}

impl Listing for OccurrencesView {
    const COLUMNS: &'static [&'static str] = &["occurrence", "occurrences", "became"];
    fn row(&self) -> Vec<String> {
        let span = match self.occurrences {
            0 | 1 => moment(self.first_us),
            _ => format!("{} to {}", moment(self.first_us), moment(self.last_us)),
        };
        let became = match (&self.job, &self.skipped) {
            (Some(job), _) => format!("job {}", short(job)),
            (None, why) => format!("skipped: {}", why.as_deref().unwrap_or_default()),
        };
        vec![span, self.occurrences.to_string(), became]
    }
}

impl Listing for ArrayView {
    const COLUMNS: &'static [&'static str] = &["array", "first", "tasks", "state"];
    fn row(&self) -> Vec<String> {
        let name = if self.name.is_empty() { "(no name)".into() } else { self.name.clone() };
        vec![name, self.first.to_string(), self.tasks.to_string(), counts(&self.counts)]
    }
}

impl Listing for TaskView {
    const COLUMNS: &'static [&'static str] = &["task", "state", "worker", "attempts", "what happened"];
    fn row(&self) -> Vec<String> {
        let ended = self.attempts.iter().filter_map(|attempt| {
            let why = attempt.ended.as_ref()?;
            Some(format!("#{} on {}: {why}", attempt.number, short(&attempt.worker)))
        });
        vec![
            self.index.to_string(),
            state(self.state).into(),
            self.worker.as_ref().map(short).unwrap_or_default(),
            self.attempts.len().to_string(),
            ended.collect::<Vec<_>>().join("; "),
        ]
    }
}

impl Listing for WorkerView {
    const COLUMNS: &'static [&'static str] =
        &["worker", "running", "slots", "waiting", "places", "load", "cores", "memory", "labels", "stands", "record"];
    fn row(&self) -> Vec<String> {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            short(&self.key),
            self.running.to_string(),
            self.slots.to_string(),
            self.waiting.to_string(),
            self.waiting_places.to_string(),
            self.load.to_string(),
            format!("{:.1}", f64::from(self.millicores) / 1000.0),
            bytes(self.memory_bytes),
            labels.join(","),
            duration(self.stands_ms),
            in_words(&self.record),
        ]
    }
}

/// A track record, without what did not happen.
fn in_words(record: &TrackView) -> String {
    let TrackView { agreed, wrong, accepted, late, lost, returned, .. } = *record;
    let counts = [
        (agreed, "agreed"),
        (wrong, "wrong"),
        (accepted, "accepted"),
        (late, "late"),
        (lost, "lost"),
        (returned, "returned"),
    ];
    let some = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    some.collect::<Vec<_>>().join(", ")
}

impl Listing for RecordView {
    const COLUMNS: &'static [&'static str] = &["submitter", "program", "record", "in a row", "cpu", "first", "last"];
    fn row(&self) -> Vec<String> {
        vec![
            short(&self.submitter),
            short(&self.program),
            in_words(&self.record),
            self.row.to_string(),
            duration(self.record.cpu_ms),
            moment(self.record.first_us),
            moment(self.record.last_us),
        ]
    }
}

impl Listing for PeerView {
    const COLUMNS: &'static [&'static str] = &["peer", "authority", "connected", "addresses", "problem"];
    fn row(&self) -> Vec<String> {
        vec![
            self.key.as_ref().map_or_else(|| "?".to_owned(), short),
            self.authority.clone().unwrap_or_default(),
            self.connected_ms.map_or_else(|| "no".to_owned(), duration),
            self.addresses.join(" "),
            self.problem.clone().unwrap_or_default(),
        ]
    }
}
