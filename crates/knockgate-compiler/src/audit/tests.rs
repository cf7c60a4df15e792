use super::*;
use crate::diag::CATALOGUE;
use crate::frontend::{rsc, toml};
use crate::lower::lower;

/// The audit of a policy, or of a script.
fn audit_of(text: &str) -> Audit {
    if text.starts_with('/') {
        let program = rsc::read(text, &rsc::translate::Options::default()).program.expect("a script");
        return audit(&Subject { program: &program, policy: None });
    }
    let policy = toml::parse(text).0.expect("a policy");
    audit(&Subject { program: &lower(&policy), policy: Some(&policy) })
}

/// Every claim of an audit of `text`, played.
fn all_claims_hold(text: &str) {
    let found = audit_of(text);
    let program = match text.starts_with('/') {
        true => rsc::read(text, &rsc::translate::Options::default()).program.expect("a script"),
        false => lower(&toml::parse(text).0.expect("a policy")),
    };
    for claim in found.claims() {
        assert_eq!(claim.holds(&program), Ok(true), "{}\n{}", claim.says, claim.trace);
    }
}

fn policy(more: &str) -> String {
    format!(
        "outside = \"eth0\"\n[door.ssh]\nknock = [\"7313/tcp\", \"24877/tcp\", \"11090/tcp\"]\nopens = \"22/tcp\"\n{more}"
    )
}

#[test]
fn every_example_has_the_finding_it_is_an_example_of() {
    for entry in CATALOGUE.iter().filter(|entry| entry.is_of_audits()) {
        let text = entry.wrong.expect("findings of audits have examples");
        let codes: Vec<Code> = audit_of(text).findings().map(|finding| finding.code).collect();
        assert!(codes.contains(&entry.code), "{} is not in {codes:?} of\n{text}", entry.code);
        all_claims_hold(text);
    }
}

#[test]
fn a_door_with_the_defaults_has_no_finding_that_is_high() {
    let audit = audit_of(&policy(""));
    let high: Vec<&Finding> = audit.findings().filter(|finding| finding.risk == Risk::High).collect();
    assert!(high.is_empty(), "{high:?}");
    assert_eq!(audit.doors[0].level, Level::Hidden);
    assert!(matches!(&audit.doors[0].way_in, WayIn::Steps { steps, .. } if steps.len() == 3));
}

#[test]
fn a_single_forged_packet_bans_the_owner_where_one_strike_is_enough() {
    let audit =
        audit_of(&policy("[traps]\nports = \"666/tcp\"\nstrikes = 1\nban = \"2m\"\nban-max = \"2m\"\n"));
    let ban = audit.doors[0].lockouts.iter().find(|lockout| !lockout.between).expect("a ban");
    assert_eq!((ban.packets, ban.hits), (1, Hits::Knocking));
    assert_eq!(ban.lasts, Some(Lifetime::from_secs(120)));
}

#[test]
fn a_ban_that_comes_first_throws_out_who_is_inside() {
    let found = audit_of(
        "/ip firewall filter\nadd chain=input action=drop src-address-list=bad\n\
         add chain=input action=accept connection-state=established,related\n\
         add chain=input action=accept src-address-list=in protocol=tcp dst-port=22\n\
         add chain=input action=add-src-to-address-list address-list=bad address-list-timeout=1000m protocol=tcp dst-port=666\n\
         add chain=input action=add-src-to-address-list address-list=in address-list-timeout=30m protocol=tcp dst-port=777 src-address-list=a\n\
         add chain=input action=add-src-to-address-list address-list=a address-list-timeout=30s protocol=tcp dst-port=333\n\
         add chain=input action=drop\n",
    );
    let worst = &found.doors[0].lockouts[0];
    assert_eq!((worst.packets, worst.hits), (1, Hits::Connection));
    assert_eq!(worst.lasts, Some(Lifetime::from_secs(60_000)));
}

#[test]
fn lists_fill_at_their_capacity_over_their_lifetime() {
    let audit = audit_of(&policy("").replace("outside", "sources = 1000\noutside"));
    let fill = &audit.fills[0];
    assert_eq!((fill.capacity, fill.stays, fill.entries), (1000, Lifetime::from_secs(10), 1));
    assert!((fill.rate - 1000.0 / 11.0).abs() < 1e-9, "what has expired takes room for another second");
}

/// Rules with a drop at their end, in both families.
fn rules(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("add chain=input {line}\n")).collect();
    format!(
        "/ip firewall filter\nadd chain=input action=accept connection-state=established,related\n{lines}add chain=input action=drop\n/ipv6 firewall filter\nadd chain=input action=drop\n"
    )
}

fn codes(audit: &Audit) -> Vec<Code> {
    audit.findings().map(|finding| finding.code).collect()
}

#[test]
fn stages_that_one_packet_runs_through_are_no_door() {
    let stage = |ports: &str, list: &str, before: &str| {
        format!(
            "action=add-src-to-address-list address-list={list} address-list-timeout=20s protocol=tcp dst-port={ports}{before}"
        )
    };
    let text = rules(&[
        &stage("5000,6000,7000", "one", ""),
        &stage("6000,7000", "two", " src-address-list=one"),
        &stage("7000", "open", " src-address-list=two"),
        "action=accept protocol=tcp dst-port=22 src-address-list=open",
    ]);
    let audit = audit_of(&text);
    assert!(matches!(&audit.doors[0].way_in, WayIn::Steps { steps, .. } if steps.len() == 1));
    assert_eq!(audit.doors[0].findings[0].risk, Risk::High);
    assert!(codes(&audit).contains(&Code::OrderedScan));
}

#[test]
fn a_range_as_a_knock_is_opened_by_an_ascending_scan() {
    let text = rules(&[
        "action=add-src-to-address-list address-list=one address-list-timeout=15s protocol=tcp dst-port=1000-2000",
        "action=add-src-to-address-list address-list=open address-list-timeout=1m protocol=tcp dst-port=4321 src-address-list=one",
        "action=accept protocol=tcp dst-port=8291 src-address-list=open",
    ]);
    let audit = audit_of(&text);
    assert_eq!(codes(&audit)[0], Code::OrderedScan);
    assert!(!codes(&audit).contains(&Code::MoreThanServices));
    all_claims_hold(&text);
}

#[test]
fn a_stage_that_waits_for_a_list_nobody_fills_never_opens() {
    let text = rules(&[
        "action=add-src-to-address-list address-list=one address-list-timeout=15s protocol=tcp dst-port=1000",
        "action=add-src-to-address-list address-list=open address-list-timeout=1m protocol=tcp dst-port=4321 src-address-list=onee",
        "action=accept protocol=tcp dst-port=8291 src-address-list=open",
    ]);
    assert!(codes(&audit_of(&text)).contains(&Code::NeverOpens));
}

#[test]
fn what_is_open_from_one_source_port_is_told_with_that_port() {
    let text = rules(&["action=accept protocol=tcp src-port=53"]);
    let audit = audit_of(&text);
    assert!(audit.exposed[0].packets.contains("from port 53"), "{:?}", audit.exposed);
    assert!(codes(&audit).contains(&Code::OpenToAll));
}

#[test]
fn the_services_of_a_door_are_not_more_than_its_services() {
    let audit = audit_of(&policy("").replace("\"22/tcp\"", "[\"22/tcp\", \"8291/tcp\"]"));
    assert!(!codes(&audit).contains(&Code::MoreThanServices));
    assert!(audit.doors[0].company[0].starts_with("for 30s"), "{:?}", audit.doors[0].company);
}

#[test]
fn a_ban_is_told_though_another_door_would_spare_its_source() {
    let text = policy(
        "[door.other]\nknock = \"100/tcp\"\nopens = \"80/tcp\"\n[traps]\nports = \"666/tcp\"\nstrikes = 1\n",
    );
    let audit = audit_of(&text);
    let lockouts = &audit.doors.iter().find(|door| door.name == "ssh").expect("a door").lockouts;
    assert!(lockouts.iter().any(|lockout| !lockout.between), "{lockouts:?}");
}

#[test]
fn a_door_over_ipv6_alone_opens() {
    let text = rules(&[
        "action=add-src-to-address-list address-list=one address-list-timeout=15s protocol=tcp dst-port=1000",
        "action=add-src-to-address-list address-list=open address-list-timeout=1m protocol=tcp dst-port=4321 src-address-list=one",
        "action=accept protocol=tcp dst-port=8291 src-address-list=open",
    ]);
    let text = text.replace("/ipv6", "/other").replace("/ip ", "/ipv6 ").replace("/other", "/ip");
    let audit = audit_of(&text);
    assert!(matches!(audit.doors[0].way_in, WayIn::Steps { .. }), "{:?}", audit.doors[0].way_in);
    all_claims_hold(&text);
}
