//! Rules in any order.

use knockgate_compiler::lift::lift;
use proptest::prelude::*;

use crate::play::agreeing;
use crate::program;

/// Rules of one script, of which some are taken, in any order.
const SHUFFLED: [&str; 16] = [
    "action=drop src-address-list=bad",
    "action=add-src-to-address-list protocol=tcp dst-port=666 address-list=bad address-list-timeout=100s",
    "action=add-src-to-address-list protocol=udp dst-port=667 src-address-list=!in address-list=bad address-list-timeout=100s",
    "action=add-src-to-address-list protocol=tcp dst-port=333 address-list=a address-list-timeout=30s",
    "action=add-src-to-address-list protocol=tcp dst-port=333 src-address-list=!a address-list=a address-list-timeout=20s",
    "action=add-src-to-address-list protocol=udp dst-port=777 src-address-list=a address-list=b address-list-timeout=20s",
    "action=add-src-to-address-list protocol=tcp dst-port=888 src-address-list=b address-list=in address-list-timeout=60s",
    "action=add-src-to-address-list protocol=tcp dst-port=888 src-address-list=a address-list=fail address-list-timeout=200s",
    "action=add-src-to-address-list src-address-list=a address-list=fail address-list-timeout=200s",
    "action=drop src-address-list=fail",
    "action=accept src-address-list=in protocol=tcp dst-port=22",
    "action=drop src-address-list=!in protocol=tcp dst-port=22",
    "action=accept protocol=tcp dst-port=443",
    "action=drop protocol=udp dst-port=777 src-address-list=a",
    "action=drop protocol=tcp",
    "action=drop",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_lifted_of_shuffled_rules_does_what_they_do(
        order in Just((0..SHUFFLED.len()).collect::<Vec<_>>()).prop_shuffle(),
        taken in proptest::collection::vec(proptest::bool::weighted(0.4), SHUFFLED.len()),
        ends in proptest::bool::weighted(0.9),
    ) {
        let rules = order.iter().filter(|rule| taken[**rule] || matches!(**rule, 3 | 5 | 6 | 10)).map(|rule| SHUFFLED[*rule]);
        let rules = rules.filter(|rule| *rule != "action=drop" || !ends);
        let end = ends.then_some("action=drop");
        let script: String =
            rules.chain(end).map(|rule| format!("add chain=input in-interface=ether1 {rule}\n")).collect();
        let program = program(&format!("/ip firewall filter\n{script}"));
        if lift(&program).all_doubts().next().is_none() {
            agreeing(&program);
        }
    }
}
