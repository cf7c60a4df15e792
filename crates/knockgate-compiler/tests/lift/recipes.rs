//! Whole scripts, in `tests/recipes`.

use std::fs;
use std::path::Path;

use knockgate_compiler::diag::Source;
use knockgate_compiler::lift::{Lifted, lift};
use knockgate_compiler::policy::Wrong;
use knockgate_compiler::program::Program;

use crate::play::agreeing;
use crate::{lost, policy_of, program};

fn read(name: &str) -> (String, Program) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let program = program(&text);
    (text, program)
}

/// Lifts a recipe, and plays every situation in the script's program and in the policy's.
fn same(name: &str) -> Lifted {
    let (script, program) = read(name);
    let lifted = agreeing(&program);
    if std::env::var_os("SHOW").is_some() {
        println!("{}", lifted.to_toml(Some(&Source::new(name, &script))));
    }
    lifted
}

fn knocks(lifted: &Lifted, door: usize) -> String {
    let knocks: Vec<String> = lifted.doors[door].knocks.iter().map(|step| step.knock.to_string()).collect();
    knocks.join(" ")
}

fn services(lifted: &Lifted, door: usize) -> String {
    let endpoints = lifted.doors[door].services.iter().map(|service| service.endpoint.to_string());
    endpoints.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_article_corrected() {
    let lifted = same("article.rsc");
    assert_eq!(lifted.doors.len(), 1);
    let door = &lifted.doors[0];
    assert_eq!((&*door.name, &*knocks(&lifted, 0)), ("secured", "333/tcp 777/tcp 888/tcp"));
    assert_eq!(door.wrong, Wrong::Ignore);
    assert_eq!((door.grant.to_string(), services(&lifted, 0)), ("30m".into(), "22/tcp 8291/tcp".into()));
    assert!(door.doubts[0].what.contains("OPENS"), "{:?}", door.doubts);
    let traps = lifted.traps.as_ref().unwrap();
    assert_eq!((traps.strikes, traps.ban.to_string()), (1, "16h40m".into()));
    assert_eq!(lost(&lifted), [""; 0]);
}

#[test]
fn stages_in_reversed_order_and_traps_of_scanned_ports() {
    let lifted = same("reversed.rsc");
    assert_eq!(knocks(&lifted, 0), "10001/tcp 10002/tcp 10003/tcp");
    assert_eq!(services(&lifted, 0), "22/tcp 8291/tcp");
    let ports = lifted.traps.as_ref().unwrap().ports.iter().map(ToString::to_string);
    assert_eq!(ports.collect::<Vec<_>>(), ["21/tcp", "23/tcp", "445/tcp"]);
    let windows: Vec<_> = lifted.doors[0].knocks.iter().filter_map(|step| step.window).collect();
    assert_eq!(windows.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10s", "20s"]);
    assert_eq!(lost(&lifted), [""; 0]);
}

#[test]
fn a_chain_of_knocks_that_is_jumped_to() {
    let lifted = same("chain.rsc");
    assert_eq!(knocks(&lifted, 0), "4100/tcp 4200/tcp 4300/tcp");
    assert_eq!((services(&lifted, 0), lifted.doors[0].grant.to_string()), ("22/tcp".into(), "8h".into()));
    assert_eq!(lifted.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["198.51.100.64/28"]);
    assert_eq!(lifted.public.iter().map(ToString::to_string).collect::<Vec<_>>(), ["51820/udp"]);
    assert_eq!(lost(&lifted), [""; 0]);
}

#[test]
fn sizes_of_pings_with_a_list_of_failures() {
    let lifted = same("sizes.rsc");
    assert_eq!(knocks(&lifted, 0), "ping/100 ping/300 ping/500");
    assert_eq!(lifted.doors[0].wrong.to_string(), "cooldown 1m");
    assert_eq!(services(&lifted, 0), "22/tcp 8291/tcp");
}

#[test]
fn names_with_spaces_and_negations_in_quotes() {
    let lifted = same("quoted.rsc");
    assert_eq!(knocks(&lifted, 0), "9000/tcp 9100/udp 9200/tcp");
    assert_eq!((&*lifted.doors[0].name, services(&lifted, 0)), ("knock-granted", "22/tcp".into()));
    assert_eq!(lifted.traps.as_ref().unwrap().ban.to_string(), "1h");
    assert_eq!(lost(&lifted), [""; 0]);
}

#[test]
fn a_list_of_those_who_failed() {
    let lifted = same("failing.rsc");
    assert_eq!(knocks(&lifted, 0), "7001/tcp 7002/udp 7003/tcp");
    assert_eq!(lifted.doors[0].wrong.to_string(), "cooldown 1h");
    assert_eq!(lifted.public.iter().map(ToString::to_string).collect::<Vec<_>>(), ["443/tcp"]);
    assert_eq!(lost(&lifted), [""; 0]);
}

#[test]
fn a_grant_to_a_host_behind() {
    let lifted = same("behind.rsc");
    assert_eq!(knocks(&lifted, 0), "5001/udp 5002/tcp 5003/udp");
    let mut lifted = lifted;
    let (policy, _) = policy_of(&mut lifted);
    assert_eq!(policy.doors()[0].services[0].to_string(), "13389/tcp to 10.0.0.5:3389");
}

#[test]
fn a_whole_firewall_with_knocks_among_much_else() {
    let lifted = same("export.rsc");
    assert_eq!(knocks(&lifted, 0), "20000/udp 30000/udp 40000/udp");
    assert_eq!(services(&lifted, 0), "22/tcp 53/tcp 8291/tcp");
    assert_eq!(lifted.traps.as_ref().unwrap().ports.len(), 6);
    assert!(lifted.public.is_empty(), "{:?}", lifted.public);
    let alone = "13231/udp is open over IPv4 alone in the script";
    assert!(lifted.doubts.iter().any(|doubt| doubt.what.starts_with(alone)), "{:#?}", lifted.doubts);
    let expected = [
        "it lets pings in",
        "it lets list `office` in without a knock, but not to every service",
        "it asks for `psd=21,3s,3,1`",
        "it fills list `pk9`, which no rule asks for",
        "it is for packets that are passed on",
        "it sends everybody on to a host behind",
        "it lets pings in",
        "it puts sources on list `pk1` too",
    ];
    let lost = lost(&lifted);
    assert_eq!(lost.len(), expected.len(), "{lost:#?}");
    assert!(lost.iter().zip(expected).all(|(why, expected)| why.starts_with(expected)), "{lost:#?}");
}

#[test]
fn what_a_policy_has_no_words_for_is_named() {
    let (script, program) = read("unlifted.rsc");
    let lifted = lift(&program);
    assert!(lifted.doors.is_empty(), "{lifted:#?}");
    let source = Source::new("unlifted.rsc", &script);
    let reasons: Vec<String> = lifted
        .rest
        .iter()
        .filter(|rule| rule.lost)
        .map(|rule| format!("{}: {}", source.place(rule.origin.span.unwrap().start).line, rule.why))
        .collect();
    let expected = [
        "3: it asks for `src-mac-address=00:11:22:33:44:55`",
        "4: it asks for `content=opensesame`",
        "5: it puts sources of list `S1` on list `in`",
        "6: it lets list `in` in, but no knocks",
        "7: it puts sources on list `R1`, but not by a single port or ping size",
        "8: it puts sources of list `R1` on list `web`",
        "9: it lets list `web` in",
        "10: it asks for list `nobody`, which no rule fills",
        "11: it fills list `seen`, which no rule asks for",
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:#?}");
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.starts_with(expected), "{reason}");
    }
}
