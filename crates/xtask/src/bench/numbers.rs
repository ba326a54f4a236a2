//! Medians, percentiles and tables.

/// Measurements of one thing.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub fn p90(&self) -> f64 {
        self.at(0.9)
    }

    /// The smallest: what it takes when nothing else is in the way.
    pub fn best(&self) -> f64 {
        self.at(0.0)
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// Of each of these to its pair in the other, in the order in which they were made.
    pub fn ratios(&self, other: &Self) -> Self {
        self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect()
    }

    /// The value below which this share of the samples is; between two samples, in proportion.
    pub fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let position = share * last as f64;
        let (below, above) = (position.floor() as usize, position.ceil() as usize);
        sorted[below] + (sorted[above] - sorted[below]) * (position - position.floor())
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Does one round after another with all of them, in the other direction every second time:
/// whatever drifts is in both.
pub fn in_turns<T, E>(
    rounds: usize,
    all: &mut [T],
    mut each: impl FnMut(&mut T) -> Result<(), E>,
) -> Result<(), E> {
    for round in 0..rounds {
        match round % 2 {
            0 => all.iter_mut().try_for_each(&mut each)?,
            _ => all.iter_mut().rev().try_for_each(&mut each)?,
        }
    }
    Ok(())
}

/// Says whether a figure reaches its goal.
pub fn against_goal(what: &str, value: f64, goal: f64, unit: &str) {
    let verdict = if value <= goal { "reached" } else { "MISSED" };
    println!("  {what}: {value:.2} {unit}, goal at most {goal} {unit}: {verdict}");
}

#[cfg(test)]
mod tests {
    use super::{Samples, in_turns};

    #[test]
    fn percentiles_are_between_the_samples() {
        let samples: Samples = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!(samples.median(), 2.5);
        assert!((samples.p90() - 3.7).abs() < 1e-9);
        assert_eq!((samples.mean(), samples.best()), (2.5, 1.0));
        assert!(Samples::default().median().is_nan());
        let doubled: Samples = [2.0, 1.0, 6.0].into_iter().collect();
        let single: Samples = [1.0, 1.0, 2.0].into_iter().collect();
        assert_eq!(doubled.ratios(&single).median(), 2.0);
    }

    #[test]
    fn turns_change_direction() {
        let mut order = String::new();
        let each = |one: &mut char| {
            order.push(*one);
            Ok::<_, ()>(())
        };
        assert_eq!(in_turns(3, &mut ['a', 'b'], each), Ok(()));
        assert_eq!(order, "abbaab");
    }
}
