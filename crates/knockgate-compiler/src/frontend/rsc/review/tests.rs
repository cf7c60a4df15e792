use std::fmt::Write;

use crate::diag::{CATALOGUE, Code, Diagnostic, Severity, Source, Style, fixed, to_json, to_text};
use crate::frontend::rsc::{read, translate::Options};
use crate::sim::{Fate, Simulator, trace};

fn findings(text: &str) -> Vec<Diagnostic> {
    read(text, &Options::default()).findings
}

/// The findings of `code`, with the text that they point at.
fn found(text: &str, code: Code) -> Vec<(&str, Diagnostic)> {
    let all = findings(text).into_iter().filter(|finding| finding.code == code);
    all.map(|finding| (&text[finding.primary.span.start..finding.primary.span.end], finding)).collect()
}

/// That `wrong` has `code` at `place` once, and that `right` has it nowhere.
#[track_caller]
fn differ(code: Code, wrong: &str, place: &str, right: &str) {
    let places: Vec<_> = found(wrong, code).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, [place], "{code} of\n{wrong}\nof all {:?}", findings(wrong));
    let none = found(right, code);
    assert!(none.is_empty(), "{none:#?} of\n{right}");
}

/// The text after all that is suggested was made, and how many rounds that took.
fn mended(text: &str) -> (String, usize) {
    let (mut text, mut rounds) = (text.to_owned(), 0);
    while let Some(next) = fixed(&text, &findings(&text)) {
        text = next.text;
        rounds += 1;
        assert!(rounds < 32, "{text}");
    }
    (text, rounds)
}

/// A door of two knocks, with lines before it and after it.
fn door(before: &str, after: &str) -> String {
    format!(
        "/ip firewall filter
add chain=input action=accept connection-state=established,related
{before}
add chain=input action=accept protocol=tcp dst-port=22 src-address-list=open
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=400 in-interface-list=WAN src-address-list=one
add chain=input action=add-src-to-address-list address-list=one address-list-timeout=10s protocol=udp dst-port=900 in-interface-list=WAN
{after}
add chain=input action=drop in-interface-list=WAN
/ipv6 firewall filter add chain=input action=drop
"
    )
}

#[test]
fn a_sound_door_has_nothing_to_be_said_of() {
    let text = door("add chain=input action=drop connection-state=invalid", "");
    let codes: Vec<_> = findings(&text).into_iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::Assumed]);
}

#[test]
fn a_list_that_is_tested_has_to_be_filled() {
    let wrong = door("", "").replace("src-address-list=open", "src-address-list=!opne");
    differ(Code::ListNeverFilled, &wrong, "!opne", &door("", ""));
    let (right, _) = mended(&wrong);
    assert!(right.contains("src-address-list=!open\n"), "{right}");
    for filled in ["/ip firewall address-list add list=opne address=192.0.2.1\n", ":global x opne\n"] {
        assert!(found(&format!("{filled}{wrong}"), Code::ListNeverFilled).is_empty(), "{filled}");
    }
}

#[test]
fn a_name_that_could_mean_two_lists_is_not_replaced() {
    let more = "add chain=input action=add-src-to-address-list address-list=openx protocol=udp dst-port=7";
    let wrong = door("", more).replace("src-address-list=open", "src-address-list=opne");
    let found = found(&wrong, Code::ListNeverFilled);
    assert!(found.len() == 1 && found[0].1.suggestions.is_empty(), "{found:?}");
}

#[test]
fn a_list_that_is_filled_has_to_be_tested() {
    let fill = "add chain=input action=add-src-to-address-list address-list=seen protocol=udp dst-port=7";
    let wrong = door("", fill);
    differ(Code::ListNeverTested, &wrong, "seen", &format!("{wrong}/queue tree add packet-mark=seen\n"));
    let entries = "/ip firewall address-list add list=x address=192.0.2.1\n";
    assert!(found(entries, Code::ListNeverTested).is_empty());
    assert_eq!(found(&format!("{entries}{}", door("", "")), Code::ListNeverTested).len(), 1);
}

#[test]
fn a_list_of_interfaces_is_no_interface() {
    let wrong = door("add chain=input action=accept in-interface=WAN protocol=icmp", "");
    differ(Code::InterfaceForList, &wrong, "WAN", &format!("/ip address add interface=WAN\n{wrong}"));
    assert!(mended(&wrong).0.contains("in-interface-list=WAN protocol=icmp"));
}

#[test]
fn a_matcher_takes_one_list() {
    let wrong = door("", "").replace("src-address-list=one", "src-address-list=one,two");
    differ(Code::TwoLists, &wrong, "one,two", &wrong.replace("address-list=one ", "address-list=one,two "));
    assert!(found(&wrong, Code::ListNeverFilled).is_empty());
}

#[test]
fn a_rule_after_one_that_decides_all_it_could_match_is_never_reached() {
    let filter = |first: &str, then: &str| {
        format!("/ip firewall filter\nadd chain=input {first}\nadd chain=input {then}\n")
    };
    for (first, then, hidden) in [
        ("action=drop", "action=accept protocol=tcp", true),
        ("action=passthrough", "action=accept protocol=tcp", false),
        ("action=drop protocol=tcp", "action=accept protocol=tcp dst-port=22", true),
        ("action=drop protocol=tcp dst-port=20-30", "action=accept protocol=tcp dst-port=22,25", true),
        ("action=drop protocol=tcp dst-port=20-24", "action=accept protocol=tcp dst-port=22,25", false),
        ("action=drop protocol=tcp dst-port=!80", "action=accept protocol=tcp dst-port=22", true),
        ("action=drop protocol=udp dst-port=22", "action=accept protocol=tcp dst-port=22", false),
        ("action=drop src-address=10.0.0.0/8", "action=accept src-address=10.1.0.0/16", true),
        ("action=drop src-address=10.1.0.0/16", "action=accept src-address=10.0.0.0/8", false),
        ("action=drop connection-state=new,invalid", "action=accept connection-state=new", true),
        ("action=drop connection-state=!new", "action=accept connection-state=established", true),
        ("action=drop connection-state=new", "action=accept", false),
        ("action=drop in-interface=!lan", "action=accept in-interface=wan", true),
        ("action=drop in-interface=wan", "action=accept in-interface=!lan", false),
        ("action=drop in-interface-list=all", "action=accept in-interface=wan", true),
        ("action=drop src-address-list=x", "action=accept src-address-list=x protocol=tcp", true),
        ("action=drop src-address-list=!x", "action=accept src-address-list=x", false),
        ("action=drop limit=1,5:packet", "action=accept", false),
        ("action=drop protocol=tcp dst-port=a", "action=accept protocol=tcp dst-port=22", false),
        ("action=tarpit", "action=accept protocol=udp", false),
        ("action=reject reject-with=tcp-reset protocol=tcp", "action=accept protocol=tcp", true),
        ("action=return", "action=accept", true),
        ("action=drop tcp-flags=syn", "action=accept tcp-flags=syn,!ack", true),
        ("action=drop tcp-flags=syn,!ack", "action=accept tcp-flags=syn", false),
    ] {
        let text = filter(first, then);
        assert_eq!(found(&text, Code::NeverReached).len(), usize::from(hidden), "{text}");
    }
}

#[test]
fn a_list_that_grows_between_two_rules_hides_nothing() {
    let text = |between: &str| {
        format!(
            "/ip firewall filter\nadd chain=input action=drop src-address-list=x\n{between}\nadd chain=input action=accept src-address-list=x\n"
        )
    };
    let grows = text("add chain=input action=add-src-to-address-list address-list=x protocol=udp dst-port=1");
    differ(Code::NeverReached, &text(""), "accept", &grows);
}

#[test]
fn a_chain_has_to_be_jumped_to() {
    let wrong = door("", "add chain=ports action=drop protocol=tcp");
    let jump = "add chain=input action=jump jump-target=ports protocol=tcp";
    differ(Code::NeverReached, &wrong, "ports", &door(jump, "add chain=ports action=drop protocol=tcp"));
}

#[test]
fn what_is_not_let_in_has_to_be_dropped() {
    let last = "add chain=input action=drop in-interface-list=WAN\n/ipv6";
    let wrong = door("", "").replace(last, "/ipv6");
    differ(Code::NothingDrops, &wrong, "open", &door("", ""));
    let (right, _) = mended(&wrong);
    assert!(right.ends_with("drop\nadd chain=input action=drop in-interface-list=WAN\n"), "{right}");
    for drop in [
        "add chain=input action=drop src-address-list=!open",
        "add chain=input action=jump jump-target=end\nadd chain=end action=reject",
    ] {
        assert!(
            found(&wrong.replace("/ipv6", &format!("{drop}\n/ipv6")), Code::NothingDrops).is_empty(),
            "{drop}"
        );
    }
    for drop in
        ["action=drop connection-state=invalid", "action=drop protocol=udp", "action=drop in-interface=lan"]
    {
        let narrow = wrong.replace("/ipv6", &format!("add chain=input {drop}\n/ipv6"));
        assert_eq!(found(&narrow, Code::NothingDrops).len(), 1, "{drop}");
    }
}

#[test]
fn what_is_added_to_close_an_input_is_said_and_only_where_all_is_followed() {
    let last = "add chain=input action=drop in-interface-list=WAN\n/ipv6";
    let open = door("", "").replace(last, "/ipv6");
    let said = |text: &str| {
        let all = found(text, Code::NothingDrops);
        assert_eq!(all.len(), 1, "{text}");
        (all[0].1.help.join(" "), all[0].1.suggestions.len())
    };
    let (help, count) = said(&open);
    assert_eq!(count, 1);
    assert!(
        help.contains("exactly one rule: `add chain=input action=drop in-interface-list=WAN` last"),
        "{help}"
    );
    let bare = open.replace("add chain=input action=accept connection-state=established,related\n", "");
    let (help, count) = said(&bare);
    assert_eq!(count, 1);
    assert!(
        help.contains("exactly two rules: `add chain=input action=accept connection-state=est"),
        "{help}"
    );
    let (help, count) = said(ARTICLE);
    assert_eq!(count, 0);
    assert!(help.starts_with("once the rules are in order, `--fix` would add exactly two rules"), "{help}");
    let (help, count) = said(&format!(":foreach x in=y do={{ :put $x }}\n{bare}"));
    assert!(count == 0 && !help.contains("--fix"), "{help}");
}

#[test]
fn what_is_let_in_from_outside_while_all_else_is_too_is_told() {
    let filter = |rules: &str| format!("/ip firewall filter\n{rules}");
    let web = "add chain=input action=accept protocol=tcp dst-port=8080\n";
    let wan = web.replace("\n", " in-interface-list=WAN\n");
    let drop = "add chain=input action=drop in-interface-list=WAN\n";
    let late = "add chain=input action=drop connection-state=invalid\n";
    differ(Code::NothingDrops, &filter(web), "8080", &filter(&format!("{web}{drop}")));
    assert_eq!(found(&filter(&format!("{late}{wan}")), Code::NothingDrops).len(), 1);
    let all = format!("{drop}add chain=input action=accept\n").replace("WAN", "WAN protocol=udp");
    differ(Code::NothingDrops, &filter(&all), "accept", &filter(&format!("{drop}{all}")));
    for silent in [
        web.replace("\n", " in-interface-list=LAN\n"),
        web.replace("\n", " place-before=2\n"),
        web.replace("\n", " place-before=[find comment=x]\n"),
        web.replace("input", "forward"),
        "add chain=input action=accept connection-state=established,related\n".to_owned(),
        "add chain=input action=log protocol=tcp dst-port=80\n".to_owned(),
        "add chain=input action=accept disabled=yes\n".to_owned(),
        format!(":foreach x in=y do={{ :put $x }}\n/ip firewall filter\n{web}"),
        String::new(),
    ] {
        assert!(found(&filter(&silent), Code::NothingDrops).is_empty(), "{silent}");
    }
}

#[test]
fn a_part_of_what_a_router_holds_need_not_drop() {
    let last = "add chain=input action=drop in-interface-list=WAN\n/ipv6";
    let part = door("", "")
        .replace(last, "/ipv6")
        .replace("src-address-list=open", "src-address-list=open place-before=[find comment=last]");
    assert!(found(&part, Code::NothingDrops).is_empty());
}

#[test]
fn a_grant_names_its_ports() {
    let wrong = door("", "").replace("protocol=tcp dst-port=22 ", "");
    differ(Code::WideAccept, &wrong, "open", &door("", ""));
}

#[test]
fn a_grant_is_short_and_a_stage_ends() {
    let long = door("", "").replace("timeout=30s", "timeout=6m");
    differ(Code::GrantOutlives, &long, "6m", &door("", "").replace("timeout=30s", "timeout=5m"));
    let endless = door("", "").replace(" address-list-timeout=10s", "");
    differ(Code::KeptForEver, &endless, "one", &door("", ""));
    let grant = door("", "").replace("timeout=30s", "timeout=none-static");
    assert_eq!(found(&grant, Code::KeptForEver).len(), 1);
}

#[test]
fn a_ban_comes_after_connections_and_grants() {
    let drop = "add chain=input action=drop src-address-list=bad";
    let trap = "add chain=input action=add-src-to-address-list address-list=bad address-list-timeout=1m protocol=udp dst-port=666 src-address-list=!bad";
    differ(Code::TrapFirst, &door(drop, trap), "bad", &door("", &format!("{drop}\n{trap}")));
    let established = "add chain=input action=accept connection-state=established,related\n";
    let first = door("", &format!("{drop}\n{trap}")).replace(established, "");
    assert!(found(&first, Code::TrapFirst)[0].1.message.ends_with("who is connected"));
    let fixed =
        door(drop, trap).replace("action=add-src-to-address-list address-list=bad", "action=passthrough");
    assert!(found(&fixed, Code::TrapFirst).is_empty());
}

#[test]
fn a_ban_does_not_renew_itself() {
    let drop = "add chain=input action=drop src-address-list=bad";
    let trap = "add chain=input action=add-src-to-address-list address-list=bad address-list-timeout=1m protocol=udp dst-port=666";
    let wrong = door("", &format!("{trap}\n{drop}"));
    differ(Code::BanRenews, &wrong, "bad", &door("", &format!("{drop}\n{trap}")));
    assert!(mended(&wrong).0.contains("dst-port=666 src-address-list=!bad\n"));
    let narrow = format!("{drop} protocol=tcp\n{trap}");
    assert_eq!(found(&door("", &narrow), Code::BanRenews).len(), 1);
}

#[test]
fn stages_come_from_something() {
    let circle = door("", "").replace(
        "dst-port=900 in-interface-list=WAN",
        "dst-port=900 in-interface-list=WAN src-address-list=open",
    );
    differ(Code::StageNotReached, &circle, "open", &door("", ""));
    let nothing = door("", "").replace(
        "dst-port=900 in-interface-list=WAN",
        "dst-port=900 in-interface-list=WAN src-address-list=zero",
    );
    differ(Code::StageNotReached, &nothing, "zero", &door("", ""));
}

#[test]
fn a_packet_makes_one_stage() {
    let first = "add chain=input action=add-src-to-address-list address-list=a address-list-timeout=10s protocol=udp dst-port=50-60 connection-state=new";
    let then = "add chain=input action=add-src-to-address-list address-list=open address-list-timeout=10s protocol=udp dst-port=60 src-address-list=a";
    let wrong = door("", &format!("{first}\n{then}"));
    differ(Code::TwoStages, &wrong, "a", &door("", &format!("{then}\n{first}")));
    for right in [
        door("", &format!("{first}\n{}", then.replace("60 ", "70 "))),
        door("", &format!("{first}\nadd chain=input action=drop protocol=udp dst-port=50-60\n{then}")),
        door("", &format!("{first}\n{} connection-state=established", then)),
    ] {
        assert!(found(&right, Code::TwoStages).is_empty(), "{right}");
    }
}

#[test]
fn a_knock_over_tcp_is_a_first_packet() {
    let wrong = door("", "").replace("udp dst-port=400", "tcp dst-port=400");
    let checked = door("", "").replace("udp dst-port=400", "tcp dst-port=400 connection-state=new");
    differ(Code::Loose, &wrong, "tcp", &checked);
    let (right, _) = mended(&wrong);
    assert!(
        right.contains("src-address-list=one connection-state=new tcp-flags=syn,!fin,!rst,!ack\n"),
        "{right}"
    );
    let dropped =
        wrong.replace("related\n", "related\nadd chain=input action=drop connection-state=invalid\n");
    assert!(found(&dropped, Code::Loose).is_empty());
    let jump = "add chain=input action=jump jump-target=k connection-state=new protocol=tcp";
    let inside = door(
        jump,
        "add chain=k action=add-src-to-address-list address-list=one address-list-timeout=1s protocol=tcp dst-port=5",
    );
    assert!(found(&inside, Code::Loose).is_empty());
}

#[test]
fn ipv6_is_guarded_too() {
    let wrong = door("", "").replace("/ipv6 firewall filter add chain=input action=drop\n", "");
    differ(Code::OnlyIpv4, &wrong, "open", &door("", ""));
    assert!(found(&format!("/ipv6 settings set disable-ipv6=yes\n{wrong}"), Code::OnlyIpv4).is_empty());
}

#[test]
fn a_disabled_rule_that_others_wait_for_is_told() {
    let wrong =
        door("", "").replace("address-list=one address-list-timeout=10s", "address-list=one disabled=yes");
    let more = "add chain=input action=add-src-to-address-list address-list=one address-list-timeout=10s protocol=udp dst-port=9";
    differ(
        Code::DisabledInTheWay,
        &wrong,
        "yes",
        &door("", more).replacen("in-interface-list=WAN\n", "in-interface-list=WAN disabled=yes\n", 1),
    );
    assert!(found(&wrong, Code::ListNeverFilled).is_empty());
    let open = door("", "")
        .replace("action=drop in-interface-list=WAN", "action=drop in-interface-list=WAN disabled=yes");
    let both =
        |text: &str| (found(text, Code::DisabledInTheWay).len(), found(text, Code::NothingDrops).len());
    assert_eq!(both(&open), (1, 1));
    assert_eq!(both(&open.replace("/ipv6", "add chain=input action=drop\n/ipv6")), (0, 0));
}

#[test]
fn management_is_not_for_strangers() {
    let wrong = door("add chain=input action=accept protocol=tcp dst-port=8000-9000", "");
    differ(
        Code::ManagementOpen,
        &wrong,
        "8000-9000",
        &door("add chain=input action=accept protocol=tcp dst-port=8000-9000 in-interface-list=LAN", ""),
    );
    let open = "/ip firewall filter add chain=input action=accept protocol=tcp dst-port=8291\n";
    let all = found(open, Code::ManagementOpen);
    assert!(all.len() == 1 && all[0].0 == "8291" && all[0].1.others.is_empty(), "{all:?}");
    assert_eq!(found(open, Code::NothingDrops).len(), 1);
    for right in [
        "protocol=tcp dst-port=22 src-address=192.0.2.1",
        "protocol=udp dst-port=22",
        "protocol=tcp dst-port=25",
    ] {
        let text = door(&format!("add chain=input action=accept {right}"), "");
        assert!(found(&text, Code::ManagementOpen).is_empty(), "{text}");
    }
}

#[test]
fn a_secret_is_told_of_and_never_told() {
    let text = "/ppp secret\nadd name=x password=hunter2 service=any service=any\nadd name=y password=hunter2 left hunter2\n/ip firewall filter add chain=input password=\"hunter2\"";
    let all = findings(text);
    assert_eq!(all.iter().filter(|finding| finding.code == Code::Secret).count(), 3);
    assert!(all.len() > 3, "{all:?}");
    let source = Source::new("x.rsc", text);
    for shown in [to_text(&source, &all, Style::Plain), to_json(&source, &all).to_string()] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
    for none in ["/ppp secret add name=x password=\"\"", "/ppp secret add name=x password=$x"] {
        assert!(found(none, Code::Secret).is_empty(), "{none}");
    }
}

#[test]
fn how_to_export_without_secrets_depends_on_the_version() {
    for (header, help) in [
        ("", "export with `hide-sensitive`, from version 7 on without `show-sensitive`, and"),
        ("# apr/03/2019 23:01:45 by RouterOS 6.44.1\n", "export with `hide-sensitive`, and"),
        ("# 2023-12-03 20:27:23 by RouterOS 7.10\n", "export without `show-sensitive`, and"),
    ] {
        let text = format!("{header}/ppp secret add name=x password=y\n");
        let all = found(&text, Code::Secret);
        assert!(all[0].1.help[0].starts_with(help), "{all:?}");
    }
}

#[test]
fn a_scan_up_the_ports_is_no_sequence() {
    let wrong = door("", "").replace("dst-port=900", "dst-port=300");
    differ(Code::Ascending, &wrong, "400", &door("", ""));
    let trap = "add chain=input action=drop src-address-list=bad\nadd chain=input action=add-src-to-address-list address-list=bad protocol=udp dst-port=";
    let trapped = |ports: &str| door("", &format!("{trap}{ports}")).replace("dst-port=900", "dst-port=300");
    assert!(found(&trapped("350"), Code::Ascending)[0].1.notes[1].contains("the trap at 350"));
    assert!(found(&trapped("1-299,301-399"), Code::Ascending).is_empty());
}

#[test]
fn rules_with_numbers_are_written_down_in_their_order() {
    let text = "/ip firewall filter\nadd chain=input comment=b place-before=3\nadd chain=input comment=c place-before=7\nadd place-before=0 chain=input comment=a\n";
    let (right, _) = mended(text);
    let all = found(text, Code::PositionByNumber);
    assert!(all[0].1.notes.iter().any(|note| note.ends_with("behind the rules that the router has already")));
    assert!(all[0].1.help[0].contains("before one that the router has already"), "{all:?}");
    let off = text.replace(" place-before=7", " disabled=yes");
    assert_eq!(mended(&off).0, right.replace("comment=c", "comment=c disabled=yes"));
    assert_eq!(
        right,
        "/ip firewall filter\nadd chain=input comment=a\nadd chain=input comment=b\nadd chain=input comment=c\n"
    );
    for other in [
        "add chain=input place-before=1\nset 0 chain=output",
        "add chain=input place-before=1\nadd chain=input",
        "add chain=input place-before=1\nadd chain=input place-before=[find comment=x]",
        "add chain=input place-before=1\n:put 1\nadd chain=input",
    ] {
        let text = format!("/ip firewall filter\n{other}\n");
        assert_eq!(mended(&text).1, 0, "{text}");
    }
}

#[test]
fn what_is_suggested_comes_to_an_end_and_makes_no_errors() {
    let errors = |text: &str| findings(text).iter().filter(|one| one.severity == Severity::Error).count();
    for entry in CATALOGUE.iter().filter(|entry| entry.is_of_scripts()) {
        let Some(text) = entry.wrong else { continue };
        let (mended, _) = mended(text);
        assert!(errors(&mended) <= errors(text), "{text}\nbecomes\n{mended}");
    }
}

#[test]
fn a_script_that_is_cut_anywhere_is_reviewed() {
    for end in 0..ARTICLE.len() {
        let cut = &ARTICLE[..end];
        assert!(findings(cut).iter().all(|finding| finding.primary.span.end <= end), "{cut}");
        if end % 16 == 0 {
            mended(cut);
        }
    }
}

const ARTICLE: &str = include_str!("../../../../../../examples/article.rsc");

#[test]
fn what_is_wrong_with_the_article_is_told_at_once() {
    let codes: Vec<_> = findings(ARTICLE).into_iter().map(|finding| finding.code).collect();
    for code in [
        Code::ListNeverFilled,
        Code::InterfaceForList,
        Code::BrokenLine,
        Code::PositionByNumber,
        Code::NothingDrops,
        Code::WideAccept,
        Code::GrantOutlives,
        Code::Ascending,
        Code::TrapFirst,
        Code::BanRenews,
        Code::Loose,
        Code::OnlyIpv4,
    ] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    assert!(!codes.contains(&Code::ListNeverTested) && !codes.contains(&Code::NeverReached), "{codes:?}");
}

#[test]
fn the_mended_article_is_closed_opens_to_its_knocks_and_bans_at_its_trap() {
    let (text, _) = mended(ARTICLE);
    assert_eq!(mended(&text), (text.clone(), 0));
    let reading = read(&text, &Options::default());
    assert!(reading.findings.iter().all(|finding| finding.severity == Severity::Warning));
    let program = reading.program.unwrap();
    let packets = "0s 192.0.2.1 22/tcp
        1s 192.0.2.1 333/tcp\n2s 192.0.2.1 777/tcp\n3s 192.0.2.1 888/tcp\n4s 192.0.2.1 22/tcp\n4s 192.0.2.2 22/tcp
        5s 192.0.2.3 666/tcp\n6s 192.0.2.3 333/tcp\n7s 192.0.2.3 777/tcp\n8s 192.0.2.3 888/tcp\n9s 192.0.2.3 22/tcp
        10s 192.0.2.4 333/tcp rst\n11s 192.0.2.4 777/tcp\n12s 192.0.2.4 888/tcp\n13s 192.0.2.4 22/tcp";
    let (events, wrong) = trace::parse(packets, &program.outside()[0]);
    assert_eq!(wrong, []);
    let mut simulator = Simulator::new(&program);
    let fates: String = events
        .iter()
        .map(|event| if simulator.play(event.at, &event.packet).fate == Fate::Accept { 'a' } else { 'd' })
        .collect();
    // The last knock is let in by the grant that it made.
    assert_eq!(fates, "dddaadddddddddd");
}

#[test]
fn the_firewall_that_routers_come_with_has_nothing_to_be_said_of() {
    let left: Vec<_> = findings(include_str!("tests/default.rsc"))
        .into_iter()
        .filter(|finding| finding.code != Code::NotModelled)
        .collect();
    assert_eq!(left, []);
}

#[test]
fn many_rules_come_to_an_end() {
    let count = if cfg!(debug_assertions) { 25_000 } else { 100_000 };
    let mut text = String::from("/ip firewall filter\n");
    for nth in 0..count {
        let (chain, port, list): (u32, u32, u32) = (nth % 7, nth % 60_000 + 1, nth % 5_000);
        let line = match nth % 4 {
            0 => format!(
                "add chain=c{chain} action=drop protocol=tcp dst-port={port} src-address-list=l{list}"
            ),
            1 => format!(
                "add chain=input action=add-src-to-address-list address-list=l{list} protocol=tcp dst-port={port} src-address-list=l{}",
                list + 1
            ),
            2 => {
                format!("add chain=input action=accept src-address-list=l{list} protocol=tcp dst-port={port}")
            }
            _ => format!("add chain=input action=jump jump-target=c{chain} protocol=tcp dst-port={port}"),
        };
        writeln!(text, "{line}").unwrap();
    }
    assert!(!findings(&text).is_empty());
}
