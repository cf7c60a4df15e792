//! What packets do, as the kernel tells it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use knockgate::target::nft::TargetError;
use knockgate::target::nft::events::{Event, Events, Listener};
use knockgate_compiler::frontend;
use knockgate_compiler::lower::{What, lower};
use knockgate_compiler::program::Program;

use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{LIMIT, wait_for};
use crate::traffic::inside;

/// Nobody needs more than UDP to make these knocks. The gateway is 10.9.0.1 and fd00::1.
pub const POLICY: &str = "outside = \"wan0\"\n\n[traps]\nports = [\"666/udp\", \"4444/udp\"]\n\n\
     [door.main]\nknock = [\"7333/udp\", \"7777/udp\", \"7888/udp\"]\nopens = \"22/tcp\"\n";

/// The ports of [`POLICY`]'s knocks, in order.
pub const KNOCKS: [u16; 3] = [7333, 7777, 7888];

/// A gateway with [`POLICY`] and a peer that may send from 10.9.0.2, fd00::2 and everything in 10.10.0.0/16.
pub fn pair(policy: &str) -> Option<(Gateway, Gateway)> {
    if !can_be_run(&NEEDED) {
        return None;
    }
    let (gateway, peer) = (Gateway::new(), Gateway::new());
    gateway.must(&format!(
        "ip link add wan0 type veth peer name eth0 netns {} && ip addr add 10.9.0.1/24 dev wan0 &&
         ip addr add fd00::1/64 dev wan0 nodad && ip link set wan0 up",
        peer.pid()
    ));
    peer.must(
        "ip addr add 10.9.0.2/24 dev eth0 && ip addr add fd00::2/64 dev eth0 nodad && ip link set eth0 up &&
         ip route add local 10.10.0.0/16 dev lo",
    );
    wait_for("wan0", || gateway.must("ip link show wan0").contains("state UP").then_some(()));
    gateway.must("ip route add 10.10.0.0/16 via 10.9.0.2");
    gateway.apply(policy);
    Some((gateway, peer))
}

pub fn program(policy: &str) -> Program {
    let (policy, findings) = frontend::toml::parse(policy);
    lower(&policy.unwrap_or_else(|| panic!("{findings:?}")))
}

/// Has the peer send a datagram to each of these ports of the gateway.
pub fn send(peer: &Gateway, from: &str, ports: &[u16]) {
    let from: IpAddr = from.parse().expect("an address");
    let to: IpAddr = if from.is_ipv4() { "10.9.0.1" } else { "fd00::1" }.parse().expect("an address");
    inside(peer.pid(), || {
        let socket = UdpSocket::bind((from, 0)).expect("its own address");
        for port in ports {
            socket.send_to(&[0], SocketAddr::new(to, *port)).expect("UDP");
        }
    });
}

/// Events up to one that is wanted, which must come in time.
fn up_to(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let start = Instant::now();
    let mut found = vec![];
    while !found.iter().any(&wanted) {
        assert!(start.elapsed() < LIMIT, "not among {found:?}");
        found.extend(events.next(Duration::from_millis(100)).expect("nobody else listens"));
    }
    found
}

fn listen(gateway: &Gateway, policy: &str) -> Result<Events, TargetError> {
    let program = program(policy);
    inside(gateway.pid(), || Events::open(&program))
}

fn said(events: &[Event]) -> Vec<String> {
    let door = |event: &Event| event.door.clone().unwrap_or_default();
    let said = |event: &Event| match &event.what {
        What::Knock { number, of } => format!("{} {} knock {number} of {of}", event.source, door(event)),
        What::Granted { lasts } => format!("{} {} for {lasts}", event.source, door(event)),
        What::Strike { number } => format!("{} strike {number}", event.source),
        What::Banned { lasts } => format!("{} banned for {lasts}", event.source),
        other => panic!("{other:?}"),
    };
    events.iter().map(said).collect()
}

#[test]
fn knocks_grants_and_bans_are_told_of_both_families_and_never_where_they_were() {
    let Some((gateway, peer)) = pair(POLICY) else { return };
    let mut events = listen(&gateway, POLICY).expect("nobody else listens");
    for source in ["10.9.0.2", "fd00::2"] {
        send(&peer, source, &KNOCKS);
        let found = up_to(&mut events, |event| matches!(event.what, What::Granted { .. }));
        let wanted = ["knock 1 of 3", "knock 2 of 3", "for 30s"].map(|what| format!("{source} main {what}"));
        assert_eq!(said(&found), wanted);
    }
    send(&peer, "10.10.0.7", &[666, 4444]);
    let found = up_to(&mut events, |event| matches!(event.what, What::Banned { .. }));
    assert_eq!(
        said(&found),
        ["strike 1", "strike 2", "banned for 1m"].map(|what| format!("10.10.0.7 {what}"))
    );
    assert_eq!(events.missed(), 0);
    // Who sends what no door waits for, or the same again, does nothing that could be told.
    send(&peer, "10.10.0.8", &[7888, 7777, 9, 7333, 7333]);
    let found = up_to(&mut events, |_| true);
    assert_eq!(said(&found), ["10.10.0.8 main knock 1 of 3"]);
}

#[test]
fn doors_whose_rules_are_written_once_tell_and_count_each_for_itself() {
    let door = |name: &str, first: u16, opens: u16| {
        let [second, third] = [first + 1, first + 2];
        format!(
            "\n[door.{name}]\nknock = [\"{first}/udp\", \"{second}/udp\", \"{third}/udp\"]\n\
             opens = \"{opens}/tcp\"\n"
        )
    };
    let policy = format!("{POLICY}{}{}", door("north", 8200, 23), door("south", 8300, 24));
    let Some((gateway, peer)) = pair(&policy) else { return };
    assert!(gateway.ruleset().contains(", and 2 like it"), "{}", gateway.ruleset());
    let mut events = listen(&gateway, &policy).expect("nobody else listens");
    for (source, name, first) in
        [("10.9.0.2", "south", 8300), ("fd00::2", "north", 8200), ("10.10.0.7", "south", 8300)]
    {
        send(&peer, source, &[first, first + 1, first + 2]);
        let found = up_to(&mut events, |event| matches!(event.what, What::Granted { .. }));
        let wanted =
            ["knock 1 of 3", "knock 2 of 3", "for 30s"].map(|what| format!("{source} {name} {what}"));
        assert_eq!(said(&found), wanted);
    }
    // Begun at one door, and gone on at another.
    send(&peer, "10.10.0.8", &[8200, 8301, 8302]);
    let found = up_to(&mut events, |_| true);
    assert_eq!(said(&found), ["10.10.0.8 north knock 1 of 3"]);
    let page = gateway.does("metrics");
    let completed =
        |name, times| format!("knockgate_door_knocks_completed_total{{door=\"{name}\"}} {times}\n");
    let granted = |name, sources| format!("knockgate_granted_sources{{door=\"{name}\"}} {sources}\n");
    for (name, times) in [("main", 0), ("north", 1), ("south", 2)] {
        for line in [completed(name, times), granted(name, times)] {
            assert!(page.contains(&line), "{line} is not in {page}");
        }
    }
    assert!(page.contains("knockgate_rules_changed 0\n"), "what was counted is no change: {page}");
}

#[test]
fn what_a_full_list_refuses_is_not_told() {
    let full = format!("sources = 16\n{POLICY}");
    let Some((gateway, peer)) = pair(&full) else { return };
    let mut events = listen(&gateway, &full).expect("nobody else listens");
    (0..24).for_each(|host| send(&peer, &format!("10.10.0.{host}"), &KNOCKS[..1]));
    let mut found = up_to(&mut events, |_| true);
    while let more = events.next(Duration::from_millis(300)).expect("nobody else listens")
        && !more.is_empty()
    {
        found.extend(more);
    }
    assert_eq!(found.len(), 16, "{found:?}");
}

#[test]
fn a_flood_of_first_knocks_hides_no_grant() {
    const FLOOD: u16 = 4000;
    // Rules of these two doors are written once.
    let policy = format!(
        "{POLICY}\n[door.other]\nknock = [\"8200/udp\", \"8201/udp\", \"8202/udp\"]\nopens = \"23/tcp\"\n"
    );
    let Some((gateway, peer)) = pair(&policy) else { return };
    let mut events = listen(&gateway, &policy).expect("nobody else listens");
    let flood = |hosts: std::ops::Range<u16>| {
        inside(peer.pid(), || {
            for host in hosts {
                let [high, low] = host.to_be_bytes();
                let socket =
                    UdpSocket::bind((Ipv4Addr::new(10, 10, 1 + high, low), 0)).expect("its own address");
                socket.send_to(&[0], (Ipv4Addr::new(10, 9, 0, 1), KNOCKS[0])).expect("UDP");
            }
        });
    };
    flood(0..FLOOD / 2);
    send(&peer, "10.9.0.2", &[8200, 8201, 8202]);
    flood(FLOOD / 2..FLOOD);
    let owner: IpAddr = "10.9.0.2".parse().expect("an address");
    let is_grant = |event: &Event| event.source == owner && matches!(event.what, What::Granted { .. });
    let found = up_to(&mut events, is_grant);
    let grant = found.iter().find(|event| is_grant(event)).expect("it was waited for");
    assert_eq!(grant.door.as_deref(), Some("other"));
    let knocks = found.iter().filter(|event| matches!(event.what, What::Knock { number: 1, .. })).count();
    assert!(knocks > 20 && knocks < usize::from(FLOOD) / 4, "{knocks} of {FLOOD} first knocks were told");
}

#[test]
fn a_second_listener_is_told_who_the_first_is() {
    let Some((gateway, _peer)) = pair(POLICY) else { return };
    let program = program(POLICY);
    inside(gateway.pid(), || {
        let first = Listener::open(&program).expect("nobody else listens");
        let refused = Listener::open(&program).expect_err("somebody listens");
        assert!(matches!(refused, TargetError::Listened(_)), "{refused}");
        drop(first);
        Listener::open(&program).expect("nobody listens any more");
    });
}
