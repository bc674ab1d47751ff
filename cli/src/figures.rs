//! Arithmetic on measurements.

/// The value that `percent` of all values do not exceed, by nearest rank; `None` if there are no values.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Rounds a figure to as many places as anyone reads.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Sums a Prometheus counter over its labels, in the text that a node serves. The name may end in `_total` or not.
pub fn counter(metrics: &str, name: &str) -> Option<f64> {
    let mut sum = None;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some(rest) = line.strip_prefix(name) else { continue };
        let rest = rest.strip_prefix("_total").unwrap_or(rest);
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}').map(|(_, value)| value),
            None => rest.strip_prefix(' '),
        };
        if let Some(value) = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok()) {
            sum = Some(sum.unwrap_or(0.0) + value);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), Some(50.0));
        assert_eq!(percentile(&values, 99.0), Some(99.0));
        assert_eq!(percentile(&[7.0], 1.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn counters_are_summed_over_their_labels() {
        let text = "# TYPE a counter\na_total{to=\"x\"} 1\na_total{to=\"y} z\"} 2\nab_total 9\nb_total 4\n";
        assert_eq!(counter(text, "a"), Some(3.0));
        assert_eq!(counter(text, "b"), Some(4.0));
        assert_eq!(counter(text, "c"), None);
    }
}
