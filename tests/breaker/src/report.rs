//! The results as a table for people, as JSON, and as the table of the README.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use comfy_table::{Table, presets};
use meshwork::failure::{Done, Failure};
use serde::Serialize;

use meshwork_core::types::JobId;

use crate::checks::{chain::Compared, outcomes::Outcomes};

/// The marks around the table in the README.
const MARKS: [&str; 2] = ["<!-- what the breaker measured -->", "<!-- end of what the breaker measured -->"];

/// What the checks found of a job and of all peers after a fault.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    /// Tasks of the job.
    pub tasks: u32,
    /// Tasks without an outcome.
    pub lost: u64,
    /// Tasks whose outcome was accepted, according to the receipts of all heights. Nothing if no peer tells
    /// these.
    pub accepted: Option<u64>,
    /// Tasks for which two outcomes were accepted.
    pub accepted_twice: Option<u64>,
    /// Tasks that failed, by how.
    pub failed: BTreeMap<String, u64>,
    /// Receipts whose proof holds.
    pub receipts_verified: u64,
    /// Heights whose block at least two peers have.
    pub heights_compared: u64,
    /// Roots over all receipts that at least two peers computed.
    pub roots_compared: u64,
    /// State digests that at least two peers computed.
    pub states_compared: u64,
    /// Peers.
    pub peers: usize,
    /// Where peers differ, in words.
    pub differences: Vec<String>,
}

impl Found {
    /// Combines what the checks found.
    #[must_use]
    pub(crate) fn new(job: JobId, tasks: u32, outcomes: Outcomes, compared: Compared) -> Self {
        let (accepted, accepted_twice) = compared.accepted(Some(job)).unzip();
        let mut differences = compared.differences;
        if outcomes.differing > 0 {
            differences.push(format!("{} receipts stand elsewhere on some peer", outcomes.differing));
        }
        Self {
            tasks,
            lost: outcomes.lost,
            accepted,
            accepted_twice,
            failed: outcomes.failed,
            receipts_verified: outcomes.verified,
            heights_compared: compared.heights,
            roots_compared: compared.roots,
            states_compared: compared.states,
            peers: outcomes.peers,
            differences,
        }
    }

    fn wrong(&self) -> Vec<String> {
        let rules = [
            (self.lost > 0, format!("{} tasks lost", self.lost)),
            (
                self.accepted_twice.is_some_and(|tasks| tasks > 0),
                format!("{} tasks accepted twice", self.accepted_twice.unwrap_or_default()),
            ),
            (self.accepted.is_none(), "no peer tells what was accepted at which height".into()),
            (
                self.accepted.is_some_and(|tasks| tasks != u64::from(self.tasks)),
                format!("outcomes of {} tasks found among the receipts", self.accepted.unwrap_or_default()),
            ),
            (
                self.receipts_verified != u64::from(self.tasks),
                format!("{} of {} receipts verified", self.receipts_verified, self.tasks),
            ),
        ];
        let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, what)| what);
        let failed = self.failed.iter().map(|(how, tasks)| format!("{tasks} tasks failed: {how}"));
        broken.chain(failed).chain(self.differences.iter().cloned()).collect()
    }
}

/// The result of one fault.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The fault's name on the command line.
    pub name: &'static str,
    /// The fault's name in the table.
    pub title: String,
    /// What the checks found after it. Nothing if it was not played to the end.
    pub found: Option<Found>,
    /// Tasks that ended while it lasted.
    pub meanwhile_tasks: u64,
    /// Heights that became final while it lasted.
    pub meanwhile_heights: u64,
    /// The longest time without a task that ended, from the fault until the network had recovered.
    pub standstill_ms: Option<u64>,
    /// The time from the repair until tasks ended again and every peer was up to date, for the slowest round.
    pub recovered_ms: Option<u64>,
    /// How long it took in all, checks included.
    pub took_s: u64,
    /// What else was seen.
    pub notes: Vec<String>,
    /// What does not hold.
    pub wrong: Vec<String>,
}

impl Row {
    /// Nothing known yet.
    #[must_use]
    pub(crate) fn new(name: &'static str, title: String) -> Self {
        Self {
            name,
            title,
            found: None,
            meanwhile_tasks: 0,
            meanwhile_heights: 0,
            standstill_ms: None,
            recovered_ms: None,
            took_s: 0,
            notes: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// All that does not hold.
    #[must_use]
    pub(crate) fn all_wrong(&self) -> Vec<String> {
        let found = self.found.as_ref().map(Found::wrong).unwrap_or_default();
        self.wrong.iter().cloned().chain(found).collect()
    }

    /// The row of the table, printed as soon as it is known, because an interrupted run prints no table.
    #[must_use]
    pub(crate) fn in_a_line(&self) -> String {
        let named = COLUMNS.iter().zip(self.cells()).skip(1).map(|(column, cell)| format!("{column} {cell}"));
        format!("{} (in {} s)", named.collect::<Vec<_>>().join(", "), self.took_s)
    }

    fn cells(&self) -> Vec<String> {
        let of = |value: fn(&Found) -> String| self.found.as_ref().map_or_else(|| "–".to_owned(), value);
        let seconds = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
        vec![
            self.title.clone(),
            of(|found| thousands(found.tasks.into())),
            of(|found| found.lost.to_string()),
            of(|found| found.accepted_twice.map_or_else(|| "–".into(), |tasks| tasks.to_string())),
            of(|found| if found.differences.is_empty() { "equal".into() } else { "DIFFER".into() }),
            of(|found| thousands(found.heights_compared)),
            of(|found| thousands(found.states_compared)),
            of(|found| thousands(found.receipts_verified)),
            thousands(self.meanwhile_tasks),
            seconds(self.standstill_ms),
            seconds(self.recovered_ms),
        ]
    }
}

/// What the table's columns mean, and how it was measured.
const ABOUT: &str = "\
A job runs while each fault happens, goes on until the network is whole again, and then to its end. Then the breaker asks every peer \
about every task and every height. *Ended meanwhile* counts the tasks that ended while something was broken. The *longest standstill* is \
the longest time without such a task, from the fault to the recovery. *Recovered after* is the time from the repair until tasks end \
again and every peer is up to date, for the slowest round.";

const COLUMNS: [&str; 11] = [
    "fault",
    "tasks",
    "lost",
    "accepted twice",
    "digests",
    "heights compared",
    "states compared",
    "receipts verified",
    "ended meanwhile",
    "longest standstill",
    "recovered after",
];

/// All results of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The kind of hosts.
    pub hosts: &'static str,
    /// On which machine.
    pub machine: String,
    /// When, as seconds since the Unix epoch.
    pub time_s: u64,
    /// With which command.
    pub command: String,
    /// Which peers there were.
    pub network: String,
    /// The result of each fault.
    pub rows: Vec<Row>,
}

impl Report {
    /// No results yet.
    #[must_use]
    pub(crate) fn new(hosts: &'static str, network: String) -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { hosts, machine: machine(), time_s: time.as_secs(), command: command(), network, rows: Vec::new() }
    }

    /// The table for a terminal, with observations and failures below it.
    #[must_use]
    pub(crate) fn for_people(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(COLUMNS);
        table.add_rows(self.rows.iter().map(Row::cells));
        let mut text = format!("{}; {}; {}\n\n{table}\n", self.hosts, self.network, self.machine);
        for row in &self.rows {
            for note in &row.notes {
                text.push_str(&format!("\n{}: {note}", row.name));
            }
        }
        for row in &self.rows {
            for wrong in row.all_wrong() {
                text.push_str(&format!("\n{}: WRONG: {wrong}", row.name));
            }
        }
        text
    }

    /// The table for a page.
    #[must_use]
    pub(crate) fn for_a_page(&self) -> String {
        let date =
            humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(self.time_s));
        let date = date.to_string();
        let mut text = format!(
            "\n## When things break\n\n{ABOUT}\n\nMeasured on {} by `{}`, in {} ({}; {}):\n\n",
            date.split('T').next().unwrap_or_default(),
            self.command,
            self.hosts,
            self.network,
            self.machine
        );
        text.push_str(&format!("| {} |\n|---|{}\n", COLUMNS.join(" | "), "---:|".repeat(COLUMNS.len() - 1)));
        for row in &self.rows {
            text.push_str(&format!(
                "| {} |\n",
                row.cells().iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | ")
            ));
        }
        text
    }

    /// Puts the table between its marks in a file.
    ///
    /// # Errors
    /// The file cannot be read or written, or has no such marks.
    pub(crate) fn write_into(&self, path: &Path) -> Done {
        let page = fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
        let page = between_marks(&page, &self.for_a_page()).ok_or_else(|| {
            Failure::failed(format!("{} has no place for the table: {} and {}.", path.display(), MARKS[0], MARKS[1]))
        })?;
        fs::write(path, page).map_err(|error| Failure::file("write", path, &error))
    }

    /// Whether all checks held.
    ///
    /// # Errors
    /// Some check did not; the sentence says how many.
    pub(crate) fn check(&self) -> Done {
        let wrong = self.rows.iter().filter(|row| !row.all_wrong().is_empty()).count();
        match wrong {
            0 => Ok(()),
            _ => Err(Failure::failed(format!("After {wrong} of {} faults something did not hold.", self.rows.len()))),
        }
    }
}

fn between_marks(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some(format!("{before}{}\n{table}\n{}{after}", MARKS[0], MARKS[1]))
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints progress for the person who runs this.
pub(crate) fn say(sentence: &str) {
    eprintln!("breaker: {sentence}");
}

/// Cores, processor and kernel.
#[must_use]
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores of {}, Linux {}", model.unwrap_or("an unknown kind"), kernel.trim())
}

/// How this program is called, wherever it is installed.
#[must_use]
pub(crate) fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("tests/breaker/run {}", arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use meshwork_core::digest::Digest;

    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = format!("a\n{}\nold\n{}\nb\n", MARKS[0], MARKS[1]);
        let first = between_marks(&page, "| new |\n").expect("marks");
        assert_eq!(first, format!("a\n{}\n| new |\n\n{}\nb\n", MARKS[0], MARKS[1]));
        assert_eq!(between_marks(&first, "| new |\n"), Some(first.clone()));
        assert_eq!(between_marks("no marks", "x"), None);
    }

    #[test]
    fn a_row_is_wrong_if_anything_of_it_is() {
        let mut row = Row::new("kill", "killed".into());
        assert!(row.all_wrong().is_empty());
        let outcomes = Outcomes { lost: 1, verified: 9, ..Outcomes::default() };
        let job = JobId(Digest([1; 32]));
        let accepted = (0..10).map(|index| ((job, index), 1 + u32::from(index == 3))).collect();
        let compared = Compared { accepted: Some(accepted), ..Compared::default() };
        row.found = Some(Found::new(job, 10, outcomes, compared));
        assert_eq!(row.all_wrong(), ["1 tasks lost", "1 tasks accepted twice", "9 of 10 receipts verified"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
