//! The claim with the smallest load.

use super::{Candidate, Placement};

/// Least loaded first. The claim states a load score, and the ledger corrects it by what has changed since.
/// Each attempt that runs there now and did not run when the claim was executed adds 1000 / slots, and so does
/// each that waits there. Each that has ended since takes as much away:
///
/// `load + 1000 · (running − running at claim + waiting) / slots`, at least 0, in thousandths (so that one
/// attempt shows on a claim of a thousand slots).
pub struct LeastLoaded;

impl Placement for LeastLoaded {
    fn score(&self, candidate: &Candidate) -> u64 {
        let more =
            i128::from(candidate.running) - i128::from(candidate.running_at_claim) + i128::from(candidate.waiting);
        let score = i128::from(candidate.load) * 1000 + 1_000_000 * more / i128::from(candidate.slots.max(1));
        u64::try_from(score.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_counts_by_its_share_of_the_slots() {
        let small = Candidate {
            load: 0,
            slots: 2,
            running: 0,
            running_at_claim: 0,
            waiting: 0,
            turn: 0,
            seat: 0,
            faults_permille: 0,
        };
        let large = Candidate { slots: 8, ..small };
        let score = |claim: Candidate, running, waiting| LeastLoaded.score(&Candidate { running, waiting, ..claim });
        assert_eq!(score(small, 1, 0), score(large, 4, 0));
        assert_eq!(score(small, 2, 2), score(large, 8, 8));
        assert!(score(large, 1, 0) < score(small, 1, 0));
        assert!(score(large, 8, 0) < score(large, 8, 1));
    }

    #[test]
    fn what_ended_since_the_claim_lightens_it() {
        let busy = Candidate {
            load: 900,
            slots: 4,
            running: 4,
            running_at_claim: 4,
            waiting: 0,
            turn: 0,
            seat: 0,
            faults_permille: 0,
        };
        assert_eq!(LeastLoaded.score(&busy), 900_000);
        assert_eq!(LeastLoaded.score(&Candidate { running: 2, ..busy }), 400_000);
        assert_eq!(LeastLoaded.score(&Candidate { running: 0, ..busy }), 0);
    }
}
