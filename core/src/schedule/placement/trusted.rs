//! The claims of workers whose answers have agreed.

use super::{Candidate, Placement};

/// The smallest share of faults first, by the worker's track record. Shares are rounded to twentieths, so that the next
/// policy decides among workers that are about as good.
pub struct Trusted;

impl Placement for Trusted {
    fn score(&self, candidate: &Candidate) -> u64 {
        u64::from(candidate.faults_permille / 50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_are_about_as_good_are_equal() {
        let score = |faults_permille| {
            let (load, slots, running, running_at_claim, waiting, turn, seat) = (0, 1, 0, 0, 0, 0, 0);
            Trusted.score(&Candidate { load, slots, running, running_at_claim, waiting, turn, seat, faults_permille })
        };
        assert_eq!(score(20), score(45));
        assert!(score(45) < score(500) && score(500) < score(1000));
    }
}
