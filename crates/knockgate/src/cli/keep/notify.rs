//! Tells who started us that we are at work (`man 3 sd_notify`).

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Nobody has to be there to hear it.
pub(super) fn ready() {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&name),
    };
    let said = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(b"READY=1", &address?));
    said.map(drop).unwrap_or_default();
}
