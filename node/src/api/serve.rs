//! Accepts connections to the API: a bounded number at a time, each with a bounded time to send its request. So a
//! client that opens many connections and sends nothing cannot use up the node's file descriptors.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The most open connections. More wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may take to send a request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long open requests may take to finish once the node stops. Event streams end then too.
const STOP_TIME: Duration = Duration::from_millis(500);
/// How long to wait when accepting fails, for instance because there are no file descriptors left.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Serves requests until `stop` is cancelled.
pub(super) async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    serve_within(HEAD_TIME, router, listener, stop).await;
}

async fn serve_within(head_time: Duration, router: Router, listener: TcpListener, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    answer(head_time, router, stream, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                debug!(%error, "a connection to the API was not taken");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
    // Event streams do not end by themselves.
    let _ = tokio::time::timeout(STOP_TIME, connections.join_all()).await;
}

async fn answer(head_time: Duration, router: Router, stream: TcpStream, stop: CancellationToken) {
    // A response's head and body are written separately. With Nagle's algorithm, the body would wait for the head's
    // acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_time);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection to the API broke");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_is_hung_up_on_and_others_are_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(|| async { "hello" }));
        let serving = tokio::spawn(serve_within(Duration::from_millis(300), router, listener, stop.clone()));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
            silent.push(stream);
        }
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        asks.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
        stop.cancel();
        serving.await.unwrap();
    }
}
