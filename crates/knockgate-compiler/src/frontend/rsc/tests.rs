use proptest::prelude::*;

use super::ast::*;
use super::{parse, parse_without};
use crate::diag::{Code, Diagnostic, Severity, Source};

const ARTICLE: &str = "ip firewall filter
add chain=input action=add-src-to-address-list address-list=333 dst-port=333 protocol=tcp address-list-timeout=30s in-interface-list=WAN place-before=2   
add chain=input action=accept in-interface=WAN src-address-list=secured place-before=5
add chain=input action=add-src-to-address-list protocol=tcp address-list=blacklist address-list-timeout=1000m in-interface-list=WAN dst-port=666 place-befor
e=1
";

fn sound(text: &str) -> Vec<Statement> {
    let (script, findings) = parse(text);
    assert_eq!(findings, [], "{text}");
    script.statements
}

fn commands(statements: &[Statement]) -> Vec<&Command> {
    let only_commands = statements.iter().filter_map(|statement| match statement {
        Statement::Run(command) => Some(command),
        _ => None,
    });
    only_commands.collect()
}

/// The only command of a sound text.
fn command(text: &str) -> Command {
    match &commands(&sound(text))[..] {
        [command] => (*command).clone(),
        other => panic!("{text}: {other:?}"),
    }
}

/// `/menu/command` and what is set, for a rule in a filter.
fn rule(attributes: &str) -> Command {
    command(&format!("/ip firewall filter add {attributes}"))
}

fn text_of(command: &Command, name: &str) -> Option<(bool, String)> {
    let value = command.attribute(name)?;
    Some((value.negated, value.text()?.to_owned()))
}

/// Codes of findings in a text of one line.
fn codes(findings: &[Diagnostic]) -> Vec<(Code, usize)> {
    codes_in("", findings)
}

/// Codes of findings, each with its line.
fn codes_in(text: &str, findings: &[Diagnostic]) -> Vec<(Code, usize)> {
    let source = Source::new("x", text);
    findings.iter().map(|finding| (finding.code, source.place(finding.primary.span.start).line)).collect()
}

#[test]
fn menus_are_named_by_words_by_slashes_and_in_short() {
    let ways = [
        "/ip firewall filter\nadd chain=input",
        "ip firewall filter\nadd chain=input",
        "/ip/firewall/filter/add chain=input",
        "/ip firewall filter add chain=input",
        "/ip fire fil\nadd chain=input",
        "/ip\nfirewall\nfilter\nadd chain=input",
        "/ip firewall nat\n.. filter\nadd chain=input",
        "/ip firewall nat\n../filter/add chain=input",
        "/ip firewall nat\n..\nfilter\na chain=input",
        "/ip firewall\n/ip firewall filter;add chain=input;",
        "/ip firewall \\\n  filter add \\\r\n  chain=input\r\n",
    ];
    for text in ways {
        let command = command(text);
        assert_eq!((command.menu.path(), &*command.name.value), ("/ip/firewall/filter", "add"), "{text}");
        assert_eq!(text_of(&command, "chain"), Some((false, "input".into())), "{text}");
    }
}

#[test]
fn a_menu_holds_until_the_next_and_a_command_elsewhere_does_not_change_it() {
    let text = "/ip firewall filter\nadd chain=a\n/ipv6 firewall raw add chain=b\n:put x\nprint\n/interface list\nadd name=c";
    let (script, _) = parse(text);
    let menus: Vec<_> =
        commands(&script.statements).iter().map(|command| command.menu.path().to_owned()).collect();
    assert_eq!(
        menus,
        ["/ip/firewall/filter", "/ipv6/firewall/raw", "/", "/ip/firewall/filter", "/interface/list"]
    );
}

#[test]
fn the_way_to_a_command_that_we_do_not_know_is_no_menu() {
    let text = "/ip firewall filter\n/system reboot\nadd chain=input\n/log info \"x\"\nadd chain=forward";
    let statements = sound(text);
    let menus: Vec<_> = commands(&statements).iter().map(|command| command.menu.path().to_owned()).collect();
    assert_eq!(menus, ["/system", "/ip/firewall/filter", "/log", "/ip/firewall/filter"]);
}

#[test]
fn commands_and_attributes_may_be_shortened() {
    let text = "/ip firewall filter\npr\nrem 3\nadd ch=input place-befor=2 src-address-l=x dst-po=22\ndisab 1\nmov 3 1";
    let statements = sound(text);
    let all = commands(&statements);
    let names: Vec<_> = all.iter().map(|command| &*command.name.value).collect();
    assert_eq!(names, ["print", "remove", "add", "disable", "move"]);
    let written: Vec<_> = all[2]
        .arguments
        .iter()
        .map(|argument| match argument {
            Argument::Set { name, .. } => (&*name.value, &text[name.span.start..name.span.end]),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        written,
        [
            ("chain", "ch"),
            ("place-before", "place-befor"),
            ("src-address-list", "src-address-l"),
            ("dst-port", "dst-po")
        ]
    );
}

#[test]
fn an_attribute_that_is_not_there_is_kept_and_refused() {
    let text = "/ip firewall filter add chain=input protocl=tcp dst-a=1.2.3.4 colour=red";
    let (script, findings) = parse(text);
    assert_eq!(codes(&findings), [(Code::UnknownAttribute, 1); 3]);
    assert_eq!(findings[0].suggestions[0].edits[0].replacement, "protocol");
    assert_eq!(text_of(commands(&script.statements)[0], "colour"), Some((false, "red".into())));
}

#[test]
fn attributes_of_menus_that_are_none_of_ours_are_as_written() {
    let command =
        command("/interface wifi set [ find default-name=wifi1 ] channel.band=5ghz-ax .width=20mhz !mtu");
    assert_eq!(text_of(&command, ".width"), Some((false, "20mhz".into())));
    assert_eq!(command.arguments.len(), 4);
}

#[test]
fn lines_go_on_after_a_backslash_wherever_exports_break_them() {
    let rule = rule(
        "action=drop chain=input comment=\"dr\\\n    op all\\\r\n    \\_that\" address-list-timeout=\\\n    1m \\\n    dst-port=22",
    );
    assert_eq!(text_of(&rule, "comment"), Some((false, "drop all that".into())));
    assert_eq!(text_of(&rule, "address-list-timeout"), Some((false, "1m".into())));
    assert_eq!(text_of(&rule, "dst-port"), Some((false, "22".into())));
}

#[test]
fn texts_have_all_escapes() {
    let rule = rule(r#"comment="\"a\" \\ \$x \? \_\t\r\n \0D\7E \C3\A4" log-prefix=a\_b"#);
    assert_eq!(text_of(&rule, "comment"), Some((false, "\"a\" \\ $x ?  \t\r\n \r~ ä".into())));
    assert_eq!(text_of(&rule, "log-prefix"), Some((false, "a b".into())));
}

#[test]
fn a_backslash_before_something_else_is_told_and_stays() {
    let (script, findings) = parse(r#"/ip firewall filter add chain=input content="\d+""#);
    assert_eq!(codes(&findings), [(Code::BadEscape, 1)]);
    assert_eq!(text_of(commands(&script.statements)[0], "content"), Some((false, "\\d+".into())));
}

#[test]
fn a_value_is_negated_before_its_quotes_and_within() {
    let all = [
        ("src-address-list=!secured", "src-address-list", true, "secured"),
        ("src-address-list=\"!ICMP + Http\"", "src-address-list", true, "ICMP + Http"),
        ("src-address-list=!\"ICMP + Http\"", "src-address-list", true, "ICMP + Http"),
        ("src-address-list=333", "src-address-list", false, "333"),
        ("comment=\"!important\"", "comment", false, "!important"),
        ("tcp-flags=!syn,ack", "tcp-flags", false, "!syn,ack"),
        ("connection-state=\"\"", "connection-state", false, ""),
    ];
    for (text, name, negated, value) in all {
        assert_eq!(text_of(&rule(text), name), Some((negated, value.into())), "{text}");
    }
}

#[test]
fn an_attribute_is_taken_away_with_an_exclamation_mark() {
    let command = command("/ip firewall filter set 0 !dst-port disabled=yes");
    let unset: Vec<_> = command
        .arguments
        .iter()
        .filter_map(|argument| match argument {
            Argument::Unset(name) => Some(&*name.value),
            _ => None,
        })
        .collect();
    assert_eq!(unset, ["dst-port"]);
    assert_eq!(command.plain().filter_map(Value::text).collect::<Vec<_>>(), ["0"]);
}

#[test]
fn values_stay_as_they_are_written() {
    for value in [
        "22,80-90,443",
        "192.0.2.1-192.0.2.9",
        "1w3d12:00:00",
        "10.0.0.0/8",
        "<in-or-out>",
        "a=b",
        "in,ipsec",
        "5,5:packet",
    ] {
        let text = format!("/ip firewall filter add content={value}");
        let command = command(&text);
        assert_eq!(text_of(&command, "content"), Some((false, value.into())));
        assert_eq!(command.attribute("content").unwrap().raw(&text), value);
    }
}

#[test]
fn every_node_knows_where_it_stands() {
    let text = "/ip firewall filter\n add chain=input src-address-list=\"!a b\" # no";
    let (script, _) = parse(text);
    let all = commands(&script.statements);
    let at = |span: crate::diag::Span| &text[span.start..span.end];
    assert_eq!(at(all[0].name.span), "add");
    let spans: Vec<_> = all[0].arguments.iter().map(|argument| at(argument.span())).collect();
    assert_eq!(spans, ["chain=input", "src-address-list=\"!a b\""]);
    let Statement::Enter(menu) = &script.statements[0] else { panic!() };
    assert_eq!(at(menu.span), "/ip firewall filter");
}

#[test]
fn items_are_found_by_what_they_are() {
    let all = [
        ("[find comment=knock]", vec![("comment", Relation::Equals, "knock")]),
        (
            "[find where comment~\"^kn\" and !disabled]",
            vec![("comment", Relation::Matches, "^kn"), ("disabled", Relation::Equals, "no")],
        ),
        (
            "[/ip firewall filter find chain=input && dynamic=no]",
            vec![("chain", Relation::Equals, "input"), ("dynamic", Relation::Equals, "no")],
        ),
        (
            "[ find chain != input dynamic ]",
            vec![("chain", Relation::Differs, "input"), ("dynamic", Relation::Equals, "yes")],
        ),
    ];
    for (text, expected) in all {
        let command = command(&format!("/ip firewall filter remove {text}"));
        let Some(Content::Result(statements)) = command.plain().next().map(|value| &value.content) else {
            panic!("{command:?}")
        };
        let find = commands(statements)[0];
        assert_eq!(find.menu.path(), "/ip/firewall/filter");
        let Some(Conditions::All(conditions)) = &find.conditions else { panic!("{find:?}") };
        let found: Vec<_> = conditions
            .iter()
            .map(|one| (&*one.name.value, one.relation, one.value.text().unwrap()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn conditions_with_or_are_kept_whole() {
    for text in [
        "find (chain=a or chain=b)",
        "find chain=a or chain=b",
        "find !(chain=a)",
        "find address in 10.0.0.0/8",
    ] {
        let command = command(&format!("/ip firewall address-list {text}"));
        let Some(Conditions::Other { span, .. }) = command.conditions else { panic!("{text}") };
        assert!(format!("/ip firewall address-list {text}").ends_with(text.split_at(5).1));
        assert!(span.end > span.start);
    }
}

#[test]
fn a_position_is_a_number_an_id_a_comment_or_a_search() {
    let value = |text: &str| {
        rule(&format!("chain=input place-before={text}")).attribute("place-before").unwrap().content.clone()
    };
    for text in ["2", "*1A"] {
        assert_eq!(value(text), Content::Text(text.into()));
    }
    assert!(matches!(value("[find comment=x]"), Content::Result(_)));
    assert!(matches!(value("([find chain=input]->0)"), Content::Element(_, 0)));
    assert!(matches!(value("([find chain=input] -> 12)"), Content::Element(_, 12)));
    assert!(matches!(value("(1 + 2)"), Content::Computed(_)));
    assert!(matches!(value("$x"), Content::Computed(_)));
    assert!(matches!(value("\"to $x\""), Content::Computed(_)));
}

#[test]
fn a_line_broken_within_a_word_is_told_and_joined() {
    let (script, findings) = parse(ARTICLE);
    assert_eq!(codes_in(ARTICLE, &findings), [(Code::BrokenLine, 4)]);
    let last = *commands(&script.statements).last().unwrap();
    assert_eq!(text_of(last, "place-before"), Some((false, "1".into())));
    let edit = &findings[0].suggestions[0].edits[0];
    let fixed = format!("{}{}{}", &ARTICLE[..edit.span.start], edit.replacement, &ARTICLE[edit.span.end..]);
    assert_eq!(commands(&sound(&fixed)).len(), 3);
}

#[test]
fn a_line_that_goes_on_without_saying_so_is_told_and_read() {
    let text = "/ip firewall filter add chain=input\n    action=drop dst-port=22\n";
    let (script, findings) = parse(text);
    assert_eq!(codes_in(text, &findings), [(Code::BrokenLine, 2)]);
    assert_eq!(text_of(commands(&script.statements)[0], "dst-port"), Some((false, "22".into())));
    let edit = &findings[0].suggestions[0].edits[0];
    let fixed = format!("{}{}{}", &text[..edit.span.start], edit.replacement, &text[edit.span.end..]);
    assert_eq!(text_of(&command(&fixed), "action"), Some((false, "drop".into())));
}

#[test]
fn the_lost_end_of_a_value_is_told() {
    let text = "/ip firewall filter\nadd chain=input src-address-list=black\nlist action=drop\n";
    let (_, findings) = parse(text);
    assert_eq!(codes_in(text, &findings), [(Code::BrokenLine, 3)]);
}

#[test]
fn all_errors_of_a_text_are_told_and_what_is_sound_is_read() {
    let text = "/ip firewall filter
Hello there
add chain=input comment=two words
add chain=a
frobnicate x=1
add chain=b ] 
add chain=c comment=\"open
add chain=d
";
    let (script, findings) = parse(text);
    assert_eq!(
        codes_in(text, &findings),
        [
            (Code::NotACommand, 2),
            (Code::LeftOver, 3),
            (Code::UnknownCommand, 5),
            (Code::Stray, 6),
            (Code::Unclosed, 7),
        ]
    );
    let chains: Vec<_> = commands(&script.statements)
        .iter()
        .filter_map(|command| text_of(command, "chain"))
        .map(|(_, chain)| chain)
        .collect();
    assert_eq!(chains, ["input", "a", "b", "d"]);
}

#[test]
fn a_bracket_left_open_ends_where_one_further_out_is_closed() {
    let text = "{ /ip firewall filter remove [find chain=a }\n/ip firewall filter add chain=b";
    let (script, findings) = parse(text);
    assert_eq!(codes(&findings), [(Code::NotFollowed, 1), (Code::Unclosed, 1)]);
    assert_eq!(commands(&script.statements).len(), 1);
}

#[test]
fn scripting_is_stepped_over_with_a_note() {
    let text = ":local x 5
:foreach i in=[/ip firewall filter find] do={
  # a comment with a \" in it
  :if ($i = 1 && \"}\" != \"{\") do={ :put \"$[/ip firewall nat get $i chain] )\" } else={ /ip firewall filter remove $i }
}
$myFunction a=1
/ip firewall filter add chain=input
:do { :error \"x\" } on-error={}
";
    let (script, findings) = parse(text);
    assert_eq!(codes_in(text, &findings), [(Code::NotFollowed, 1), (Code::NotFollowed, 8)]);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
    assert_eq!(commands(&script.statements).len(), 5);
}

#[test]
fn the_header_of_an_export_tells_the_version() {
    let headers = [
        ("# apr/03/2019 23:01:45 by RouterOS 6.44.1\n", "apr/03/2019 23:01:45", "6.44.1"),
        ("# 2023-12-03 20:27:23 by RouterOS 7.10\r\n# software id = X\n", "2023-12-03 20:27:23", "7.10"),
        ("\u{FEFF}# sep/ 2/2020  3: 9:38 by RouterOS 7.1rc6\n", "sep/ 2/2020  3: 9:38", "7.1rc6"),
    ];
    for (text, date, version) in headers {
        let header = parse(text).0.header.unwrap();
        assert_eq!((&*header.date, &*header.version), (date, version));
    }
    assert_eq!(parse("#!rsc by RouterOS\n").0.header, None);
}

#[test]
fn an_export_that_lacks_something_says_so() {
    let (_, findings) = parse("/ip firewall filter\n#error exporting \"/ip/firewall/filter\" (timeout)\n");
    assert_eq!(codes(&findings), [(Code::ExportGap, 1)]);
}

#[test]
fn what_is_typed_at_a_prompt_runs_in_its_menu() {
    let text = "[admin@MikroTik] /ip firewall filter> add chain=input\n[admin@MikroTik] /ip firewall filter> \n[admin@gw] > /ip firewall nat add chain=srcnat\nput x";
    let (script, findings) = parse(text);
    assert_eq!(codes(&findings), [(Code::NotFollowed, 1)]);
    let menus: Vec<_> =
        commands(&script.statements).iter().map(|command| command.menu.path().to_owned()).collect();
    assert_eq!(menus, ["/ip/firewall/filter", "/ip/firewall/nat", "/"]);
}

#[test]
fn a_pasted_table_is_read_as_items() {
    let text = "/ip firewall filter print
Flags: X - disabled, I - invalid, D - dynamic 
 0    ;;; knock; first
      chain=input action=add-src-to-address-list protocol=tcp 
      address-list=\"a b\" address-list-timeout=30s in-interface-list=!LAN log=no log-prefix=\"\" 

 1 X  chain=input action=drop 
/ip firewall filter add chain=output";
    let (script, findings) = parse(text);
    assert_eq!(codes_in(text, &findings), [(Code::Output, 2)]);
    let [Statement::Run(_), Statement::Table(table), Statement::Run(_)] = &script.statements[..] else {
        panic!("{script:?}")
    };
    assert_eq!(table.menu.path(), "/ip/firewall/filter");
    let [first, second] = &table.rows[..] else { panic!("{table:?}") };
    assert_eq!(first.comment.as_ref().unwrap().value, "knock; first");
    assert_eq!((first.number.value, &*first.flags, first.attributes.len()), (0, "", 8));
    assert_eq!((second.number.value, &*second.flags, second.attributes.len()), (1, "X", 2));
    let Argument::Set { name, value } = &first.attributes[5] else { panic!() };
    assert_eq!((&*name.value, value.negated, value.text()), ("in-interface-list", true, Some("LAN")));
}

#[test]
fn a_pasted_table_without_its_command_is_from_the_menu_that_its_rows_tell() {
    let head = "Flags: X - disabled, I - invalid, D - dynamic \n";
    let all = [
        (
            "",
            " 0    chain=input action=drop src-address-list=!a\n",
            "/ip/firewall/filter",
            "filter` is assumed",
        ),
        (head, " 0    ;;; x\n      chain=input\n", "/ip/firewall/filter", "filter` is assumed"),
        (head, " 0   list=a address=192.0.2.1\n", "/ip/firewall/address-list", "address-list` is assumed"),
        ("/ip firewall\n", " 0    action=drop\n", "/ip/firewall/filter", "filter` is assumed"),
        ("", " 0   name=WAN\n", "/", "nothing of it is read"),
        (head, "", "/", "nothing of it is read"),
        ("/ip address print\n", " 0   address=192.0.2.1\n", "/ip/address", "nothing of it is read"),
        ("/ip firewall nat print\n", " 0   chain=srcnat\n", "/ip/firewall/nat", "its items are read"),
    ];
    for (head, rows, menu, note) in all {
        let text = format!("{head}{rows}");
        let (script, findings) = parse(&text);
        let Some(Statement::Table(table)) = script.statements.last() else { panic!("{script:?}") };
        assert_eq!(table.menu.path(), menu, "{text}");
        let [finding] = &findings[..] else { panic!("{text} {findings:?}") };
        assert_eq!((finding.code, finding.severity), (Code::Output, Severity::Warning));
        assert!(finding.notes[0].contains(note), "{finding:?}");
        let read = finding.notes.iter().any(|note| note.contains("its items are read"));
        assert_eq!(read, table.menu.known().is_some(), "{finding:?}");
    }
    let text = " 0    chain=input action=drop src-address-list=!a\n";
    let Statement::Table(table) = &parse(text).0.statements[0] else { panic!() };
    let Argument::Set { value, .. } = &table.rows[0].attributes[2] else { panic!() };
    assert!(value.negated);
}

#[test]
fn a_table_in_columns_is_refused() {
    let text = "/ip firewall filter\nprint\nFlags: X - DISABLED\nColumns: CHAIN, ACTION\n#   CHAIN  ACTION\n;;; knock\n0   input  drop\n\nadd chain=x";
    let (script, findings) = parse(text);
    assert_eq!(codes_in(text, &findings), [(Code::Output, 3)]);
    assert_eq!(findings[0].severity, Severity::Error);
    assert_eq!(commands(&script.statements).len(), 2);
}

#[test]
fn a_table_without_items_ends_with_its_head() {
    let text = "/ip firewall filter print\nFlags: X - disabled, I - invalid, \nD - dynamic\n/ip firewall filter add chain=x";
    let (script, findings) = parse(text);
    assert_eq!(codes_in(text, &findings), [(Code::Output, 2)]);
    assert_eq!(commands(&script.statements).len(), 2);
}

#[test]
fn there_is_a_limit_to_depth_to_arguments_and_to_findings() {
    let deep = format!(":put {}1{}", "[:put ".repeat(60), "]".repeat(60));
    let wide = format!(":put {}", "a ".repeat(2000));
    for text in [deep, wide] {
        let (_, findings) = parse(&text);
        assert!(codes(&findings).contains(&(Code::ScriptLimit, 1)), "{findings:?}");
    }
    let (_, findings) = parse(&"A\n".repeat(2000));
    assert_eq!(findings.len(), 501);
    assert_eq!(findings.last().unwrap().code, Code::ScriptLimit);
}

#[test]
fn a_router_without_a_package_reads_its_menu_as_an_unknown_command() {
    let text = "/zerotier\nset zt1 comment=x name=y\n";
    assert_eq!(sound(text).len(), 2);
    let (_, findings) = parse_without(text, &["/zerotier"]);
    let errors: Vec<_> = findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(codes_in(text, &errors), [(Code::LeftOver, 2)]);
}

#[test]
fn hostile_texts_are_read_to_their_end() {
    let pieces = [
        "[",
        "{",
        "(",
        "\"",
        "\\",
        "a=",
        "]",
        "[\n",
        "{\n",
        "\"\n",
        "\"$[",
        "$(",
        ":do {",
        "add a\nb=",
        "A)",
        "0 ;;; x\n",
        "[a@",
        "#",
        "/",
        "..",
        ";  ",
        "\\\n",
        "Flags:",
        "[find a=",
        "a=[",
        "\u{FEFF}",
        "x\u{0c}",
    ];
    for piece in pieces {
        let text = piece.repeat(200_000 / piece.len());
        let (_, findings) = parse(&text);
        assert!(findings.len() <= 1001, "{piece}");
    }
}

/// The tree without places.
fn unplaced(command: &Command) -> String {
    let shown = format!("{command:?}");
    let mut out = String::with_capacity(shown.len());
    let mut rest = shown.as_str();
    while let Some((before, after)) = rest.split_once("Span { start: ") {
        out.push_str(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    out + rest
}

fn a_word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,8}"
}

fn a_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9./,:!*+@~<>=#-]{0,12}",
        "\"[a-z !#;{}\\[\\]()=äß\n]{0,12}\"",
        "\"(a|\\\\n|\\\\_|\\\\\"|\\\\0D|\\\\FF|\\\\\\$|\\$x|\\$\\[find a=b\\]| ){0,6}\"",
        Just("[find comment=x]".to_owned()),
        Just("([find chain=input]->0)".to_owned()),
        Just("$var".to_owned()),
        Just("{ 1; \"}\" }".to_owned()),
        Just("\\\n   late".to_owned()),
    ]
}

fn an_argument() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "chain",
        "action",
        "src-address-list",
        "comment",
        "dst-po",
        "protocol",
        "place-befor",
    ]);
    prop_oneof![
        4 => (known, a_value()).prop_map(|(name, value)| format!("{name}={value}")),
        2 => (a_word(), a_value()).prop_map(|(name, value)| format!("{name}={value}")),
        1 => a_word().prop_map(|name| format!("!{name}")),
        1 => a_value(),
    ]
}

fn a_command() -> impl Strategy<Value = String> {
    let starts = [
        "/ip firewall filter add",
        "/ip/firewall/nat/set",
        "/ipv6 firewall address-list pr where",
        "/ip firewall filter find",
        "/ip firewall raw rem",
        "/system identity set",
        "/interface wifi frobnicate",
        ":put",
        "$f",
        "nonsense",
    ];
    (prop::sample::select(starts.to_vec()), prop::collection::vec(an_argument(), 0..6))
        .prop_map(|(start, arguments)| format!("{start} {}", arguments.join(" ")))
}

#[test]
fn a_word_that_could_be_a_command_is_printed_in_quotes() {
    let text = r#"/interface wifi frobnicate "a""#;
    let (script, _) = parse(text);
    assert_eq!(commands(&script.statements)[0].to_text(text), r#"/interface/wifi/frobnicate "a""#);
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same_command(text in a_command()) {
        let (script, findings) = parse(&text);
        // Of a command with something left over, less is read than is written.
        let whole = |finding: &Diagnostic| finding.severity == Severity::Warning || finding.code == Code::UnknownAttribute;
        prop_assume!(findings.iter().all(whole));
        for command in commands(&script.statements) {
            let printed = command.to_text(&text);
            let (again, _) = parse(&printed);
            let again = commands(&again.statements);
            prop_assert_eq!(again.len(), 1, "{}", printed);
            prop_assert_eq!(unplaced(again[0]), unplaced(command), "{}", printed);
        }
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_arrangement_of_the_usual_is_too_strange_to_be_read(
        parts in prop::collection::vec(prop::sample::select(vec![
            "/ip firewall filter", "add ", "chain=input", "\n", "\\\n", "[", "]", "{", "}", "(", ")", "\"", "$", "\\",
            ":if ", "find ", "where ", "!", "=", " ", ";", "#", "..", "0 ", "X ", ";;;", "[admin@x] ", "> ", "ä", "->", "Flags:", "\r\n",
        ]), 0..60)
    ) {
        let text = parts.concat();
        let (script, findings) = parse(&text);
        for command in commands(&script.statements) {
            prop_assert!(text.is_char_boundary(command.span.start) && text.is_char_boundary(command.span.end));
            command.to_text(&text);
        }
        for finding in findings {
            let span = finding.primary.span;
            prop_assert!(span.start <= span.end && text.get(span.start..span.end).is_some(), "{:?}", finding);
        }
    }
}
