use std::num::NonZeroU32;

use super::*;
use crate::net::Endpoint;
use crate::program::{Builder, Expiry, Origin, State, States};

#[test]
fn no_two_names_become_one() {
    let names = ["a", "a b", "a-b", "a_b", "a  b", "x-a", "1", "ip", "about", "list a", "ä", "a.1", ""];
    let found: BTreeSet<String> = names.into_iter().map(identifier).collect();
    assert_eq!(found.len(), names.len(), "{found:?}");
    assert!(found.iter().all(|name| !name.contains("__")), "{found:?}");
}

#[test]
fn an_expired_element_is_out_of_the_way_before_one_is_added_that_may_be_removed() {
    for (removed, times) in [(false, 0), (true, 2)] {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let pool = builder.pool("seen", NonZeroU32::MIN, false);
        let list = builder.timed_list("seen", pool, 128);
        let lifetime = Lifetime::from_secs(1);
        let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
        let input = builder.chain("input", Some(Hook::Input));
        let then = [add].into_iter().chain(removed.then_some(Effect::Remove(list))).collect();
        let origin = Origin { what: "test".into(), span: None };
        builder.rule(input, Rule { when: vec![], then, verdict: None, origin });
        let text = print(&builder.seal().unwrap()).unwrap().text;
        assert_eq!(text.matches(" != @seen").count(), times, "{text}");
    }
}

#[test]
fn a_list_that_people_manage_is_two_empty_sets_and_both_are_asked() {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let list = builder.managed_list("by hand", NonZeroU32::MIN);
    let input = builder.chain("input", Some(Hook::Input));
    for (condition, verdict) in [
        (Condition::Listed(list), None),
        (Condition::Listed(list), Some(Verdict::Drop)),
        (Condition::not_listed(list), Some(Verdict::Accept)),
    ] {
        let origin = Origin { what: "test".into(), span: None };
        builder.rule(input, Rule { when: vec![condition], then: vec![], verdict, origin });
    }
    let ruleset = print_live(&builder.seal().unwrap(), &|_| true).unwrap();
    for (digit, address, network) in
        [(4, "ip saddr", "ip saddr"), (6, "ip6 saddr", "ip6 saddr & ffff:ffff:ffff:ffff::")]
    {
        let [networks, singles] = [format!("by_hand{digit}"), format!("by_hand.single{digit}")];
        for name in [&networks, &singles] {
            let set = ruleset.sets.iter().find(|set| set.name == *name).unwrap();
            assert!(!set.fixed && set.size == Some(1));
        }
        for line in [
            format!("{address} @{networks} counter comment"),
            // What is on both counts once.
            format!("{address} != @{networks} {network} @{singles} counter comment"),
            format!("{address} @{networks} counter drop"),
            // What was on the other is gone.
            format!("ipv{digit} {network} @{singles} counter drop"),
            format!("{address} != @{networks} {network} != @{singles} counter accept"),
        ] {
            assert!(ruleset.text.contains(&line), "{line} is not in {}", ruleset.text);
        }
    }
    for flags in ["interval", "dynamic"] {
        assert_eq!(ruleset.text.matches(&format!("size 1\n\t\tflags {flags},timeout\n\t}}")).count(), 2);
    }
}

#[test]
fn every_addition_stands_between_two_counters_and_its_rule_counts_once() {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let pool = builder.pool("seen", NonZeroU32::MIN, false);
    let list = builder.timed_list("seen", pool, 128);
    let track = builder.track("progress", NonZeroU32::MIN);
    let position = builder.position(track, "one", "one");
    let input = builder.chain("input", Some(Hook::Input));
    let lifetime = Lifetime::from_secs(1);
    let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
    let step = Effect::Move { track, position, lifetime };
    for then in [vec![add.clone()], vec![step.clone()], vec![add, step]] {
        let origin = Origin { what: "test".into(), span: None };
        let when = vec![Condition::Family(Family::V4), Condition::ToGateway];
        builder.rule(input, Rule { when, then, verdict: Some(Verdict::Drop), origin });
    }
    let text = print_live(&builder.seal().unwrap(), &|_| true).unwrap().text;
    let adding: Vec<&str> =
        text.lines().filter(|line| line.contains(" add @") || line.contains("update @")).collect();
    assert_eq!(adding.len(), 4, "{text}");
    for line in adding {
        assert_eq!(line.matches("counter").count(), 2, "{line}");
    }
}

#[test]
fn a_rule_that_counts_does_so_once_and_is_told_by_its_comment() {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let input = builder.chain("input", Some(Hook::Input));
    for verdict in [None, Some(Verdict::Reject(Refusal::Closed)), Some(Verdict::Drop)] {
        let origin = Origin { what: "door #1.1 of \"mine\"".into(), span: None };
        let when = vec![Condition::Family(Family::V4)];
        builder.rule(input, Rule { when, then: vec![], verdict, origin });
    }
    let program = builder.seal().unwrap();
    let text = print_live(&program, &|_| true).unwrap().text;
    let counted = |line: &str| Counted::of_comment(line.split_once("comment \"")?.1);
    let counting = text.lines().filter(|line| line.contains("counter")).map(counted);
    let rules = (0..3).map(|rule| Some(Counted { chain: 0, rule }));
    assert_eq!(counting.collect::<Vec<_>>(), rules.collect::<Vec<_>>(), "{text}");
    assert!(!print(&program).unwrap().text.contains("counter"));
    assert_eq!(counted(" comment \"door main: knock 1 of 3\""), None);
}

#[test]
fn what_is_done_is_told_at_the_end_of_its_line_and_known_again() {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let pool = builder.pool("seen", NonZeroU32::MIN, false);
    let list = builder.timed_list("seen", pool, 128);
    let track = builder.track("progress", NonZeroU32::MIN);
    let position = builder.position(track, "a", "a 1/2");
    let lifetime = Lifetime::from_secs(1);
    let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
    let input = builder.chain("input", Some(Hook::Input));
    let then = vec![Effect::Forget(track), add, Effect::Move { track, position, lifetime }];
    let origin = Origin { what: "test".into(), span: None };
    builder.rule(input, Rule { when: vec![], then, verdict: Some(Verdict::Drop), origin });
    let program = builder.seal().unwrap();
    let text = print_live(&program, &|_| true).unwrap().text;
    let prefixes = text.lines().filter_map(|line| {
        let (done, told) = line.split_once("limit rate")?;
        assert!(done.contains("@seen") || done.contains("add @progress"), "{line}");
        Told::of_prefix(told.split('"').nth(1)?, 7)
    });
    let found: Vec<Told> = prefixes.collect();
    let known: Vec<Told> = Told::all(&program).map(|(told, _)| told).collect();
    assert_eq!(known.iter().map(|told| told.effect).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found, [known[0], known[0], known[1], known[1]], "one for each family: {text}");
    assert!(!print(&program).unwrap().text.contains("limit"));
    assert_eq!(Told::of_prefix("#1.2 x 00", 7), None);
}

/// Chains that move to a position each, one that puts on a list, and one that does more; and a way past the
/// switch to the last of them that moves.
fn chains_of_a_switch(way_past: bool) -> Program {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let pool = builder.pool("seen", NonZeroU32::MIN, true);
    let list = builder.timed_list("seen", pool, 128);
    let track = builder.track("progress", NonZeroU32::MIN);
    let lifetime = Lifetime::from_secs(1);
    let rule = |what: &str, then, verdict| {
        let origin = Origin { what: what.into(), span: None };
        Rule { when: vec![], then, verdict, origin }
    };
    let steps = ["a", "b", "c"].map(|name| {
        let position = builder.position(track, name, name);
        let chain = builder.chain(name, None);
        builder.rule(chain, rule(name, vec![Effect::Move { track, position, lifetime }], None));
        chain
    });
    let [lists, does_more] = ["lists", "does more"].map(|name| builder.chain(name, None));
    let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
    builder.rule(lists, rule("lists", vec![add], None));
    let position = builder.position(track, "d", "d");
    let step = Effect::Move { track, position, lifetime };
    builder.rule(does_more, rule("does more", vec![step], Some(Verdict::Drop)));
    let targets = steps.into_iter().chain([lists, does_more]);
    let ports = (1..=5).map(|port| format!("{port}/tcp").parse::<Endpoint>().unwrap());
    let switch = Switch::Port(ports.zip(targets).collect());
    let choice = builder.chain("choice", None);
    builder.rule(choice, rule("which", vec![], Some(Verdict::Switch(switch))));
    if way_past {
        builder.rule(choice, rule("past", vec![], Some(Verdict::Jump(steps[2]))));
    }
    let input = builder.chain("input", Some(Hook::Input));
    builder.rule(input, rule("all", vec![], Some(Verdict::Jump(choice))));
    builder.seal().unwrap()
}

#[test]
fn chains_that_differ_in_a_number_are_written_once_and_count_and_tell_each_its_own() {
    let program = chains_of_a_switch(false);
    let ruleset = print_live(&program, &|_| true).unwrap();
    let chains: Vec<&str> = ruleset.chains.iter().map(String::as_str).collect();
    assert_eq!(chains, ["a", "lists", "does_more", "choice", "input", "about"]);
    let map = ruleset.sets.iter().find(|set| set.name == "choice.1.progress-1s").expect("a map of numbers");
    assert!(map.fixed && map.counts && map.data == Some("mark"), "{map:?}");
    for arm in ["tcp . 1 : goto a,", "tcp . 2 : goto a,", "tcp . 3 : goto a,", "tcp . 4 : goto lists,"] {
        assert!(ruleset.text.contains(arm), "{arm} is not in {}", ruleset.text);
    }
    let positions = program.tracks()[0].positions.iter();
    let numbers: BTreeMap<&str, u32> =
        positions.map(|(position, name)| (&**name, position.number())).collect();
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        let port = place + 1;
        let element = format!("tcp . {port} counter comment \"#{place}.0 {name}\" : 0x{:08x}", numbers[name]);
        assert!(ruleset.text.contains(&element), "{element} is not in {}", ruleset.text);
    }
    let counted = ruleset.counting_from(|Counted { chain, .. }| (10 + chain as u64, 1));
    assert!(counted.contains("tcp . 3 counter packets 12 bytes 1 comment \"#2.0 c\" : 0x"), "{counted}");
    let adding: Vec<&str> =
        ruleset.text.lines().filter(|line| line.contains("map @choice.1.progress-1s ")).collect();
    assert_eq!(adding.len(), 2, "one for each family: {}", ruleset.text);
    for line in adding {
        assert!(line.contains(" : meta mark } counter limit"), "{line}");
        assert!(line.ends_with("comment \"+0.0 a, and 2 like it\""), "{line}");
        let prefix = line.split_once("log prefix \"").unwrap().1.split_once('"').unwrap().0;
        for (chain, name) in ["a", "b", "c"].into_iter().enumerate() {
            let told = Told::of_prefix(prefix, numbers[name]).expect("a prefix of ours");
            let (_, effect) = Told::all(&program).find(|(known, _)| *known == told).expect("it is known");
            assert_eq!(*effect, program.chains()[chain].rules[0].then[0]);
        }
        let of_nobody = Told::of_prefix(prefix, 0).expect("a prefix of ours");
        assert!(Told::all(&program).all(|(known, _)| known != of_nobody));
    }
    let plain = print(&program).unwrap();
    assert!(plain.sets.iter().all(|set| !set.counts) && !plain.text.contains("counter"), "{}", plain.text);
}

/// Chains for a source at each of two positions: one moves it on, the other puts it on a list that is written
/// here. The second one is called so.
fn chains_by_position(name: &str, adds: bool) -> Program {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let pool = builder.pool("seen", NonZeroU32::MIN, true);
    let lists = ["one", "other"].map(|name| builder.timed_list(name, pool, 64));
    let track = builder.track("progress", NonZeroU32::MIN);
    let positions = ["a", "b"].map(|name| builder.position(track, name, name));
    let lifetime = Lifetime::from_secs(1);
    let mut arms = BTreeMap::new();
    for (place, what) in ["first", name].into_iter().enumerate() {
        let chain = builder.chain(what, None);
        let then = match adds {
            true => Effect::Add { list: lists[place], lifetime, expiry: Expiry::Refresh },
            false => Effect::Move { track, position: positions[place], lifetime },
        };
        let origin = Origin { what: what.into(), span: None };
        builder.rule(chain, Rule { when: vec![], then: vec![then], verdict: None, origin });
        arms.insert((positions[place], "7/udp".parse().unwrap()), chain);
    }
    choosing(builder, Switch::TrackPort(track, arms), Hook::Input)
}

/// The program whose packets all come to this switch, from this hook.
fn choosing(mut builder: Builder, switch: Switch, hook: Hook) -> Program {
    let choice = builder.chain("choice", None);
    let rule = |verdict| {
        let origin = Origin { what: "which".into(), span: None };
        Rule { when: vec![], then: vec![], verdict: Some(verdict), origin }
    };
    builder.rule(choice, rule(Verdict::Switch(switch)));
    let begin = builder.chain("begin", Some(hook));
    builder.rule(begin, rule(Verdict::Jump(choice)));
    builder.seal().unwrap()
}

#[test]
fn what_a_source_does_at_a_position_is_found_by_both_and_a_map_is_called_as_what_it_is_for() {
    for (adds, map, (word, data), does) in [
        (
            true,
            "choice.1.seen-1s",
            ("priority", "classid"),
            "update @seen6 { ip6 saddr & ffff:ffff:ffff:ffff:: . meta priority timeout 1s }",
        ),
        (
            false,
            "choice.1.progress-1s",
            ("mark", "mark"),
            "delete @progress6 { ip6 saddr : 0x0 } add @progress6 { ip6 saddr timeout 1s : meta mark }",
        ),
    ] {
        let text = print(&chains_by_position("second", adds)).unwrap().text;
        let find = format!("meta {word} set meta mark . meta l4proto . th dport map @{map} goto first");
        for line in [
            format!("\t\tmeta mark set ip6 saddr map @progress6 {find} comment"),
            format!("\t\tmeta nfproto ipv6 {does} comment \"first, and 1 like it\""),
            format!("\tmap {map} {{\n\t\ttype mark . inet_proto . inet_service : {data}\n"),
        ] {
            assert!(text.contains(&line), "{line} is not in {text}");
        }
        assert!(!text.contains("vmap") && !text.contains("chain second"), "{text}");
    }
}

/// A program with some lists, where each of as many ports lets in who is on one of them.
fn services(count: usize, hook: Hook) -> Program {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let pool = builder.pool("guests", NonZeroU32::MIN, true);
    let rule = |when, what: &str, verdict| {
        let origin = Origin { what: what.into(), span: None };
        Rule { when, then: vec![], verdict: Some(verdict), origin }
    };
    let others = builder.chain("others", None);
    let mut arms = BTreeMap::new();
    let ports = [("one", "1/tcp"), ("two", "2/udp"), ("three", "3/tcp"), ("four", "4/tcp")];
    for (name, port) in ports.into_iter().take(count) {
        let list = builder.timed_list(name, pool, 128);
        let chain = builder.chain(name, None);
        let when = vec![Condition::Listed(list), Condition::ToGateway];
        builder.rule(chain, rule(when, name, Verdict::Accept));
        builder.rule(chain, rule(vec![], "others", Verdict::Jump(others)));
        let origin = Origin { what: "listed".into(), span: None };
        let then = vec![Effect::Add { list, lifetime: Lifetime::from_secs(1), expiry: Expiry::Keep }];
        builder.rule(others, Rule { when: vec![], then, verdict: None, origin });
        arms.insert(port.parse().unwrap(), chain);
    }
    choosing(builder, Switch::Port(arms), hook)
}

#[test]
fn services_share_a_rule_and_each_counts_whom_it_lets_in() {
    let plain = print(&services(4, Hook::Input)).unwrap();
    let live = print_live(&services(4, Hook::Input), &|_| true).unwrap();
    let find = "meta priority set meta l4proto . th dport map @choice.1.guests goto one";
    let asks = "meta nfproto ipv4 ip saddr . meta priority @guests4 fib daddr type local";
    for (ruleset, let_in) in [
        (&plain, "accept comment \"one, and 3 like it\"\n\t\tmeta nfproto ipv6"),
        (
            &live,
            "meta l4proto . th dport @choice.1.guests-let-in accept comment \"+1.0 one, and 3 like it\"\n",
        ),
    ] {
        for words in [find.to_owned(), format!("{asks} {let_in}")] {
            assert!(ruleset.text.contains(&words), "{words} is not in {}", ruleset.text);
        }
        assert!(!ruleset.chains.iter().any(|chain| chain == "two"));
    }
    assert!(live.text.contains("tcp . 1 counter comment \"#1.0 one\",\n"), "{}", live.text);
    let kind = |ruleset: &Ruleset, name: &str| {
        let set = ruleset.sets.iter().find(|set| set.name == name);
        set.map(|set| (set.kind(), set.counts))
    };
    assert_eq!(kind(&live, "choice.1.guests"), Some(("map", false)));
    assert_eq!(kind(&live, "choice.1.guests-let-in"), Some(("set", true)));
    assert_eq!(kind(&plain, "choice.1.guests-let-in"), None, "it does not count");
}

#[test]
fn what_is_passed_on_keeps_its_priority() {
    let text = print(&services(4, Hook::Forward)).unwrap().text;
    assert!(!text.contains("priority set") && text.contains("chain two {"), "{text}");
}

#[test]
fn a_few_services_have_rules_of_their_own() {
    let text = print(&services(3, Hook::Input)).unwrap().text;
    assert!(!text.contains("priority set") && text.contains("chain two {"), "{text}");
}

#[test]
fn chains_that_no_mark_tells_apart_are_written_by_themselves() {
    let (_, of_two) = at_one_position(2);
    assert!(!of_two.contains("priority set"), "{of_two}");
    // One of three is told by another position, so it can stand beside either of them.
    let (program, of_three) = at_one_position(3);
    assert!(of_three.contains("chain a {") && of_three.contains("chain b {"), "{of_three}");
    assert!(!of_three.contains("chain c {"), "{of_three}");
    let effects = |program: &Program| Told::all(program).map(|(told, _)| told).collect::<BTreeSet<_>>();
    assert_eq!(effects(&program).len(), 3, "each is told");
}

/// A program, and its rules, that puts a source on one of some lists by its port: at one position for the first
/// two, and at another for the third.
fn at_one_position(count: usize) -> (Program, String) {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let pool = builder.pool("seen", NonZeroU32::MIN, true);
    let track = builder.track("progress", NonZeroU32::MIN);
    let positions = ["x", "x", "y"].map(|name| builder.position(track, name, name));
    let mut arms = BTreeMap::new();
    for (place, name) in ["a", "b", "c"].into_iter().enumerate().take(count) {
        let list = builder.timed_list(name, pool, 128);
        let chain = builder.chain(name, None);
        let then = vec![Effect::Add { list, lifetime: Lifetime::from_secs(1), expiry: Expiry::Keep }];
        let origin = Origin { what: name.into(), span: None };
        builder.rule(chain, Rule { when: vec![], then, verdict: None, origin });
        arms.insert((positions[place], format!("{}/udp", place + 1).parse().unwrap()), chain);
    }
    let program = choosing(builder, Switch::TrackPort(track, arms), Hook::Input);
    let text = print_live(&program, &|_| true).unwrap().text;
    (program, text)
}

#[test]
fn a_rule_that_stands_for_others_than_before_tells_by_another_prefix() {
    let prefixes = ["second", "third"].map(|name| {
        let text = print_live(&chains_by_position(name, false), &|_| true).unwrap().text;
        text.split_once("log prefix \"").unwrap().1.split_once('"').unwrap().0.to_owned()
    });
    assert!(prefixes.iter().all(|prefix| prefix.starts_with("*0.0 0 ")), "{prefixes:?}");
    assert_ne!(prefixes[0], prefixes[1]);
}

#[test]
fn a_chain_that_something_else_leads_to_is_written_by_itself() {
    let ruleset = print(&chains_of_a_switch(true)).unwrap();
    for name in ["a", "c"] {
        assert!(ruleset.chains.iter().any(|chain| chain == name), "{name}");
    }
    assert!(ruleset.text.contains("tcp . 3 : goto c,"), "{}", ruleset.text);
    assert!(!ruleset.chains.iter().any(|chain| chain == "b"));
}

#[test]
fn who_might_try_a_ruleset_out_is_asked_for_only_while_somebody_does_and_counted_once_let_in() {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let input = builder.chain("input", Some(Hook::Input));
    let chain = builder.chain("who tries", None);
    let rule = |when, verdict| {
        let origin = Origin { what: "test".into(), span: None };
        Rule { when, then: vec![], verdict: Some(verdict), origin }
    };
    let known = builder.chain("known", None);
    let established = Condition::State(States::of(&[State::Established]));
    builder.rule(input, rule(vec![established], Verdict::Jump(known)));
    builder.rule(input, rule(vec![], Verdict::Jump(chain)));
    builder.rule(chain, rule(vec![Condition::ToGateway], Verdict::Rescue));
    let ruleset = print_live(&builder.seal().unwrap(), &|_| true).unwrap();
    let known = "ct state established jump known comment \"#0.0 test\"";
    assert!(ruleset.text.contains(&format!("accept;\n\t\t{known}\n\t}}\n")), "{}", ruleset.text);
    assert!(!ruleset.text.contains("@rescue"), "{}", ruleset.text);
    let [jump, rules @ ..] = &ruleset.on_trial[..] else { panic!("{:?}", ruleset.on_trial) };
    assert_eq!((&*jump.chain, &*jump.rule), ("input", "jump who_tries comment \"?0.1 test\""));
    assert_eq!(jump.behind, [known]);
    assert_eq!(rules.len(), 2, "one for each family");
    for OnTrial { chain, rule, behind } in rules {
        assert!(ruleset.chains.contains(chain) && behind.is_empty(), "{chain}");
        let places = ["@rescue", "fib daddr", "add @rescued", "counter accept", "comment \"?1.0 test\""];
        let places = places.map(|words| rule.find(words).unwrap_or_else(|| panic!("{words} in {rule}")));
        assert!(places.is_sorted(), "{rule}");
    }
    assert!(is_on_trial("?1.0 test") && !is_on_trial("#1.0 test") && !is_on_trial("?"));
}

#[test]
fn rules_that_have_counted_are_the_same_but_for_their_numbers_each_told_once() {
    let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
    let input = builder.chain("input", Some(Hook::Input));
    let rule = |when, then, verdict| Rule {
        when,
        then,
        verdict,
        origin: Origin { what: "a counter of it".into(), span: None },
    };
    let outside = vec![Condition::From(vec!["eth0".parse().unwrap(), "counter".parse().unwrap()])];
    let log = || vec![Effect::Log("is a counter here".into())];
    builder.rule(input, rule(outside, log(), Some(Verdict::Drop)));
    builder.rule(input, rule(vec![], log(), None));
    builder.rule(input, rule(vec![Condition::Echo(Some(9))], vec![], None));
    let program = builder.seal().expect("no flaws");
    let number = |rule: Counted| (100 + rule.rule as u64, 7);
    let ruleset = print_live(&program, &|_| true).expect("sayable");
    let counted = ruleset.counting_from(number);
    for rule in 0..3 {
        let numbers = format!("counter packets {} bytes 7 ", 100 + rule);
        assert_eq!(counted.matches(&numbers).count(), 1, "{numbers} in {counted}");
    }
    assert_eq!(counted.matches("\"is a counter here").count(), 2, "{counted}");
    let numbers = (0..3).map(|rule| format!("packets {} bytes 7 ", 100 + rule));
    let numbers = numbers.chain(["packets 0 bytes 0 ".to_owned()]);
    let bare = numbers.fold(counted, |text, numbers| text.replace(&numbers, ""));
    assert_eq!(bare, ruleset.text);
    let plain = print(&program).expect("sayable");
    assert_eq!(plain.counting_from(number), plain.text, "rules that do not count stay as they are");
}
