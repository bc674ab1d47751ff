//! The local HTTP API, for the command line and other programs of this machine's user. It never holds a submitter's
//! key: transactions arrive signed.
//!
//! The API listens on loopback unless told otherwise. It answers only requests whose `Host` header names this
//! machine, by an address or as `localhost`. So a web page whose own name resolves to this machine (DNS rebinding)
//! gets nothing.

mod blobs;
mod chain;
mod error;
mod events;
mod explain;
mod governance;
mod guard;
mod jobs;
mod network;
mod recurring;
mod serve;
mod transactions;
mod usage;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post, put},
};
use meshwork_api::Keep;
use meshwork_core::types::Genesis;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{blobs::Blobs, clock::Clock, disk_space::DiskSpace, driver::Handle, mesh::MeshHandle, metrics::Metrics};

/// The most bytes of transactions in one request.
const TRANSACTIONS_BYTES_MAX: usize = 16 << 20;

/// What the API answers from.
#[derive(Clone)]
pub struct Api {
    /// The network's genesis.
    pub genesis: Arc<Genesis>,
    /// The genesis as TOML.
    pub genesis_text: Arc<str>,
    /// The handle to the replica.
    pub driver: Handle,
    /// The handle to the mesh.
    pub mesh: MeshHandle,
    /// The blobs.
    pub blobs: Blobs,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The node's clock.
    pub clock: Clock,
    /// How much of the past this node keeps.
    pub keep: Keep,
    /// The space on its disk.
    pub disk_space: DiskSpace,
    /// By what means this machine cannot confine the processes that run tasks.
    pub confinement_lacks: Arc<[String]>,
    /// When the node started.
    pub started: Instant,
}

impl Api {
    fn router(self) -> Router {
        Router::new()
            .route("/v1/status", get(network::status))
            .route("/v1/genesis", get(network::genesis))
            .route("/v1/governance", get(governance::governance))
            .route("/v1/keys/{key}", get(governance::key))
            .route("/v1/workers", get(network::workers))
            .route("/v1/usage", get(usage::usage))
            .route("/v1/peers", get(network::peers))
            .route("/health", get(network::health))
            .route("/metrics", get(network::metrics))
            .route("/v1/transactions", post(transactions::submit))
            .route("/v1/transactions/{id}", get(transactions::one))
            .route("/v1/jobs", get(jobs::list))
            .route("/v1/jobs/{job}", get(jobs::one))
            .route("/v1/jobs/{job}/tasks", get(jobs::tasks))
            .route("/v1/jobs/{job}/arrays", get(jobs::arrays))
            .route("/v1/jobs/{job}/proofs", get(jobs::proofs))
            .route("/v1/jobs/{job}/timeline", get(explain::timeline))
            .route("/v1/recurring", get(recurring::list))
            .route("/v1/recurring/{recurring}", get(recurring::one))
            .route("/v1/tasks/{job}/{index}", get(jobs::task))
            .route("/v1/tasks/{job}/{index}/explanation", get(explain::explanation))
            .route("/v1/tasks/{job}/{index}/proof", get(jobs::proof))
            .route("/v1/blocks", get(chain::list))
            .route("/v1/blocks/{height}", get(chain::one))
            .route("/v1/blobs/{digest}", get(blobs::get))
            .route("/v1/events", get(events::stream))
            .layer(DefaultBodyLimit::max(TRANSACTIONS_BYTES_MAX))
            // Uploads are streamed, and bounded while they arrive.
            .route("/v1/blobs", put(blobs::put).layer(DefaultBodyLimit::disable()))
            .layer(middleware::from_fn(guard::only_this_machine))
            .with_state(self)
    }

    /// Serves requests until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        serve::serve(self.router(), listener, stop).await;
    }

    /// Serves only the metrics until `stop` is cancelled, whatever the `Host` header says.
    pub async fn serve_metrics(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new().route("/metrics", get(network::metrics)).with_state(self);
        serve::serve(router, listener, stop).await;
    }
}
