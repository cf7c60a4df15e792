//! The built `knock`, run as people run it: on loopback, and with root in network namespaces of its own.

mod bounded;
mod loopback;
mod papers;
mod profiles;
mod proxy;
mod usage;

#[cfg(target_os = "linux")]
mod knockd;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod wire;

use std::net::UdpSocket;
use std::process::Command;

use crate::bounded::LIMIT;

/// The built binary, without any profiles.
fn knock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_knock"));
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("APPDATA", "/nonexistent");
    command
}

/// A UDP socket on loopback that hears a knock, and the text of that knock.
fn gate() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit above zero");
    let knock = format!("{}/udp", socket.local_addr().expect("bound").port());
    (socket, knock)
}

fn hear(gate: &UdpSocket) {
    let length = gate.recv(&mut [0; 1]).expect("a knock in time");
    assert_eq!(length, 0, "a UDP knock is empty");
}
