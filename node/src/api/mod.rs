//! The local HTTP API, for the command line and other programs of this machine's user. It never holds a submitter's
//! key: transactions arrive signed.
//!
//! The API listens on loopback unless told otherwise. It answers only requests whose `Host` header names this
//! machine, and none of web pages ([`guard`]). So a web page whose own name resolves to this machine (DNS rebinding)
//! gets nothing.
//!
//! No client can keep others from an answer: [`serve`] says how, and [`Limits`] how much of everything there may be.

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

use std::{io, sync::Arc, time::Instant};

use axum::{
    Router, middleware,
    routing::{get, post, put},
};
use meshwork_api::Keep;
use meshwork_core::types::Genesis;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    alarms::Alarms, blobs::Blobs, clock::Clock, disk_space::DiskSpace, driver::Handle, mesh::MeshHandle,
    metrics::Metrics,
};

pub(crate) use self::serve::listen;
pub use self::serve::{Bound, Limits, Pace};
use self::serve::{Kind, always, within_bounds};

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
    /// What is wrong with the node.
    pub alarms: Alarms,
    /// By what means this machine cannot confine the processes that run tasks.
    pub confinement_lacks: Arc<[String]>,
    /// When the node started.
    pub started: Instant,
    /// How much of everything there may be at once.
    pub limits: Limits,
}

impl Api {
    fn router(self) -> Router {
        let always_answered = Router::new()
            .route("/health", get(network::health))
            .route("/metrics", get(network::metrics))
            .route_layer(middleware::from_fn(always));
        let answers = Router::new()
            .route("/v1/status", get(network::status))
            .route("/v1/genesis", get(network::genesis))
            .route("/v1/governance", get(governance::governance))
            .route("/v1/keys/{key}", get(governance::key))
            .route("/v1/workers", get(network::workers))
            .route("/v1/workers/{key}/records", get(network::records))
            .route("/v1/usage", get(usage::usage))
            .route("/v1/peers", get(network::peers))
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
            .route("/v1/blocks/{height}", get(chain::one));
        let of_kind =
            |kind, routes: Router<Self>| routes.route_layer(middleware::from_fn_with_state(kind, within_bounds));
        always_answered
            .merge(of_kind(Kind::Answer, answers))
            .merge(of_kind(Kind::Transactions, Router::new().route("/v1/transactions", post(transactions::submit))))
            .merge(of_kind(Kind::Upload, Router::new().route("/v1/blobs", put(blobs::put))))
            .merge(of_kind(Kind::Answer, Router::new().route("/v1/blobs/verify", post(blobs::verify))))
            .merge(of_kind(Kind::Download, Router::new().route("/v1/blobs/{digest}", get(blobs::get))))
            .merge(of_kind(Kind::Events, Router::new().route("/v1/events", get(events::stream))))
            .layer(middleware::from_fn(guard::only_this_machine))
            .with_state(self)
    }

    /// Serves requests until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let (limits, metrics) = (self.limits.clone(), Arc::clone(&self.metrics));
        told("api", serve::serve("api", self.router(), listener, limits, metrics, stop).await);
    }

    /// Serves only the metrics until `stop` is cancelled, whatever the `Host` header says.
    pub async fn serve_metrics(self, listener: TcpListener, stop: CancellationToken) {
        let (limits, metrics) = (self.limits.clone(), Arc::clone(&self.metrics));
        let router = Router::new().route("/metrics", get(network::metrics)).route_layer(middleware::from_fn(always));
        told("metrics", serve::serve("metrics", router.with_state(self), listener, limits, metrics, stop).await);
    }
}

/// Logs why something is no longer served.
fn told(what: &str, served: io::Result<()>) {
    if let Err(error) = served {
        error!(what, %error, "HTTP is not served any more; start the node again");
    }
}
