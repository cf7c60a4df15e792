//! Connection tracking, as far as rules can see it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::net::{Destination, Family, Packet, Payload, TcpFlags};
use crate::program::State;

/// What tells connections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    source: IpAddr,
    destination: Destination,
    ports: Ports,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ports {
    Tcp(u16, u16),
    Udp(u16, u16),
    Echo,
}

impl Flow {
    fn of(packet: &Packet) -> Option<Self> {
        let ports = match packet.payload {
            Payload::Tcp { from, to, .. } => Ports::Tcp(from, to),
            Payload::Udp { from, to } => Ports::Udp(from, to),
            Payload::Icmp { kind } if kind == crate::net::echo_request_type(packet.family()) => Ports::Echo,
            Payload::Icmp { .. } => return None,
        };
        Some(Self { source: packet.source, destination: packet.destination, ports })
    }
}

/// Connections that were accepted, each with where it was redirected to.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: HashMap<Flow, Option<SocketAddr>>,
}

impl Connections {
    /// The state of a packet, and where its connection was redirected to.
    pub(super) fn look_up(&self, packet: &Packet) -> (State, Option<SocketAddr>) {
        let alone = alone(packet);
        if begins(packet) || alone == State::Invalid && !well_formed(packet) {
            return (alone, None);
        }
        match Flow::of(packet).and_then(|flow| self.open.get(&flow)) {
            Some(redirect) => (State::Established, *redirect),
            None => (alone, None),
        }
    }

    /// Notes that `packet` was let through.
    pub(super) fn accept(&mut self, packet: &Packet, state: State, redirect: Option<SocketAddr>) {
        if state == State::New
            && let Some(flow) = Flow::of(packet)
        {
            self.open.insert(flow, redirect);
        }
    }
}

const HANDSHAKE: TcpFlags = TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK);

/// A SYN alone begins a connection of its own, whatever went before.
fn begins(packet: &Packet) -> bool {
    matches!(packet.payload, Payload::Tcp { flags, .. } if flags.masked(HANDSHAKE) == TcpFlags::SYN)
}

/// The state of a packet that belongs to no connection.
fn alone(packet: &Packet) -> State {
    match packet.payload {
        Payload::Udp { .. } => State::New,
        Payload::Tcp { flags, .. } => {
            let handshake = flags.masked(HANDSHAKE);
            // With tcp_loose a connection may be picked up at an ACK (nf_conntrack_proto_tcp.c,
            // tcp_conntracks, from state NONE).
            if well_formed(packet) && (handshake == TcpFlags::SYN || handshake == TcpFlags::ACK) {
                State::New
            } else {
                State::Invalid
            }
        }
        Payload::Icmp { kind } => match (packet.family(), kind) {
            // nf_conntrack_proto_icmp.c, valid_new: echo, timestamp, information, address mask.
            (Family::V4, 8 | 13 | 15 | 17) => State::New,
            // nf_conntrack_proto_icmpv6.c, valid_new: echo, node information.
            (Family::V6, 128 | 139) => State::New,
            // nf_conntrack_proto_icmpv6.c, noct_valid_new: listeners and neighbours.
            (Family::V6, 130..=136 | 143) => State::Untracked,
            _ => State::Invalid,
        },
    }
}

/// nf_conntrack_proto_tcp.c, `tcp_valid_flags`: combinations that a correct sender makes.
fn well_formed(packet: &Packet) -> bool {
    let Payload::Tcp { flags, .. } = packet.payload else { return true };
    let (fin, syn, rst, ack, urg) =
        (TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK, TcpFlags::URG);
    let seen = flags.masked(HANDSHAKE.with(urg));
    [
        syn,
        syn.with(urg),
        syn.with(ack),
        rst,
        rst.with(ack),
        fin.with(ack),
        fin.with(ack).with(urg),
        ack,
        ack.with(urg),
    ]
    .contains(&seen)
}
