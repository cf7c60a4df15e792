use std::fmt::Write;

use proptest::prelude::*;

use super::super::{KNOWN, parse};
use super::*;
use crate::diag::{Code, Severity, Source};

const FILTER: &str = "/ip/firewall/filter";
const LIST: &str = "/ip/firewall/address-list";

/// What a router holds after `text`, and the codes of what the parser takes for sound.
fn run(text: &str) -> (Config, Vec<(Code, usize)>) {
    let (config, findings) = Config::of(&parse(text).0);
    let source = Source::new("x", text);
    let coded = |finding: &Diagnostic| (finding.code, source.place(finding.primary.span.start).line);
    (config, findings.iter().map(coded).collect())
}

/// The same within the filter, whose lines count from 1, where nothing is wrong.
fn filter(lines: &str) -> Config {
    let (config, codes) = run(&format!("/ip firewall filter; {lines}"));
    assert_eq!(codes, [], "{lines}");
    config
}

fn codes(lines: &str) -> Vec<(Code, usize)> {
    run(&format!("/ip firewall filter; {lines}")).1
}

/// What the items have as `name`, in order.
fn column<'a>(config: &'a Config, menu: &str, name: &str) -> Vec<&'a str> {
    config.items(menu).iter().map(|item| item.text(name).unwrap_or("-")).collect()
}

fn comments(config: &Config) -> String {
    column(config, FILTER, "comment").join(" ")
}

/// Items as they can be compared: without places, ids and the order of attributes.
fn held(config: &Config) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let written = |set: &Set| format!("{} {} {:?}", set.name.value, set.value.negated, set.value.text());
    let attributes = |item: &Item| {
        let mut all: Vec<_> = item.attributes.iter().map(written).collect();
        all.sort();
        all
    };
    config.menus().map(|(path, items)| (path, items.iter().map(attributes).collect())).collect()
}

#[test]
fn the_script_of_the_article_puts_its_rules_in_this_order() {
    let text = include_str!("../../../../../../examples/article.rsc");
    let (config, codes) = run(text);
    assert!(codes.iter().all(|(code, _)| *code == Code::PositionByNumber), "{codes:?}");
    assert_eq!(codes.len(), 6);
    let actions = column(&config, FILTER, "action");
    let ports = column(&config, FILTER, "dst-port");
    let rules: Vec<_> = actions.into_iter().zip(ports).collect();
    let add = "add-src-to-address-list";
    assert_eq!(
        rules,
        [("drop", "-"), (add, "666"), (add, "333"), (add, "777"), (add, "888"), ("accept", "-")]
    );
    assert!(config.items(FILTER).iter().all(|item| item.get("place-before").is_none()));
}

#[test]
fn items_are_held_as_they_are_written() {
    let config =
        filter("add chain=input disabled=yes src-address-list=!a comment=x\nadd chain=output disabled=no");
    let [first, second] = config.items(FILTER) else { panic!("{config:?}") };
    let names: Vec<_> = first.attributes.iter().map(|set| &*set.name.value).collect();
    assert_eq!(names, ["chain", "disabled", "src-address-list", "comment"]);
    assert!(first.is_disabled() && !second.is_disabled());
    assert_eq!((first.comment(), second.comment()), (Some("x"), None));
    assert!(first.get("src-address-list").unwrap().negated);
    assert_ne!(first.id, second.id);
}

#[test]
fn other_menus_and_commands_without_effect_are_passed_over() {
    let text = "/system identity set name=x\n/ip address add address=1.2.3.4\n/ip firewall filter\nexport\nget 0 x\n:put x";
    let (config, codes) = run(text);
    assert_eq!((codes, config.menus().count()), (vec![], 0));
}

#[test]
fn items_are_set_unset_and_commented() {
    let config = filter(
        "add chain=input comment=a dst-port=1 port=2 protocol=tcp\nset [find comment=a] dst-port=3 !port action=drop\nunset [find] protocol\ncomment [find comment=a] comment=b\ncomment [find comment=b] c",
    );
    assert_eq!(config.export(), "/ip firewall filter\nadd action=drop chain=input comment=c dst-port=3\n");
}

#[test]
fn items_are_enabled_and_disabled() {
    let config = filter(
        "add comment=a\nadd comment=b disabled=yes\ndisable [find comment=a]\nenable [find comment=b]",
    );
    assert_eq!(column(&config, FILTER, "disabled"), ["yes", "-"]);
}

#[test]
fn a_copy_has_what_its_model_has_but_for_what_is_said() {
    let config =
        filter("add chain=input dst-port=1 comment=a\nadd copy-from=[find comment=a] comment=b !dst-port");
    assert_eq!(column(&config, FILTER, "chain"), ["input", "input"]);
    assert_eq!(column(&config, FILTER, "dst-port"), ["1", "-"]);
    assert_eq!(codes("add copy-from=[find]"), [(Code::NoSuchItem, 1)]);
}

#[test]
fn items_are_moved_before_another_and_to_the_end() {
    let four = "add comment=a\nadd comment=b\nadd comment=c\nadd comment=d\nprint\n";
    let all = [
        ("move 3 destination=1", "a d b c"),
        ("move 3 1", "a d b c"),
        ("move 0", "b c d a"),
        ("move 2,3 0", "c d a b"),
        ("move numbers=0-1 destination=3", "c a b d"),
        ("move [find comment=c] a", "c a b d"),
        ("move 1 1", "a b c d"),
        ("move [find comment=none] 0", "a b c d"),
    ];
    for (command, order) in all {
        assert_eq!(comments(&filter(&format!("{four}{command}"))), order, "{command}");
    }
}

#[test]
fn items_are_named_in_many_ways() {
    let three = "add comment=a\nadd comment=\"b b\" dst-port=7\nadd comment=c disabled=yes\nprint\n";
    let all = [
        ("0,2", "b b"),
        ("1-2", "a"),
        ("numbers=1", "a c"),
        ("*2", "a c"),
        ("\"b b\"", "a c"),
        ("[find]", ""),
        ("[find dst-port=7]", "a c"),
        ("([find]->1)", "a c"),
        ("([find]->9)", "a b b c"),
        ("[find comment=none]", "a b b c"),
        ("[find where comment~\"^b\" and dst-port>6]", "a c"),
        ("[find comment!=a]", "a"),
        ("[find disabled]", "a b b"),
        ("[find !disabled]", "c"),
        ("[find dst-port=\"\"]", "b b"),
        ("[find dst-port~\"7\"]", "a c"),
        ("[find .id=*3]", "a b b"),
        ("[find dst-port<=6]", "b b"),
    ];
    for (items, left) in all {
        assert_eq!(comments(&filter(&format!("{three}remove {items}"))), left, "{items}");
    }
}

#[test]
fn lists_are_named_by_their_names() {
    let (config, codes) = run("/interface list\nadd name=WAN\nadd name=LAN\nset LAN comment=x\nremove WAN");
    assert_eq!(codes, []);
    assert_eq!(config.export(), "/interface list\nadd comment=x name=LAN\n");
}

#[test]
fn what_only_a_router_can_find_is_left_alone_and_told() {
    for items in [
        "[find comment=a or comment=b]",
        "[find comment~\"a.*\"]",
        "[find packets=0]",
        "[find comment=$x]",
        "$x",
        "[/system identity get name]",
    ] {
        let (config, codes) = run(&format!("/ip firewall filter; add comment=a\nremove {items}"));
        assert_eq!((codes, &*comments(&config)), (vec![(Code::NotFollowed, 2)], "a"), "{items}");
    }
    let (config, codes) = run("/ip firewall filter; add comment=a\nadd comment=b place-before=$x");
    assert_eq!((codes, &*comments(&config)), (vec![(Code::NotFollowed, 2)], "a b"));
}

#[test]
fn a_place_is_before_the_item_that_is_found() {
    let all = ["[find comment=b]", "([find]->1)", "b"];
    for place in all {
        let config = filter(&format!("add comment=a\nadd comment=b\nadd comment=x place-before={place}"));
        assert_eq!(comments(&config), "a x b", "{place}");
    }
}

#[test]
fn a_place_that_is_not_there_is_refused() {
    for place in ["none", "[/ip firewall nat find]", "([/ip firewall nat find]->0)"] {
        let (config, codes) =
            run(&format!("/ip firewall filter; add comment=a\nadd comment=b place-before={place}"));
        assert_eq!((codes, &*comments(&config)), (vec![(Code::NoSuchItem, 2)], "a"), "{place}");
    }
}

#[test]
fn a_search_for_a_place_that_finds_nothing_is_told_and_the_item_goes_last() {
    let text = "/ip firewall filter; add comment=a\nadd comment=b place-before=[find comment=none]";
    let findings = Config::of(&parse(text).0).1;
    assert_eq!(
        findings.iter().map(|one| (one.code, one.severity)).collect::<Vec<_>>(),
        [(Code::NoSuchItem, Severity::Warning)]
    );
    assert_eq!(comments(&run(text).0), "a b");
}

#[test]
fn the_first_of_a_chain_without_items_is_told_once_and_the_item_goes_where_add_puts_it() {
    let first = "place-before=([find chain=input]->0)";
    let text = format!(
        "/ip firewall filter; add comment=a chain=forward\nadd comment=b {first}\nadd chain=input comment=c {first}\nadd comment=d {first}\nadd comment=e place-before=[find comment=x]\nadd comment=f place-before=[find comment=y]\nadd comment=g place-before=([find]->9)"
    );
    let findings = Config::of(&parse(&text).0).1;
    let told: Vec<_> = findings.iter().map(|one| (one.code, one.severity, one.notes.len())).collect();
    assert_eq!(told, [(Code::NoSuchItem, Severity::Warning, 3), (Code::NoSuchItem, Severity::Warning, 3)]);
    assert_eq!(findings[0].primary.span.start, text.find("([find chain").unwrap());
    assert!(findings[0].notes[2].contains("2 more") && findings[1].notes[2].contains("one more"));
    assert_eq!(comments(&run(&text).0), "a b d c e f g");
}

#[test]
fn ids_are_the_routers_until_it_has_shown_its_items() {
    let two = "add comment=a\nadd comment=b\n";
    for command in [
        "set *1 comment=x",
        "remove *2",
        "remove \"*2\"",
        "move *2 *1",
        "remove [find .id=*1]",
        "add copy-from=*1",
    ] {
        let (config, codes) = run(&format!("/ip firewall filter\n{two}{command}"));
        assert_eq!((codes, &*comments(&config)), (vec![(Code::NotFollowed, 4)], "a b"), "{command}");
    }
    let (config, codes) = run(&format!("/ip firewall filter\n{two}add comment=c place-before=*1"));
    assert_eq!((codes, &*comments(&config)), (vec![(Code::NotFollowed, 4)], "a b c"));
    assert_eq!(comments(&filter(&format!("{two}print\nadd comment=c place-before=*2\nremove *1"))), "c b");
    assert_eq!(codes_after_print("remove *9"), [(Code::NoSuchItem, 3)]);
    let mut config = filter(two);
    config.remember_numbers(FILTER);
    assert_eq!(config.run(&parse("/ip firewall filter remove *2").0.statements[0]), []);
    assert_eq!(comments(&config), "a");
}

fn codes_after_print(command: &str) -> Vec<(Code, usize)> {
    codes(&format!("add comment=a\nprint\n{command}"))
}

#[test]
fn numbers_stay_with_their_items_until_the_next_print() {
    let config = filter(
        "add comment=a\nadd comment=b\nprint\nadd comment=c place-before=0\nremove 0\nadd comment=d place-before=1\nprint\nset 0 dst-port=1",
    );
    assert_eq!(comments(&config), "c d b");
    assert_eq!(column(&config, FILTER, "dst-port"), ["1", "-", "-"]);
}

#[test]
fn a_print_of_some_numbers_only_those() {
    let config = filter("add comment=a\nadd comment=b\nprint where comment=b\nremove 0");
    assert_eq!(comments(&config), "a");
}

#[test]
fn numbers_that_nothing_was_shown_with_are_no_items() {
    for command in ["set 0 disabled=yes", "remove 0", "move 0 1", "add comment=x copy-from=0", "remove"] {
        assert_eq!(codes(&format!("add comment=a\n{command}")), [(Code::NoSuchItem, 2)], "{command}");
        let shown = format!("add comment=a\nprint\nremove [find]\n{command}");
        assert_eq!(codes(&shown), [(Code::NoSuchItem, 4)], "{command}");
    }
}

#[test]
fn unseen_rules_stay_where_their_numbers_say() {
    let text = "/ip firewall filter
add comment=last
add comment=a place-before=4
add comment=b place-before=1
add comment=c place-before=1
add comment=d place-before=[find comment=a]
add comment=e place-before=0
move [find comment=last] 2
add comment=end";
    let (config, codes) = run(text);
    assert_eq!(comments(&config), "e b c last d a end");
    let told: Vec<_> = [3, 4, 5, 7, 8].map(|line| (Code::PositionByNumber, line)).into();
    assert_eq!(codes, told);
}

#[test]
fn what_happens_one_statement_at_a_time_is_the_same() {
    let text = include_str!("../../../../../../examples/article.rsc");
    let mut config = Config::default();
    for statement in &parse(text).0.statements {
        assert!(config.run(statement).iter().all(|finding| finding.severity == Severity::Warning));
    }
    assert_eq!(held(&config), held(&run(text).0));
}

#[test]
fn a_shell_can_print_for_itself() {
    let mut config = filter("add comment=a\nadd comment=b");
    config.remember_numbers(FILTER);
    config.remember_numbers("/ip/firewall/nat");
    let (script, _) = parse("/ip firewall filter remove 1");
    assert_eq!(config.run(&script.statements[0]), []);
    assert_eq!(comments(&config), "a");
}

#[test]
fn an_attribute_given_twice_is_told_and_the_last_counts() {
    let text = "/ip firewall filter; add src-address-list=a src-address-l=b";
    let (config, findings) = Config::of(&parse(text).0);
    assert_eq!(column(&config, FILTER, "src-address-list"), ["b"]);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding.code, Code::DuplicateAttribute);
    let at = |span: Span| &text[span.start..span.end];
    assert_eq!(
        (at(finding.primary.span), at(finding.others[0].span)),
        ("src-address-l=b", "src-address-list=a")
    );
}

#[test]
fn an_address_is_on_a_list_once() {
    for (first, second, refused) in [
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.1/32", true),
        ("192.0.2.0/24", "192.0.2.9/24", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("gw.example", "gw.example", true),
    ] {
        let text = format!(
            "/ip firewall address-list\nadd list=a address={first}\nadd list=b address={first}\nadd address={second} list=a"
        );
        let (config, codes) = run(&text);
        let expected = if refused { vec![(Code::AlreadyThere, 4)] } else { vec![] };
        assert_eq!(codes, expected, "{text}");
        assert_eq!(config.items(LIST).len(), if refused { 2 } else { 3 });
    }
}

#[test]
fn what_was_removed_or_changed_can_be_added_again() {
    let text = "/ip firewall address-list
add list=a address=192.0.2.1
remove [find list=a]
add list=a address=192.0.2.1
set [find list=a] address=192.0.2.2
add list=a address=192.0.2.1
set [find address=192.0.2.1] address=192.0.2.1 comment=same
set [find address=192.0.2.1] address=192.0.2.2";
    let (config, codes) = run(text);
    assert_eq!(codes, [(Code::AlreadyThere, 8)]);
    assert_eq!(column(&config, LIST, "address"), ["192.0.2.2", "192.0.2.1"]);
}

#[test]
fn a_list_of_interfaces_has_its_name_to_itself() {
    assert_eq!(run("/interface list\nadd name=WAN\nadd name=WAN").1, [(Code::AlreadyThere, 3)]);
}

#[test]
fn errors_that_are_caught_end_their_block_and_are_not_told() {
    let text = "/ip firewall address-list
add list=a address=192.0.2.1
:do { add list=a address=192.0.2.1; add list=a address=192.0.2.2 } on-error={}
:do { add list=a address=192.0.2.3; frobnicate; add list=a address=192.0.2.4 } on-error={ add list=b address=192.0.2.5 }
:do { { :do { :error x } on-error={}; remove [find list=b]; remove 7 }; add list=a address=192.0.2.6 } on-error={}
:do { add list=c address=192.0.2.7 }
:do { add list=c address=192.0.2.8 } while=($x)";
    let (config, codes) = run(text);
    assert_eq!(codes, []);
    assert_eq!(column(&config, LIST, "address"), ["192.0.2.1", "192.0.2.3", "192.0.2.7"]);
}

#[test]
fn blocks_are_carried_out_in_turn() {
    let text = "/ip firewall filter { add comment=a; { add comment=b } }\n/ip firewall filter add comment=c";
    let (config, codes) = run(text);
    assert_eq!((codes, &*comments(&config)), (vec![], "a b c"));
}

#[test]
fn the_rows_of_a_table_are_items_and_have_its_numbers() {
    let text = "/ip firewall filter print
Flags: X - disabled, I - invalid, D - dynamic
 0  D ;;; special dummy rule to show fasttrack counters
      chain=forward action=passthrough

 1 X  ;;; knock
      chain=input action=drop

 2    chain=output action=accept
/ip firewall filter add comment=mine place-before=1
/ip firewall filter remove 2
/ip firewall address-list print
 0   list=a address=192.0.2.1
 1 D list=a address=192.0.2.2 timeout=1m
/ip firewall address-list remove [find dynamic]";
    let (config, codes) = run(text);
    assert_eq!(codes, []);
    assert_eq!(column(&config, FILTER, "comment"), ["mine", "knock"]);
    assert!(config.items(FILTER)[1].is_disabled());
    assert_eq!(column(&config, LIST, "address"), ["192.0.2.1"]);
}

#[test]
fn an_export_is_in_the_order_that_a_router_needs() {
    let text = "/ip firewall filter
add layer7-protocol=x comment=\"say \\\"hi\\\" \\$5\" src-address-list=!\"a b\" place-before=0
/ip firewall layer7-protocol add name=x regexp=\"^a\\\\.b\\$\"
/interface list member add list=WAN interface=ether1
/interface list add name=WAN";
    let expected = "/interface list
add name=WAN
/ip firewall layer7-protocol
add name=x regexp=\"^a\\\\.b\\$\"
/interface list member
add interface=ether1 list=WAN
/ip firewall filter
add comment=\"say \\\"hi\\\" \\$5\" layer7-protocol=x src-address-list=!\"a b\"
";
    assert_eq!(run(text).0.export(), expected);
}

#[test]
fn an_export_says_what_it_lacks() {
    let config = filter("add chain=input src-address=$x\nadd chain=output");
    let text = config.export();
    let (script, findings) = parse(&text);
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::ExportGap], "{text}");
    assert_eq!(column(&Config::of(&script).0, FILTER, "chain"), ["output"]);
}

#[test]
fn half_a_million_items_come_to_an_end() {
    let mut text = String::from("/ip firewall address-list\n");
    for i in 0..250_000 {
        writeln!(text, "add list=a address=10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255).unwrap();
        writeln!(text, "/ip firewall filter add chain=input dst-port=1 protocol=tcp place-before=0").unwrap();
    }
    let script = parse(&text).0;
    let (config, _) = Config::of(&script);
    assert_eq!((config.items(LIST).len(), config.items(FILTER).len()), (250_000, 250_000));
}

#[test]
fn searches_and_copies_are_limited() {
    let adds = "add comment=a dst-port=1\n".repeat(50);
    for command in [
        "add comment=x copy-from=[find comment=none]",
        "set [find] comment=b",
        "remove 0-48,0-48,0-48,99",
        "add copy-from=none",
        "print",
    ] {
        let text = format!(
            "/ip firewall filter\n{adds}print\n{}set 0 comment=end",
            format!("{command}\n").repeat(1000)
        );
        let mut config = Config::default();
        let findings = run::run_within(&mut config, &parse(&text).0.statements, 5000);
        let limits = findings.iter().filter(|finding| finding.code == Code::ScriptLimit).count();
        assert_eq!((limits, config.items(FILTER).len()), (1, 50), "{command}");
        assert_ne!(config.items(FILTER)[0].comment(), Some("end"));
    }
}

fn a_script() -> impl Strategy<Value = String> {
    let starts = KNOWN.iter().map(|known| known.path).collect::<Vec<_>>();
    let commands = prop::sample::select(vec![
        "add",
        "add",
        "add",
        "set",
        "set 0",
        "set [find]",
        "unset 0",
        "remove",
        "remove 1-2",
        "move 1 0",
        "move 0",
        "enable",
        "disable 0,1",
        "comment 0",
        "print",
        "remove [find comment~\"^a\"]",
        ":do { add chain=x } on-error={}",
        ":do { remove 9; add } on-error={ add }",
    ]);
    let arguments = prop::sample::select(vec![
        "chain=input",
        "comment=a",
        "comment=\"!b \\\"c\\$\"",
        "disabled=no",
        "disabled=yes",
        "src-address-list=!a",
        "src-address-list=!\"!\"",
        "place-before=0",
        "place-before=2",
        "place-before=[find]",
        "place-before=([find chain=input]->1)",
        "place-before=a",
        "copy-from=1",
        "copy-from=[find]",
        "!chain",
        "name=a",
        "list=a",
        "list=b",
        "address=10.0.0.1",
        "address=10.0.0.2/32",
        "numbers=0",
        "destination=1",
        "place-before=*3",
        "dst-port=",
        "content=\"\\FF \\n\"",
        "timeout=1m",
        "place-before=4294967295",
        "numbers=0-4294967295",
    ]);
    let line = (prop::sample::select(starts), commands, prop::collection::vec(arguments, 0..5));
    let text = |(menu, command, arguments): (&str, &str, Vec<&str>)| {
        let menu = if command.starts_with(':') { format!("{menu}\n") } else { format!("{menu} ") };
        format!("{}{command} {}\n", menu.replace('/', " ").replacen(' ', "/", 1), arguments.join(" "))
    };
    prop::collection::vec(line.prop_map(text), 0..40).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn an_export_is_read_as_the_same_config(text in a_script()) {
        let (config, _) = run(&text);
        let exported = config.export();
        let (script, findings) = parse(&exported);
        prop_assert!(findings.iter().all(|finding| finding.code == Code::UnknownAttribute), "{}\n{:?}", exported, findings);
        let (again, findings) = Config::of(&script);
        prop_assert_eq!(findings, []);
        prop_assert_eq!(held(&again), held(&config));
    }

    #[test]
    fn one_statement_at_a_time_holds_the_same_as_all_at_once(text in a_script()) {
        let mut config = Config::default();
        parse(&text).0.statements.iter().for_each(|statement| drop(config.run(statement)));
        prop_assert_eq!(held(&config), held(&run(&text).0));
    }
}
