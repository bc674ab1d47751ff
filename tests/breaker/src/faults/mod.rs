//! The faults, one module for each, in the order in which they are played.

mod clock;
mod cut_off;
mod disk;
mod drain;
mod kill;
mod memory;
mod one_way;
mod pause;
mod replace;
mod restart;
mod rot;
mod slow;
mod split;
mod upgrade;

use std::time::Duration;

use meshwork::failure::{Done, Exit, Failure};

use crate::network::Network;

/// What the network does while a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Tasks end.
    GoesOn,
    /// No height grows anywhere.
    Stands,
    /// Neither is certain.
    Anything,
}

/// How long faults last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The full time.
    Full,
    /// The shortest time that still shows something.
    Quick,
}

impl Pace {
    /// One of two times, in seconds.
    #[must_use]
    pub(crate) const fn seconds(self, full: u64, quick: u64) -> Duration {
        Duration::from_secs(match self {
            Self::Full => full,
            Self::Quick => quick,
        })
    }
}

/// Something that breaks a network, in rounds, and mends it again.
pub(crate) trait Fault: Send {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Its name in the table.
    fn title(&self) -> String;

    /// What the network does while it lasts.
    fn meanwhile(&self) -> Meanwhile {
        Meanwhile::GoesOn
    }

    /// How many rounds there are.
    fn rounds(&self, _: &Network) -> usize {
        1
    }

    /// How long a round lasts.
    fn hold(&self, pace: Pace) -> Duration;

    /// Breaks something.
    ///
    /// # Errors
    /// It cannot be broken.
    fn inject(&mut self, network: &Network, round: usize) -> Done;

    /// Mends it.
    ///
    /// # Errors
    /// It cannot be mended.
    fn heal(&mut self, network: &Network, round: usize) -> Done;

    /// What the fault itself observed, in words.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// All faults, in their order.
#[must_use]
pub(crate) fn all(pace: Pace) -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(kill::Kill::default()),
        Box::new(pause::Pause { pace }),
        Box::new(cut_off::CutOff),
        Box::new(split::Split::default()),
        Box::new(one_way::OneWay),
        Box::new(slow::Slow::default()),
        Box::new(disk::Disk::default()),
        Box::new(memory::Memory::default()),
        Box::new(clock::Clock::by("clock-10s", "10 s", ["+10s", "-10s"], pace)),
        Box::new(clock::Clock::by("clock-10m", "10 min", ["+10m", "-10m"], pace)),
        Box::new(clock::Clock::stepped()),
        Box::new(replace::Replace::default()),
        Box::new(drain::Drain::default()),
        Box::new(rot::Rot::default()),
        Box::new(restart::Restart),
        Box::new(upgrade::Upgrade::default()),
    ]
}

/// The faults that can come at any time in a long run: all but those that end every process or cannot come
/// twice.
#[must_use]
pub(crate) fn at_random() -> Vec<Box<dyn Fault>> {
    let mut faults = all(Pace::Quick);
    faults.retain(|fault| !["restart", "upgrade"].contains(&fault.name()));
    faults
}

/// The faults of these names, or all if there are no names.
///
/// # Errors
/// No fault has one of the names.
pub(crate) fn named(all: Vec<Box<dyn Fault>>, names: &[String]) -> Done<Vec<Box<dyn Fault>>> {
    let known: Vec<&str> = all.iter().map(|fault| fault.name()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let sentence = format!("There is no fault {unknown}; there are {}.", known.join(", "));
        return Err(Failure { exit: Exit::Usage, sentence });
    }
    Ok(all.into_iter().filter(|fault| names.is_empty() || names.iter().any(|name| name == fault.name())).collect())
}
