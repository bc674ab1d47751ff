//! This node and what it sees: status, genesis, workers, peers, health and metrics.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use meshwork_api::{PeerView, RecordView, Role, StatusView, TrackView, WorkerView};
use meshwork_core::{
    consensus::{Evidence, VotingStatus},
    identity::PublicKey,
    ledger,
};

use super::{Api, error::ApiError};

/// How many heartbeats a healthy node may go without a final block. The time of skipped leaders comes on top.
const HEALTHY_HEARTBEATS: u64 = 10;

/// What is wrong with this node and only its operator can mend.
fn alarms(api: &Api) -> Vec<String> {
    api.alarms.sentences().into_iter().chain(api.mesh.twin()).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn status(State(api): State<Api>) -> Result<Json<StatusView>, ApiError> {
    let (peers, alarms) = (api.mesh.connected().len(), alarms(&api));
    let finality = api.metrics.finality_ms();
    let executed_ms_ago = api.metrics.since_last_block().map(millis);
    let (genesis, key, started) = (api.genesis, api.mesh.key(), api.started);
    let (keep, blocks_from, syncing) = (api.keep, api.driver.reader().lowest_block()?, api.metrics.syncing());
    let apart = api.mesh.apart();
    let (disk_free_bytes, takes_more) = (api.disk_space.free_bytes(), api.disk_space.takes_tasks());
    let confinement_lacks = api.confinement_lacks.to_vec();
    let (network, now) = (api.mesh.network(), api.clock.now());
    let view = api.driver.query(move |replica| {
        let (ledger, round) = (replica.ledger(), replica.consensus());
        let totals = ledger.totals();
        let name_of = |proof: &Evidence| {
            let authority = round.authorities().authorities().get(usize::from(proof.culprit().0))?;
            Some(authority.name.clone())
        };
        StatusView {
            network_name: genesis.name.clone(),
            network,
            key,
            version: env!("CARGO_PKG_VERSION").into(),
            role: match round.voting_status() {
                VotingStatus::Voting => Role::Authority,
                VotingStatus::Follower => Role::Follower,
                VotingStatus::JournalLost | VotingStatus::VoteUnknown => Role::AuthorityWithoutJournal,
            },
            height: ledger.height(),
            time_us: ledger.time().0,
            executed_ms_ago,
            clock_off_ms: replica.network_time().clock_off_ms(now),
            keep,
            blocks_from,
            disk_free_bytes,
            takes_more,
            apart,
            confinement_lacks,
            syncing,
            epoch: round.epoch().0,
            view: round.view().0,
            finality_ms_p50: finality.map(|(median, _)| median),
            finality_ms_p99: finality.map(|(_, late)| late),
            peers,
            workers: usize::try_from(totals.workers).unwrap_or(usize::MAX),
            tasks: totals.tasks.into(),
            tasks_ended: totals.ever.succeeded + totals.ever.failed + totals.ever.cancelled + totals.ever.skipped,
            alarms,
            convicted: round.evidence().filter_map(name_of).collect(),
            pool: replica.pool().len(),
            uptime_ms: millis(started.elapsed()),
        }
    });
    Ok(Json(view.await?))
}

pub(super) async fn genesis(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/toml")], api.genesis_text.to_string())
}

pub(super) async fn workers(State(api): State<Api>) -> Result<Json<Vec<WorkerView>>, ApiError> {
    let views = api.driver.query(|replica| {
        let now = replica.ledger().lease_time();
        let view = |worker: ledger::WorkerView<'_>| WorkerView {
            key: worker.key,
            incarnation: worker.claim.incarnation.0,
            slots: worker.claim.slots,
            millicores: worker.claim.resources.millicores,
            memory_bytes: worker.claim.resources.memory_bytes,
            waiting_places: worker.claim.waiting,
            load: worker.claim.load,
            labels: worker.claim.labels.clone(),
            running: worker.running as usize,
            waiting: worker.waiting as usize,
            stands_ms: worker.until.0.saturating_sub(now.0) / 1000,
            record: track_view(&worker.track),
        };
        replica.ledger().workers().map(view).collect()
    });
    Ok(Json(views.await?))
}

fn track_view(track: &ledger::Track) -> TrackView {
    let ledger::Track { agreed, wrong, accepted, late, lost, returned, cpu_ms, first, last, .. } = *track;
    TrackView {
        agreed,
        wrong,
        accepted,
        late,
        lost,
        returned,
        cpu_ms,
        first_us: first.0,
        last_us: last.0,
        faults_permille: track.faults_permille(),
    }
}

pub(super) async fn records(
    State(api): State<Api>,
    Path(key): Path<PublicKey>,
) -> Result<Json<Vec<RecordView>>, ApiError> {
    let views = api.driver.query(move |replica| {
        let view = |(of, track): (&ledger::TrackOf, &ledger::Track)| RecordView {
            submitter: of.submitter,
            program: of.program,
            record: track_view(track),
            row: track.row,
        };
        replica.ledger().worker(&key).map(|worker| worker.tracks.iter().map(view).collect())
    });
    let views: Option<Vec<RecordView>> = views.await?;
    views.map(Json).ok_or_else(|| ApiError::not_found("no claim of this worker stands"))
}

pub(super) async fn peers(State(api): State<Api>) -> Result<Json<Vec<PeerView>>, ApiError> {
    let present = api.driver.query(|replica| Arc::clone(replica.consensus().authorities())).await?;
    let names = present.authorities();
    let name =
        |key: PublicKey| names.iter().find(|authority| authority.key == key).map(|authority| authority.name.clone());
    let connected = api.mesh.peers().await.into_iter().map(|peer| PeerView {
        authority: name(peer.key),
        key: Some(peer.key),
        addresses: peer.addresses.iter().map(ToString::to_string).collect(),
        connected_ms: Some(SystemTime::now().duration_since(peer.connected_since).map_or(0, millis)),
        problem: None,
    });
    let unreached = api.mesh.unreached().await.into_iter().map(|peer| PeerView {
        authority: peer.key.and_then(name),
        key: peer.key,
        addresses: peer.address.iter().map(ToString::to_string).collect(),
        connected_ms: None,
        problem: Some(match peer.dials {
            1 => format!("{} (tried once)", peer.why),
            2 => format!("{} (tried twice)", peer.why),
            dials => format!("{} (tried {dials} times)", peer.why),
        }),
    });
    Ok(Json(connected.chain(unreached).collect()))
}

/// Whether the node sees blocks become final, and nothing is wrong with it that only its operator can mend. Even an idle network makes one each heartbeat. A node that has just
/// started has as long to see its first. Nothing is waited for: the metrics know the height.
pub(super) async fn health(State(api): State<Api>) -> Result<String, ApiError> {
    let height = api.metrics.height.get();
    let idle_ms = millis(api.metrics.since_last_block().unwrap_or_else(|| api.started.elapsed()));
    let alarms = alarms(&api);
    if !alarms.is_empty() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, alarms.join("; ")));
    }
    let round = &api.genesis.consensus;
    if idle_ms <= HEALTHY_HEARTBEATS * round.heartbeat_ms + round.timer_ms_max {
        return Ok(format!("ok: height {height}, {idle_ms} ms ago\n"));
    }
    let sentence = format!(
        "no block has become final for {idle_ms} ms (height {height}): this node is cut off, or the network has no quorum"
    );
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence))
}

pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let text = api.metrics.text(&api.mesh.metrics(), api.mesh.connected().len());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
