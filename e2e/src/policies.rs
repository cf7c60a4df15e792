//! Random policies, and traces of people who knock at their doors: rightly, wrongly, slowly, and
//! into traps.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use knockgate::lab::wire::to_group;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::{
    Destination, Endpoint, Family, Packet, Payload, Port, TcpFlags, Transport, echo_packet_size,
    echo_request_type,
};
use knockgate_compiler::policy::{Door, Host, Knock, Policy};
use knockgate_compiler::program::Program;

use crate::trial::{Shot, Wait};
use crate::world::{self, OUTSIDE};
use knockgate_compiler::random::Rng;

/// Few, so that doors share knocks.
const KNOCKS: [&str; 9] =
    ["333/tcp", "777/tcp", "888/tcp", "333/udp", "777/udp", "4444/udp", "ping/0", "ping/100", "ping/1400"];
/// Two for each door, where no two doors have the same.
const OWN_SERVICES: [&str; 10] = [
    "22/tcp",
    "80/udp",
    "51820/udp",
    "888/udp",
    "80/tcp",
    "22/udp",
    "4444/tcp",
    "51820/tcp",
    "888/tcp",
    "777/tcp",
];
const SERVICES: [&str; 11] = [
    "22/tcp",
    "80/tcp",
    "51820/udp",
    "888/tcp",
    "22/tcp at 10.9.0.5",
    "80/tcp at 10.9.0.6",
    "333/udp at 2001:db8:9::5",
    "8080/tcp to 10.9.0.5:80",
    "80/tcp to 10.9.0.6",
    "8080/tcp to [2001:db8:9::5]:80",
    "51820/udp to [2001:db8:9::6]:4444",
];
const PREFIXES: [&str; 5] =
    ["198.51.100.1", "198.51.100.128/25", "192.0.2.0/24", "2001:db8:1::/48", "2001:db8:2::1"];
const TRAPS: [&str; 6] = ["6661/tcp", "6662/tcp", "6663/udp", "6664/tcp", "6665/udp", "4444/tcp"];
const DURATIONS: [&str; 4] = ["1s", "1s200ms", "1s500ms", "2s"];

/// The text of a random policy. Most are valid, not all.
pub fn text(rng: &mut Rng) -> String {
    let mut text = String::new();
    let outside = rng.pick(&["\"out*\"", "[\"out0\", \"out1\"]", "\"out0\""]);
    put(&mut text, "outside", outside);
    if rng.chance(40) {
        put(&mut text, "public", &list(&rng.some(&["443/tcp", "53/udp", "80/tcp"], 2)));
    }
    if rng.chance(40) {
        put(&mut text, "allow", &list(&rng.some(&PREFIXES, 2)));
    }
    if rng.chance(30) {
        put(&mut text, "exempt", &list(&rng.some(&PREFIXES, 2)));
    }
    if rng.chance(35) {
        put(&mut text, "early-drop", "true");
    }
    if rng.chance(50) {
        terms(rng, &mut text, "defaults.");
    }
    if rng.chance(60) {
        let mut ports = rng.some(&TRAPS, 5);
        ports.sort_unstable();
        ports.dedup();
        put(&mut text, "traps.ports", &list(&ports));
        if rng.chance(70) {
            let strikes = 1 + rng.below(ports.len());
            put(&mut text, "traps.strikes", &strikes.to_string());
        }
        put(&mut text, "traps.memory", &quoted(rng.pick(&["2s", "4s", "10m"])));
        put(&mut text, "traps.ban", &quoted(rng.pick(&DURATIONS)));
        put(&mut text, "traps.ban-max", &quoted(rng.pick(&["2s", "4s", "5s"])));
    }
    // Rules of doors that are knocked at alike are written once.
    let alike = rng.chance(40);
    for door in 0..1 + rng.below(5) {
        let name = format!("door.d{door}.");
        let mut knocks: Vec<String> = vec![];
        for nth in 0..1 + rng.below(5) {
            let knock = rng.pick(&KNOCKS);
            if knocks.last().is_some_and(|last| last.starts_with(knock)) {
                continue;
            }
            let within = if nth > 0 && !knocks.is_empty() && !alike && rng.chance(20) {
                format!(" within {}", rng.pick(&DURATIONS))
            } else {
                String::new()
            };
            knocks.push(format!("{knock}{within}"));
        }
        let knocks: Vec<&str> = knocks.iter().map(String::as_str).collect();
        put(&mut text, &format!("{name}knock"), &list(&knocks));
        let own = || OWN_SERVICES[2 * door..2 * door + 2].to_vec();
        let mut services = if alike && rng.chance(60) { own() } else { rng.some(&SERVICES, 3) };
        services.sort_unstable();
        services.dedup();
        put(&mut text, &format!("{name}opens"), &list(&services));
        if !alike {
            terms(rng, &mut text, &name);
        }
    }
    text
}

fn terms(rng: &mut Rng, text: &mut String, table: &str) {
    if rng.chance(80) {
        put(text, &format!("{table}window"), &quoted(rng.pick(&DURATIONS)));
    }
    if rng.chance(80) {
        put(text, &format!("{table}grant"), &quoted(rng.pick(&DURATIONS)));
    }
    if rng.chance(75) {
        let wrong = rng.pick(&["reset", "ignore", "cooldown 1s", "cooldown 1s500ms", "reset"]);
        put(text, &format!("{table}wrong"), &quoted(wrong));
    }
}

fn put(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = {value}").expect("a string takes all that memory holds");
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn list(items: &[&str]) -> String {
    format!("{items:?}")
}

/// A random policy that is valid, and its text.
pub fn policy(rng: &mut Rng) -> (Policy, String) {
    loop {
        let text = text(rng);
        if let (Some(policy), _) = frontend::toml::parse(&text) {
            return (policy, text);
        }
    }
}

/// A policy with a great many doors, which share all their knocks, and its text.
pub fn crowd(rng: &mut Rng) -> (Policy, String) {
    let knocks = &KNOCKS[..4 + rng.below(KNOCKS.len() - 3)];
    let mut sequences = BTreeSet::new();
    // Of one length, so that none begins another.
    let len = 3 + rng.below(3);
    for _ in 0..30 + rng.below(200) {
        let mut sequence: Vec<&str> = vec![];
        while sequence.len() < len {
            let knock = rng.pick(knocks);
            if sequence.last() != Some(&knock) {
                sequence.push(knock);
            }
        }
        sequences.insert(sequence);
    }
    let mut text = "outside = \"out*\"\n".to_owned();
    for (index, sequence) in sequences.iter().enumerate() {
        put(&mut text, &format!("door.d{index}.knock"), &list(sequence));
        put(&mut text, &format!("door.d{index}.opens"), &quoted(rng.pick(&["22/tcp", "80/tcp"])));
        let wrong = if rng.chance(90) { "reset" } else { "ignore" };
        put(&mut text, &format!("door.d{index}.wrong"), &quoted(wrong));
        put(&mut text, &format!("door.d{index}.window"), &quoted(rng.pick(&["1s", "1s", "1s200ms"])));
    }
    let (policy, findings) = frontend::toml::parse(&text);
    (policy.unwrap_or_else(|| panic!("{findings:?}")), text)
}

/// The program and the trace of `seed`.
pub fn case(seed: u64) -> (Program, Vec<Shot>) {
    let mut rng = Rng::new(seed);
    let (policy, _) = if rng.chance(5) { crowd(&mut rng) } else { policy(&mut rng) };
    let trace = trace(&mut rng, &policy);
    (lower(&policy), trace)
}

/// What a few people do at the doors of `policy`, one after the other and at the same time.
pub fn trace(rng: &mut Rng, policy: &Policy) -> Vec<Shot> {
    let mut people: Vec<Vec<Shot>> = vec![];
    for first_port in [50_000, 51_000, 52_000].into_iter().take(1 + rng.below(3)) {
        let mut person =
            Person { source: world::address(rng, &world::STRANGERS), next_port: first_port, shots: vec![] };
        for _ in 0..1 + rng.below(3) {
            person.visit(rng, policy);
        }
        people.push(person.shots);
    }
    let mut trace = vec![];
    while !people.is_empty() {
        let turn = rng.below(people.len());
        for _ in 0..=rng.below(6) {
            if people[turn].is_empty() {
                break;
            }
            trace.push(people[turn].remove(0));
        }
        people.retain(|shots| !shots.is_empty());
    }
    slow_down(rng, &mut trace);
    trace
}

/// Lets some packets wait for an expiry, not too many, for each takes a second or two.
fn slow_down(rng: &mut Rng, trace: &mut [Shot]) {
    for _ in 0..4.min(trace.len()) {
        let index = rng.below(trace.len());
        trace[index].wait =
            if rng.chance(45) { Wait::Before(rng.below(2)) } else { Wait::After(rng.below(3)) };
    }
}

struct Person {
    source: IpAddr,
    next_port: u16,
    shots: Vec<Shot>,
}

impl Person {
    fn visit(&mut self, rng: &mut Rng, policy: &Policy) {
        let door = &policy.doors()[rng.below(policy.doors().len())];
        match rng.below(100) {
            0..50 => self.knock(rng, door, policy, 0),
            50..65 => self.knock(rng, door, policy, 35),
            65..75 => self.traps(rng, policy),
            75..85 => {
                let mut sent = vec![];
                for _ in 0..1 + rng.below(4) {
                    sent.push(world::packet(rng, &sent));
                }
                // Of packets to groups each must be of its own, which here they would not be.
                sent.retain(|packet| packet.source == self.source && !to_group(packet));
                sent.into_iter().for_each(|packet| self.send(packet));
            }
            _ => {
                for _ in 0..1 + rng.below(5) {
                    let knock: Knock = a_knock(rng, policy);
                    self.make(knock);
                }
            }
        }
        self.try_service(rng, door);
        if rng.chance(30) {
            let other = &policy.doors()[rng.below(policy.doors().len())];
            self.try_service(rng, other);
        }
    }

    /// The door's knocks; of a hundred, `mistakes` go wrong, and some come twice.
    fn knock(&mut self, rng: &mut Rng, door: &Door, policy: &Policy, mistakes: usize) {
        for knock in door.sequence.knocks() {
            if rng.chance(mistakes) {
                match rng.below(4) {
                    0 => continue,
                    // To everybody on the link instead, which is no knock.
                    1 => {
                        if let Knock::Port(endpoint) = knock {
                            let group = Destination::Other(world::all_nodes(Family::of(self.source)));
                            let packet = self.to(endpoint.transport, endpoint.port);
                            self.send(Packet { destination: group, ..packet });
                        }
                        continue;
                    }
                    2 => self.make(a_knock(rng, policy)),
                    _ => self.traps(rng, policy),
                }
            }
            self.make(knock);
            if rng.chance(15) {
                self.again(rng);
            }
        }
    }

    fn traps(&mut self, rng: &mut Rng, policy: &Policy) {
        let Some(traps) = policy.traps() else { return };
        let ports: Vec<Endpoint> = traps.ports.iter().copied().collect();
        for _ in 0..1 + rng.below(4) {
            self.make(Knock::Port(rng.pick(&ports)));
        }
    }

    fn make(&mut self, knock: Knock) {
        let packet = match knock {
            Knock::Port(endpoint) => self.to(endpoint.transport, endpoint.port),
            Knock::Ping(data) => Packet {
                size: echo_packet_size(Family::of(self.source), data),
                ..world::plain(
                    self.source,
                    Payload::Icmp { kind: echo_request_type(Family::of(self.source)) },
                )
            },
        };
        self.send(packet);
    }

    /// The last packet again: as it was, or in a way that does not count.
    fn again(&mut self, rng: &mut Rng) {
        let Some(last) = self.shots.last() else { return };
        let mut packet = last.packet.clone();
        match rng.below(5) {
            0 => {
                if let Payload::Tcp { flags, .. } = &mut packet.payload {
                    *flags = rng.pick(&[TcpFlags::ACK, TcpFlags::RST, TcpFlags::SYN.with(TcpFlags::FIN)]);
                }
            }
            1 if packet.family() == Family::V6 && !packet.extension_headers => {
                packet.extension_headers = true;
                packet.size += 8;
            }
            2 => packet.interface = rng.pick(&OUTSIDE).into(),
            _ => {}
        }
        self.send(packet);
    }

    /// A connection to one of the door's services, perhaps some more of it, perhaps later.
    fn try_service(&mut self, rng: &mut Rng, door: &Door) {
        let service = &door.services[rng.below(door.services.len())];
        let mut packet = self.to(service.endpoint.transport, service.endpoint.port);
        if let Host::At(address) = service.host {
            if Family::of(address) != Family::of(self.source) {
                return;
            }
            packet.destination = Destination::Other(address);
        }
        self.send(packet.clone());
        for _ in 0..rng.below(4) {
            if let Payload::Tcp { flags, .. } = &mut packet.payload {
                *flags = rng.pick(&[
                    TcpFlags::ACK,
                    TcpFlags::ACK.with(TcpFlags::PSH),
                    TcpFlags::FIN.with(TcpFlags::ACK),
                    TcpFlags::RST,
                    TcpFlags::SYN,
                ]);
            }
            self.send(packet.clone());
        }
    }

    fn to(&mut self, transport: Transport, port: Port) -> Packet {
        self.next_port += 1;
        let (from, to) = (self.next_port, port.number());
        world::plain(
            self.source,
            match transport {
                Transport::Tcp => Payload::Tcp { from, to, flags: TcpFlags::SYN },
                Transport::Udp => Payload::Udp { from, to },
            },
        )
    }

    fn send(&mut self, packet: Packet) {
        self.shots.push(Shot { wait: Wait::None, packet });
    }
}

fn a_knock(rng: &mut Rng, policy: &Policy) -> Knock {
    let door = &policy.doors()[rng.below(policy.doors().len())];
    let knocks: Vec<Knock> = door.sequence.knocks().collect();
    rng.pick(&knocks)
}
