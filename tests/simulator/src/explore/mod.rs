//! Explores every run of a small network: the real [`meshwork_core::consensus::Consensus`] of three honest
//! authorities and a fourth authority that lies, over a few views.
//!
//! ```sh
//! cargo run --release -p meshwork-simulator --bin explore -- --views 3
//! ```
//!
//! The adversary has the network, the clocks and the fourth key. Anyone can hear anything that was ever said,
//! at any later moment, in any order, again, or never. (So the explorer needs no queue of messages: what can be
//! heard is what was ever said.) Any honest timer may run out at any moment. Honest authorities may crash, at
//! rest or between any two records that they store, and start from their journals. The liar (`byzantine.rs`)
//! votes for anything, and differently to different authorities, and proposes two blocks on every block.
//! Messages about views above the bound are lost.
//!
//! If the first block is its epoch's last ([`Bound::ends`]), closing blocks follow it. The liar, too, proposes
//! them: on each block, one that names nobody and one that names the next authorities. An authority that has
//! reached the next epoch says nothing more.
//!
//! Every state must satisfy `properties.rs`. Core's own assertions count too, in builds that have them. From
//! some states the explorer tries whether the network can go on once nothing more goes wrong (`progress.rs`).
//!
//! # What is not tried, and why nothing is lost by that
//!
//! Authorities share only what they say. So a state of the network is a state of each honest authority, and the
//! real round takes each step of one authority once, however often that step comes up (`locals.rs`). Two states
//! are the same if they agree in what decides the future ([`meshwork_core::consensus::Consensus::memory`]) and
//! in all that was ever said. Besides:
//!
//! * **Nothing is delivered before it makes a difference.** A vote that completes no quorum changes only a
//!   count, and may as well come together with the votes that complete it. A block that this authority neither
//!   votes for nor knows to be notarized may as well come later. Liars add their votes to whatever anyone says,
//!   so a quorum is available to any authority as soon as enough honest ones have said so. It makes no
//!   difference to what follows whose votes they were, or whether they came one by one or as a certificate. It
//!   does to evidence, which is checked when runs are replayed.
//! * **An authority listens just before it speaks.** What it hears changes only itself until it says something,
//!   and it can hear the same later, because everything said stays available. So all that it hears (and its
//!   crashes) happens just before it next says something, and that is one step. The properties are still
//!   checked in every state that it could reach by listening.
//! * **An authority hears no more than it needs to.** Two steps may say the same, and one may leave the
//!   authority in a state that it could reach from the other by listening alone. Then only the other step is
//!   taken.
//! * **Of a liar's two blocks on one parent, the second is voted for only after the first.** They differ only
//!   in name.
//!
//! [`Grain`] turns off the second and third of these reductions, or the first as well. Tests compare what
//! authorities can say with each grain. Replays of runs from the beginning, with real authorities, show that
//! runs end where the search says.
//!
//! An off-the-shelf model checker would store and hash whole networks, and take each interleaving separately.
//! Where this explorer takes minutes, delivering votes singly in one view that a liar leads has more than
//! fourteen million states.

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

/// Explores all states within a bound, or up to the first that breaks a rule. `tell` is called after each
/// depth.
pub fn explore(bound: &Bound, tell: &mut dyn FnMut(&Report)) -> Report {
    let mut report = Report::new(bound);
    match Search::new(Setting::new(bound)) {
        Ok(mut search) => run(&mut search, &mut report, tell),
        Err(what) => report.violation = Some(Violation { what, story: Vec::new() }),
    }
    report
}

/// Everything that honest authorities can have said together, each set as a digest: explorations of different
/// grain must agree on this. `None` if the bound was not exhausted.
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
