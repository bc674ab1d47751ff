//! The larger priority first, with ageing, so that nothing starves.

use super::{Facts, Order, OrderKey};

/// Priority with ageing. Block time is cut into spans of `ageing_ms`. A job belongs to the span of its
/// admission, put back by one span for each level of its priority. The earlier span goes first, and within a
/// span the larger priority. The order of two jobs never changes while they wait.
///
/// The bound: a later job of priority p' passes an earlier one of priority p only if it is admitted less than
/// `(p' - p + 1) · ageing_ms` after it.
pub struct Priority {
    /// How long a wait makes up for one level of priority, in milliseconds; at least 1.
    pub ageing_ms: u64,
}

impl Order for Priority {
    fn order_key(&self, facts: &Facts) -> OrderKey {
        let levels_below_top = u64::from(i16::MAX.abs_diff(facts.priority));
        let span = facts.admitted.0 / self.ageing_ms.max(1).saturating_mul(1000);
        // 16 bits hold the levels within a span. No span comes near the other 48 bits before the year 9,000,
        // even at a millisecond each.
        let span = span.saturating_add(levels_below_top).min(u64::MAX >> 16);
        OrderKey::Fixed(span << 16 | levels_below_top)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::BlockTime;

    const AGEING_MS: u64 = 60_000;
    const SPAN_US: u64 = AGEING_MS * 1000;

    fn place(admitted_us: u64, priority: i16) -> u64 {
        let facts = Facts { number: 0, admitted: BlockTime(admitted_us), priority, deadline: None, expected_ms: 0 };
        match (Priority { ageing_ms: AGEING_MS }).order_key(&facts) {
            OrderKey::Fixed(place) => place,
            OrderKey::Share => panic!("priority looks at no share"),
        }
    }

    #[test]
    fn a_larger_priority_goes_first_until_the_other_has_waited_long_enough() {
        assert!(place(50, 1) < place(0, 0));
        assert!(place(50, i16::MAX) < place(0, i16::MIN));
        assert!(place(2 * SPAN_US, 1) > place(0, 0));
        assert_eq!(place(0, 0), place(SPAN_US - 1, 0), "what comes within one span is left to the next policy");
        assert!(place(u64::MAX, i16::MIN) > place(u64::MAX, 0));
    }

    proptest! {
        #[test]
        fn nothing_is_passed_by_what_is_admitted_too_long_after_it(
            admitted_us in 0u64..1 << 52,
            later_us in 0u64..1 << 40,
            priority: i16,
            other: i16,
        ) {
            let levels = (i64::from(other) - i64::from(priority) + 1).max(0) as u64;
            if later_us >= levels * SPAN_US {
                prop_assert!(place(admitted_us, priority) <= place(admitted_us + later_us, other));
            }
            if other > priority && later_us == 0 {
                prop_assert!(place(admitted_us, other) < place(admitted_us, priority));
            }
        }
    }
}
