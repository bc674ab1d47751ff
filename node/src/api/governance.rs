//! The authorities, the changes that they are about to make, and what the rules in force allow a key.

use axum::{
    Json,
    extract::{Path, State},
};
use meshwork_api::{AuthorityView, GovernanceView, KeyView, LimitView, ProposalView, RulesView};
use meshwork_core::{
    ledger::{Ledger, ProposalView as Open, QuotaUse},
    types::{KeyLimit, Limit, NetworkLimit, Permission},
};

use super::{Api, error::ApiError, usage::parse_key};

/// `GET /v1/governance`.
pub(super) async fn governance(State(api): State<Api>) -> Result<Json<GovernanceView>, ApiError> {
    let view = api.driver.query(|replica| {
        let ledger = replica.ledger();
        let quorum = ledger.authorities().quorum();
        let proposal = |open: Open<'_>| ProposalView {
            id: open.id,
            change: open.change.into(),
            proposer: open.proposer,
            approvals: open.approvals.iter().copied().collect(),
            quorum,
            until_us: open.until.0,
        };
        GovernanceView {
            epoch: ledger.epoch().0,
            since: ledger.epoch_since(),
            authorities: ledger.authorities().authorities().iter().map(AuthorityView::from).collect(),
            next: ledger
                .change_waits()
                .then(|| ledger.next_authorities().authorities().iter().map(AuthorityView::from).collect()),
            proposals: ledger.proposals().map(proposal).collect(),
            rules: rules(ledger),
        }
    });
    Ok(Json(view.await?))
}

fn rules(ledger: &Ledger) -> RulesView {
    let rules = ledger.rules();
    RulesView {
        submitters: rules.admission(Permission::Submit).clone(),
        workers: rules.admission(Permission::Work).clone(),
        quotas: rules.quotas().clone(),
        key_limits: KeyLimit::ALL.map(|limit| (limit, ledger.limit(Limit::Key(limit)))).into(),
        network_limits: NetworkLimit::ALL.map(|limit| (limit, ledger.limit(Limit::Network(limit)))).into(),
        schedule: rules.schedule().clone(),
    }
}

/// `GET /v1/keys/{key}`. The key may be unknown to the ledger.
pub(super) async fn key(State(api): State<Api>, Path(key): Path<String>) -> Result<Json<KeyView>, ApiError> {
    let key = parse_key(&key)?;
    let view = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        let rules = ledger.rules();
        let own = rules.quotas().get(&key);
        let limit = |QuotaUse { limit, used, most }| LimitView {
            limit,
            used,
            most,
            own: own.is_some_and(|quota| quota.contains_key(&limit)),
        };
        KeyView {
            key,
            may_submit: rules.admission(Permission::Submit).includes(&key),
            may_work: rules.admission(Permission::Work).includes(&key),
            limits: ledger.quota_uses(&key).map(limit).into(),
            first_end_us: ledger.first_end_of(&key).map(|at| at.0),
        }
    });
    Ok(Json(view.await?))
}
