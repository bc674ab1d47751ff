//! Draws figures: a sheet of small panels in SVG, each with lines along two axes. The simulator and the breaker draw
//! their reports with it.
#![forbid(unsafe_code)]

mod axis;
mod draw;

pub use axis::{Axis, nice, short};

/// Blue, vermilion, green and purple. Colour-blind people can tell them apart (Okabe and Ito).
pub const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#8a4f9e"];

/// A drawing.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// The title above the panels.
    pub title: String,
    /// A smaller line below the title.
    pub subtitle: String,
    /// The meanings of the colours, each written in its colour. May be empty.
    pub legend: Vec<(String, &'static str)>,
    /// Its panels, two in a row.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What the panel shows, with its unit.
    pub title: String,
    /// What the horizontal axis shows. May be empty.
    pub along: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis. Its ticks have lines across the panel.
    pub y: Axis,
    /// Highlighted spans of the horizontal axis, behind everything else.
    pub bands: Vec<Band>,
    /// Its lines. The last is drawn above the others.
    pub lines: Vec<Line>,
}

/// A span of a horizontal axis.
#[derive(Clone, Debug)]
pub struct Band {
    /// The text shown on hover.
    pub title: String,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The label at its end. May be empty; otherwise the panel leaves space for it.
    pub label: String,
    /// The text shown on hover. May be empty.
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
