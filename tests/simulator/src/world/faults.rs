//! Faults, and how they end.

use super::{World, twins};
use crate::{
    links::{Cuts, Weather},
    peer::SYNC_US,
    scenario::Fault,
    worker::Errand,
};

impl World<'_> {
    pub(super) fn befall(&mut self, fault: &Fault) {
        self.count(fault.kind());
        self.note(|| format!("{fault:?}"));
        match *fault {
            Fault::Crash(peer) => self.crash(peer),
            Fault::Start(peer) => {
                self.peers[peer].disk_full = false;
                self.start(peer);
            }
            Fault::LoseDisk(peer) => {
                if self.peers[peer].replica.is_none() {
                    self.peers[peer].disk.lose();
                    self.peers[peer].died_of.clear();
                    self.peers[peer].has_lost_journal = true;
                }
            }
            Fault::FullDisk(peer) => self.peers[peer].disk_full = true,
            Fault::Pause(peer, us) => {
                self.peers[peer].paused_until = (self.now + us).min(self.scenario.whole_at_us);
            }
            Fault::Rest(peer, us) => {
                self.post_errand(peer, 0, Errand::Rest(true));
                let left_us = self.scenario.whole_at_us.saturating_sub(self.now);
                self.post_errand(peer, us.min(left_us), Errand::Rest(false));
            }
            Fault::Leave(peer) => self.post_errand(peer, 0, Errand::Leave),
            Fault::Split(ref side) => self.cuts.side.clone_from(side),
            Fault::Mute(peer) => {
                self.cuts.mute.insert(peer);
            }
            Fault::SlowLink(peer, times) => {
                self.cuts.slow.insert(peer, times);
            }
            Fault::Flap(peer, each_us) => {
                self.cuts.flapping.insert(peer, each_us.max(1));
            }
            Fault::Heal => self.cuts = Cuts::default(),
            Fault::SlowDisk(peer, us) => self.peers[peer].sync_us = us,
            Fault::ClockJump(peer, us) => {
                self.peers[peer].clock.ahead_us += us;
                self.peers[peer].has_jumped = true;
                self.checks.clock_set(self.peers[peer].public);
            }
        }
    }

    /// From here on everyone is up, connected and awake. Liars go on lying.
    pub(super) fn make_whole(&mut self) {
        self.note(|| "the network is whole".into());
        self.is_whole = true;
        self.cuts = Cuts::default();
        self.weather = Weather { distance: self.weather.distance, ..Weather::fair() };
        let twins = twins(self.scenario);
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            (peer.sync_us, peer.paused_until, peer.disk_full) = (SYNC_US, 0, false);
            if !twins.contains(&index) {
                self.start(index);
            }
            self.go_on(index);
        }
    }
}
