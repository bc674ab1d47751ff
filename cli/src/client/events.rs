//! The node's event stream: server-sent events whose data is the JSON of an [`EventView`].

use std::collections::VecDeque;

use meshwork_api::{EventFilter, EventView};
use meshwork_core::types::JobId;
use reqwest::{Method, Response};

use super::{Client, ClientError};

/// The most bytes of an unfinished line that are kept.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A stream of events.
pub struct Events {
    client: Client,
    answer: Response,
    lines: Lines,
    ready: VecDeque<EventView>,
}

impl Client {
    /// Listens to events of the whole ledger, or of one job.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn events(&self, job: Option<JobId>) -> Result<Events, ClientError> {
        self.listen(&EventFilter { job, tasks: None }).await
    }

    /// Listens to events of blocks and jobs, without those of single tasks.
    ///
    /// A node that cannot leave task events out sends them too.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn events_without_tasks(&self) -> Result<Events, ClientError> {
        self.listen(&EventFilter { job: None, tasks: Some(false) }).await
    }

    /// A busy node is not asked again: who cannot listen can ask at intervals instead.
    async fn listen(&self, filter: &EventFilter) -> Result<Events, ClientError> {
        let answer = self.send_once(self.request(Method::GET, "/v1/events").query(filter)).await?;
        Ok(Events { client: self.clone(), answer, lines: Lines::default(), ready: VecDeque::new() })
    }
}

impl Events {
    /// The next event, or `None` when the node ends the stream. Dropping the future loses no event.
    ///
    /// # Errors
    /// The connection broke, or what came is not an event.
    pub async fn next(&mut self) -> Result<Option<EventView>, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let chunk = self.answer.chunk().await.map_err(|error| self.client.unreachable(&error))?;
            let Some(chunk) = chunk else { return Ok(None) };
            for data in self.lines.take(&chunk).map_err(|why| self.client.nonsense(&why))? {
                let event = serde_json::from_str(&data).map_err(|error| self.client.nonsense(&error))?;
                self.ready.push_back(event);
            }
        }
    }
}

/// Bytes that come in any pieces, as the data of whole server-sent events. The node writes each event's data on one
/// line, so that a `data:` line is an event; comments and other fields are passed over.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn take(&mut self, chunk: &[u8]) -> Result<Vec<String>, String> {
        let mut events = Vec::new();
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.last() != Some(&b'\n') {
                if self.partial.len() > LINE_BYTES_MAX {
                    return Err("an endless line of events".into());
                }
                continue;
            }
            let line = std::mem::take(&mut self.partial);
            let line = std::str::from_utf8(&line).map_err(|error| error.to_string())?;
            if let Some(data) = line.trim_end().strip_prefix("data:") {
                events.push(data.trim_start().to_owned());
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_bytes_come() {
        let stream = b": hello\n\ndata: {\"a\":1}\n\nevent: x\r\ndata:{\"b\":\"\xc3\xa4\"}\r\n\r\n";
        let wanted = vec!["{\"a\":1}".to_owned(), "{\"b\":\"ä\"}".to_owned()];
        assert_eq!(Lines::default().take(stream), Ok(wanted.clone()));
        let mut lines = Lines::default();
        let found: Vec<String> = stream.iter().flat_map(|byte| lines.take(&[*byte]).expect("good")).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_line_that_never_ends_is_given_up() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; LINE_BYTES_MAX / 2 + 1];
        assert_eq!(lines.take(&piece), Ok(vec![]));
        assert!(lines.take(&piece).is_err());
    }
}
