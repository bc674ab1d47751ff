//! Figures as a drawing: small panels with logarithmic axes, in SVG.

use std::fmt::Write as _;

use super::{
    Figures,
    growth::{Series, Study},
};

const PANEL_WIDTH: f64 = 440.0;
const PANEL_HEIGHT: f64 = 290.0;
/// Room around a panel's axes: left, top, right, bottom.
const ROOM: [f64; 4] = [58.0, 46.0, 140.0, 40.0];
const COLUMNS: usize = 2;
const HEAD: f64 = 58.0;
/// The least distance of two labels at the lines' ends.
const LABEL: f64 = 14.0;
/// Blue, vermilion, green and purple that colour-blind people tell apart (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#8a4f9e"];

struct Line {
    label: String,
    colour: usize,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

struct Panel {
    title: &'static str,
    along: &'static str,
    lines: Vec<Line>,
}

type Figure = fn(&Figures) -> f64;

fn points(series: &Series, x: Figure, y: Figure) -> Vec<(f64, f64)> {
    series.figures.iter().map(|run| (x(run), y(run))).filter(|(x, y)| *x > 0.0 && *y > 0.0).collect()
}

fn line(label: &str, colour: usize, dashed: bool, points: Vec<(f64, f64)>) -> Line {
    Line { label: label.into(), colour, dashed, points }
}

fn panels(study: &Study) -> Vec<Panel> {
    const PEERS: Figure = |run| run.peers as f64;
    const AUTHORITIES: Figure = |run| run.authorities as f64;
    let (four, both, few) = (&study.peers, &study.both, &study.authorities);
    let of = |series: &Series, y: Figure| points(series, PEERS, y);
    let job: [Figure; 2] = [|run| run.job_final.p50_ms as f64, |run| run.job_final.p99_ms as f64];
    let claims: Figure = |run| run.claims_per_s;
    let messages: [Figure; 2] = [|run| run.ordinary.messages_in, |run| run.authority_max.messages_in];
    let bytes: [Figure; 2] = [|run| run.ordinary.bytes_in, |run| run.authority_max.bytes_out];
    let panel = |title, along, lines| Panel { title, along, lines };
    vec![
        panel(
            "A job is final at its submitter after, ms",
            "peers",
            vec![
                line("p50, 4 auth.", 0, false, of(four, job[0])),
                line("p99, 4 auth.", 0, true, of(four, job[1])),
                line("p50, 4 to 31", 1, false, of(both, job[0])),
                line("p99, 4 to 31", 1, true, of(both, job[1])),
            ],
        ),
        panel(
            "Claims on the ledger, a second",
            "peers",
            vec![line("4 authorities", 0, false, of(four, claims)), line("4 to 31", 1, false, of(both, claims))],
        ),
        panel(
            "Messages that a peer receives, a second",
            "peers",
            vec![
                line("peer, 4 auth.", 0, false, of(four, messages[0])),
                line("authority, 4", 0, true, of(four, messages[1])),
                line("peer, 4 to 31", 1, false, of(both, messages[0])),
                line("authority, 31", 1, true, of(both, messages[1])),
            ],
        ),
        panel(
            "Bytes in at a peer, out at an authority, a second",
            "peers",
            vec![
                line("peer in, 4 auth.", 0, false, of(four, bytes[0])),
                line("auth. out, 4", 0, true, of(four, bytes[1])),
                line("peer in, 4 to 31", 1, false, of(both, bytes[0])),
                line("auth. out, 31", 1, true, of(both, bytes[1])),
            ],
        ),
        panel(
            "Bytes in at a peer by kind, 4 authorities, a second",
            "peers",
            vec![
                line("IHAVE etc.", 3, false, of(four, |run| run.kinds.control)),
                line("transactions", 0, false, of(four, |run| run.kinds.transactions)),
                line("blocks", 1, false, of(four, |run| run.kinds.blocks)),
                line("finalizations", 2, false, of(four, |run| run.kinds.finalizations)),
            ],
        ),
        panel(
            "With more authorities: 1,000 peers",
            "authorities",
            vec![
                line("certificate, bytes", 2, false, points(few, AUTHORITIES, |run| run.certificate_bytes)),
                line("messages in / s", 0, true, points(few, AUTHORITIES, messages[1])),
                line("job final, ms", 1, false, points(few, AUTHORITIES, job[0])),
            ],
        ),
    ]
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    at: f64,
    length: f64,
}

impl Axis {
    /// One that holds these values, with a little to spare; it begins and ends at 1, 2 or 5 times a power of ten.
    fn of(values: impl Iterator<Item = f64> + Clone, at: f64, length: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::MIN_POSITIVE, f64::max);
        let low = steps(-3, 12).rfind(|step| *step <= least).unwrap_or(least);
        let high = steps(-3, 12).find(|step| *step >= most && *step > low).unwrap_or(most);
        Self { low, high, at, length }
    }

    fn place(&self, value: f64) -> f64 {
        self.at + self.length * (value / self.low).ln() / (self.high / self.low).ln()
    }

    /// Where there are lines across: powers of ten, and what lies between them if these are few.
    fn ticks(&self) -> Vec<f64> {
        let within: Vec<f64> = steps(-3, 12).filter(|step| (self.low..=self.high).contains(step)).collect();
        let is_power = |step: &f64| (step.log10() - step.log10().round()).abs() < 1e-9;
        let powers: Vec<f64> = within.iter().copied().filter(is_power).collect();
        if powers.len() >= 3 { powers } else { within }
    }
}

fn steps(from: i32, to: i32) -> impl DoubleEndedIterator<Item = f64> {
    (from..to).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)))
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => format!("{value}"),
    }
}

fn draw(svg: &mut String, panel: &Panel, left: f64, top: f64) {
    let width = PANEL_WIDTH - ROOM[0] - ROOM[2];
    let height = PANEL_HEIGHT - ROOM[1] - ROOM[3];
    let (x0, y0) = (left + ROOM[0], top + ROOM[1] + height);
    let all = || panel.lines.iter().flat_map(|line| line.points.iter());
    if all().next().is_none() {
        return;
    }
    let x = Axis { low: all().map(|p| p.0).fold(f64::INFINITY, f64::min), ..Axis::of(all().map(|p| p.0), x0, width) };
    let x = Axis { high: all().map(|p| p.0).fold(x.low * 1.001, f64::max), ..x };
    let y = Axis::of(all().map(|p| p.1), y0, -height);
    let _ = writeln!(svg, r#"<text x="{left:.0}" y="{:.0}" class="title">{}</text>"#, top + 22.0, panel.title);
    for tick in y.ticks() {
        let at = y.place(tick);
        let _ = writeln!(svg, r#"<path d="M{x0:.1} {at:.1}h{width:.1}" class="grid"/>"#);
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="end">{}</text>"#,
            x0 - 7.0,
            at + 4.0,
            short(tick)
        );
    }
    let mut marks: Vec<f64> = all().map(|point| point.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let at = x.place(mark);
        let _ = writeln!(svg, r#"<path d="M{at:.1} {y0:.1}v5" class="axis"/>"#);
        let _ = writeln!(
            svg,
            r#"<text x="{at:.1}" y="{:.1}" class="tick" text-anchor="middle">{}</text>"#,
            y0 + 18.0,
            short(mark)
        );
    }
    let _ = writeln!(svg, r#"<path d="M{x0:.1} {y0:.1}h{width:.1}" class="axis"/>"#);
    let _ = writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" class="tick" text-anchor="middle">{}</text>"#,
        x0 + width / 2.0,
        y0 + 33.0,
        panel.along
    );
    let mut labels: Vec<(f64, &Line)> = Vec::new();
    for line in &panel.lines {
        let Some(last) = line.points.last() else { continue };
        let mut path = String::new();
        for (place, point) in line.points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x.place(point.0), y.place(point.1));
        }
        let (colour, dash) = (COLOURS[line.colour], if line.dashed { r#" stroke-dasharray="6 4""# } else { "" });
        let _ = writeln!(svg, r#"<path d="{path}" class="line" stroke="{colour}"{dash}/>"#);
        for point in &line.points {
            let (px, py) = (x.place(point.0), y.place(point.1));
            let _ = writeln!(svg, r#"<circle cx="{px:.1}" cy="{py:.1}" r="2.6" fill="{colour}"/>"#);
        }
        labels.push((y.place(last.1), line));
    }
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    // From the lowest up, none below the axis, each clear of the one under it.
    let mut below = y0 + LABEL / 2.0;
    for (at, _) in labels.iter_mut().rev() {
        *at = at.min(below - LABEL);
        below = *at;
    }
    // And down again where they have left the panel.
    let mut above = top + ROOM[1] - LABEL;
    for (at, line) in labels {
        let at = at.max(above + LABEL);
        above = at;
        let (px, colour) = (x0 + width + 8.0, COLOURS[line.colour]);
        let _ = writeln!(
            svg,
            r#"<text x="{px:.1}" y="{:.1}" class="label" fill="{colour}">{}</text>"#,
            at + 4.0,
            line.label
        );
    }
}

/// Draws a study.
#[must_use]
pub fn svg(study: &Study) -> String {
    let panels = panels(study);
    let width = PANEL_WIDTH * COLUMNS as f64;
    let height = HEAD + PANEL_HEIGHT * panels.len().div_ceil(COLUMNS) as f64;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="Helvetica, Arial, sans-serif">
<style>.title{{font-size:14px;font-weight:600;fill:#222}}.tick{{font-size:11px;fill:#555}}.label{{font-size:12px}}.grid{{stroke:#e3e3e3;fill:none}}.axis{{stroke:#777;fill:none}}.line{{fill:none;stroke-width:2}}</style>
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="16" y="28" font-size="18" font-weight="600" fill="#222">How a network grows</text>
<text x="16" y="48" font-size="12" fill="#555">Logarithmic axes. In the upper four, blue is a network of 4 authorities at every size, orange one of 4, 7, 13 and 31.</text>
"##
    );
    for (place, panel) in panels.iter().enumerate() {
        let left = PANEL_WIDTH * (place % COLUMNS) as f64 + 16.0;
        draw(&mut svg, panel, left, HEAD + PANEL_HEIGHT * (place / COLUMNS) as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_what_it_is_made_of() {
        let axis = Axis::of([30.0, 700.0].into_iter(), 100.0, 200.0);
        assert_eq!((axis.low, axis.high), (20.0, 1000.0));
        assert!(axis.place(20.0) == 100.0 && (axis.place(1000.0) - 300.0).abs() < 1e-9);
        assert!(axis.ticks().contains(&100.0) && axis.ticks().len() >= 3);
    }
}
