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
    assert!((fill.rate - 100.0).abs() < 1e-9);
}
