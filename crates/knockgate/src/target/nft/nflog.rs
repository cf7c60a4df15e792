//! The packet log of one group (linux/netfilter/nfnetlink_log.h). It has one listener in a network namespace.

use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::netlink::{Attributes, Bytes, Feed, Request};
use super::{TargetError, table};

/// Messages and attributes.
const PACKET: u16 = 0x0400;
const CONFIG: u16 = 0x0401;
const CONFIG_COMMAND: u16 = 1;
const CONFIG_MODE: u16 = 2;
const CONFIG_TIMEOUT: u16 = 4;
const CONFIG_THRESHOLD: u16 = 5;
const CONFIG_FLAGS: u16 = 6;
const MARK: u16 = 2;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
const SEQUENCE: u16 = 12;
const BIND: u8 = 1;
/// Bytes of a packet are copied, not only what is known of it.
const COPY_PACKET: u8 = 2;
/// Packets are numbered, so that missing ones are seen.
const NUMBERED: u16 = 1;

/// An IPv6 header, up to the end of its source.
const MOST_BYTES: u32 = 24;
/// Hundredths of a second that packets wait for others to be sent with.
const WAIT: u32 = 5;
/// Packets that do not wait for more.
const TOGETHER: u32 = 32;
/// Bytes that the kernel keeps for us while we do something else: some ten thousand packets.
const ROOM: usize = 4 << 20;
/// Where the kernel tells who listens to which group.
const LISTENERS: &str = "/proc/thread-self/net/netfilter/nfnetlink_log";

/// What the packet log has of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'b> {
    /// What the rule says of it.
    pub(super) prefix: &'b str,
    pub(super) mark: u32,
    pub(super) source: IpAddr,
}

/// The log of a group, of the network namespace that it was opened in.
#[derive(Debug)]
pub(super) struct PacketLog {
    feed: Feed,
    /// The number of the next packet.
    next: Option<u32>,
    missed: u64,
}

impl PacketLog {
    pub(super) fn open(group: u16) -> Result<Self, TargetError> {
        let failed = |error| table::refused("the packet log", error);
        let mut feed = Feed::open(0, ROOM).map_err(failed)?;
        let [a, b, c, d] = MOST_BYTES.to_be_bytes();
        let attributes = Bytes::default()
            .put(CONFIG_COMMAND, &[BIND])
            .put(CONFIG_MODE, &[a, b, c, d, COPY_PACKET, 0])
            .put(CONFIG_TIMEOUT, &WAIT.to_be_bytes())
            .put(CONFIG_THRESHOLD, &TOGETHER.to_be_bytes())
            .put(CONFIG_FLAGS, &NUMBERED.to_be_bytes());
        match feed.order(&Request { kind: CONFIG, family: 0, flags: 0, attributes }, group) {
            // So the kernel says both: that a right is lacking, and that another socket has the group.
            Err(Errno::PERM | Errno::BUSY) => return Err(taken(group)),
            bound => bound.map_err(failed)?,
        }
        Ok(Self { feed, next: None, missed: 0 })
    }

    /// Shows `each` packet that came together with the next one. `false` if none has come.
    pub(super) fn take(&mut self, mut each: impl FnMut(Packet<'_>)) -> Result<bool, TargetError> {
        let Self { feed, next, missed } = self;
        let taken = feed.take(|kind, packet| {
            if kind != PACKET {
                return;
            }
            if let Some(number) = packet.number(SEQUENCE) {
                let gap = next.map_or(0, |next| number.wrapping_sub(next));
                *missed += u64::from(gap);
                *next = Some(number.wrapping_add(1));
            }
            of_attributes(packet).into_iter().for_each(&mut each);
        });
        match taken {
            // What there was no room for is missing in the numbers of what comes next.
            Err(Errno::NOBUFS) => Ok(true),
            taken => taken.map_err(|error| table::refused("the packet log", error)),
        }
    }

    /// Packets that there was no room for, as far as later ones have shown.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }
}

impl AsFd for PacketLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.feed.as_fd()
    }
}

fn of_attributes(packet: Attributes<'_>) -> Option<Packet<'_>> {
    let prefix = packet.name(PREFIX)?;
    let source = source(packet.find(PAYLOAD)?)?;
    // One of 0 is left out.
    Some(Packet { prefix, mark: packet.number(MARK).unwrap_or_default(), source })
}

/// The source in the beginning of a packet (RFC 791, RFC 8200).
fn source(header: &[u8]) -> Option<IpAddr> {
    match header.first()? >> 4 {
        4 => Some(<[u8; 4]>::try_from(header.get(12..16)?).ok()?.into()),
        6 => Some(<[u8; 16]>::try_from(header.get(8..24)?).ok()?.into()),
        _ => None,
    }
}

/// Why a group cannot be listened to.
fn taken(group: u16) -> TargetError {
    let listeners = fs::read_to_string(LISTENERS).unwrap_or_default();
    let port = listeners.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == group.to_string()).then(|| words.next().map(str::to_owned)).flatten()
    });
    port.map_or(TargetError::NotPermitted, |port| TargetError::Listened(program(&port)))
}

/// The first netlink socket of a process has the process's number (`man 7 netlink`).
fn program(port: &str) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{port}/comm")).ok()?;
    Some(format!("process {port}, {}", name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_packet_is_read_from_as_much_as_is_copied() {
        let mut v4 = [0; 16];
        v4[0] = 0x45;
        v4[12..].copy_from_slice(&[192, 0, 2, 7]);
        assert_eq!(source(&v4), Some("192.0.2.7".parse().unwrap()));
        let mut v6 = [0; 24];
        v6[0] = 0x60;
        v6[23] = 7;
        v6[8] = 0x20;
        assert_eq!(source(&v6), Some("2000::7".parse().unwrap()));
        assert_eq!(
            (source(&v4[..15]), source(&v6[..23]), source(&[]), source(&[0x15; 24])),
            (None, None, None, None)
        );
    }
}
