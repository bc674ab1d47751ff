//! Asks a busy node again, within reason.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use tokio::time::{Instant, sleep};

use super::ClientError;

/// How long a busy node is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest and shortest pause before a busy node is asked again, whatever it says itself.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// When a node that is too busy for a request wants to be asked again; `None` if it answered something else.
pub(super) fn retry_after(answer: &Response) -> Option<Duration> {
    if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(PAUSE_MIN, PAUSE_MAX))
}

/// How long a request has been waiting for a busy node.
pub(super) struct Patience {
    since: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Waits until the node that refused may be asked again.
    ///
    /// # Errors
    /// It was asked for long enough, or refused for another reason than being busy.
    pub(super) async fn wait_after(&mut self, refused: ClientError) -> Result<(), ClientError> {
        let ClientError::Busy { base, sentence, retry_after, .. } = refused else { return Err(refused) };
        let waited = self.since.elapsed();
        if waited + retry_after > PATIENCE {
            return Err(ClientError::Busy { base, sentence, retry_after, waited });
        }
        tracing::debug!(%sentence, "asking again");
        sleep(retry_after).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::super::Client;

    /// A node that answers one request on each connection: those that are given, in order.
    fn node(answers: Vec<&'static str>) -> (Client, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = Client::new(&listener.local_addr().expect("an address").to_string()).expect("good");
        let answering = thread::spawn(move || {
            for answer in answers {
                let (mut tcp, _) = listener.accept().expect("asked");
                let _ = tcp.read(&mut [0; 8192]).expect("a request");
                tcp.write_all(answer.as_bytes()).expect("heard");
            }
        });
        (client, answering)
    }

    const BUSY: &str =
        "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nConnection: close\r\nContent-Length: 16\r\n\r\n{\"error\":\"busy\"}";
    const STUCK: &str = "HTTP/1.1 503 Stuck\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{\"error\":\"stuck\"}";
    const WELL: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nwell";

    #[tokio::test]
    async fn a_busy_node_is_asked_again_and_one_that_is_stuck_is_not() {
        let (client, answering) = node(vec![BUSY, BUSY, WELL]);
        assert_eq!(client.metrics().await.expect("answered"), "well");
        answering.join().expect("all were asked for");
        let (client, answering) = node(vec![STUCK]);
        assert_eq!(client.metrics().await.expect_err("refused").to_string(), "stuck");
        answering.join().expect("all were asked for");
    }

    #[tokio::test]
    async fn patience_ends_with_what_the_node_said_and_what_to_do() {
        use super::*;
        let busy = || ClientError::Busy {
            base: "http://127.0.0.1:7".into(),
            sentence: "this node takes 1 uploads at once".into(),
            retry_after: PAUSE_MIN,
            waited: Duration::ZERO,
        };
        assert!(Patience::new().wait_after(busy()).await.is_ok());
        let Some(since) = Instant::now().checked_sub(PATIENCE) else { return };
        let error = Patience { since }.wait_after(busy()).await.expect_err("long enough").to_string();
        assert!(
            error.contains("1 uploads at once") && error.contains("30 seconds") && error.contains("see"),
            "{error}"
        );
    }
}
