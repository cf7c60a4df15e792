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
    /// `None` for what nobody answers, so that it never becomes a connection.
    fn of(packet: &Packet) -> Option<Self> {
        if matches!(packet.destination, Destination::Other(address) if super::is_group(address)) {
            return None;
        }
        let ports = match packet.payload {
            Payload::Tcp { from, to, .. } => Ports::Tcp(from, to),
            Payload::Udp { from, to } => Ports::Udp(from, to),
            Payload::Icmp { kind } if kind == crate::net::echo_request_type(packet.family()) => Ports::Echo,
            Payload::Icmp { .. } => return None,
        };
        Some(Self { source: packet.source, destination: packet.destination, ports })
    }
}

/// A connection that was accepted.
#[derive(Clone, Copy, Debug)]
struct Open {
    redirect: Option<SocketAddr>,
    tcp: Option<Tcp>,
}

/// Connections that were accepted.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: HashMap<Flow, Open>,
}

impl Connections {
    /// The state of a packet, and where its connection was redirected to. This is before any rule,
    /// so the packet counts for its connection even where a rule drops it.
    pub(super) fn look_up(&mut self, packet: &Packet) -> (State, Option<SocketAddr>) {
        let alone = alone(packet);
        let Some(flow) = Flow::of(packet).filter(|_| well_formed(packet)) else { return (alone, None) };
        let Some(open) = self.open.get_mut(&flow) else { return (alone, None) };
        match open.tcp.zip(Segment::of(packet)).map(|(tcp, segment)| tcp.after(segment)) {
            None => (State::Established, open.redirect),
            Some(Then::Goes(tcp)) => {
                open.tcp = Some(tcp);
                (State::Established, open.redirect)
            }
            Some(Then::Refuses) => (State::Invalid, None),
            Some(Then::Reopens) => {
                self.open.remove(&flow);
                (alone, None)
            }
        }
    }

    /// Notes that `packet` was let through.
    pub(super) fn accept(&mut self, packet: &Packet, state: State, redirect: Option<SocketAddr>) {
        if state == State::New
            && let Some(flow) = Flow::of(packet)
        {
            self.open.insert(flow, Open { redirect, tcp: Segment::of(packet).map(Tcp::begun) });
        }
    }

    /// Notes that `packet` was refused: a reset ends the connection it belongs to
    /// (nf_reject_ipv4.c, `nf_ct_set_closing`), and a reset is never sent for one.
    pub(super) fn reject(&mut self, packet: &Packet, state: State) {
        if state == State::Established
            && Segment::of(packet).is_some_and(|segment| segment != Segment::Rst)
            && let Some(flow) = Flow::of(packet)
            && let Some(Open { tcp: Some(tcp), .. }) = self.open.get_mut(&flow)
        {
            tcp.phase = Phase::Closed;
        }
    }
}

/// Segments as connection tracking tells them apart (nf_conntrack_proto_tcp.c,
/// `get_conntrack_index`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    Syn,
    SynAck,
    Fin,
    Ack,
    Rst,
}

impl Segment {
    fn of(packet: &Packet) -> Option<Self> {
        let Payload::Tcp { flags, .. } = packet.payload else { return None };
        let kinds = [
            (TcpFlags::RST, Self::Rst),
            (TcpFlags::SYN.with(TcpFlags::ACK), Self::SynAck),
            (TcpFlags::SYN, Self::Syn),
            (TcpFlags::FIN, Self::Fin),
            (TcpFlags::ACK, Self::Ack),
        ];
        kinds.into_iter().find(|(has, _)| flags.has(*has)).map(|(_, segment)| segment)
    }
}

/// How far a TCP connection is, seen from its client's segments alone: its server has answered the
/// first one, and ends nothing by itself.
#[derive(Clone, Copy, Debug)]
struct Tcp {
    phase: Phase,
    /// The client has sent a FIN.
    finished: bool,
    last: Segment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    SynReceived,
    Established,
    FinWait,
    CloseWait,
    LastAck,
    TimeWait,
    Closed,
}

/// What a segment does to its connection.
enum Then {
    /// It belongs to it.
    Goes(Tcp),
    /// It does not.
    Refuses,
    /// It begins another one in its place.
    Reopens,
}

impl Tcp {
    fn begun(by: Segment) -> Self {
        let phase = if by == Segment::Syn { Phase::SynReceived } else { Phase::Established };
        Self { phase, finished: false, last: by }
    }

    /// nf_conntrack_proto_tcp.c, `tcp_conntracks` for the original direction, and what
    /// `nf_conntrack_tcp_packet` makes of a SYN.
    fn after(self, segment: Segment) -> Then {
        use Phase::{CloseWait, Closed, Established, FinWait, LastAck, SynReceived, TimeWait};
        let phase = match (segment, self.phase) {
            (Segment::Syn, TimeWait | Closed) if self.finished || self.last == Segment::Rst => {
                return Then::Reopens;
            }
            (Segment::Syn, phase) => phase,
            (Segment::SynAck, SynReceived) => SynReceived,
            (Segment::SynAck, _) => return Then::Refuses,
            (Segment::Rst, _) => Closed,
            (Segment::Fin, SynReceived | Established) => FinWait,
            (Segment::Fin, FinWait | CloseWait | LastAck) => LastAck,
            (Segment::Ack, SynReceived | Established) => Established,
            (Segment::Ack, FinWait | CloseWait) => CloseWait,
            (Segment::Ack, LastAck) => TimeWait,
            (Segment::Fin | Segment::Ack, TimeWait) => TimeWait,
            (Segment::Fin | Segment::Ack, Closed) => Closed,
        };
        let finished = self.finished || phase == FinWait;
        Then::Goes(Self { phase, finished, last: segment })
    }
}

const HANDSHAKE: TcpFlags = TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK);

/// The state of a packet that belongs to no connection.
pub(super) fn alone(packet: &Packet) -> State {
    match packet.payload {
        Payload::Udp { .. } => State::New,
        Payload::Tcp { flags, .. } => state_alone(flags),
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

/// The state of a segment with these flags that belongs to no connection.
pub(crate) fn state_alone(flags: TcpFlags) -> State {
    let handshake = flags.masked(HANDSHAKE);
    // With tcp_loose a connection may be picked up at an ACK (nf_conntrack_proto_tcp.c,
    // tcp_conntracks, from state NONE).
    if are_valid(flags) && (handshake == TcpFlags::SYN || handshake == TcpFlags::ACK) {
        State::New
    } else {
        State::Invalid
    }
}

fn well_formed(packet: &Packet) -> bool {
    match packet.payload {
        Payload::Tcp { flags, .. } => are_valid(flags),
        _ => true,
    }
}

/// nf_conntrack_proto_tcp.c, `tcp_valid_flags`: combinations that a correct sender makes.
fn are_valid(flags: TcpFlags) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: TcpFlags) -> Packet {
        Packet {
            source: [198, 51, 100, 7].into(),
            destination: Destination::Gateway,
            interface: "eth0".into(),
            payload: Payload::Tcp { from: 40_000, to: 22, flags },
            size: 40,
            hop_limit: 64,
            fragment: false,
            extension_headers: false,
        }
    }

    #[test]
    fn a_syn_is_new_only_where_no_connection_is_open() {
        let (ack, rst, fin) = (TcpFlags::ACK, TcpFlags::RST, TcpFlags::FIN.with(TcpFlags::ACK));
        // As seen on 6.18.
        for (between, state) in [
            (&[][..], State::Established),
            (&[ack], State::Established),
            (&[ack, fin], State::Established),
            (&[rst], State::New),
            (&[ack, rst], State::New),
            (&[ack, rst, ack], State::Established),
            (&[ack, fin, fin, ack], State::New),
        ] {
            let mut connections = Connections::default();
            connections.accept(&segment(TcpFlags::SYN), State::New, None);
            for flags in between {
                assert_eq!(connections.look_up(&segment(*flags)).0, State::Established, "{between:?}");
            }
            assert_eq!(connections.look_up(&segment(TcpFlags::SYN)).0, state, "{between:?}");
        }
    }

    #[test]
    fn an_answer_from_the_client_belongs_to_no_connection_once_it_stands() {
        let mut connections = Connections::default();
        connections.accept(&segment(TcpFlags::SYN), State::New, None);
        let answer = segment(TcpFlags::SYN.with(TcpFlags::ACK));
        assert_eq!(connections.look_up(&answer).0, State::Established);
        connections.look_up(&segment(TcpFlags::ACK));
        assert_eq!(connections.look_up(&answer).0, State::Invalid);
    }
}
