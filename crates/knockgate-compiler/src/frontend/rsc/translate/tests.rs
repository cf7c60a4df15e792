use crate::diag::Code;
use crate::frontend::rsc::{Reading, read, translate::Options};
use crate::program::Expiry;
use crate::sim::{Fate, Simulator, trace};

fn program_of(text: &str, options: &Options) -> Reading {
    let reading = read(text, options);
    assert!(reading.program.is_some(), "{:?}", reading.findings);
    reading
}

/// What becomes of each packet of a trace, a letter each: accepted, dropped, refused.
fn played_with(text: &str, packets: &str, options: &Options) -> String {
    let reading = program_of(text, options);
    let program = reading.program.as_ref().unwrap();
    let (events, findings) = trace::parse(packets, &program.outside()[0]);
    assert_eq!(findings, [], "{packets}");
    let mut simulator = Simulator::new(program);
    let fates = events.iter().map(|event| match simulator.play(event.at, &event.packet).fate {
        Fate::Accept => 'a',
        Fate::Drop => 'd',
        Fate::Reject => 'r',
    });
    fates.collect()
}

fn played(text: &str, packets: &str) -> String {
    played_with(text, packets, &Options::default())
}

fn codes(text: &str) -> Vec<Code> {
    read(text, &Options::default()).findings.iter().map(|finding| finding.code).collect()
}

const ARTICLE: &str = "/ip firewall filter
add chain=input action=drop in-interface-list=WAN src-address-list=blacklist
add chain=input action=add-src-to-address-list protocol=tcp address-list=blacklist address-list-timeout=1000m in-interface-list=WAN dst-port=666
add chain=input action=add-src-to-address-list address-list=333 dst-port=333 protocol=tcp address-list-timeout=30s in-interface-list=WAN
add chain=input action=add-src-to-address-list address-list=777 dst-port=777 protocol=tcp address-list-timeout=30s src-address-list=333 in-interface-list=WAN
add chain=input action=add-src-to-address-list src-address-list=777 dst-port=888 address-list=secured protocol=tcp address-list-timeout=30m in-interface-list=WAN
add chain=input action=accept in-interface-list=WAN src-address-list=secured
add chain=input action=drop in-interface-list=WAN
";

#[test]
fn the_article_opens_to_its_knocks_and_bans_at_its_trap() {
    let knocks = "0s 192.0.2.1 22/tcp\n1s 192.0.2.1 333/tcp\n2s 192.0.2.1 777/tcp\n3s 192.0.2.1 888/tcp\n";
    assert_eq!(played(ARTICLE, &format!("{knocks}4s 192.0.2.1 22/tcp\n1804s 192.0.2.1 23/tcp\n")), "dddaad");
    let trapped = "4s 192.0.2.1 666/tcp\n5s 192.0.2.1 22/tcp\n60004s 192.0.2.1 333/tcp\n";
    // The packet to the trap itself is accepted: the grant stands below it.
    assert_eq!(played(ARTICLE, &format!("{knocks}{trapped}")), "dddaadd");
}

#[test]
fn a_packet_that_no_rule_decides_is_accepted() {
    assert_eq!(played("/ip firewall filter add chain=input action=passthrough", "0s 192.0.2.1 22/tcp"), "a");
    let gone = "/ip firewall filter\nadd chain=input action=return\nadd chain=input action=drop";
    assert_eq!(played(gone, "0s 192.0.2.1 22/tcp"), "a");
}

#[test]
fn a_list_of_ipv4_and_one_of_ipv6_are_apart() {
    let text = "/ip firewall filter
        add chain=input action=add-src-to-address-list address-list=x address-list-timeout=1m protocol=tcp dst-port=1
        add chain=input action=accept src-address-list=x
        add chain=input action=drop
        /ipv6 firewall filter
        add chain=input action=drop src-address-list=!x";
    assert_eq!(played(text, "0s 192.0.2.1 1/tcp\n1s 192.0.2.1 2/tcp\n1s 2001:db8::1 2/tcp"), "aad");
}

#[test]
fn an_address_that_is_added_again_stays_for_the_full_time_unless_routers_do_not() {
    let text = "/ip firewall filter
        add chain=input action=add-src-to-address-list address-list=x address-list-timeout=10s protocol=udp dst-port=1
        add chain=input action=accept src-address-list=x protocol=tcp
        add chain=input action=drop";
    let packets = "0s 192.0.2.1 1/udp\n8s 192.0.2.1 1/udp\n15s 192.0.2.1 22/tcp";
    assert_eq!(played(text, packets), "dda");
    let keep = Options { again: Expiry::Keep, ..Options::default() };
    assert_eq!(played_with(text, packets, &keep), "ddd");
}

#[test]
fn an_address_with_an_entry_of_its_own_gets_no_timeout() {
    let text = "/ip firewall address-list add list=x address=192.0.2.0/24
        /ip firewall filter
        add chain=input action=add-src-to-address-list address-list=x address-list-timeout=1s
        add chain=input action=accept src-address-list=x
        add chain=input action=drop";
    assert_eq!(played(text, "0s 192.0.2.1 1/tcp\n5s 192.0.2.1 1/tcp"), "aa");
}

#[test]
fn jumps_come_back_and_chains_of_two_tables_are_apart() {
    let text = "/ip firewall filter
        add chain=input action=jump jump-target=knock protocol=tcp
        add chain=input action=drop
        add chain=knock action=return dst-port=80 protocol=tcp
        add chain=knock action=accept
        /ip firewall raw
        add chain=prerouting action=jump jump-target=knock protocol=udp
        add chain=knock action=drop dst-port=53 protocol=udp";
    assert_eq!(played(text, "0s 192.0.2.1 80/tcp\n0s 192.0.2.1 22/tcp\n0s 192.0.2.1 53/udp"), "dad");
}

#[test]
fn destinations_are_rewritten() {
    let text = "/ip firewall nat
        add chain=dstnat action=dst-nat protocol=tcp dst-port=8443 to-addresses=10.0.0.5 to-ports=443
        add chain=dstnat action=dst-nat protocol=tcp dst-port=25,110-112 to-addresses=10.0.0.6
        /ip firewall filter
        add chain=forward action=accept dst-address=10.0.0.5 protocol=tcp dst-port=443 connection-nat-state=dstnat
        add chain=forward action=accept dst-address=10.0.0.6 protocol=tcp dst-port=111
        add chain=forward action=drop
        add chain=input action=drop";
    let packets = "0s 192.0.2.1 8443/tcp\n0s 192.0.2.1 111/tcp\n0s 192.0.2.1 110/tcp\n0s 192.0.2.1 443/tcp";
    assert_eq!(played(text, packets), "aadd");
}

#[test]
fn what_is_not_played_matches_nothing_and_is_told() {
    let text = "/ip firewall filter add chain=input action=drop protocol=tcp psd=21,3s,3,1";
    assert_eq!(played(text, "0s 192.0.2.1 22/tcp"), "a");
    assert_eq!(codes(text), [Code::NotModelled]);
    for text in [
        "/ip firewall filter add chain=input action=accept dst-port=22",
        "/ip firewall filter add chain=input action=acept",
        "/ip firewall filter add chain=input action=accept protocol=tcp dst-port=70000",
        "/ip firewall filter add chain=input action=accept src-address=192.0.2.300",
        "/ip firewall filter add chain=a action=jump jump-target=a",
    ] {
        assert!(read(text, &Options::default()).program.is_none(), "{text}");
    }
}

#[test]
fn a_member_that_only_the_router_knows_makes_its_list_unknown() {
    let text = "/ip firewall address-list add list=x address=home.example.org
        /ip firewall filter
        add chain=input action=accept src-address-list=x
        add chain=input action=drop";
    assert_eq!(played(text, "0s 192.0.2.1 22/tcp"), "d");
    assert_eq!(codes(text), [Code::ListEntry]);
}

#[test]
fn the_outside_is_the_list_wan_or_what_is_not_the_lan() {
    let of = |text: &str| {
        let reading = program_of(text, &Options::default());
        reading.program.unwrap().outside().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let lists = "/interface list member
        add list=WAN interface=ether1
        add list=WAN interface=ether2
        add list=LAN interface=bridge
        /ip firewall filter\n";
    assert_eq!(
        of(&format!("{lists}add chain=input action=drop in-interface-list=WAN")),
        ["ether1", "ether2"]
    );
    assert_eq!(of(&format!("{lists}add chain=input action=drop in-interface-list=!LAN")), ["outside"]);
    assert_eq!(of("/ip firewall filter add chain=input action=drop in-interface=ether5"), ["ether5"]);
    assert_eq!(of("/ip firewall filter add chain=input action=drop"), ["outside"]);
}

#[test]
fn chains_of_one_name_in_both_families_never_stand_in_each_other_s_way() {
    let text = "/ip firewall filter
        add chain=input action=jump jump-target=a
        add chain=a action=jump jump-target=b
        add chain=b action=drop protocol=tcp dst-port=22
        /ipv6 firewall filter
        add chain=input action=jump jump-target=b
        add chain=b action=jump jump-target=a
        add chain=a action=drop protocol=tcp dst-port=80";
    let packets = "0s 192.0.2.1 22/tcp\n0s 192.0.2.1 80/tcp\n0s 2001:db8::1 22/tcp\n0s 2001:db8::1 80/tcp";
    assert_eq!(played(text, packets), "daad");
}

#[test]
fn what_the_router_works_out_never_makes_a_rule_match_more() {
    for (text, expected) in [
        ("/ip firewall filter\nadd chain=input action=accept disabled=$x\nadd chain=input action=drop", "d"),
        ("/ip firewall filter\nadd chain=input action=$x protocol=tcp\nadd chain=input action=drop", "d"),
        (
            "/ip firewall address-list add list=a address=192.0.2.1 timeout=$t\n/ip firewall filter\n\
             add chain=input action=accept src-address-list=a\nadd chain=input action=drop",
            "d",
        ),
        (
            "/ip firewall nat add chain=dstnat action=dst-nat protocol=tcp dst-port=22 to-addresses=10.0.0.5 \
             to-ports=$p\n/ip firewall filter add chain=input action=drop",
            "d",
        ),
    ] {
        assert_eq!(played(text, "0s 192.0.2.1 22/tcp"), expected, "{text}");
        assert!(codes(text).iter().any(|code| [Code::NotModelled, Code::ListEntry].contains(code)), "{text}");
    }
}

#[test]
fn rules_that_are_not_played_are_told_and_what_they_fill_is_unknown() {
    let text = "/ip firewall filter
        add chain=output action=add-dst-to-address-list address-list=x address-list-timeout=1m
        add chain=input action=accept src-address-list=!x
        add chain=input action=drop
        /ip firewall nat add chain=srcnat action=masquerade";
    assert_eq!(played(text, "0s 192.0.2.1 22/tcp"), "d");
    assert_eq!(codes(text).iter().filter(|code| **code == Code::NotModelled).count(), 3);
}
