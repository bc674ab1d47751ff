//! Every run of a small network, not some: the real [`meshwork_core::consensus::Consensus`] of three honest authorities and
//! a fourth that lies, over a few views.
//!
//! ```sh
//! cargo run --release -p meshwork-simulator --bin explore -- --views 3
//! ```
//!
//! The adversary has the network, the clocks and the fourth key. What was ever said can be heard at any later moment by
//! anyone, in any order, again, or never (so nothing needs a queue: what can be heard is what was ever said); any honest
//! timer may run out at any moment; honest authorities may crash, at rest or between any two things that they store, and
//! start from their journals. The liar (`byzantine.rs`) votes for whatever suits it, to one authority this and to another
//! that, and proposes two blocks on every block there is. What is said of views above the bound is lost.
//!
//! Where the first block is its epoch's last ([`Bound::ends`]), closing blocks stand on it, of the liar's too: one on each
//! block that names nobody and one that names the next authorities. Whoever has come to the next epoch says nothing more.
//!
//! In every state must hold what `properties.rs` says; core's own assertions count too, in builds that have them. And from
//! states on the way it is tried whether the network can go on once it is well (`progress.rs`).
//!
//! # What is not tried, and why nothing is lost by it
//!
//! Authorities share nothing but what is said. So a state of the network is a state of each honest authority, and each step
//! of one is taken by the real round once, however often it comes up (`locals.rs`). States are told apart by what decides
//! the future ([`meshwork_core::consensus::Consensus::memory`]) and by all that was ever said. Besides:
//!
//! * **Nothing is delivered before it makes a difference.** A vote that completes no quorum changes nothing but the count, and
//!   can as well come together with those that do; a block that is neither voted for nor notarized here can as well come
//!   later. Liars add their votes to whatever anyone says, so a quorum is there for whoever is to see it as soon as enough
//!   honest ones have said it. Whose votes it was makes no difference to what follows, nor whether they came one by one or
//!   as a certificate; evidence, to which it does, is looked at where runs are done again.
//! * **An authority listens just before it speaks.** What it hears changes only itself until it says something, and can be
//!   heard later as well, since what was said stays. So all that it hears (and its crashes) is put off until just before it
//!   says something next, and that is one step. What it could hear in a state is looked at there nevertheless.
//! * **It hears no more than it needs to.** Of two steps after which it has said the same, one of which leaves it where the
//!   other could get it by listening alone, only the other is taken.
//! * **Of a liar's two blocks on one parent the second is voted for only after the first.** They differ in name alone.
//!
//! [`Grain`] takes the second and third of these back, and the first as well; tests compare what can come to be said with
//! each. Doing runs again from the beginning with real authorities shows that they come out as the search says.
//!
//! A model checker off the shelf would store and hash whole networks and take each interleaving for itself: where this takes
//! minutes, single deliveries in one view that a liar leads are more than fourteen million states.

mod byzantine;
mod event;
mod honest;
mod locals;
mod mix;
mod names;
mod progress;
mod properties;
mod report;
mod search;
mod set;
mod setting;
mod story;
mod table;

use std::{collections::BTreeSet, time::Instant};

use meshwork_core::digest::Digest;

pub use self::{
    report::{Report, Violation},
    setting::{Bound, Grain},
};
use self::{search::Search, setting::Setting};

/// Explores all states within a bound, or up to the first that breaks a rule. `tell` hears of each depth that is done.
pub fn explore(bound: &Bound, tell: &mut dyn FnMut(&Report)) -> Report {
    let mut report = Report::new(bound);
    match Search::new(Setting::new(bound)) {
        Ok(mut search) => run(&mut search, &mut report, tell),
        Err(what) => report.violation = Some(Violation { what, story: Vec::new() }),
    }
    report
}

/// Everything that honest authorities can come to have said together, each as a digest: what explorations of different
/// grain must agree on. `None` if the bound was not exhausted.
#[must_use]
pub fn promises(bound: &Bound) -> Option<BTreeSet<Digest>> {
    let mut search = Search::new(Setting::new(bound)).ok()?;
    let mut report = Report::new(bound);
    run(&mut search, &mut report, &mut |_| {});
    report.exhausted.then(|| (0..search.table.len()).map(|at| search.promised(search.table.get(at))).collect())
}

fn run(search: &mut Search, report: &mut Report, tell: &mut dyn FnMut(&Report)) {
    let began = Instant::now();
    let bound = search.setting.bound.clone();
    let (mut at, mut level_end) = (0, 1);
    while at < search.table.len() && report.violation.is_none() {
        if at == level_end {
            level_end = search.table.len();
            report.depth += 1;
            report.count(search, began);
            tell(report);
        }
        if report.depth >= bound.depth_max || search.table.len() >= bound.states_max {
            break;
        }
        if let Err(what) = search.expand(at) {
            let path = search.table.path(at);
            report.violation = Some(Violation { what, story: search.story(&path) });
        }
        at += 1;
    }
    report.exhausted = at == search.table.len() && report.violation.is_none();
    report.count(search, began);
    if let Some(step) = Some(bound.progress_every).filter(|step| *step > 0 && report.violation.is_none()) {
        for at in (0..search.table.len()).step_by(step) {
            let path = search.table.path(at);
            if let Err(what) = search.goes_on(&path) {
                report.violation = Some(Violation { what, story: search.story(&path) });
                break;
            }
            report.went_on += 1;
        }
    }
    report.seconds = began.elapsed().as_secs_f64();
}
