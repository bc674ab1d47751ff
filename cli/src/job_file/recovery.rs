//! Recovery rules of a job file, by kind of setback.

use std::collections::BTreeMap;

use meshwork_core::{
    schedule::recovery::BACK_OFF_MS_MAX,
    types::{Retry, Setback},
};

use super::{
    draft::{Reading, merged},
    model::Recovery,
    problem::{Checked, Problem},
    values::{At, Named},
};

/// The kinds of setback, by their names in a file.
pub const SETBACKS: [(&str, Setback); 13] = [
    ("lost", Setback::Lost),
    ("drained", Setback::Drained),
    ("host-died", Setback::HostDied),
    ("exited", Setback::Exited),
    ("trapped", Setback::Trapped),
    ("timed-out", Setback::TimedOut),
    ("out-of-memory", Setback::OutOfMemory),
    ("out-of-fuel", Setback::OutOfFuel),
    ("output-too-large", Setback::OutputTooLarge),
    ("input-unavailable", Setback::InputUnavailable),
    ("bad-module", Setback::BadModule),
    ("too-large-to-compile", Setback::TooLargeToCompile),
    ("spawn-refused", Setback::SpawnRefused),
];

impl Reading<'_> {
    /// The rules of a task: its own, and the default ones for all other kinds.
    ///
    /// # Errors
    /// A kind is unknown, or a value exceeds what the network allows.
    pub fn recovery(
        &self,
        own: &Named<At<Recovery>>,
        default: &Named<At<Recovery>>,
    ) -> Checked<BTreeMap<Setback, Retry>> {
        let mut rules = BTreeMap::new();
        for (name, rule) in merged(own, default) {
            let known = SETBACKS.iter().find(|(known, _)| *known == name.value);
            let Some((_, setback)) = known else {
                let names: Vec<&str> = SETBACKS.iter().map(|(name, _)| *name).collect();
                let next = format!("there are {}", names.join(", "));
                return Err(Problem::new(&name.at, format!("`{}` is no kind of setback", name.value), next));
            };
            rules.insert(*setback, self.rule(&rule.value)?);
        }
        Ok(rules)
    }

    fn rule(&self, rule: &Recovery) -> Checked<Retry> {
        let Recovery { retries, delay, jitter_percent, elsewhere, restart } = rule;
        let retries_max = self.limits.retries_max;
        if let Some(retries) = retries.as_ref().filter(|retries| retries.value > retries_max) {
            let next = format!("it is at most {retries_max} on this network");
            return Err(Problem::new(&retries.at, "So many setbacks are not forgiven", next));
        }
        let percent_max = Retry::JITTER_PERMILLE_MAX / 10;
        if let Some(percent) = jitter_percent.as_ref().filter(|percent| percent.value > percent_max) {
            let next = format!("it is at most {percent_max}: a wait may come to be twice as long");
            return Err(Problem::new(&percent.at, "So much cannot be added to a wait", next));
        }
        Ok(Retry {
            retries: retries.as_ref().map_or(0, |retries| retries.value),
            delay_ms: self.duration_ms(delay.as_ref(), 1000, 0..=BACK_OFF_MS_MAX)?,
            jitter_permille: jitter_percent.as_ref().map_or(0, |percent| percent.value * 10),
            elsewhere: elsewhere.unwrap_or(false),
            restarts: restart.unwrap_or(false),
        })
    }
}
