//! Figures as a drawing: a sheet of small panels, each with lines along two axes, in SVG. The reports of the simulator
//! and of the breaker are drawn with it.
#![forbid(unsafe_code)]

mod axis;
mod draw;

pub use axis::{Axis, nice, short};

/// Blue, vermilion, green and purple that colour-blind people tell apart (Okabe and Ito).
pub const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#8a4f9e"];

/// All of a drawing.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// What stands above it.
    pub title: String,
    /// A smaller line below that.
    pub subtitle: String,
    /// What the colours mean, each in its own; nothing stands there if it is empty.
    pub legend: Vec<(String, &'static str)>,
    /// Its panels, two in a row.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What is drawn, with its unit.
    pub title: String,
    /// What the horizontal axis is; nothing stands there if it is empty.
    pub along: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical one, whose ticks have lines across.
    pub y: Axis,
    /// Spans of the horizontal axis that stand out, behind everything.
    pub bands: Vec<Band>,
    /// Its lines, the last above the others.
    pub lines: Vec<Line>,
}

/// A span of a horizontal axis.
#[derive(Clone, Debug)]
pub struct Band {
    /// What is shown to who points at it.
    pub title: String,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What stands at its end; nothing if it is empty. Panels with such labels leave room for them.
    pub label: String,
    /// What is shown to who points at it; nothing if it is empty.
    pub title: String,
    /// Its colour.
    pub colour: &'static str,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Strong, without its points.
    Strong,
    /// Thin and pale, behind stronger ones.
    Pale,
    /// Strong, each point marked.
    Dotted,
    /// Dashed, each point marked.
    Dashed,
}

impl Sheet {
    /// The drawing, as the text of an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        draw::sheet(self)
    }
}
