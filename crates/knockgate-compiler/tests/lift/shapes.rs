//! Rules of one shape each.

use knockgate_compiler::frontend;
use knockgate_compiler::lift::{Lifted, Part, lift};

use crate::{lost, program};

/// Rules of `input`, a line each.
fn lifted(rules: &str) -> Lifted {
    let rules = rules.lines().map(str::trim).filter(|rule| !rule.is_empty());
    let add = "add chain=input in-interface=ether1";
    let script: String = rules.map(|rule| format!("{add} {rule}\n")).collect();
    lift(&program(&format!("/ip firewall filter\n{script}")))
}

/// A rule that adds to a list.
fn adds(matchers: &str, list: &str, time: &str) -> String {
    format!("action=add-src-to-address-list {matchers} address-list={list} address-list-timeout={time}\n")
}

#[test]
fn lengths_beyond_a_policy_are_told_of() {
    let lifted = lifted(&[
        adds("protocol=tcp dst-port=666", "bad", "none-dynamic"),
        adds("protocol=tcp dst-port=1001", "one", "500ms"),
        adds("protocol=tcp dst-port=1002 src-address-list=one", "two", "1000m"),
        adds("protocol=tcp dst-port=1003 src-address-list=two", "in", "3d"),
        "action=drop src-address-list=bad\naction=accept protocol=tcp dst-port=22 src-address-list=in\naction=drop\n".to_owned(),
    ].concat());
    let door = &lifted.doors[0];
    let windows: Vec<String> = door.knocks.iter().filter_map(|step| Some(step.window?.to_string())).collect();
    assert_eq!((windows, door.grant.to_string()), (vec!["1s".to_owned(), "10m".to_owned()], "1d".to_owned()));
    let traps = lifted.traps.as_ref().unwrap();
    assert_eq!(traps.ban.to_string(), "1d");
    let told: Vec<&str> = lifted.all_doubts().map(|(_, doubt)| doubt.what.as_str()).collect();
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told.iter().all(|what| what.contains("a policy takes")), "{told:#?}");
}

#[test]
fn rules_that_only_look_like_a_door_are_none() {
    let stages = |order: [&str; 3]| {
        let end = "action=accept protocol=tcp dst-port=22 src-address-list=in\naction=drop\n";
        format!("action=drop src-address-list=fail\n{}{end}", order.concat())
    };
    let one = adds("protocol=tcp dst-port=1001", "one", "10s");
    let two = adds("protocol=tcp dst-port=1002 src-address-list=one", "in", "1m");
    let fail = adds("protocol=tcp dst-port=!1002 src-address-list=one", "fail", "1m");
    // Where the list of failures stands last, it sees the first knock's own packet on list `one`.
    assert_eq!(lifted(&stages([&fail, &two, &one])).doors.len(), 1);
    let dead = lifted(&stages([&one, &two, &fail]));
    assert!(dead.doors.is_empty(), "{:#?}", dead.doors);
    assert!(lost(&dead).iter().any(|why| why.contains("no sequence")), "{:#?}", dead.rest);
    // In this order one packet passes both stages.
    let at_once = lifted(
        &[
            adds("protocol=tcp dst-port=1001", "one", "10s"),
            adds("protocol=tcp dst-port=1001 src-address-list=one", "in", "1m"),
            "action=accept protocol=tcp dst-port=22 src-address-list=in\naction=drop\n".to_owned(),
        ]
        .concat(),
    );
    assert!(at_once.doors.is_empty(), "{:#?}", at_once.doors);
}

#[test]
fn connections_that_are_counted_until_a_ban_are_no_traps() {
    let lifted = lifted(
        &[
            "action=drop src-address-list=brute\n".to_owned(),
            adds("protocol=tcp dst-port=22 connection-state=new src-address-list=t2", "brute", "1d"),
            adds("protocol=tcp dst-port=22 connection-state=new src-address-list=t1", "t2", "1m"),
            adds("protocol=tcp dst-port=22 connection-state=new", "t1", "1m"),
            adds("protocol=udp dst-port=1001", "one", "10s"),
            adds("protocol=udp dst-port=1002 src-address-list=one", "in", "1m"),
            "action=accept protocol=tcp dst-port=80 src-address-list=in\naction=drop\n".to_owned(),
        ]
        .concat(),
    );
    assert_eq!((lifted.doors.len(), lifted.traps.is_none()), (1, true), "{:#?}", lifted.traps);
    assert_eq!(lost(&lifted).len(), 4, "{:#?}", lifted.rest);
}

#[test]
fn what_a_policy_refuses_is_left_out_and_the_rest_stays() {
    let mut lifted = lifted(&[
        adds("protocol=tcp dst-port=1001 src-address-list=b1", "b2", "10s"),
        adds("protocol=tcp dst-port=1001", "b1", "10s"),
        adds("protocol=tcp dst-port=1002", "one", "10s"),
        adds("protocol=tcp dst-port=1003 src-address-list=one", "in", "1m"),
        "action=accept protocol=tcp dst-port=22 src-address-list=in\naction=accept protocol=tcp dst-port=23 src-address-list=b2\naction=drop\n".to_owned(),
    ].concat());
    assert_eq!(lifted.doors.len(), 2);
    let left_out = lifted.settle(|text| frontend::toml::parse(text).1);
    assert_eq!(left_out, [Part::Door("b2".to_owned())]);
    let text = lifted.to_toml(None);
    let (policy, _) = frontend::toml::parse(&text);
    assert_eq!(&*policy.unwrap_or_else(|| panic!("{text}")).doors()[0].name, "in");
    assert!(text.contains("LEFT OUT") && text.contains("# [door.b2]"), "{text}");
}

#[test]
fn a_script_without_an_end_is_told_of() {
    let lifted = lifted(&adds("protocol=tcp dst-port=1", "x", "1s"));
    assert!(lifted.doors.is_empty());
    assert!(
        lifted.doubts.iter().any(|doubt| doubt.what.starts_with("no rule drops the rest")),
        "{lifted:#?}"
    );
}

#[test]
fn thousands_of_rules_and_jumps_that_fan_out_come_to_an_end() {
    let mut rules = String::new();
    for port in 1..1500 {
        rules += &format!("action=accept protocol=tcp dst-port={port} src-address-list=l{}\n", port % 50);
        rules += &adds(
            &format!("protocol=tcp dst-port={} src-address-list=l{}", port + 7000, port % 50),
            &format!("l{}", (port + 1) % 50),
            "1m",
        );
    }
    let found = lifted(&rules);
    assert!(found.doors.is_empty());
    // Jumps that fan out.
    let mut script = String::from("/ip firewall filter\nadd chain=input action=jump jump-target=c0\n");
    for depth in 0..7 {
        for _ in 0..4 {
            script += &format!("add chain=c{depth} action=jump jump-target=c{}\n", depth + 1);
        }
    }
    for port in 1..30 {
        script +=
            &format!("add chain=c7 protocol=tcp dst-port={port} action=accept src-address-list=x{port}\n");
    }
    let found = lift(&program(&script));
    assert!(found.doubts.iter().any(|doubt| doubt.what.contains("too tangled")), "{found:#?}");
}
