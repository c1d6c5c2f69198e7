//! Counts of durations, in buckets.

/// Bounds for what takes from a millisecond to a minute.
pub(super) const CALLS: &[f64] = &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];
/// Bounds for what takes from a tenth of a second to half an hour.
pub(super) const DEPLOYS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// Bounds for what takes from seconds to weeks.
pub(super) const LONG: &[f64] =
    &[1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0];

/// Durations, in seconds.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: the last is for what is longer than all.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a duration. A clock that was set back makes it none, never a negative one.
    pub(super) fn observe(&mut self, seconds: f64) {
        let seconds = seconds.max(0.0);
        let at = self.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += seconds;
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper bounds, each with how many are above the one before.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_one_bucket() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        for seconds in [-5.0, 0.5, 1.0, 1.5, 3.0] {
            histogram.observe(seconds);
        }
        assert_eq!(histogram.buckets(), [(1.0, 3), (2.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum() - 6.0).abs() < 1e-9);
    }
}
