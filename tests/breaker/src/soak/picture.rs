//! Draws what processes used over time: a small panel for each quantity, a line for each peer, and a band for
//! each fault. The lines of peers that lived through the whole run are darker.

use std::collections::BTreeMap;

use meshwork_charts::{Axis, Band, COLOURS, Line, Panel, Sheet, Stroke, nice};

use super::samples::{Sample, Taken};
use crate::hosts::Role;

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

const fn colour(role: Role) -> &'static str {
    match role {
        Role::Authority => COLOURS[0],
        Role::Worker => COLOURS[1],
        Role::Gateway => COLOURS[2],
    }
}

/// Draws the picture. `spared` are the peers that lived through the whole run.
#[must_use]
pub(super) fn draw(taken: &Taken, spared: &[&str], subtitle: &str) -> String {
    let roles = [(Role::Authority, "authorities"), (Role::Worker, "workers"), (Role::Gateway, "gateway")];
    let mut legend: Vec<(String, &str)> = roles.map(|(role, name)| (name.to_owned(), colour(role))).into();
    legend.push(("dark: lived through all of it; grey bands: something was broken".into(), "#555"));
    let sheet = Sheet {
        title: "What each process uses under load and faults".into(),
        subtitle: subtitle.into(),
        legend,
        panels: PANELS.iter().map(|(title, value)| panel(taken, spared, title, *value)).collect(),
    };
    sheet.svg()
}

fn panel(taken: &Taken, spared: &[&str], title: &str, value: Value) -> Panel {
    let most = nice(taken.samples.iter().map(value).fold(1.0, f64::max));
    Panel {
        title: title.into(),
        along: String::new(),
        x: Axis::quarters(taken.length_s.max(1.0), |at_s| format!("{:.0} min", at_s / 60.0)),
        y: Axis::quarters(most, |at| if at.fract() == 0.0 { format!("{at:.0}") } else { format!("{at:.1}") }),
        bands: taken
            .struck
            .iter()
            .map(|(name, from, to)| Band { title: (*name).to_owned(), from: *from, to: *to })
            .collect(),
        lines: lines(taken, spared, value),
    }
}

/// A line for each stretch of each process' life that was seen without a gap.
fn lines(taken: &Taken, spared: &[&str], value: Value) -> Vec<Line> {
    let mut lives: BTreeMap<(bool, &str, u64), Vec<&Sample>> = BTreeMap::new();
    for sample in &taken.samples {
        // Those who lived through everything are drawn last, above the others.
        let is_spared = spared.contains(&sample.peer.as_str());
        lives.entry((is_spared, &sample.peer, sample.used.began)).or_default().push(sample);
    }
    let mut lines = Vec::new();
    for ((is_spared, peer, _), samples) in lives {
        for run in samples.chunk_by(|one, next| next.at_s - one.at_s < GAP_S) {
            lines.push(Line {
                label: String::new(),
                title: peer.to_owned(),
                colour: colour(run[0].role),
                stroke: if is_spared { Stroke::Strong } else { Stroke::Pale },
                points: run.iter().map(|sample| (sample.at_s, value(sample))).collect(),
            });
        }
    }
    lines
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
}
