//! Notices a client that sends or reads too slowly.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::limits::Pace;

/// What has moved since the period began.
pub(super) struct PaceWatch {
    pace: Pace,
    bytes: usize,
    waited: Duration,
    waits: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl PaceWatch {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, bytes: 0, waited: Duration::ZERO, waits: None }
    }

    /// Notes that bytes moved. With enough of them, a new period begins.
    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some((since, _)) = self.waits.take() {
            self.waited += since.elapsed();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= self.pace.bytes_min {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Ready once the client was waited for a whole period, and too little has moved in it. To be polled whenever it
    /// has to be waited for.
    pub(super) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.pace.period.saturating_sub(self.waited);
        let (_, until) = self.waits.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        until.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    async fn wait(watch: &mut PaceWatch, time: Duration) -> bool {
        timeout(time, poll_fn(|context| watch.poll_too_slow(context))).await.is_ok()
    }

    #[tokio::test]
    async fn only_the_time_in_which_the_client_is_waited_for_counts() {
        let mut watch = PaceWatch::new(Pace { period: Duration::from_secs(600), bytes_min: 100 });
        assert!(!wait(&mut watch, Duration::from_millis(20)).await);
        watch.moved(1);
        let waited = watch.waited;
        assert!(waited >= Duration::from_millis(20));
        // The node is busy with something else.
        sleep(Duration::from_millis(20)).await;
        watch.moved(98);
        assert_eq!(watch.waited, waited);
        watch.moved(1);
        assert_eq!(watch.waited, Duration::ZERO, "that was enough for a period");
    }

    #[tokio::test]
    async fn who_moves_too_little_in_a_period_is_too_slow() {
        const PERIOD: Duration = Duration::from_millis(200);
        let mut watch = PaceWatch::new(Pace { period: PERIOD, bytes_min: 100 });
        let mut waited = Duration::ZERO;
        while waited < Duration::from_secs(30) {
            let began = Instant::now();
            let too_slow = wait(&mut watch, Duration::from_millis(30)).await;
            waited += began.elapsed();
            if too_slow {
                assert!(waited >= PERIOD);
                return;
            }
            watch.moved(1);
        }
        panic!("a trickle goes on for ever");
    }
}
