//! Figures as a drawing: small panels with logarithmic axes, in SVG.

use meshwork_charts::{Axis, COLOURS, Line, Panel, Sheet, Stroke};

use super::{
    Figures,
    growth::{Series, Study},
};

type Figure = fn(&Figures) -> f64;

fn points(series: &Series, x: Figure, y: Figure) -> Vec<(f64, f64)> {
    series.figures.iter().map(|run| (x(run), y(run))).filter(|(x, y)| *x > 0.0 && *y > 0.0).collect()
}

fn line(label: &str, colour: usize, dashed: bool, points: Vec<(f64, f64)>) -> Line {
    let stroke = if dashed { Stroke::Dashed } else { Stroke::Dotted };
    Line { label: label.into(), title: String::new(), colour: COLOURS[colour], stroke, points }
}

/// A panel with logarithmic axes; none if there is nothing to draw.
fn panel(title: &str, along: &str, lines: Vec<Line>) -> Option<Panel> {
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|line| line.points.iter().copied()).collect();
    let values = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).collect::<Vec<f64>>();
    let (x, y) = (values(|point| point.0), values(|point| point.1));
    (!all.is_empty()).then(|| Panel {
        title: title.into(),
        along: along.into(),
        x: Axis::marks(&x),
        y: Axis::logarithmic(&y),
        bands: Vec::new(),
        lines,
    })
}

fn panels(study: &Study) -> Vec<Option<Panel>> {
    const PEERS: Figure = |run| run.peers as f64;
    const AUTHORITIES: Figure = |run| run.authorities as f64;
    let (four, both, few) = (&study.peers, &study.both, &study.authorities);
    let of = |series: &Series, y: Figure| points(series, PEERS, y);
    let job: [Figure; 2] = [|run| run.job_final.p50_ms as f64, |run| run.job_final.p99_ms as f64];
    let claims: Figure = |run| run.claims_per_s;
    let messages: [Figure; 2] = [|run| run.ordinary.messages_in, |run| run.authority_max.messages_in];
    let bytes: [Figure; 2] = [|run| run.ordinary.bytes_in, |run| run.authority_max.bytes_out];
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

/// Draws a study.
#[must_use]
pub fn svg(study: &Study) -> String {
    let sheet = Sheet {
        title: "How a network grows".into(),
        subtitle: "Logarithmic axes. In the upper four, blue is a network of 4 authorities at every size, orange one of 4, 7, 13 and 31."
            .into(),
        legend: Vec::new(),
        panels: panels(study).into_iter().flatten().collect(),
    };
    sheet.svg()
}
