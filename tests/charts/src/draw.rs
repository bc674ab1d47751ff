//! Draws a sheet as SVG.

use svg::{
    Document, Node,
    node::element::{self, Circle, Polyline, Rectangle, Text, Title},
};

use super::{Line, Panel, Sheet, Stroke};

const PANEL_WIDTH: f64 = 450.0;
const PANEL_HEIGHT: f64 = 280.0;
const COLUMNS: usize = 2;
/// The margins around a panel's axes, for ticks and titles.
const LEFT: f64 = 58.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 18.0;
/// The right margin of a panel whose lines have labels.
const RIGHT_OF_LABELS: f64 = 140.0;
const MARGIN: f64 = 16.0;
/// The least distance between two labels at the lines' ends.
const LABEL: f64 = 14.0;

const DARK: &str = "#222";
const GREY: &str = "#555";

pub(super) fn sheet(sheet: &Sheet) -> String {
    let head = if sheet.legend.is_empty() { 58.0 } else { 76.0 };
    let width = PANEL_WIDTH * COLUMNS as f64 + MARGIN;
    let height = head + PANEL_HEIGHT * sheet.panels.len().div_ceil(COLUMNS) as f64;
    let mut document = Document::new()
        .set("viewBox", (0, 0, width as i64, height as i64))
        .set("width", width)
        .set("height", height)
        .set("font-family", "Helvetica, Arial, sans-serif")
        .add(Rectangle::new().set("width", width).set("height", height).set("fill", "#fff"))
        .add(text(&sheet.title, (MARGIN, 28.0), 18, "start", DARK).set("font-weight", 600))
        .add(text(&sheet.subtitle, (MARGIN, 48.0), 12, "start", GREY));
    let mut left = MARGIN;
    for (meaning, colour) in &sheet.legend {
        document.append(text(meaning, (left, 66.0), 12, "start", colour));
        left += 80.0;
    }
    for (place, panel) in sheet.panels.iter().enumerate() {
        let labelled = panel.lines.iter().any(|line| !line.label.is_empty());
        let right = if labelled { RIGHT_OF_LABELS } else { RIGHT };
        let frame = Frame {
            left: MARGIN + PANEL_WIDTH * (place % COLUMNS) as f64 + LEFT,
            top: head + PANEL_HEIGHT * (place / COLUMNS) as f64 + TOP,
            width: PANEL_WIDTH - LEFT - right,
            height: PANEL_HEIGHT - TOP - BOTTOM,
            panel,
        };
        frame.draw(&mut document);
    }
    format!("{document}\n")
}

/// The place of a panel's axes.
struct Frame<'a> {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    panel: &'a Panel,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.panel.x.share(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.panel.y.share(value))
    }

    fn draw(&self, document: &mut Document) {
        let Panel { title, along, bands, lines, .. } = self.panel;
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        document.append(text(title, (self.left - LEFT, self.top - 20.0), 14, "start", DARK).set("font-weight", 600));
        for band in bands {
            let (from, to) = (self.x(band.from), self.x(band.to));
            let place = Rectangle::new().set("x", rounded(from)).set("width", rounded((to - from).max(1.0)));
            let place = place.set("y", self.top).set("height", self.height);
            document.append(place.set("fill", "#eee").add(Title::new(&band.title)));
        }
        for (at, shown) in &self.panel.y.ticks {
            let y = self.y(*at);
            document.append(rule((self.left, y), (right, y), "#ddd"));
            document.append(text(shown, (self.left - 7.0, y + 4.0), 11, "end", GREY));
        }
        document.append(rule((self.left, bottom), (right, bottom), "#777"));
        for (at, shown) in &self.panel.x.ticks {
            let x = self.x(*at);
            document.append(rule((x, bottom), (x, bottom + 5.0), "#777"));
            document.append(text(shown, (x, bottom + 18.0), 11, "middle", GREY));
        }
        document.append(text(along, (self.left + self.width / 2.0, bottom + 33.0), 11, "middle", GREY));
        for line in lines {
            self.line(document, line);
        }
        self.labels(document);
    }

    fn line(&self, document: &mut Document, line: &Line) {
        let (colour, stroke) = (line.colour, line.stroke);
        let points: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| (self.x(*x), self.y(*y))).collect();
        let text: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let drawn = Polyline::new().set("points", text.join(" ")).set("fill", "none").set("stroke", colour);
        let drawn = match stroke {
            Stroke::Strong | Stroke::Dotted => drawn.set("stroke-width", 2),
            Stroke::Dashed => drawn.set("stroke-width", 2).set("stroke-dasharray", "6 4"),
            Stroke::Pale => drawn.set("stroke-width", 1).set("stroke-opacity", 0.45),
        };
        document.append(if line.title.is_empty() { drawn } else { drawn.add(Title::new(&line.title)) });
        if matches!(stroke, Stroke::Dotted | Stroke::Dashed) {
            for (x, y) in points {
                document.append(
                    Circle::new().set("cx", rounded(x)).set("cy", rounded(y)).set("r", 2.6).set("fill", colour),
                );
            }
        }
    }

    /// Draws the labels at the lines' ends, clear of each other.
    fn labels(&self, document: &mut Document) {
        let lines = self.panel.lines.iter().filter(|line| !line.label.is_empty());
        let mut labels: Vec<(f64, &Line)> =
            lines.filter_map(|line| line.points.last().map(|last| (self.y(last.1), line))).collect();
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        // From the lowest up: no label is below the axis, and each is clear of the one under it.
        let mut below = self.top + self.height + LABEL / 2.0;
        for (at, _) in labels.iter_mut().rev() {
            *at = at.min(below - LABEL);
            below = *at;
        }
        // Then from the top down, for labels that have left the panel.
        let mut above = self.top - LABEL;
        for (at, line) in labels {
            let at = at.max(above + LABEL);
            above = at;
            document.append(text(&line.label, (self.left + self.width + 8.0, at + 4.0), 12, "start", line.colour));
        }
    }
}

fn text(content: &str, (x, y): (f64, f64), size: u32, anchor: &str, fill: &str) -> Text {
    Text::new(content)
        .set("x", rounded(x))
        .set("y", rounded(y))
        .set("font-size", size)
        .set("text-anchor", anchor)
        .set("fill", fill)
}

fn rule((x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) -> element::Line {
    let line = element::Line::new().set("x1", rounded(x1)).set("y1", rounded(y1));
    line.set("x2", rounded(x2)).set("y2", rounded(y2)).set("stroke", stroke)
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use crate::{Axis, Band, COLOURS, Line, Panel, Sheet, Stroke};

    fn line(label: &str, stroke: Stroke) -> Line {
        let points = vec![(1.0, 2.0), (2.0, 3.0)];
        Line { label: label.into(), title: "a<b".into(), colour: COLOURS[0], stroke, points }
    }

    #[test]
    fn a_sheet_has_a_line_for_each_and_texts_are_escaped() {
        let panel = Panel {
            title: "one & two".into(),
            along: String::new(),
            x: Axis::marks(&[1.0, 2.0]),
            y: Axis::quarters(4.0, |at| format!("{at}")),
            bands: vec![Band { title: "kill".into(), from: 1.0, to: 2.0 }],
            lines: vec![line("", Stroke::Pale), line("end", Stroke::Dashed), line("end", Stroke::Dotted)],
        };
        let svg = Sheet { title: "T".into(), panels: vec![panel], ..Sheet::default() }.svg();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (3, 4), "{svg}");
        assert!(svg.contains("one &amp; two") && svg.contains("a&lt;b") && !svg.contains("NaN"), "{svg}");
    }
}
