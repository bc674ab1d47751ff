//! A typed client of a node's HTTP API.

mod blobs;
mod events;
mod patience;
mod usage;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use meshwork_api::{
    AdmissionView, ArrayView, BlockRange, BlockView, ErrorView, ExplanationView, GovernanceView, JobView, KeyView,
    PROOFS_MAX, Page, PeerView, RecordView, RecurringView, StatusView, TaskState, TaskView, TimelineView,
    TransactionView, WorkerView,
};
use meshwork_core::{
    codec,
    identity::PublicKey,
    proof::Proof,
    types::{JobId, RecurringId, SignedTransaction, TaskId, TransactionId},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

pub use self::events::Events;
use self::patience::{Patience, retry_after};
use crate::failure::{Done, Exit, Failure};

/// The most bytes of an answer that the client holds in memory.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long connecting may take. The node is on this machine or near it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take, unless it is a blob or a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a request to the node failed.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// The node does not answer.
    #[error(
        "The node at {base} does not answer ({why}); see that `meshwork up` runs there, or name another with --api."
    )]
    Unreachable {
        /// The node's URL.
        base: String,
        /// The system's message.
        why: String,
    },
    /// The node refused the request.
    #[error("{sentence}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The node's own sentence.
        sentence: String,
    },
    /// The node has as many such requests as it takes at once, and went on having them.
    #[error("{sentence} (for {} seconds, the node at {base} did not take it); see what else uses it.", waited.as_secs())]
    Busy {
        /// The node's URL.
        base: String,
        /// The node's own sentence.
        sentence: String,
        /// When the node wants to be asked again.
        retry_after: Duration,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The node's answer is not what it should be.
    #[error(
        "The node at {base} gave an answer that makes no sense ({why}); see that it is the same version as this program."
    )]
    Nonsense {
        /// The node's URL.
        base: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// The content does not have the requested digest.
    #[error("The node gave content for {0} that does not have that digest; it was thrown away. Ask another node.")]
    Content(String),
    /// The content could not be written here.
    #[error("Could not write what the node gave: {0}; make room or choose another place.")]
    Write(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error {
            ClientError::Unreachable { .. } => Exit::Unreachable,
            ClientError::Busy { .. } => Exit::Unreachable,
            ClientError::Content(_) => Exit::Proof,
            _ => Exit::Failed,
        };
        Self { exit, sentence: error.to_string() }
    }
}

impl ClientError {
    /// Whether the node said that it has no such thing, or not yet.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND | StatusCode::CONFLICT, .. })
    }
}

/// A node's HTTP API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// The URL by which this machine reaches what listens at all of its addresses, if that is what a URL says.
fn from_here(mut url: reqwest::Url) -> Option<reqwest::Url> {
    let loopback: IpAddr = match url.host_str()? {
        "0.0.0.0" => Ipv4Addr::LOCALHOST.into(),
        "[::]" => Ipv6Addr::LOCALHOST.into(),
        _ => return None,
    };
    url.set_ip_host(loopback).ok().map(|()| url)
}

impl Client {
    /// A client for the API at an address and port, with or without `http://`.
    ///
    /// # Errors
    /// The text is not the address of an HTTP API.
    pub fn new(api: &str) -> Done<Self> {
        let base = if api.contains("://") { api.to_owned() } else { format!("http://{api}") };
        let base = base.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base).ok().filter(|url| url.scheme() == "http" && url.has_host());
        let Some(url) = url else {
            return Err(Failure::usage(format!(
                "{api:?} is not where an API can be; write an address and a port: 127.0.0.1:7420."
            )));
        };
        let base = from_here(url).map_or(base, |url| url.as_str().trim_end_matches('/').to_owned());
        // The environment's proxy is for the outside world, not for a node on this machine.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        let http = http.build().map_err(|error| Failure::failed(format!("No HTTP client could be made: {error}.")))?;
        Ok(Self { http, base })
    }

    /// The node's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The node's status.
    pub async fn status(&self) -> Result<StatusView, ClientError> {
        self.get("/v1/status").await
    }

    /// The authorities, and the changes that they are about to make.
    pub async fn governance(&self) -> Result<GovernanceView, ClientError> {
        self.get("/v1/governance").await
    }

    /// What a key may do, and how much of its quota is used.
    pub async fn key(&self, key: PublicKey) -> Result<KeyView, ClientError> {
        self.get(&format!("/v1/keys/{key}")).await
    }

    /// The network's genesis, as the node has it.
    pub async fn genesis(&self) -> Result<String, ClientError> {
        self.text("/v1/genesis").await
    }

    /// The node's metrics, in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.text("/metrics").await
    }

    /// Whether the node reports itself as healthy.
    pub async fn is_healthy(&self) -> bool {
        self.send(self.request(Method::GET, "/health").timeout(CONNECT_TIMEOUT)).await.is_ok()
    }

    /// Hands signed transactions to the node.
    pub async fn admit(&self, transactions: &[SignedTransaction]) -> Result<Vec<AdmissionView>, ClientError> {
        let request = self
            .request(Method::POST, "/v1/transactions")
            .header(reqwest::header::CONTENT_TYPE, "application/cbor")
            .body(codec::encode(transactions));
        let answer = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        self.json(answer).await
    }

    /// The result of a transaction.
    pub async fn transaction(&self, id: TransactionId) -> Result<TransactionView, ClientError> {
        self.get(&format!("/v1/transactions/{id}")).await
    }

    /// All jobs, newest first.
    pub async fn jobs(&self) -> Result<Vec<JobView>, ClientError> {
        self.get("/v1/jobs").await
    }

    /// One job.
    pub async fn job(&self, job: JobId) -> Result<JobView, ClientError> {
        self.get(&format!("/v1/jobs/{job}")).await
    }

    /// A job's arrays, in the job's order. The list is empty for a job that the ledger has forgotten.
    pub async fn arrays(&self, job: JobId) -> Result<Vec<ArrayView>, ClientError> {
        self.get(&format!("/v1/jobs/{job}/arrays")).await
    }

    /// Tasks of a job, by index.
    pub async fn tasks(
        &self,
        job: JobId,
        from: u32,
        limit: u32,
        state: Option<TaskState>,
    ) -> Result<Vec<TaskView>, ClientError> {
        self.find(&format!("/v1/jobs/{job}/tasks"), &Page { state, ..page(from, limit) }).await
    }

    /// One task.
    pub async fn task(&self, task: TaskId) -> Result<TaskView, ClientError> {
        self.get(&format!("/v1/tasks/{task}")).await
    }

    /// The explanation of why a task waits, or why it was placed where it is.
    pub async fn explanation(&self, task: TaskId) -> Result<ExplanationView, ClientError> {
        self.get(&format!("/v1/tasks/{task}/explanation")).await
    }

    /// When some tasks of a job waited and ran, by index; at most [`LIST_MAX`].
    pub async fn timeline(&self, job: JobId, from: u32, limit: u32) -> Result<TimelineView, ClientError> {
        self.find(&format!("/v1/jobs/{job}/timeline"), &page(from, limit)).await
    }

    /// The proof of a task's outcome; `None` while there is no outcome.
    pub async fn proof(&self, task: TaskId) -> Result<Option<Proof>, ClientError> {
        let bytes = match self.bytes(self.request(Method::GET, &format!("/v1/tasks/{task}/proof"))).await {
            Err(error) if error.is_absent() => return Ok(None),
            answer => answer?,
        };
        Proof::decode(&bytes).map(Some).map_err(|error| self.nonsense(&error))
    }

    /// Proofs of a job's tasks that have one, by index, from an index on: at most [`PROOFS_MAX`].
    pub async fn proofs(&self, job: JobId, from: u32) -> Result<Vec<Proof>, ClientError> {
        let request = self.request(Method::GET, &format!("/v1/jobs/{job}/proofs")).query(&page(from, PROOFS_MAX));
        let bytes = self.bytes(request).await?;
        codec::decode(&bytes, ANSWER_BYTES_MAX).map_err(|error| self.nonsense(&error))
    }

    /// All recurring jobs, newest first.
    pub async fn recurring(&self) -> Result<Vec<RecurringView>, ClientError> {
        self.get("/v1/recurring").await
    }

    /// One recurring job.
    pub async fn recurring_job(&self, recurring: RecurringId) -> Result<RecurringView, ClientError> {
        self.get(&format!("/v1/recurring/{recurring}")).await
    }

    /// The workers whose claims stand.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, ClientError> {
        self.get("/v1/workers").await
    }

    /// The track record of a worker whose claim stands, by submitter and program.
    pub async fn records(&self, worker: PublicKey) -> Result<Vec<RecordView>, ClientError> {
        self.get(&format!("/v1/workers/{worker}/records")).await
    }

    /// The peers that the node is connected to.
    pub async fn peers(&self) -> Result<Vec<PeerView>, ClientError> {
        self.get("/v1/peers").await
    }

    /// Blocks, by height.
    pub async fn blocks(&self, from: u64, limit: u32) -> Result<Vec<BlockView>, ClientError> {
        self.find("/v1/blocks", &BlockRange { from: Some(from), limit: Some(limit.into()) }).await
    }

    /// What the node answers at a path of its API, read as one likes: for those who look at other versions than their
    /// own.
    ///
    /// # Errors
    /// It does not answer, refuses, or answers something else.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.get(path).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request, again for as long as the node is too busy for it, if it can be sent again.
    async fn send(&self, mut request: RequestBuilder) -> Result<Response, ClientError> {
        let mut patience = Patience::new();
        loop {
            let again = request.try_clone();
            let refused = match self.send_once(request).await {
                Err(refused @ ClientError::Busy { .. }) => refused,
                answer => return answer,
            };
            request = match again {
                Some(again) => again,
                None => return Err(refused),
            };
            patience.wait_after(refused).await?;
        }
    }

    /// Sends a request, and turns a refusal into the node's own sentence.
    async fn send_once(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry_after = retry_after(&answer);
        let text = answer.text().await.unwrap_or_default();
        let sentence = serde_json::from_str::<ErrorView>(&text)
            .map(|view| view.error)
            .unwrap_or_else(|_| format!("The node at {} answered {status}: {}", self.base, text.trim()));
        Err(match retry_after {
            Some(retry_after) => {
                ClientError::Busy { base: self.base.clone(), sentence, retry_after, waited: Duration::ZERO }
            }
            None => ClientError::Refused { status, sentence },
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.find(path, &()).await
    }

    /// What there is at a path, as far as it is wanted.
    async fn find<T: DeserializeOwned>(&self, path: &str, wanted: &impl Serialize) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path).query(wanted).timeout(ANSWER_TIMEOUT);
        self.json(self.send(request).await?).await
    }

    async fn json<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ClientError> {
        let bytes = self.collect(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.nonsense(&error))
    }

    async fn text(&self, path: &str) -> Result<String, ClientError> {
        String::from_utf8(self.bytes(self.request(Method::GET, path)).await?).map_err(|error| self.nonsense(&error))
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let answer = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        self.collect(answer).await
    }

    /// The whole answer, unless it is too large to hold.
    async fn collect(&self, mut answer: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.nonsense(&format!("more than {ANSWER_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        // A person can act on the innermost cause ("connection refused"). The rest are layers of the library.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let why = if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() };
        ClientError::Unreachable { base: self.base.clone(), why }
    }

    fn nonsense(&self, why: &dyn std::fmt::Display) -> ClientError {
        ClientError::Nonsense { base: self.base.clone(), why: why.to_string() }
    }
}

fn page(from: u32, limit: u32) -> Page {
    Page { from: Some(from), limit: Some(limit as usize), state: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_cannot_be_asked_are_refused() {
        assert_eq!(Client::new("127.0.0.1:7420").expect("good").base(), "http://127.0.0.1:7420");
        assert_eq!(Client::new("http://[::1]:7420/").expect("good").base(), "http://[::1]:7420");
        assert_eq!(Client::new("0.0.0.0:7420").expect("good").base(), "http://127.0.0.1:7420");
        assert_eq!(Client::new("[::]:7420").expect("good").base(), "http://[::1]:7420");
        for text in ["", "https://example.com", "http://", "a b"] {
            assert_eq!(Client::new(text).expect_err(text).exit, Exit::Usage);
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said_to_be_unreachable() {
        let client = Client::new("127.0.0.1:9").expect("good");
        let failure = Failure::from(client.status().await.expect_err("nobody"));
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.sentence.contains("127.0.0.1:9") && failure.sentence.contains("meshwork up"), "{failure}");
    }
}
