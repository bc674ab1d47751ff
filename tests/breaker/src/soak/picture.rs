//! Draws what processes used over time: a small panel for each quantity, a line for each peer, and a band for
//! each fault. The lines of peers that lived through the whole run are darker.

use std::collections::BTreeMap;

use svg::{
    Document, Node,
    node::element::{Line, Polyline, Rectangle, Text, Title},
};

use super::samples::{Sample, Taken};
use crate::hosts::Role;

const PANEL_WIDTH: f64 = 470.0;
const PANEL_HEIGHT: f64 = 260.0;
/// Margins of a panel: left, top, right, bottom.
const ROOM: [f64; 4] = [58.0, 40.0, 18.0, 36.0];
const COLUMNS: usize = 2;
const HEAD: f64 = 74.0;
/// A gap in the samples this long interrupts a line.
const GAP_S: f64 = 20.0;
const MEBIBYTE: f64 = 1_048_576.0;

type Value = fn(&Sample) -> f64;

const PANELS: [(&str, Value); 4] = [
    ("Memory, MiB", |sample| sample.used.memory_bytes as f64 / MEBIBYTE),
    ("Descriptors", |sample| sample.used.descriptors as f64),
    ("Threads", |sample| sample.used.threads as f64),
    ("Disk, MiB", |sample| sample.disk_bytes as f64 / MEBIBYTE),
];

/// Colours that colour-blind people can tell apart (Okabe and Ito).
const fn colour(role: Role) -> &'static str {
    match role {
        Role::Authority => "#0072b2",
        Role::Worker => "#d55e00",
        Role::Gateway => "#009e73",
    }
}

/// Draws the picture. `spared` are the peers that lived through the whole run.
#[must_use]
pub fn draw(taken: &Taken, spared: &[&str], subtitle: &str) -> String {
    let width = PANEL_WIDTH * COLUMNS as f64 + 16.0;
    let height = HEAD + PANEL_HEIGHT * PANELS.len().div_ceil(COLUMNS) as f64;
    let mut document = Document::new()
        .set("viewBox", (0, 0, width as i64, height as i64))
        .set("width", width)
        .set("height", height)
        .set("font-family", "Helvetica, Arial, sans-serif")
        .add(Rectangle::new().set("width", width).set("height", height).set("fill", "#fff"))
        .add(text("What each process uses under load and faults", 16.0, 26.0, 18, "start", "#222"))
        .add(text(subtitle, 16.0, 46.0, 12, "start", "#555"));
    let mut left = 16.0;
    for (role, name) in [(Role::Authority, "authorities"), (Role::Worker, "workers"), (Role::Gateway, "gateway")] {
        document.append(text(name, left, 64.0, 12, "start", colour(role)));
        left += 80.0;
    }
    document.append(text(
        "dark: lived through all of it; grey bands: something was broken",
        left,
        64.0,
        12,
        "start",
        "#555",
    ));
    for (place, (title, value)) in PANELS.iter().enumerate() {
        let panel = Panel {
            left: 16.0 + PANEL_WIDTH * (place % COLUMNS) as f64 + ROOM[0],
            top: HEAD + PANEL_HEIGHT * (place / COLUMNS) as f64 + ROOM[1],
            length_s: taken.length_s.max(1.0),
            most: nice(taken.samples.iter().map(value).fold(1.0, f64::max)),
        };
        panel.draw(&mut document, taken, title, *value, spared);
    }
    format!("{document}\n")
}

struct Panel {
    left: f64,
    top: f64,
    length_s: f64,
    most: f64,
}

impl Panel {
    const WIDTH: f64 = PANEL_WIDTH - ROOM[0] - ROOM[2];
    const HEIGHT: f64 = PANEL_HEIGHT - ROOM[1] - ROOM[3];

    fn x(&self, at_s: f64) -> f64 {
        self.left + Self::WIDTH * (at_s / self.length_s).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + Self::HEIGHT * (1.0 - value / self.most)
    }

    fn draw(&self, document: &mut Document, taken: &Taken, title: &str, value: Value, spared: &[&str]) {
        document.append(text(title, self.left - ROOM[0], self.top - 14.0, 14, "start", "#222"));
        for (name, from, to) in &taken.struck {
            let (from, to) = (self.x(*from), self.x(*to));
            let band =
                Rectangle::new().set("x", rounded(from)).set("y", self.top).set("width", rounded((to - from).max(1.0)));
            document.append(band.set("height", Self::HEIGHT).set("fill", "#eee").add(Title::new(*name)));
        }
        for step in 0..=4 {
            let at = self.most * f64::from(step) / 4.0;
            document.append(rule(self.left, self.y(at), self.left + Self::WIDTH, self.y(at), "#ddd"));
            document.append(text(&short(at), self.left - 7.0, self.y(at) + 4.0, 11, "end", "#555"));
        }
        for step in 0..=4 {
            let at_s = self.length_s * f64::from(step) / 4.0;
            let minutes = format!("{:.0} min", at_s / 60.0);
            document.append(text(&minutes, self.x(at_s), self.top + Self::HEIGHT + 17.0, 11, "middle", "#555"));
        }
        let mut lives: BTreeMap<(bool, &str, u64), Vec<&Sample>> = BTreeMap::new();
        for sample in &taken.samples {
            // The peers that lived through the whole run are drawn last, above the others.
            let is_spared = spared.contains(&sample.peer.as_str());
            lives.entry((is_spared, &sample.peer, sample.used.began)).or_default().push(sample);
        }
        for ((is_spared, peer, _), samples) in lives {
            for run in samples.chunk_by(|one, next| next.at_s - one.at_s < GAP_S) {
                document.append(self.line(run, value, is_spared).add(Title::new(peer)));
            }
        }
    }

    fn line(&self, run: &[&Sample], value: Value, is_spared: bool) -> Polyline {
        let points = run.iter().map(|sample| format!("{:.1},{:.1}", self.x(sample.at_s), self.y(value(sample))));
        let stroke = run.first().map_or("#000", |sample| colour(sample.role));
        Polyline::new()
            .set("points", points.collect::<Vec<_>>().join(" "))
            .set("fill", "none")
            .set("stroke", stroke)
            .set("stroke-width", if is_spared { 2.0 } else { 1.0 })
            .set("stroke-opacity", if is_spared { 1.0 } else { 0.45 })
    }
}

fn text(content: &str, x: f64, y: f64, size: u32, anchor: &str, fill: &str) -> Text {
    Text::new(content)
        .set("x", rounded(x))
        .set("y", rounded(y))
        .set("font-size", size)
        .set("text-anchor", anchor)
        .set("fill", fill)
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64, stroke: &str) -> Line {
    let line = Line::new().set("x1", rounded(x1)).set("y1", rounded(y1)).set("x2", rounded(x2)).set("y2", rounded(y2));
    line.set("stroke", stroke)
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Rounds a value up to 1, 2, 4, 6, 8 or 10 times a power of ten: a quarter of that is short to write.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= value).unwrap_or(value)
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::processes::Used;

    #[test]
    fn every_life_of_a_process_is_a_line_of_its_own() {
        let sample = |at_s: f64, began| Sample {
            at_s,
            peer: "a<b".into(),
            role: Role::Worker,
            used: Used { memory_bytes: 1 << 26, descriptors: 80, threads: 9, began },
            disk_bytes: 1 << 20,
        };
        let samples = vec![sample(0.0, 1), sample(5.0, 1), sample(10.0, 2), sample(60.0, 2)];
        let taken = Taken { samples, struck: vec![("kill", 5.0, 9.0)], length_s: 60.0 };
        let picture = draw(&taken, &[], "one & two");
        assert_eq!(picture.matches("<polyline").count(), 3 * PANELS.len());
        assert!(picture.contains("one &amp; two") && picture.contains("a&lt;b"), "{picture}");
    }

    #[test]
    fn an_axis_ends_at_a_round_value() {
        assert_eq!([1.0, 3.0, 11.0, 79.0, 250.0].map(nice), [1.0, 4.0, 20.0, 80.0, 400.0]);
    }
}
