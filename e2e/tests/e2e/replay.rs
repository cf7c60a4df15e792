//! Traces on the kernel, against what their writer expects.

use knockgate::lab::{LabError, replay};
use knockgate_compiler::frontend::{rsc, toml};
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::Interface;
use knockgate_compiler::program::Program;
use knockgate_compiler::sim::Fate::{self, Accept, Drop, Reject};
use knockgate_compiler::sim::trace;

use crate::able;

fn of_policy(text: &str) -> Program {
    let (policy, findings) = toml::parse(text);
    lower(&policy.unwrap_or_else(|| panic!("{findings:?}")))
}

fn of_script(text: &str) -> Program {
    let reading = rsc::read(text, &rsc::translate::Options::default());
    reading.program.unwrap_or_else(|| panic!("{:?}", reading.findings))
}

/// What becomes of each packet of a trace.
fn fates(program: &Program, trace: &str) -> Vec<Fate> {
    let fallback: Interface = "eth0".parse().expect("a name");
    let (events, findings) = trace::parse(trace, program.outside().first().unwrap_or(&fallback));
    assert!(findings.is_empty(), "{findings:?}");
    let played = replay(program, &events).unwrap_or_else(|error| panic!("{error}"));
    played.into_iter().map(|played| played.fate).collect()
}

const DOOR: &str = r#"
    outside = "wan0"
    [traps]
    ports = "666/tcp"
    strikes = 1
    [door.ssh]
    knock = ["333/tcp", "777/udp", "ping/100"]
    opens = ["22/tcp", "4444/tcp to 10.9.0.5:80", "22/tcp at 10.9.0.6", "80/tcp at 2001:db8:9::6"]
    window = "1s"
"#;

#[test]
fn a_trace_of_the_right_knocks_opens_and_others_do_not() {
    if !able() {
        return;
    }
    let program = of_policy(DOOR);
    let knocks = "0s 198.51.100.7 333/tcp\n0.01s 198.51.100.7 777/udp\n0.02s 198.51.100.7 ping/100\n";
    let connects = "0.03s 198.51.100.7 22/tcp\n0.04s 198.51.100.7 22/tcp ack\n";
    let shut = [Drop, Drop, Drop];
    for (trace, rest) in [
        (format!("{knocks}{connects}"), &[Accept, Accept][..]),
        (format!("{}{connects}", knocks.replace("ping/100", "ping/101")), &[Drop, Drop]),
        (format!("{}{connects}", knocks.replace("333/tcp", "333/tcp ack")), &[Drop, Drop]),
        (format!("{knocks}0.03s 198.51.100.8 22/tcp\n0.03s 198.51.100.7 23/tcp\n"), &[Drop, Drop]),
        // What comes from inside needs no knock.
        (format!("{knocks}0.03s 10.0.0.7 22/tcp in lan0\n"), &[Accept]),
        // A window is waited out in real time.
        (knocks.replace("0.02s", "1.1s") + "1.11s 198.51.100.7 22/tcp\n", &[Drop]),
    ] {
        assert_eq!(fates(&program, &trace), [&shut, rest].concat(), "{trace}");
    }
}

#[test]
fn a_trace_may_be_of_ipv6_and_reach_hosts_behind() {
    if !able() {
        return;
    }
    let program = of_policy(DOOR);
    let trace = "
        0s 2001:db8:1::1 80/tcp to 2001:db8:9::6
        0s 2001:db8:1::1 333/tcp
        0s 2001:db8:1::1 777/udp
        0s 2001:db8:1::1 ping/100
        0s 2001:db8:1::1 22/tcp
        0s 2001:db8:1::1 80/tcp to 2001:db8:9::6
        0s 2001:db8:1::2 80/tcp to 2001:db8:9::6
        0s 192.0.2.9 4444/tcp
        0s 192.0.2.9 333/tcp
        0s 192.0.2.9 777/udp
        0s 192.0.2.9 ping/100
        0s 192.0.2.9 4444/tcp
        0s 192.0.2.9 22/tcp to 10.9.0.6
        0s 192.0.2.9 22/tcp ack to 10.9.0.6
        0s 192.0.2.9 80/tcp to 10.9.0.6
        0s 192.0.2.9 22/tcp ttl 1 to 10.9.0.6
    ";
    let v6 = [Drop, Drop, Drop, Drop, Accept, Accept, Drop];
    let v4 = [Drop, Drop, Drop, Drop, Accept, Accept, Accept, Accept, Drop];
    assert_eq!(fates(&program, trace), [&v6[..], &v4].concat());
}

#[test]
fn a_trap_touched_in_somebody_s_name_shuts_them_out() {
    if !able() {
        return;
    }
    let knocks = "
        0s 198.51.100.7 333/tcp
        0s 198.51.100.7 777/udp
        0s 198.51.100.7 ping/100
        0s 198.51.100.7 22/tcp
    ";
    let touched = format!("0s 198.51.100.7 666/tcp ttl 9\n{knocks}");
    assert_eq!(fates(&of_policy(DOOR), &touched), [Drop; 5]);
    // The addresses that the gateway has by itself are anybody's.
    let forged = knocks.replace("198.51.100.7", "198.18.77.1");
    assert_eq!(fates(&of_policy(DOOR), &forged), [Drop, Drop, Drop, Accept]);
}

/// The rules that are usually shown, with their mistakes in names mended.
const ARTICLE: &str = "/ip firewall filter
add chain=input action=drop src-address-list=blacklist in-interface=wan0
add chain=input action=add-src-to-address-list protocol=tcp address-list=blacklist address-list-timeout=1000m in-interface=wan0 dst-port=666
add chain=input action=accept in-interface=wan0 src-address-list=secure
add chain=input action=add-src-to-address-list address-list=secure address-list-timeout=30m protocol=tcp dst-port=888 src-address-list=777 in-interface=wan0
add chain=input action=add-src-to-address-list address-list=777 address-list-timeout=30s protocol=tcp dst-port=777 src-address-list=333 in-interface=wan0
add chain=input action=add-src-to-address-list address-list=333 address-list-timeout=30s protocol=tcp dst-port=333 in-interface=wan0
add chain=input action=reject reject-with=tcp-reset protocol=tcp dst-port=113 in-interface=wan0
add chain=input action=drop in-interface=wan0
";

#[test]
fn a_script_is_played_like_a_policy() {
    if !able() {
        return;
    }
    let trace = "
        0s 198.51.100.7 8291/tcp
        0s 198.51.100.7 113/tcp
        0s 198.51.100.7 333/tcp
        0s 198.51.100.7 5/tcp
        0s 198.51.100.7 777/tcp ack
        0s 198.51.100.7 888/tcp
        0s 198.51.100.7 8291/tcp
        0s 198.51.100.8 666/tcp
        0s 198.51.100.8 333/tcp
        0s 198.51.100.8 777/tcp
        0s 198.51.100.8 888/tcp
        0s 198.51.100.8 8291/tcp
    ";
    let owner = [Drop, Reject, Drop, Drop, Drop, Drop, Accept];
    assert_eq!(fates(&of_script(ARTICLE), trace), [&owner[..], &[Drop; 5]].concat());
}

#[test]
fn a_trace_that_lasts_too_long_is_refused_at_once() {
    let (events, _) = trace::parse("1m 192.0.2.1 1/tcp\n3m1ms 192.0.2.1 2/tcp\n", &"wan0".parse().unwrap());
    let refused = replay(&of_policy(DOOR), &events);
    assert!(matches!(refused, Err(LabError::TooLong(121))), "{refused:?}");
}

#[test]
fn an_interface_that_cannot_be_made_is_named() {
    if !able() {
        return;
    }
    let (events, _) = trace::parse("0s 192.0.2.1 1/tcp in lo\n", &"wan0".parse().unwrap());
    let refused = replay(&of_policy(DOOR), &events);
    assert!(matches!(&refused, Err(LabError::NoInterface { name, .. }) if name == "lo"), "{refused:?}");
}
