//! References between tasks: `name`, `name[3]`, `name[0, 4..8]`, and with `each-of` the task in the same place.

use super::problem::{Checked, Problem, Span, suggestion};

/// Which tasks of the target are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All tasks.
    Whole,
    /// The task in the same place.
    Same,
    /// The tasks in these places.
    Places(Vec<u32>),
}

/// Tasks that a task waits for or takes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The target, by its index among all targets.
    pub target: usize,
    /// Which tasks of the target.
    pub which: Which,
    /// The reference's place in the file.
    pub at: Span,
}

/// Everything that a reference can name, with its number of tasks: the job's existing arrays, then the file's nodes.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    targets: Vec<(String, u32)>,
    by_name: std::collections::HashMap<String, usize>,
}

impl Targets {
    /// Adds a target. Returns false if its name is taken.
    pub fn add(&mut self, name: &str, count: u32) -> bool {
        let place = self.targets.len();
        self.targets.push((name.to_owned(), count));
        self.by_name.insert(name.to_owned(), place).is_none()
    }

    /// The number of targets.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The name of a target.
    pub fn name(&self, target: usize) -> &str {
        &self.targets[target].0
    }

    /// The number of tasks of a target.
    pub fn count(&self, target: usize) -> u32 {
        self.targets[target].1
    }

    /// Reads a reference. An empty list of places (`name[]`) gives `None`.
    ///
    /// # Errors
    /// No target has that name, or the target has fewer tasks.
    pub fn read(&self, text: &str, each: bool, at: &Span) -> Checked<Option<Ref>> {
        let (name, places) = match text.split_once('[') {
            Some((name, rest)) => {
                let places = rest.trim_end().strip_suffix(']').and_then(|places| parse_places(places, MANY));
                (name.trim(), Some(places.ok_or_else(|| not_places(text, at))?))
            }
            None => (text.trim(), None),
        };
        let target = self.by_name.get(name).copied().ok_or_else(|| {
            let what = format!("No task is named `{name}`");
            Problem::new(at, what, suggestion(name, self.targets.iter().map(|(name, _)| name.as_str())))
        })?;
        let which = match places {
            Some(_) if each => {
                let next = "name the array alone in `each-of`";
                return Err(Problem::new(at, "The same place is one place already", next));
            }
            Some(places) => {
                let count = self.count(target);
                if let Some(place) = places.iter().find(|place| **place >= count) {
                    let what = format!("`{name}` has {count} tasks, and so none in place {place}");
                    return Err(Problem::new(at, what, format!("its places are 0 to {}", count - 1)));
                }
                Which::Places(places)
            }
            None if each => Which::Same,
            None => Which::Whole,
        };
        Ok((which != Which::Places(Vec::new())).then(|| Ref { target, which, at: at.clone() }))
    }
}

/// The most places in one reference.
const MANY: usize = 1 << 20;

fn not_places(text: &str, at: &Span) -> Problem {
    let what = format!("{text:?} does not name tasks");
    Problem::new(at, what, "write `name`, `name[3]` or `name[0, 4..8]`; places count from 0")
}

/// Parses places and ranges of places, separated by commas or spaces.
fn parse_places(text: &str, most: usize) -> Option<Vec<u32>> {
    let mut places = Vec::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        let (from, to) = match part.split_once("..") {
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None => (part.parse().ok()?, part.parse::<u32>().ok()?.checked_add(1)?),
        };
        let range: std::ops::Range<u32> = from..to;
        if range.len() > most.saturating_sub(places.len()) {
            return None;
        }
        places.extend(range);
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        let mut targets = Targets::default();
        assert!(targets.add("tiles", 10) && targets.add("join", 1));
        targets
    }

    #[test]
    fn places_are_numbers_and_ranges() {
        assert_eq!(parse_places("0, 4..6 9", 10), Some(vec![0, 4, 5, 9]));
        assert_eq!(parse_places("", 10), Some(vec![]));
        assert_eq!(parse_places("0..11", 10), None);
        assert_eq!(parse_places("x", 10), None);
    }

    #[test]
    fn a_reference_is_to_all_or_to_some() {
        let read = |text: &str, each| targets().read(text, each, &(0..0));
        assert_eq!(read("join", false).expect("good").expect("one").target, 1);
        assert_eq!(read("tiles[3]", false).expect("good").expect("one").which, Which::Places(vec![3]));
        assert_eq!(read("tiles", true).expect("good").expect("one").which, Which::Same);
        assert_eq!(read("tiles[]", false).expect("good"), None);
        assert!(read("tiles[10]", false).expect_err("too far").what.contains("10 tasks"));
        assert!(read("tile", false).expect_err("unknown").next.contains("`tiles`"));
        assert!(read("tiles[a]", false).is_err() && read("tiles[3", false).is_err() && read("tiles[3]", true).is_err());
    }
}
