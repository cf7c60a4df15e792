//! Small cases, played in both: doors as they are meant, and whatever random cases have found.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::{Destination, Packet, Payload, TcpFlags, Transport};
use knockgate_compiler::program::{
    Builder, ChainId, Condition, Effect, Hook, Origin, PortEnd, Program, Refusal, Rule, State, States,
    Switch, Verdict,
};
use knockgate_compiler::time::Lifetime;
use knockgate_e2e::trial::{Shot, Verdict as Ending, Wait, play};
use knockgate_e2e::world::{ping, plain, syn};

use crate::able;

const STRANGER: &str = "198.51.100.1";
const NEIGHBOUR: &str = "198.51.100.2";
const STRANGER6: &str = "2001:db8:1::1";

/// Plays the trace in both, and returns how many packets were let through.
fn accepted(program: &Program, trace: &[Shot]) -> u64 {
    for _ in 0..8 {
        match play(program, trace).unwrap_or_else(|trouble| panic!("{trouble}")) {
            Ending::Agreed(coverage) => return coverage.accepted,
            Ending::Disagreed(found) => panic!("{found}"),
            Ending::Inconclusive => {}
        }
    }
    panic!("the machine is too slow");
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn at_once(packets: impl IntoIterator<Item = Packet>) -> Vec<Shot> {
    packets.into_iter().map(|packet| Shot { wait: Wait::None, packet }).collect()
}

fn after(nth: usize, packet: Packet) -> Shot {
    Shot { wait: Wait::After(nth), packet }
}

fn before(nth: usize, packet: Packet) -> Shot {
    Shot { wait: Wait::Before(nth), packet }
}

fn knocked(source: &str, ports: &[u16]) -> Vec<Packet> {
    (60_000..).zip(ports).map(|(from, port)| syn(address(source), from, *port)).collect()
}

fn segment(source: &str, from: u16, to: u16, flags: TcpFlags) -> Packet {
    plain(address(source), Payload::Tcp { from, to, flags })
}

fn door(text: &str) -> Program {
    let policy = format!(
        r#"
        outside = ["out0", "out1"]
        defaults = {{ window = "1s", grant = "1s" }}
        door.ssh = {{ knock = ["333/tcp", "777/tcp", "888/tcp"], opens = "22/tcp"{text} }}
        "#
    );
    let (policy, findings) = frontend::toml::parse(&policy);
    lower(&policy.unwrap_or_else(|| panic!("{findings:?}")))
}

#[test]
fn a_door_opens_to_its_knocks_alone_and_closes_on_time() {
    if !able() {
        return;
    }
    let program = door("");
    for source in [STRANGER, STRANGER6] {
        let ssh = |from| syn(address(source), from, 22);
        let mut trace = at_once([ssh(1)]);
        trace.extend(at_once(knocked(source, &[333, 777])));
        trace.extend(at_once([ssh(2)]));
        trace.extend(at_once(knocked(source, &[333, 777, 888])));
        trace.extend(at_once([ssh(3), syn(address(NEIGHBOUR), 4, 22)]));
        trace.push(before(0, ssh(5)));
        trace.push(after(0, ssh(6)));
        trace.extend(at_once([segment(source, 3, 22, TcpFlags::ACK)]));
        // Connections 3 and 5, and the rest of 3.
        assert_eq!(accepted(&program, &trace), 3, "{source}");
    }
}

#[test]
fn a_knock_in_time_counts_and_a_late_one_does_not() {
    if !able() {
        return;
    }
    for wrong in ["", ", wrong = \"ignore\"", ", wrong = \"cooldown 1s\""] {
        let program = door(wrong);
        let ssh = syn(address(STRANGER), 1, 22);
        let [one, two, three]: [Packet; 3] = knocked(STRANGER, &[333, 777, 888]).try_into().unwrap();
        let hurried = [after(9, one.clone()), before(0, two.clone()), before(0, three.clone())];
        let hurried: Vec<Shot> = hurried.into_iter().chain(at_once([ssh.clone()])).collect();
        assert_eq!(accepted(&program, &hurried), 1, "{wrong}");
        let slow = [after(9, one), after(0, two), after(9, three)];
        let slow: Vec<Shot> = slow.into_iter().chain(at_once([ssh])).collect();
        assert_eq!(accepted(&program, &slow), 0, "{wrong}");
    }
}

fn rule(when: Vec<Condition>, then: Vec<Effect>, verdict: Verdict) -> Rule {
    Rule { when, then, verdict: Some(verdict), origin: Origin { what: "kept".into(), span: None } }
}

fn program(draft: impl FnOnce(&mut Builder, ChainId)) -> Program {
    let mut builder = Builder::new(vec!["out*".parse().expect("an interface")]);
    let input = builder.chain("input", Some(Hook::Input));
    draft(&mut builder, input);
    builder.seal().expect("a program without flaws")
}

#[test]
fn a_switch_with_a_condition_leaves_its_chain_like_any_other() {
    if !able() {
        return;
    }
    let program = program(|builder, input| {
        let choice = builder.chain("choice", None);
        let arm = builder.chain("arm", None);
        builder.rule(input, rule(vec![], vec![], Verdict::Jump(choice)));
        let arms = BTreeMap::from([(56, arm)]);
        let first_hop = vec![Condition::HopLimit(64)];
        builder.rule(choice, rule(first_hop, vec![], Verdict::Switch(Switch::Echo(arms))));
        builder.rule(choice, rule(vec![], vec![], Verdict::Drop));
    });
    let pings = [STRANGER, STRANGER6].map(|source| ping(address(source), 56));
    assert_eq!(accepted(&program, &at_once(pings)), 2);
}

#[test]
fn a_rule_that_no_packet_meets_loads_and_does_nothing() {
    if !able() {
        return;
    }
    let tcp = Condition::Transport(Transport::Tcp);
    let udp = Condition::Transport(Transport::Udp);
    let syn_alone = Condition::Flags { mask: TcpFlags::SYN, set: TcpFlags::SYN };
    let never = [
        vec![tcp.clone(), udp],
        vec![syn_alone, Condition::Echo(Some(0))],
        vec![Condition::To([].into())],
        vec![Condition::From(vec![])],
        vec![Condition::State(States::of(&[]))],
    ];
    let program = program(|builder, input| {
        for when in never {
            builder.rule(input, rule(when, vec![], Verdict::Drop));
        }
        let arm = builder.chain("arm", None);
        let choice = builder.chain("choice", None);
        let arms = Switch::Echo(BTreeMap::from([(0, arm)]));
        builder.rule(choice, rule(vec![tcp], vec![], Verdict::Switch(arms)));
        builder.rule(input, rule(vec![], vec![], Verdict::Jump(choice)));
        builder.rule(input, rule(vec![Condition::From(vec![]).negated()], vec![], Verdict::Accept));
    });
    let packets = [syn(address(STRANGER), 1, 22), ping(address(STRANGER6), 0)];
    assert_eq!(accepted(&program, &at_once(packets)), 2);
}

#[test]
fn extension_headers_are_told_from_any_protocol() {
    if !able() {
        return;
    }
    let program = program(|builder, input| {
        let when = vec![Condition::NoExtensionHeaders, Condition::Echo(None)];
        builder.rule(input, rule(when, vec![], Verdict::Accept));
        builder.rule(input, rule(vec![], vec![], Verdict::Drop));
    });
    let bare = ping(address(STRANGER6), 0);
    let dressed = Packet { extension_headers: true, size: bare.size + 8, ..bare.clone() };
    assert_eq!(accepted(&program, &at_once([bare, dressed])), 1);
}

#[test]
fn a_program_without_states_still_tracks_connections() {
    if !able() {
        return;
    }
    let target = "10.9.0.5:80".parse().unwrap();
    let program = program(|builder, _| {
        let prerouting = builder.chain("prerouting", Some(Hook::Prerouting));
        let pool = builder.pool("seen", NonZeroU32::new(9).unwrap(), false);
        let list = builder.timed_list("seen", pool, 128);
        let lifetime = Lifetime::from_secs(60);
        let add = Effect::Add { list, lifetime, expiry: knockgate_compiler::program::Expiry::Keep };
        let ping = vec![Condition::Echo(None)];
        builder.rule(prerouting, rule(ping, vec![add], Verdict::Drop));
        builder.rule(prerouting, rule(vec![], vec![], Verdict::Redirect(target)));
    });
    let fragment = Packet { fragment: true, size: 48, ..syn(address(STRANGER), 1, 22) };
    let trace = [
        ping(address(STRANGER6), 0),
        fragment,
        syn(address(STRANGER), 2, 22),
        segment(STRANGER, 2, 22, TcpFlags::ACK),
    ];
    assert_eq!(accepted(&program, &at_once(trace)), 2);
}

#[test]
fn hops_are_counted_down_before_a_packet_is_passed_on() {
    if !able() {
        return;
    }
    let program = program(|builder, _| {
        let forward = builder.chain("forward", Some(Hook::Forward));
        builder.rule(forward, rule(vec![Condition::HopLimit(63)], vec![], Verdict::Accept));
        builder.rule(forward, rule(vec![], vec![], Verdict::Drop));
    });
    let behind = |hop_limit| Packet {
        destination: Destination::Other("10.9.0.5".parse().unwrap()),
        hop_limit,
        ..ping(address(STRANGER), 0)
    };
    assert_eq!(accepted(&program, &at_once([1, 63, 64, 65].map(behind))), 1);
}

#[test]
fn a_packet_refused_before_routing_is_told_so() {
    if !able() {
        return;
    }
    let program = program(|builder, _| {
        let prerouting = builder.chain("prerouting", Some(Hook::Prerouting));
        builder.rule(prerouting, rule(vec![], vec![], Verdict::Reject(Refusal::Closed)));
    });
    let packets = [syn(address(STRANGER), 1, 22), syn(address(STRANGER6), 1, 22)];
    assert_eq!(accepted(&program, &at_once(packets)), 0);
}

#[test]
fn a_connection_ends_for_the_rules_when_connection_tracking_says_so() {
    if !able() {
        return;
    }
    let program = program(|builder, input| {
        let known = States::of(&[State::Established]);
        builder.rule(input, rule(vec![Condition::State(known)], vec![], Verdict::Accept));
        let opening = Condition::Flags { mask: TcpFlags::SYN, set: TcpFlags::SYN };
        let new = Condition::State(States::of(&[State::New]));
        builder.rule(input, rule(vec![opening, new, Condition::HopLimit(64)], vec![], Verdict::Accept));
        builder.rule(input, rule(vec![], vec![], Verdict::Drop));
    });
    let ended = |ending: &[TcpFlags]| -> Vec<Packet> {
        let syn = segment(STRANGER, 1, 22, TcpFlags::SYN);
        let again = Packet { hop_limit: 9, ..syn.clone() };
        let segments = ending.iter().map(|flags| segment(STRANGER, 1, 22, *flags));
        std::iter::once(syn).chain(segments).chain([again]).collect()
    };
    let (ack, fin) = (TcpFlags::ACK, TcpFlags::FIN.with(TcpFlags::ACK));
    // A SYN of an open connection belongs to it. After a RST it is new, as after the last ACK.
    for (ending, count) in [
        (&[][..], 2),
        (&[ack], 3),
        (&[ack, ack.with(TcpFlags::SYN)], 3),
        (&[TcpFlags::RST], 2),
        (&[ack, TcpFlags::RST, ack], 5),
        (&[ack, fin, fin], 5),
        (&[ack, fin, fin, ack], 5),
    ] {
        assert_eq!(accepted(&program, &at_once(ended(ending))), count, "{ending:?}");
    }
}

#[test]
fn a_refused_segment_ends_its_connection() {
    if !able() {
        return;
    }
    let program = program(|builder, input| {
        let known = Condition::State(States::of(&[State::Established]));
        builder.rule(input, rule(vec![Condition::HopLimit(9)], vec![], Verdict::Reject(Refusal::Closed)));
        builder.rule(input, rule(vec![known], vec![], Verdict::Accept));
        builder.rule(input, rule(vec![Condition::HopLimit(63)], vec![], Verdict::Drop));
    });
    let refused = Packet { hop_limit: 9, ..segment(STRANGER, 1, 22, TcpFlags::FIN.with(TcpFlags::ACK)) };
    let syn = segment(STRANGER, 1, 22, TcpFlags::SYN);
    let trace = [syn.clone(), refused, Packet { hop_limit: 63, ..syn }];
    assert_eq!(accepted(&program, &at_once(trace)), 1);
}

#[test]
fn a_packet_that_is_neither_from_a_port_nor_to_it_differs_in_both() {
    if !able() {
        return;
    }
    let program = program(|builder, input| {
        let port = |end| Condition::Ports(Transport::Tcp, end, vec![333..=333]).negated();
        builder.rule(input, rule(vec![port(PortEnd::Either)], vec![], Verdict::Accept));
        let apart = vec![port(PortEnd::Source), port(PortEnd::Destination)];
        builder.rule(input, rule(apart, vec![], Verdict::Accept));
        builder.rule(input, rule(vec![], vec![], Verdict::Drop));
    });
    let packets = [(333, 22), (40_000, 333), (40_000, 22)].map(|(from, to)| syn(address(STRANGER), from, to));
    assert_eq!(accepted(&program, &at_once(packets)), 1);
}

#[test]
fn a_packet_of_no_connection_is_of_none_that_was_redirected() {
    if !able() {
        return;
    }
    let program = program(|builder, input| {
        builder.rule(input, rule(vec![Condition::Redirected.negated()], vec![], Verdict::Accept));
        builder.rule(input, rule(vec![], vec![], Verdict::Drop));
    });
    let lost = segment(STRANGER, 1, 22, TcpFlags::SYN.with(TcpFlags::ACK));
    assert_eq!(accepted(&program, &at_once([lost, syn(address(STRANGER), 2, 22)])), 2);
}

#[test]
fn names_of_a_script_never_become_words_of_nftables() {
    if !able() {
        return;
    }
    let odd =
        ["tcp", "ip", "about", "input", "x\\\"; drop; \\\"", "a b", "a-b", "1", "\u{e4}", "list-1", "}"];
    let mut script = String::from("/ip firewall filter\n");
    for name in odd {
        script += &format!(
            "add chain=input action=add-src-to-address-list address-list=\"{name}\" address-list-timeout=1m \
             protocol=icmp comment=\"{name}\" log=yes log-prefix=\"{name}\"\n\
             add chain=input action=jump jump-target=\"_{name}\" src-address-list=\"{name}\"\n\
             add chain=\"_{name}\" action=passthrough\n\
             /ip firewall address-list add list=\"{name}\" address=192.0.2.1\n/ip firewall filter\n"
        );
    }
    script += "add chain=input action=drop src-address-list=a\\ b\nadd chain=input action=accept\n";
    let script = script.replace("a\\ b", "\"a b\"");
    let reading = frontend::rsc::read(&script, &frontend::rsc::translate::Options::default());
    let program = reading.program.unwrap_or_else(|| panic!("{:?}", reading.findings));
    // It is on every list then, so the one that drops drops.
    assert_eq!(accepted(&program, &at_once([ping(address(STRANGER), 0), syn(address(NEIGHBOUR), 1, 22)])), 1);
}
