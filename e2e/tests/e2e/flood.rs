//! Floods from ever new sources: what full lists refuse, how fast they fill, and what goes on meanwhile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use knockgate::lab::{Gateway, Seen, wire};
use knockgate::target::nft as kernel;
use knockgate_compiler::audit::{self, Fill, Subject};
use knockgate_compiler::backend::nft;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::{Packet, Payload, TcpFlags};
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;
use knockgate_compiler::random::Rng;
use knockgate_compiler::sim::{Simulator, trace};
use knockgate_compiler::time::Moment;
use knockgate_e2e::trial::Refused;
use knockgate_e2e::world::{self, OUTSIDE, own_address, plain, syn};

use crate::able;

const KNOCKS: [u16; 3] = [333, 777, 888];
const SERVICE: u16 = 22;
const TRAPS: [u16; 2] = [666, 4444];

fn policy(sources: u32, more: &str, door: &str) -> Policy {
    let text = format!(
        "outside = '{}'\nsources = {sources}\n{more}\n[door.ssh]\nknock = ['333/tcp', '777/tcp', '888/tcp']\nopens = \
         '22/tcp'\n{door}\n",
        OUTSIDE[0]
    );
    let (policy, findings) = frontend::toml::parse(&text);
    policy.unwrap_or_else(|| panic!("{text}{findings:?}"))
}

fn gateway(program: &Program) -> Gateway {
    let ruleset = nft::print_live(program, &|_| true).expect("a policy");
    world::gateway(&ruleset.text).unwrap_or_else(|error| panic!("{error}"))
}

/// Additions that a set has refused.
fn refused(gateway: &Gateway, set: &str) -> u64 {
    let all = gateway.namespace().run(kernel::refused).unwrap_or_else(|error| panic!("{error}"));
    all.get(set).copied().unwrap_or_else(|| panic!("{set} is not in {all:?}"))
}

/// The address of a source, which has no other part in anything.
fn source(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(20, 0, 0, 1).to_bits() + number).into()
}

/// One with a network of its own.
fn source6(number: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | u128::from(number) << 64 | 1).into()
}

fn send(gateway: &Gateway, packet: &Packet) {
    let bytes = wire::request(packet, 1, own_address(packet));
    gateway.send(OUTSIDE[0], &bytes).unwrap_or_else(|error| panic!("{error}"));
}

fn seen(gateway: &Gateway, packet: &Packet) -> Seen {
    gateway.play(packet, 1, own_address(packet)).unwrap_or_else(|error| panic!("{error}"))
}

/// Plays packets at the same moment in both, and says how many additions both refused.
fn refused_alike(program: &Program, packets: impl Iterator<Item = Packet>, what: &str) -> u64 {
    let (gateway, mut simulator, mut refused) =
        (gateway(program), Simulator::new(program), Refused::default());
    for packet in packets {
        let seen = seen(&gateway, &packet);
        let decision = simulator.play(Moment::default(), &packet);
        assert_eq!(seen.fate(), decision.fate, "{what}: {packet:?}");
        refused.note(program, packet.family(), &decision.changes);
    }
    assert_eq!(refused.differs(&gateway), None, "{what}");
    refused.total()
}

#[test]
fn full_lists_refuse_as_many_in_the_kernel_as_in_the_simulator() {
    const SEED: u64 = 7;
    if !able() {
        return;
    }
    let traps = "[traps]\nports = ['666/tcp', '4444/tcp']\nmemory = '1h'\nban = '1h'\nban-max = '1h'\n";
    for wrong in ["ignore", "cooldown 1h"] {
        let door = format!("wrong = '{wrong}'\nwindow = '10m'\ngrant = '1h'");
        let program = lower(&policy(16, traps, &door));
        let ports = [&KNOCKS[..], &TRAPS, &[SERVICE, 80]].concat();
        let mut rng = Rng::new(SEED);
        let packets = (0..3000).map(|number| {
            let of = u32::try_from(rng.below(40)).expect("few sources");
            let from = if rng.chance(50) { source(of) } else { source6(of) };
            syn(from, 10_000 + number, rng.pick(&ports))
        });
        let what = format!("{wrong}, seed {SEED}");
        assert!(refused_alike(&program, packets, &what) > 100, "{what}: the lists are full");
    }
}

#[test]
fn a_full_track_refuses_whoever_comes_first_as_in_the_simulator() {
    if !able() {
        return;
    }
    let program = lower(&policy(16, "", "window = '10m'"));
    let first = |number| [source(number), source6(number)].map(|source| syn(source, 1, KNOCKS[0]));
    assert_eq!(refused_alike(&program, (0..40).flat_map(first), "first knocks"), 2 * 24);
}

/// What an audit says of the list with this name.
fn audited(policy: &Policy, list: &str) -> Fill {
    let program = lower(policy);
    let audit = audit::audit(&Subject { program: &program, policy: Some(policy) });
    let fill = audit.fills.iter().find(|fill| fill.list == list);
    fill.unwrap_or_else(|| panic!("{list} is not in {:?}", audit.fills)).clone()
}

/// How long a flood goes on: longer than entries stay, and then for two collections.
const FLOOD: Duration = Duration::from_secs(6);
/// How much later than it is due a packet of a flood may be sent.
const LATE: Duration = Duration::from_millis(80);
const ATTEMPTS: usize = 5;

/// Whether a flood of such packets from ever new sources fills a set. `None` if the machine is too slow for it.
fn fills(program: &Program, set: &str, packet: &Packet, rate: f64) -> Option<bool> {
    let gateway = gateway(program);
    let start = Instant::now();
    for number in 0.. {
        let due = start + Duration::from_secs_f64(f64::from(number) / rate);
        if due > start + FLOOD {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if due.elapsed() > LATE {
            return None;
        }
        send(&gateway, &Packet { source: source(number), ..packet.clone() });
    }
    Some(refused(&gateway, set) > 0)
}

/// Of these parts of a rate, the lowest that fills the set.
fn lowest(program: &Program, set: &str, packet: &Packet, rate: f64, parts: &[f64]) -> Option<f64> {
    let flood = |part: f64| (0..ATTEMPTS).find_map(|_| fills(program, set, packet, part * rate));
    let full: Vec<(f64, Option<bool>)> = thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| (*part, scope.spawn(move || flood(*part)))).collect();
        running.into_iter().map(|(part, flood)| (part, flood.join().expect("no panic"))).collect()
    });
    assert!(full.iter().all(|(_, full)| full.is_some()), "the machine is too slow: {full:?}");
    full.into_iter().find(|(_, full)| *full == Some(true)).map(|(part, _)| part)
}

#[test]
fn lists_fill_at_the_rate_that_an_audit_tells() {
    if !able() {
        return;
    }
    let traps = "[traps]\nports = ['666/tcp', '4444/tcp']\nmemory = '2s'\n";
    for (list, more, door) in [
        ("progress-2s", "", "window = '2s'"),
        ("stages", "", "window = '2s'\nwrong = 'ignore'"),
        ("strikes", traps, "window = '10m'"),
    ] {
        let policy = policy(256, more, door);
        let fill = audited(&policy, list);
        let (events, findings) =
            trace::parse(&format!("0s 192.0.2.1 {}\n", fill.packet), &policy.outside()[0]);
        assert!(findings.is_empty(), "{findings:?}");
        let set = nft::set_name(list, knockgate_compiler::net::Family::V4);
        let parts = [0.8, 0.9, 1.0, 1.1, 1.2];
        let found = lowest(&lower(&policy), &set, &events[0].packet, fill.rate, &parts);
        eprintln!("{list}: audited {:.1} a second, full at {found:?} of it", fill.rate);
        assert!(found.is_some_and(|part| part > 0.8), "{list}: {found:?} of {:.1} a second", fill.rate);
    }
}

/// The three knocks, from a port of their own each.
fn knock(gateway: &Gateway, source: IpAddr, from: u16) {
    for (from, port) in (from..).zip(KNOCKS) {
        send(gateway, &syn(source, from, port));
    }
}

fn is_let_in(gateway: &Gateway, packet: &Packet) -> bool {
    matches!(seen(gateway, packet), Seen::LetIn(_))
}

/// Packets of a flood between two looks at what goes on.
const BETWEEN: u32 = 500;

#[test]
fn a_flood_leaves_connections_and_grants_alone_and_holds_others_up_only_while_it_lasts() {
    if !able() {
        return;
    }
    let policy = policy(1024, "", "window = '2s'\ngrant = '10m'");
    let fill = audited(&policy, "progress-2s");
    assert!(fill.means.contains("nobody new gets through") && fill.means.contains("connections go on"));
    let gateway = gateway(&lower(&policy));
    let owner: IpAddr = "198.51.100.1".parse().expect("an address");
    knock(&gateway, owner, 1000);
    let begin = syn(owner, 2000, SERVICE);
    let begun = seen(&gateway, &begin);
    let received = begun.received().unwrap_or_else(|| panic!("the owner has knocked: {begun:?}"));
    gateway.answer(OUTSIDE[0], received).expect("an answer");
    let goes_on = plain(owner, Payload::Tcp { from: 2000, to: SERVICE, flags: TcpFlags::ACK });

    let mut rng = Rng::new(1);
    for number in 0..20 * BETWEEN {
        let port =
            if number % 2 == 0 { KNOCKS[0] } else { u16::try_from(1 + rng.below(65_535)).expect("a port") };
        if port != SERVICE {
            send(&gateway, &syn(source(number), 40_000, port));
        }
        if number % BETWEEN == BETWEEN - 1 {
            assert!(is_let_in(&gateway, &goes_on), "the connection, after {number} packets");
            let new = syn(owner, u16::try_from(3000 + number / BETWEEN).expect("a port"), SERVICE);
            assert!(is_let_in(&gateway, &new), "a connection within the grant, after {number} packets");
        }
    }
    assert!(refused(&gateway, "progress-2s4") > 1000, "the flood has filled the list");
    let connections =
        gateway.namespace().run(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count"));
    let connections: u32 = connections.expect("connection tracking").trim().parse().expect("a number");
    assert!(connections < 50, "what is dropped makes no connection: {connections}");

    let other: IpAddr = "198.51.100.2".parse().expect("an address");
    let tries = |from: u16| {
        knock(&gateway, other, from);
        is_let_in(&gateway, &syn(other, from + 3, SERVICE))
    };
    assert!(!tries(5000), "the door of others suffers");
    let end = Instant::now() + Duration::from_secs(20);
    let opened = (0..).map_while(|nth| {
        (Instant::now() < end).then(|| {
            thread::sleep(Duration::from_millis(200));
            tries(6000 + 4 * nth)
        })
    });
    assert!(opened.into_iter().any(|opened| opened), "it opens again when entries have run out");
}
