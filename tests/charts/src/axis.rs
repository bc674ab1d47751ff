//! Axes: map values to positions, and choose ticks.

/// One axis of a panel.
#[derive(Clone, Debug)]
pub struct Axis {
    is_logarithmic: bool,
    low: f64,
    high: f64,
    /// The position of each tick, with its label.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis from 0 to `most`, which must be above 0, with a tick at each quarter.
    #[must_use]
    pub fn quarters(most: f64, write: impl Fn(f64) -> String) -> Self {
        let ticks = (0..=4).map(|step| most * f64::from(step) / 4.0).map(|at| (at, write(at)));
        Self { is_logarithmic: false, low: 0.0, high: most, ticks: ticks.collect() }
    }

    /// A logarithmic axis around these values, which must all be above 0. It begins and ends at 1, 2 or 5 times a power
    /// of ten. It has ticks at the powers of ten, and at the values between if these are few.
    #[must_use]
    pub fn logarithmic(values: &[f64]) -> Self {
        let (least, most) = bounds(values);
        let low = steps().rfind(|step| *step <= least).unwrap_or(least);
        let high = steps().find(|step| *step >= most && *step > low).unwrap_or(most);
        let within: Vec<f64> = steps().filter(|step| (low..=high).contains(step)).collect();
        let is_power = |step: &f64| (step.log10() - step.log10().round()).abs() < 1e-9;
        let powers: Vec<f64> = within.iter().copied().filter(is_power).collect();
        let at = if powers.len() >= 3 { powers } else { within };
        Self { is_logarithmic: true, low, high, ticks: at.into_iter().map(|at| (at, short(at))).collect() }
    }

    /// A logarithmic axis from the least to the largest of these values, which must all be above 0, with a tick at
    /// each.
    #[must_use]
    pub fn marks(values: &[f64]) -> Self {
        let (low, most) = bounds(values);
        let mut marks = values.to_vec();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        let ticks = marks.into_iter().map(|at| (at, short(at))).collect();
        Self { is_logarithmic: true, low, high: most.max(low * 1.001), ticks }
    }

    /// The position of a value along the axis, from 0 to 1. Values beyond an end get that end's position.
    #[must_use]
    pub fn share(&self, value: f64) -> f64 {
        let share = match self.is_logarithmic {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        share.clamp(0.0, 1.0)
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(f64::MIN_POSITIVE, f64::max))
}

fn steps() -> impl DoubleEndedIterator<Item = f64> {
    (-3..12).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)))
}

/// The least number that is not below a value and is 1, 2, 4, 6 or 8 times a power of ten. A quarter of it is short to
/// write.
#[must_use]
pub fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// A value as the label of a tick.
#[must_use]
pub fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_what_it_is_made_of() {
        let axis = Axis::logarithmic(&[30.0, 700.0]);
        assert_eq!((axis.low, axis.high), (20.0, 1000.0));
        assert!(axis.share(20.0) == 0.0 && (axis.share(1000.0) - 1.0).abs() < 1e-9);
        assert!(axis.ticks.iter().any(|(at, text)| *at == 100.0 && text == "100") && axis.ticks.len() >= 3);
        let axis = Axis::marks(&[4.0, 10.0, 4.0, 3000.0]);
        assert_eq!(axis.ticks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["4", "10", "3 k"]);
    }

    #[test]
    fn an_axis_ends_at_a_round_value() {
        assert_eq!([1.0, 3.0, 11.0, 79.0, 250.0].map(nice), [1.0, 4.0, 20.0, 80.0, 400.0]);
        assert_eq!(Axis::quarters(4.0, |at| format!("{at}")).share(1.0), 0.25);
    }
}
