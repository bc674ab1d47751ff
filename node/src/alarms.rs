//! What is wrong with this node and only its operator can mend. Each is told in the log when it begins and when it is
//! over, and meanwhile shown by `status` and `health`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{error, info};

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A block is final elsewhere that conflicts with one that is final here.
    Fork,
    /// A newer process of this node's key works.
    NewerProcess,
}

/// The alarms that last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Alarms(Arc<Mutex<BTreeMap<Alarm, String>>>);

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Alarm, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises an alarm, with a sentence that says what is wrong and what to do.
    pub fn raise(&self, alarm: Alarm, sentence: String) {
        let mut alarms = self.lock();
        if alarms.get(&alarm) != Some(&sentence) {
            error!("{sentence}");
            alarms.insert(alarm, sentence);
        }
    }

    /// Ends an alarm. `what` says in the log what is right again.
    pub fn end(&self, alarm: Alarm, what: &str) {
        if self.lock().remove(&alarm).is_some() {
            info!("{what}");
        }
    }

    /// The sentences of all alarms that last.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_lasts_until_it_is_over() {
        let alarms = Alarms::default();
        alarms.raise(Alarm::NewerProcess, "twice".into());
        alarms.clone().raise(Alarm::Fork, "forked".into());
        alarms.raise(Alarm::Fork, "forked again".into());
        assert_eq!(alarms.sentences(), ["forked again", "twice"]);
        alarms.end(Alarm::Fork, "one chain");
        assert_eq!(alarms.sentences(), ["twice"]);
    }
}
