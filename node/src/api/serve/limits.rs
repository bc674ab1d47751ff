//! Every bound of the API, in one place. Together they keep the node's memory for the API below 64 MiB, whatever is
//! sent to it.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// The API takes at most one part in this many of the files that the process may open: the mesh, the store and the
/// blobs need the others.
const FILES_PART: u64 = 4;

/// How much of something there may be at once: for all, and for each address. An IPv6 network of 64 bits counts as one
/// address, because whoever has one address of it usually has all.
///
/// The bound of an address is below that of all, so that no single address can use up everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// For all addresses together.
    pub all: usize,
    /// For each address.
    pub each_address: usize,
}

impl Bound {
    const fn new(all: usize, each_address: usize) -> Self {
        Self { all, each_address }
    }
}

/// The least rate at which a client must send or read: so many bytes in each period in which the node waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The length of a period. The time in which the node does not wait for the client does not count.
    pub period: Duration,
    /// The least bytes in a period.
    pub bytes_min: usize,
}

/// The bounds of the API. The default is what a node runs with.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections that wait: they are new, idle between two requests, slow to send a head, or about to close. Beyond
    /// this bound, the one that has waited longest is closed, so a new connection always gets in. One takes up to 20
    /// KiB. An address needs as many as it has programs that use the API, with some connections each.
    pub waiting: Bound,
    /// Requests that look something up. A few are answered at a time, and the others stand in line. A client that
    /// follows many jobs sends some dozens at once.
    pub answers: Bound,
    /// Requests that look something up and are being answered. The replica's thread and the disk serve these between
    /// two steps of consensus, so they are few. An address may have all of them: the line is first come, first served.
    pub answers_at_once: usize,
    /// Bytes of answers that were made and not yet read. 256 proofs, the most in one answer, take up to 1 MiB. A larger
    /// answer than this bound is given only while there is no other.
    pub answer_bytes: Bound,
    /// Requests with transactions. A client that submits as fast as it can has 64 of them under way.
    pub transactions: Bound,
    /// Bytes of such requests that have come. One has at most 16 MiB, and one must always be possible.
    pub transaction_bytes: Bound,
    /// Uploads of blobs. Each holds up to 1.2 MiB until they are on the disk.
    pub uploads: Bound,
    /// Downloads of blobs. Each has an open file and a piece of it in memory.
    pub downloads: Bound,
    /// Event streams. Each command that waits for a job has one; without one it asks at intervals.
    pub event_streams: Bound,
    /// How long a connection may take to send a request's head, and how long it may be idle before.
    pub head_time: Duration,
    /// The most bytes of a request's head. They are also how much of an answer is copied at a time.
    pub head_bytes: usize,
    /// The least rate of a body: 32 KiB/s, which any line has that is meant for blobs.
    pub send_pace: Pace,
    /// The least rate at which an answer or events are read once the socket's buffer is full.
    pub read_pace: Pace,
    /// How long the node goes on reading after an answer that came before the request's end. If it closed at once, the
    /// system could drop the answer.
    pub linger_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let pace = Pace { period: Duration::from_secs(5), bytes_min: 160 << 10 };
        let limits = Self {
            waiting: Bound::new(768, 512),
            answers: Bound::new(128, 96),
            answers_at_once: 4,
            answer_bytes: Bound::new(16 << 20, 12 << 20),
            transactions: Bound::new(128, 96),
            transaction_bytes: Bound::new(24 << 20, 16 << 20),
            uploads: Bound::new(8, 6),
            downloads: Bound::new(32, 24),
            event_streams: Bound::new(64, 48),
            head_time: Duration::from_secs(10),
            head_bytes: 32 << 10,
            send_pace: pace,
            read_pace: pace,
            linger_time: Duration::from_secs(1),
        };
        limits.within_files(getrlimit(Resource::Nofile).current)
    }
}

impl Limits {
    /// The same bounds, with fewer waiting connections if the process may open only few files. `None` stands for no
    /// bound.
    fn within_files(mut self, files_max: Option<u64>) -> Self {
        let places = files_max.map_or(usize::MAX, |files| usize::try_from(files / FILES_PART).unwrap_or(usize::MAX));
        let requests = [self.answers, self.transactions, self.uploads, self.downloads, self.event_streams];
        let requests: usize = requests.iter().map(|bound| bound.all).sum();
        let left = places.saturating_sub(requests).max(places / 2).max(2);
        self.waiting.all = self.waiting.all.min(left);
        self.waiting.each_address = self.waiting.each_address.min(self.waiting.all * 2 / 3).max(1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_can_use_up_what_is_there_for_all() {
        let limits = Limits::default();
        let bounds = [limits.waiting, limits.answers, limits.answer_bytes, limits.transactions];
        let more = [limits.transaction_bytes, limits.uploads, limits.downloads, limits.event_streams];
        for Bound { all, each_address } in bounds.into_iter().chain(more) {
            assert!(each_address < all, "{each_address} of {all}");
        }
    }

    #[test]
    fn a_process_with_few_files_keeps_most_of_them_for_other_things() {
        let few = Limits::default().within_files(Some(1024)).waiting;
        assert_eq!((few.all, few.each_address), (128, 85));
        let boundless = Limits { waiting: Bound::new(768, 512), ..Limits::default() }.within_files(None).waiting;
        assert_eq!(boundless, Bound::new(768, 512));
    }
}
