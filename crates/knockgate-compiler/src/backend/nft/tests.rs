use std::num::NonZeroU32;

use super::*;
use crate::program::{Builder, Expiry, Origin};

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
        Told::of_prefix(told.split('"').nth(1)?)
    });
    let found: Vec<Told> = prefixes.collect();
    let known: Vec<Told> = Told::all(&program).map(|(told, _)| told).collect();
    assert_eq!(known.iter().map(|told| told.effect).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found, [known[0], known[0], known[1], known[1]], "one for each family: {text}");
    assert!(!print(&program).unwrap().text.contains("limit"));
    assert_eq!(Told::of_prefix("#1.2 x 00"), None);
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
    builder.rule(input, rule(vec![], Verdict::Jump(chain)));
    builder.rule(chain, rule(vec![Condition::ToGateway], Verdict::Rescue));
    let ruleset = print_live(&builder.seal().unwrap(), &|_| true).unwrap();
    assert!(!ruleset.text.contains("@rescue"), "{}", ruleset.text);
    assert_eq!(ruleset.on_trial.len(), 2, "one for each family");
    for OnTrial { chain, rule } in &ruleset.on_trial {
        assert!(ruleset.chains.contains(chain), "{chain}");
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
