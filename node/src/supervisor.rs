//! Tells a service manager how this process is, if it asked: `sd_notify(3)`, whose protocol is one datagram.

use std::{
    ffi::OsStr,
    io,
    os::unix::net::{SocketAddr, UnixDatagram},
};

use tracing::warn;

/// The variable that names the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// The API answers.
    Ready,
    /// What this process holds is being given back.
    Stopping,
}

impl State {
    fn message(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Stopping => b"STOPPING=1",
        }
    }
}

/// Tells it. A node goes on whether or not anyone hears it.
pub fn tell(state: State) {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    if let Err(error) = send(&socket, state) {
        warn!("{SOCKET} is set, but nobody hears there that this node is {state:?}: {error}");
    }
}

fn send(socket: &OsStr, state: State) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to_addr(state.message(), &address(socket)?)?;
    Ok(())
}

/// A path, or after `@` a name in Linux' own space of names for sockets.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt, unix::ffi::OsStrExt};
        if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
            return SocketAddr::from_abstract_name(name);
        }
    }
    SocketAddr::from_pathname(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram, socket: &OsStr, state: State) -> Vec<u8> {
        send(socket, state).expect("sent");
        let mut message = [0; 64];
        let length = listener.recv(&mut message).expect("heard");
        message[..length].to_vec()
    }

    #[test]
    fn a_service_manager_hears_at_a_path_that_the_node_is_ready() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("bound");
        assert_eq!(heard(&listener, path.as_os_str(), State::Ready), b"READY=1");
        drop(listener);
        assert!(send(path.as_os_str(), State::Ready).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_service_manager_hears_at_an_abstract_name_that_the_node_stops() {
        let name = format!("meshwork-supervisor-{}", std::process::id());
        let address = address(OsStr::new(&format!("@{name}"))).expect("a name");
        let listener = UnixDatagram::bind_addr(&address).expect("bound");
        assert_eq!(heard(&listener, OsStr::new(&format!("@{name}")), State::Stopping), b"STOPPING=1");
    }
}
