//! Containers of one service take turns: so many at a time, the next when those are done.

use crate::model::update::Batches;

/// The turns of one service, by the places of steps.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// How many have their turn at present.
    number: u32,
    /// What each of them waits for.
    after: Vec<usize>,
    /// The last step of each.
    ends: Vec<usize>,
}

impl Turns {
    /// What the next container waits for. `pause` adds the step between two batches, where there is one.
    pub(super) fn next(
        &mut self,
        batches: Batches,
        pause: impl FnOnce(Vec<usize>, std::time::Duration) -> usize,
    ) -> Vec<usize> {
        let Batches { parallelism, delay, monitor: _ } = batches;
        if parallelism.is_some_and(|most| self.number >= most.get()) {
            let ends = std::mem::take(&mut self.ends);
            self.after = if delay.is_zero() { ends } else { vec![pause(ends, delay)] };
            self.number = 0;
        }
        self.number += 1;
        self.after.clone()
    }

    /// The container whose turn it was is done with this step.
    pub(super) fn end(&mut self, step: usize) {
        self.ends.push(step);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn waits(parallelism: u32, delay: Duration) -> Vec<Vec<usize>> {
        let batches = Batches { parallelism: NonZeroU32::new(parallelism), delay, ..Batches::default() };
        let mut turns = Turns::default();
        let mut waits = Vec::new();
        for step in 0..5 {
            waits.push(turns.next(batches, |after, _| 100 + after[0]));
            turns.end(step);
        }
        waits
    }

    #[test]
    fn each_batch_waits_for_the_one_before() {
        let none = Duration::ZERO;
        assert_eq!(waits(1, none), [vec![], vec![0], vec![1], vec![2], vec![3]]);
        assert_eq!(waits(2, none), [vec![], vec![], vec![0, 1], vec![0, 1], vec![2, 3]]);
        assert_eq!(waits(0, none), vec![Vec::<usize>::new(); 5]);
        assert_eq!(waits(2, Duration::from_secs(1)), [vec![], vec![], vec![100], vec![100], vec![102]]);
    }
}
