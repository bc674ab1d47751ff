//! A job's timeline as a picture: a row for each task or each worker, against the time since the job's submission.

mod scale;

use std::collections::{BTreeMap, BTreeSet};

use meshwork_api::TimelineView;
use meshwork_core::{
    identity::PublicKey,
    ledger::{
        EndReason,
        timeline::{Span, TaskTimeline, What},
    },
};
use svg::{
    Document, Node,
    node::element::{Group, Line, Rectangle, Text, Title},
};

use self::scale::Scale;
use super::{
    timeline::in_words,
    words::{duration, short},
};

const LABELS_WIDTH: f64 = 190.0;
const PLOT_WIDTH: f64 = 900.0;
const MARGIN: f64 = 20.0;
const HEAD_HEIGHT: f64 = 58.0;
const ROW_HEIGHT: f64 = 18.0;
const BAR_HEIGHT: f64 = 12.0;
const AXIS_HEIGHT: f64 = 40.0;
/// The least width of a bar, so that a short span is still visible.
const BAR_WIDTH_MIN: f64 = 1.0;
/// The most characters in a label.
const LABEL_CHARS_MAX: usize = 28;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// A task.
    Tasks,
    /// A worker. What it held at the same time is drawn one below the other.
    Workers,
}

/// The meaning of a bar: a colour, and a name in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Queued,
    Blocked,
    Held,
    BackingOff,
    Waiting,
    Running,
    Succeeded,
    Late,
    Failed,
    Lost,
    GivenBack,
    Stopped,
}

impl Meaning {
    fn of(task: &TaskTimeline, span: &Span) -> Self {
        let attempt = match &span.what {
            What::Blocked => return Self::Blocked,
            What::Held => return Self::Held,
            What::Queued => return Self::Queued,
            What::BackingOff => return Self::BackingOff,
            What::Waiting(attempt) if attempt.ended.is_none() => return Self::Waiting,
            What::Waiting(attempt) | What::Running(attempt) => attempt,
        };
        if task.is_late(span) {
            return Self::Late;
        }
        match attempt.ended {
            None => Self::Running,
            Some(EndReason::Succeeded | EndReason::Answered) => Self::Succeeded,
            Some(EndReason::Failed) => Self::Failed,
            Some(
                EndReason::ClaimEnded
                | EndReason::NewIncarnation
                | EndReason::TimedOut
                | EndReason::HostDied { .. }
                | EndReason::Unrevealed
                | EndReason::Mismatched
                | EndReason::Undelivered
                | EndReason::Drained,
            ) => Self::Lost,
            Some(EndReason::Returned | EndReason::Preempted | EndReason::TakenBack) => Self::GivenBack,
            Some(EndReason::Superseded | EndReason::Cancelled) => Self::Stopped,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Blocked => "blocked",
            Self::Held => "held",
            Self::BackingOff => "backing off",
            Self::Waiting => "waiting at a worker",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Late => "lost, succeeded late",
            Self::Failed => "failed",
            Self::Lost => "lost or drained",
            Self::GivenBack => "given back",
            Self::Stopped => "stopped",
        }
    }

    /// The colours can be told apart by people who see few colours (after Okabe and Ito). Spans that are not attempts
    /// are grey.
    const fn colour(self) -> &'static str {
        match self {
            Self::Queued => "#e3e3e3",
            Self::Blocked => "#c9c9c9",
            Self::Held => "#a5a5a5",
            Self::BackingOff => "#d9cfc0",
            Self::Waiting => "#bfe0f2",
            Self::Running => "#56b4e9",
            Self::Succeeded => "#009e73",
            Self::Late => "#8fcf9f",
            Self::Failed => "#d55e00",
            Self::Lost => "#e69f00",
            Self::GivenBack => "#cc79a7",
            Self::Stopped => "#666666",
        }
    }
}

/// A bar: a span of a task.
#[derive(Clone, Copy)]
struct Bar<'a> {
    task: &'a TaskTimeline,
    span: &'a Span,
}

/// Bars with a name before them, in as many rows as they need.
struct Lane<'a> {
    label: String,
    title: String,
    rows: Vec<Vec<Bar<'a>>>,
}

/// The picture of a timeline, as SVG.
pub fn draw(timeline: &TimelineView, lanes: Lanes) -> String {
    let now_us = timeline.ended.unwrap_or(timeline.time).0;
    let lanes = match lanes {
        Lanes::Tasks => by_task(timeline),
        Lanes::Workers => by_worker(timeline, now_us),
    };
    let scale = Scale::of(timeline);
    let rows: usize = lanes.iter().map(|lane| lane.rows.len().max(1)).sum();
    let (bottom, width) = (HEAD_HEIGHT + rows as f64 * ROW_HEIGHT, LABELS_WIDTH + PLOT_WIDTH + MARGIN);
    let height = bottom + AXIS_HEIGHT;
    let mut picture = Document::new()
        .set("viewBox", format!("0 0 {width} {height}"))
        .set("width", width)
        .set("height", height)
        .set("font-family", "sans-serif")
        .set("font-size", 11)
        .add(Title::new(clean(&format!("{} ({})", timeline.name, timeline.job))))
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "white"))
        .add(heading(timeline))
        .add(legend(&lanes))
        .add(axis(&scale, bottom));
    let mut top = HEAD_HEIGHT;
    for lane in &lanes {
        picture = picture.add(draw_lane(lane, &scale, top, now_us));
        top += lane.rows.len().max(1) as f64 * ROW_HEIGHT;
    }
    picture.to_string()
}

fn by_task(timeline: &TimelineView) -> Vec<Lane<'_>> {
    timeline
        .tasks
        .iter()
        .map(|task| Lane {
            label: format!("{} {}", task.index, task.array).trim_end().to_owned(),
            title: format!("{}/{}", timeline.job, task.index),
            rows: std::iter::once(&task.spans)
                .chain(Some(&task.speculative).filter(|speculative| !speculative.is_empty()))
                .map(|spans| spans.iter().map(|span| Bar { task, span }).collect())
                .collect(),
        })
        .collect()
}

fn by_worker(timeline: &TimelineView, now_us: u64) -> Vec<Lane<'_>> {
    let mut held: BTreeMap<PublicKey, Vec<Bar<'_>>> = BTreeMap::new();
    for task in &timeline.tasks {
        for span in task.spans.iter().chain(&task.speculative) {
            if let Some(attempt) = span.what.attempt() {
                held.entry(attempt.worker).or_default().push(Bar { task, span });
            }
        }
    }
    held.into_iter().map(|(worker, bars)| lane_of_worker(worker, bars, now_us)).collect()
}

/// The lane of a worker. Bars that overlap get rows of their own.
fn lane_of_worker(worker: PublicKey, mut bars: Vec<Bar<'_>>, now_us: u64) -> Lane<'_> {
    bars.sort_by_key(|bar| (bar.span.from, bar.task.index));
    let mut rows: Vec<(u64, Vec<Bar<'_>>)> = Vec::new();
    for bar in bars {
        let (from, to) = (bar.span.from.0, bar.span.to.map_or(now_us, |to| to.0));
        match rows.iter_mut().find(|(free, _)| *free <= from) {
            Some((free, row)) => {
                *free = to;
                row.push(bar);
            }
            None => rows.push((to, vec![bar])),
        }
    }
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Lane { label: short(&worker), title: worker.to_string(), rows }
}

fn heading(timeline: &TimelineView) -> Text {
    let name = if timeline.name.is_empty() { short(&timeline.job) } else { timeline.name.clone() };
    let shown = timeline.tasks.len();
    let of = if shown == timeline.count as usize { String::new() } else { format!(" of {}", timeline.count) };
    let ended = timeline.ended.map(|ended| duration(ended.micros_since(timeline.submitted) / 1000));
    let ended =
        ended.map_or_else(|| format!("as of height {}", timeline.height), |after| format!("ended after {after}"));
    text(&format!("{name}: {shown}{of} tasks, {ended}"), MARGIN / 2.0, 20.0).set("font-size", 14)
}

/// The legend of the colours in use.
fn legend(lanes: &[Lane<'_>]) -> Group {
    let bars = lanes.iter().flat_map(|lane| lane.rows.iter().flatten());
    let meanings: BTreeSet<Meaning> = bars.map(|bar| Meaning::of(bar.task, bar.span)).collect();
    let (mut group, mut x) = (Group::new().set("class", "legend"), LABELS_WIDTH);
    for meaning in meanings {
        let square = Rectangle::new().set("x", x).set("y", 32).set("width", BAR_HEIGHT).set("height", BAR_HEIGHT);
        group = group.add(square.set("fill", meaning.colour())).add(text(meaning.name(), x + 16.0, 42.0));
        x += 26.0 + 6.0 * meaning.name().chars().count() as f64;
    }
    group
}

/// The position of a time.
fn x(scale: &Scale, time_us: u64) -> f64 {
    LABELS_WIDTH + PLOT_WIDTH * scale.share(time_us)
}

fn axis(scale: &Scale, bottom: f64) -> Group {
    let mut group = Group::new().set("class", "axis").set("stroke-width", 1);
    let (step_ms, length_ms) = (scale.step_ms(), scale.length_us / 1000);
    for tick_ms in (0..=length_ms / step_ms).map(|tick| tick * step_ms) {
        let x = format!("{:.1}", x(scale, scale.start_us + tick_ms * 1000));
        let line = Line::new().set("x1", x.as_str()).set("x2", x.as_str()).set("y1", HEAD_HEIGHT);
        let label = if tick_ms == 0 { "0".to_owned() } else { duration(tick_ms) };
        let label = Text::new(label).set("x", x).set("y", bottom + 16.0).set("text-anchor", "middle");
        group = group.add(line.set("y2", bottom + 4.0).set("stroke", "#eeeeee")).add(label);
    }
    group.add(text("since it was submitted", LABELS_WIDTH, bottom + 32.0).set("fill", "#666666"))
}

fn draw_lane(lane: &Lane<'_>, scale: &Scale, top: f64, now_us: u64) -> Group {
    let label: String = lane.label.chars().take(LABEL_CHARS_MAX).collect();
    let label = text(&label, MARGIN / 2.0, top + ROW_HEIGHT - 6.0);
    let mut group = Group::new().set("class", "row").add(Title::new(clean(&lane.title))).add(label);
    for (place, row) in lane.rows.iter().enumerate() {
        let y = top + place as f64 * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2.0;
        for bar in row {
            group.append(draw_bar(bar, scale, y, now_us));
        }
    }
    group
}

fn draw_bar(Bar { task, span }: &Bar<'_>, scale: &Scale, y: f64, now_us: u64) -> Rectangle {
    let (from, to) = (x(scale, span.from.0), x(scale, span.to.map_or(now_us, |to| to.0)));
    let array = if task.array.is_empty() { String::new() } else { format!(" of {}", task.array) };
    let title = format!("task {}{array}: {}", task.index, in_words(task, span));
    Rectangle::new()
        .set("x", format!("{from:.1}"))
        .set("y", y)
        .set("width", format!("{:.1}", (to - from).max(BAR_WIDTH_MIN)))
        .set("height", BAR_HEIGHT)
        .set("fill", Meaning::of(task, span).colour())
        .add(Title::new(clean(&title)))
}

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(clean(content)).set("x", x).set("y", y)
}

/// Removes characters that XML cannot represent. Others are escaped where the text is written.
fn clean(text: &str) -> String {
    let is_written = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_written(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use meshwork_core::{
        digest::Digest,
        ledger::timeline::{AttemptSpan, TaskEnd},
        types::{BlockTime, Height, JobId},
    };

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn span(from_s: u64, to_s: Option<u64>, what: What) -> Span {
        Span { from: BlockTime(from_s * SECOND), to: to_s.map(|to_s| BlockTime(to_s * SECOND)), what }
    }

    fn attempt(number: u32, worker: u8, ended: Option<EndReason>, accepted: bool) -> AttemptSpan {
        AttemptSpan { attempt: number, worker: PublicKey([worker; 32]), ended, accepted }
    }

    fn task(index: u32, array: &str, ended: Option<TaskEnd>, spans: Vec<Span>) -> TaskTimeline {
        TaskTimeline { index, array: array.into(), ended, attempts: 2, spans, speculative: Vec::new() }
    }

    fn timeline(name: &str) -> TimelineView {
        let lost = What::Running(attempt(0, 1, Some(EndReason::ClaimEnded), false));
        let well = What::Running(attempt(1, 2, Some(EndReason::Succeeded), true));
        TimelineView {
            job: JobId(Digest::ZERO),
            name: name.into(),
            submitter: PublicKey([9; 32]),
            height: Height(7),
            time: BlockTime(30 * SECOND),
            submitted: BlockTime(10 * SECOND),
            began: None,
            ended: None,
            count: 3,
            tasks: vec![
                task(
                    0,
                    "a<b",
                    Some(TaskEnd::Succeeded),
                    vec![span(10, Some(12), What::Queued), span(12, Some(20), lost), span(20, Some(21), well)],
                ),
                task(
                    1,
                    "",
                    None,
                    vec![span(10, Some(15), What::Queued), span(15, None, What::Running(attempt(0, 1, None, false)))],
                ),
                task(2, "", Some(TaskEnd::Cancelled), Vec::new()),
            ],
        }
    }

    fn rows<'a>(document: &'a roxmltree::Document<'a>) -> Vec<roxmltree::Node<'a, 'a>> {
        document.descendants().filter(|node| node.attribute("class") == Some("row")).collect()
    }

    fn bars(row: &roxmltree::Node<'_, '_>) -> Vec<(f64, f64, String)> {
        let number = |bar: &roxmltree::Node<'_, '_>, name| bar.attribute(name).and_then(|text| text.parse().ok());
        row.children()
            .filter(|node| node.has_tag_name("rect"))
            .map(|bar| {
                let title = bar.descendants().find(|node| node.has_tag_name("title")).and_then(|title| title.text());
                let (x, width) = number(&bar, "x").zip(number(&bar, "width")).expect("numbers");
                (x, width, title.unwrap_or_default().trim().to_owned())
            })
            .collect()
    }

    #[test]
    fn each_task_has_a_row_and_each_span_a_bar_that_says_what_it_is() {
        let picture = draw(&timeline("\"Q&A\" <\u{1}>"), Lanes::Tasks);
        let document = roxmltree::Document::parse(&picture).expect("XML");
        let rows = rows(&document);
        assert_eq!(rows.len(), 3);
        let [first, second, third] = [0, 1, 2].map(|row| bars(&rows[row]));
        assert_eq!((first.len(), second.len(), third.len()), (3, 2, 0));
        assert!(first[1].2.starts_with("task 0 of a<b: #0 running at 0101"), "{first:?}");
        assert!(first[1].2.contains("lost") && first[2].2.contains("succeeded") && second[1].2.contains("until now"));
        for (one, next) in first.iter().zip(&first[1..]) {
            assert!((one.0 + one.1 - next.0).abs() < 0.2, "one begins where the other ends");
        }
        assert!((second[1].0 + second[1].1 - LABELS_WIDTH - PLOT_WIDTH).abs() < 0.2, "what goes on goes to the end");
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        assert!(texts.contains(&"\"Q&A\" <\u{fffd}>: 3 tasks, as of height 7"), "{texts:?}");
        for word in ["queued", "running", "succeeded", "lost or drained", "0", "5s", "20s", "0 a<b"] {
            assert!(texts.contains(&word), "{word} is not in {texts:?}");
        }
        assert!(!texts.contains(&"failed"), "the legend says what is there");
    }

    #[test]
    fn each_worker_has_a_lane_in_which_nothing_overlaps() {
        let picture = draw(&timeline("job"), Lanes::Workers);
        let document = roxmltree::Document::parse(&picture).expect("XML");
        let rows = rows(&document);
        assert_eq!(rows.len(), 2);
        let first: Vec<_> = rows[0].children().filter(|node| node.has_tag_name("rect")).collect();
        assert_eq!((first.len(), bars(&rows[1]).len()), (2, 1));
        assert_ne!(first[0].attribute("y"), first[1].attribute("y"), "both were held at the same time");
    }
}
