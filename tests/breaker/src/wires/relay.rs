//! The relay: a process in a host's network that delays packets. An interface of its own (TUN) gives it every
//! packet for other peers. It keeps the packet for a random time and then sends it on, unchanged, by the real
//! interface. The relay ends when its parent does, and its interface with it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::Read,
    net::{Ipv4Addr, SocketAddrV4},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use meshwork::failure::{Done, Failure};
use rand::RngExt;
use socket2::{Domain, Protocol, Socket, Type};

use crate::system::{SOON, run_within};

/// What it prints once packets go through it.
pub(crate) const READY: &str = "ready";

/// The relay's interface.
const TUN: &str = "slow0";

/// The mark of the packets that it sends on, which keeps them from coming back to it, and the routing table for
/// these.
const MARK: u32 = 0x4d57;

/// The most packets that it holds. Further ones are lost, as in any queue.
const PACKETS_MAX: usize = 20_000;

/// The size of the largest packet, in bytes.
const PACKET_BYTES_MAX: usize = 1500;

/// The options of a relay.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The host's own address
    #[arg(long)]
    from: Ipv4Addr,
    /// The host's real interface
    #[arg(long)]
    interface: String,
    /// How long a packet is delayed on average
    #[arg(long)]
    delay_ms: u64,
    /// By how much that varies, up or down
    #[arg(long)]
    jitter_ms: u64,
    /// To which addresses
    others: Vec<Ipv4Addr>,
}

/// A packet and the time when it goes on. The number orders packets of equal times.
type Held = Reverse<(Instant, u64, Vec<u8>)>;

/// Runs the relay until its standard input ends.
///
/// # Errors
/// The system gives no interface, or refuses the routes.
pub(crate) fn run(options: &Options) -> Done {
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(0);
    });
    let mut configuration = tun::Configuration::default();
    configuration.tun_name(TUN).mtu(PACKET_BYTES_MAX as u16).up();
    let mut interface = tun::create(&configuration)
        .map_err(|error| Failure::failed(format!("No interface could be made for the relay: {error}.")))?;
    let socket = raw_socket().map_err(|error| Failure::failed(format!("The relay may not send packets: {error}.")))?;
    // A strict check of the return path would drop packets from others now. Where this cannot be set, it need
    // not be.
    let _ = std::fs::write(format!("/proc/sys/net/ipv4/conf/{}/rp_filter", options.interface), "2");
    run_within(SOON, "ip", &["-batch", "-"], &routes(options))?;
    println!("{READY}");
    let (held, due) = mpsc::sync_channel(PACKETS_MAX);
    thread::spawn(move || send(&socket, &due));
    take(&mut interface, &held, options)
}

/// Routes everything for the others into the relay, and the relay's marked packets past it.
fn routes(options: &Options) -> String {
    let Options { from, interface, others, .. } = options;
    let mut lines = format!("rule add fwmark {MARK} lookup {MARK}\n");
    for other in others {
        lines.push_str(&format!(
            "route replace {other} dev {interface} src {from} table {MARK}\nroute replace {other} dev {TUN} src {from}\n"
        ));
    }
    lines
}

fn raw_socket() -> std::io::Result<Socket> {
    const IPPROTO_RAW: i32 = 255;
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
    socket.set_mark(MARK)?;
    Ok(socket)
}

fn take(interface: &mut tun::Device, held: &SyncSender<Held>, options: &Options) -> Done {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let least_ms = options.delay_ms.saturating_sub(options.jitter_ms);
    let most_ms = options.delay_ms + options.jitter_ms;
    for number in 0_u64.. {
        let bytes = interface
            .read(&mut packet)
            .map_err(|error| Failure::failed(format!("The relay's interface failed: {error}.")))?;
        let wait = Duration::from_micros(rand::rng().random_range(least_ms * 1000..=most_ms * 1000));
        // A full queue loses further packets, as a real one does.
        let _ = held.try_send(Reverse((Instant::now() + wait, number, packet[..bytes].to_vec())));
    }
    Ok(())
}

fn send(socket: &Socket, packets: &Receiver<Held>) {
    const IDLE: Duration = Duration::from_secs(3600);
    let mut waiting: BinaryHeap<Held> = BinaryHeap::new();
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            if let Some(Reverse((.., packet))) = waiting.pop()
                && let Some(to) = destination(&packet)
            {
                // The rules that drop packets report an error to the sender.
                let _ = socket.send_to(&packet, &SocketAddrV4::new(to, 0).into());
            }
        }
        let until_next = waiting.peek().map_or(IDLE, |Reverse((due, ..))| due.saturating_duration_since(now));
        match packets.recv_timeout(until_next) {
            Ok(packet) if waiting.len() < PACKETS_MAX => waiting.push(packet),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The destination of an IPv4 packet.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let is_ipv4 = packet.first()? >> 4 == 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    is_ipv4.then(|| Ipv4Addr::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_goes_first_however_it_came() {
        let now = Instant::now();
        let held = |ms, number| -> Held { Reverse((now + Duration::from_millis(ms), number, vec![])) };
        let mut waiting = BinaryHeap::from([held(30, 0), held(10, 1), held(20, 2), held(10, 3)]);
        let order: Vec<u64> = std::iter::from_fn(|| waiting.pop().map(|Reverse((_, number, _))| number)).collect();
        assert_eq!(order, [1, 3, 2, 0]);
    }

    #[test]
    fn a_packet_says_where_it_is_to_go() {
        let mut packet = vec![0x45; 20];
        packet[16..20].copy_from_slice(&[10, 1, 2, 3]);
        assert_eq!(destination(&packet), Some(Ipv4Addr::new(10, 1, 2, 3)));
        assert_eq!(destination(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
    }
}
