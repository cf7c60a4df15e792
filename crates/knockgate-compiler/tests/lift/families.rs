//! What a script says of one family alone, and a policy cannot.

use knockgate_compiler::diag::Source;
use knockgate_compiler::frontend;
use knockgate_compiler::lift::{Lifted, lift};

use crate::{lost, policy_of, program};

/// A door to SSH, then these rules, then a drop.
fn door(rules: &str) -> String {
    let add = "add chain=input in-interface=ether1";
    format!(
        "{add} action=accept connection-state=established,related
{add} action=add-src-to-address-list protocol=tcp dst-port=1001 address-list=one address-list-timeout=10s
{add} action=add-src-to-address-list protocol=tcp dst-port=1002 src-address-list=one address-list=in address-list-timeout=1m
{add} action=accept protocol=tcp dst-port=22 src-address-list=in
{}",
        filter(rules)
    )
}

fn filter(rules: &str) -> String {
    let rules = rules.lines().map(str::trim).filter(|rule| !rule.is_empty()).chain(["action=drop"]);
    rules.map(|rule| format!("add chain=input in-interface=ether1 {rule}\n")).collect()
}

fn both(v4: &str, v6: &str) -> String {
    format!("/ip firewall filter\n{v4}/ipv6 firewall filter\n{v6}")
}

fn public(lifted: &Lifted) -> Vec<String> {
    lifted.public.iter().map(ToString::to_string).collect()
}

fn doubts(lifted: &Lifted) -> Vec<&str> {
    lifted.all_doubts().map(|(_, doubt)| doubt.what.as_str()).collect()
}

#[test]
fn a_port_open_over_one_family_alone_is_closed() {
    let four = door("action=accept protocol=tcp dst-port=443\naction=accept protocol=tcp dst-port=80,81");
    let six = filter("action=accept protocol=tcp dst-port=443\naction=accept protocol=tcp dst-port=8291");
    let script = both(&four, &six);
    let lifted = lift(&program(&script));
    assert_eq!(public(&lifted), ["443/tcp"]);
    let doubts = doubts(&lifted);
    for expected in [
        "8291/tcp is open over IPv6 alone in the script: a policy would open it over IPv4 too, so it is closed",
        "80/tcp, 81/tcp is open over IPv4 alone in the script: a policy would open it over IPv6 too, so it is closed",
    ] {
        assert!(doubts.contains(&expected), "{doubts:#?}");
    }
    assert!(lost(&lifted).is_empty(), "{:#?}", lifted.rest);
    let text = lifted.to_toml(Some(&Source::new("both.rsc", &script)));
    assert!(text.contains("# ! 8291/tcp is open over IPv6 alone") && text.contains("(line 11)"), "{text}");
}

#[test]
fn a_family_without_a_drop_closes_nothing_and_opens_nothing() {
    let accept = "action=accept protocol=tcp dst-port=443";
    // All of IPv6 is let in: a rule for 8291 there opens nothing over IPv4.
    let six = "add chain=input action=accept protocol=tcp dst-port=8291\n";
    assert_eq!(public(&lift(&program(&both(&door(accept), six)))), ["443/tcp"]);
    // Rules for IPv4 alone.
    let lifted = lift(&program(&format!("/ip firewall filter\n{}", door(accept))));
    assert_eq!((public(&lifted), doubts(&lifted)), (vec!["443/tcp".to_owned()], vec![]));
    assert!(lifted.to_toml(None).contains("for IPv4 alone"));
    // Open over the other family by a rule about more than that.
    let six = filter("action=accept protocol=tcp dst-port=400-2000");
    assert_eq!(public(&lift(&program(&both(&door(accept), &six)))), ["443/tcp"]);
}

#[test]
fn a_grant_over_one_family_alone_is_a_doubt() {
    let told = |script: &str| {
        let lifted = lift(&program(script));
        assert_eq!(lifted.doors.len(), 1, "{lifted:#?}");
        doubts(&lifted).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let only = |here, there| {
        format!("in the script the grant opens 22/tcp over {here} alone; here it opens over {there} too")
    };
    assert_eq!(told(&both(&door(""), &filter(""))), [only("IPv4", "IPv6")]);
    assert!(told(&both(&filter(""), &door(""))).contains(&only("IPv6", "IPv4")));
    assert_eq!(told(&both(&door(""), &door(""))), [""; 0]);
    // SSH is open over IPv6 anyway.
    let open = filter("action=accept protocol=tcp dst-port=22");
    assert!(!told(&both(&door(""), &open)).contains(&only("IPv4", "IPv6")));
    // One more service over IPv6.
    let more = door("action=accept protocol=tcp dst-port=8291 src-address-list=in");
    let told = told(&both(&door(""), &more));
    assert_eq!(told, ["in the script the grant opens 8291/tcp over IPv6 alone; here it opens over IPv4 too"]);
}

#[test]
fn sources_are_allowed_over_their_own_family_alone() {
    let lists = "/ip firewall address-list\nadd list=office address=192.0.2.0/24\n/ipv6 firewall address-list\nadd list=office address=2001:db8::/32\n";
    let office = "action=accept src-address-list=office";
    let allowed = |v4: &str, v6: &str| {
        let lifted = lift(&program(&format!("{lists}{}", both(&door(v4), &door(v6)))));
        lifted.allow.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(allowed(office, ""), ["192.0.2.0/24"]);
    assert_eq!(allowed("", office), ["2001:db8::/32"]);
    assert_eq!(allowed(office, office), ["192.0.2.0/24", "2001:db8::/32"]);
    // Not to what the policy opens over IPv4 and the script over IPv6 alone.
    let narrow = "action=accept protocol=tcp dst-port=22 src-address-list=office";
    let more = "action=accept protocol=tcp dst-port=8291 src-address-list=in";
    assert_eq!(allowed(narrow, ""), ["192.0.2.0/24"]);
    assert_eq!(allowed(narrow, more), [""; 0]);
}

#[test]
fn long_ranges_are_no_public_ports() {
    let rules = "action=accept protocol=udp dst-port=33434-33534
        action=accept protocol=udp dst-port=5000-5015
        action=accept protocol=tcp dst-port=33440";
    let script = format!("/ip firewall filter\n{}", door(rules));
    let mut lifted = lift(&program(&script));
    assert_eq!((lifted.public.len(), public(&lifted)[0].as_str()), (17, "33440/tcp"));
    let told = doubts(&lifted);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("33434-33534/udp is open to everybody in the script"), "{told:#?}");
    let (_, text) = policy_of(&mut lifted);
    assert!(text.contains("# ! 33434-33534/udp"), "{text}");
    assert!(frontend::toml::parse(&text).0.is_some());
}

#[test]
fn rules_with_the_same_reason_stand_together() {
    let rules = "action=accept protocol=icmp
        action=accept protocol=tcp dst-port=25 src-address=10.0.0.0/16
        action=accept protocol=icmp
        action=accept protocol=tcp dst-port=9 src-mac-address=00:11:22:33:44:55";
    let script = format!("/ip firewall filter\n{}", door(rules));
    let lifted = lift(&program(&script));
    let text = lifted.to_toml(Some(&Source::new("rules.rsc", &script)));
    for part in [
        "# - lines 6, 8: it lets pings in, which every policy drops\n",
        "it accepts packets from 10.0.0.0/16 to services that no door has",
        "a policy cannot say this",
    ] {
        assert!(text.replace("\n#   ", " ").contains(part), "{part} in {text}");
    }
    assert_eq!(lifted.lost().len(), 3, "{:#?}", lifted.rest);
}
