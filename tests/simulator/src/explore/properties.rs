//! The properties that must always hold.

use meshwork_core::{consensus::VotingStatus, types::Statement};

use super::{
    honest::Honest,
    names::{BlockId, Names},
    set::Set,
    setting::{Grain, Setting},
};

/// The properties of one honest authority.
pub(super) fn of_one(setting: &Setting, names: &Names, honest: &Honest) -> Result<(), String> {
    if setting.bound.agreement_only {
        return Ok(());
    }
    let authority = honest.authority;
    let said: Vec<u16> = honest.said.iter().collect();
    for (place, one) in said.iter().enumerate() {
        let broken = said[..place].iter().find(|other| breaks(&names.said(*one), &names.said(**other)));
        if let Some(other) = broken {
            return Err(format!("{authority} has said: {}; and: {}", names.words(*other), names.words(*one)));
        }
    }
    // With a coarser grain, the voters of a certificate are not distinguished, and may differ from those in
    // this very run.
    if setting.bound.grain == Grain::Vote {
        of_evidence(setting, honest)?;
    }
    match honest.round.voting_status() {
        VotingStatus::Voting => Ok(()),
        voting_status => Err(format!("{authority} stopped voting: {voting_status:?}")),
    }
}

/// No peer holds evidence against an honest authority.
pub(super) fn of_evidence(setting: &Setting, honest: &Honest) -> Result<(), String> {
    let culprits = honest.round.evidence().map(|evidence| evidence.culprit());
    match culprits.into_iter().find(|culprit| !setting.lies(*culprit)) {
        Some(culprit) => Err(format!("{} holds evidence against {culprit}, who is honest", honest.authority)),
        None => Ok(()),
    }
}

/// Whether an honest authority that says one must never say the other: two blocks of a view, or a view
/// nullified and finalized.
fn breaks(one: &Statement, other: &Statement) -> bool {
    use Statement::{Finalize, Notarize, Nullify};
    one.view() == other.view()
        && match (one, other) {
            (Notarize(_, one), Notarize(_, other)) | (Finalize(_, one), Finalize(_, other)) => one != other,
            (Nullify(_), Finalize(..)) | (Finalize(..), Nullify(_)) => true,
            _ => false,
        }
}

/// The properties of all statements that a quorum may support, while liars support everything: no two blocks in
/// a view, no final block in a nullified view, no two final blocks on different chains.
pub(super) fn of_certificates(setting: &Setting, names: &Names, quorum: usize, said: &[Set]) -> Result<(), String> {
    let honest_needed = quorum.saturating_sub(setting.bound.byzantine.len()).max(1);
    let certain = Set::in_at_least(honest_needed, said);
    for statement in certain.iter() {
        let rivals = if setting.bound.agreement_only { names.forks(statement) } else { names.rivals(statement) };
        if let Some(rival) = rivals.and(&certain).iter().next() {
            let what = match names.forks(statement).contains(rival) {
                true => "two chains are final",
                false => "two quorums contradict each other",
            };
            return Err(format!("{what}: {}; and: {}", names.words(rival), names.words(statement)));
        }
    }
    Ok(())
}

/// Of two final chains, one must be a prefix of the other.
pub(super) fn of_chains(names: &Names, one: &[BlockId], other: &[BlockId]) -> Result<(), String> {
    match one.iter().zip(other).find(|(one, other)| one != other) {
        None => Ok(()),
        Some((one, other)) => Err(format!(
            "two blocks are final at height {}: {} and {}",
            names.get(*one).header().height,
            names.block_name(*one),
            names.block_name(*other)
        )),
    }
}
