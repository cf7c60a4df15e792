use super::*;
use crate::frontend::{self, rsc};
use crate::lower::lower;
use crate::net::Family;
use crate::sim::trace;

fn script(rules: &str) -> Program {
    let add = |rule: &str| format!("add chain=input in-interface=ether1 {rule}\n");
    let rules: String = rules.lines().map(str::trim).filter(|rule| !rule.is_empty()).map(add).collect();
    read(&format!("/ip firewall filter\n{rules}"))
}

fn read(text: &str) -> Program {
    let reading = rsc::read(text, &rsc::translate::Options::default());
    reading.program.unwrap_or_else(|| panic!("{text}: {:#?}", reading.findings))
}

fn policy(text: &str) -> Program {
    let (policy, findings) = frontend::toml::parse(text);
    lower(&policy.unwrap_or_else(|| panic!("{findings:#?}")))
}

/// The class of a packet as a trace has it.
fn class(search: &Search<'_>, packet: &str) -> ClassId {
    let family = if packet.contains("2001:") { "2001:db8::7" } else { "198.51.100.7" };
    let (events, findings) = trace::parse(&format!("0s {family} {packet}\n"), &search.program.outside()[0]);
    assert_eq!(findings, [], "{packet}");
    search.class_of(&events[0].packet).unwrap_or_else(|| panic!("no class of {packet}"))
}

fn way_in(program: &Program, packet: &str) -> WayIn {
    let search = Search::new(program);
    search.ways_in(&[class(&search, packet)]).remove(0)
}

/// What is sent before the packet that is let in, and the moments of all.
fn steps(program: &Program, packet: &str) -> (Vec<String>, Vec<String>) {
    match way_in(program, packet) {
        WayIn::Steps { steps, claim } => {
            let moment = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
            (steps.into_iter().map(|step| step.packet).collect(), claim.trace.lines().map(moment).collect())
        }
        way => panic!("{packet}: {way:#?}"),
    }
}

const ARTICLE: &str = "
    action=drop src-address-list=blacklist
    action=accept protocol=tcp dst-port=22 src-address-list=secure
    protocol=tcp dst-port=888 src-address-list=777 action=add-src-to-address-list address-list=secure address-list-timeout=30m
    protocol=tcp dst-port=777 src-address-list=333 action=add-src-to-address-list address-list=777 address-list-timeout=30s
    protocol=tcp dst-port=333 action=add-src-to-address-list address-list=333 address-list-timeout=30s
    protocol=tcp dst-port=666 action=add-src-to-address-list address-list=blacklist address-list-timeout=1000m
    action=drop";

#[test]
fn the_knocks_of_a_script_are_found_without_its_trap() {
    let program = script(ARTICLE);
    let (sent, moments) = steps(&program, "22/tcp");
    assert_eq!(sent, ["333/tcp", "777/tcp", "888/tcp"]);
    assert_eq!(moments, ["0s"; 4]);
    let WayIn::Steps { steps, claim } = way_in(&program, "22/tcp") else { panic!("it opens") };
    assert!(steps.iter().all(|step| step.width == 1 && step.after.is_none()));
    assert_eq!(steps[0].what, "input rule 5 in /ip/firewall/filter");
    assert_eq!(claim.trace.lines().last(), Some("0s 198.51.100.7 22/tcp"));
    assert_eq!(way_in(&program, "23/tcp"), WayIn::Never);
}

#[test]
fn a_list_that_nobody_fills_never_opens() {
    let program = script(
        &ARTICLE.replace("dst-port=22 src-address-list=secure", "dst-port=22 src-address-list=secured"),
    );
    assert_eq!(way_in(&program, "22/tcp"), WayIn::Never);
}

#[test]
fn every_kind_of_wrong_knock_leaves_the_sequence_as_the_way_in() {
    for wrong in ["reset", "ignore", "cooldown 30s"] {
        let program = policy(&format!(
            r#"
            outside = "eth0"
            public = ["443/tcp"]
            traps = {{ ports = ["23/tcp", "445/tcp"] }}
            [defaults]
            wrong = "{wrong}"
            [door.ssh]
            knock = ["7313/tcp", "24877/udp", "ping/100"]
            opens = ["22/tcp", "554/tcp at 192.0.2.80", "8443/tcp to 10.0.0.5:443"]
            [door.other]
            knock = ["7313/tcp", "11090/tcp"]
            opens = "5900/tcp"
        "#
        ));
        for service in ["22/tcp", "554/tcp to 192.0.2.80", "8443/tcp", "443/tcp to 10.0.0.5"] {
            let (sent, moments) = steps(&program, service);
            assert_eq!(sent, ["7313/tcp", "24877/udp", "ping/100"], "{wrong} {service}");
            assert_eq!(moments, ["0s"; 4], "{wrong} {service}");
        }
        assert_eq!(steps(&program, "5900/tcp").0, ["7313/tcp", "11090/tcp"], "{wrong}");
        assert!(matches!(way_in(&program, "443/tcp"), WayIn::Open(_)), "{wrong}");
        assert_eq!(way_in(&program, "8080/tcp"), WayIn::Never, "{wrong}");
        assert!(matches!(way_in(&program, "22/tcp in lan0"), WayIn::Open(_)), "{wrong}");
    }
}

#[test]
fn a_ban_that_stands_in_the_way_is_waited_out() {
    let program = script(
        "action=drop src-address-list=ban
        action=accept protocol=tcp dst-port=22 src-address-list=in
        protocol=tcp dst-port=1001 action=add-src-to-address-list address-list=ban address-list-timeout=10s
        protocol=tcp dst-port=1001 action=add-src-to-address-list address-list=one address-list-timeout=1m
        protocol=tcp dst-port=1002 src-address-list=one action=add-src-to-address-list address-list=in address-list-timeout=1m
        action=drop",
    );
    let WayIn::Steps { steps, claim } = way_in(&program, "22/tcp") else { panic!("it opens") };
    assert_eq!(steps[1].after, Some(Lifetime::from_secs(10)));
    assert!(claim.trace.contains("10s 198.51.100.7 1002/tcp\n10s 198.51.100.7 22/tcp"), "{}", claim.trace);
    // Who is banned longer than remembered does not get on.
    let short = "address-list=one address-list-timeout=";
    let program = script(
        &format!("action=drop src-address-list=ban
        action=accept protocol=tcp dst-port=22 src-address-list=in
        protocol=tcp dst-port=1001 action=add-src-to-address-list address-list=ban address-list-timeout=10s
        protocol=tcp dst-port=1001 action=add-src-to-address-list {short}10s
        protocol=tcp dst-port=1002 src-address-list=one action=add-src-to-address-list address-list=in address-list-timeout=1m
        action=drop"),
    );
    assert_eq!(way_in(&program, "22/tcp"), WayIn::Never);
}

#[test]
fn an_expiry_that_is_kept_ends_while_another_lasts() {
    // In once the early entry is gone and the late one is not: with one packet, the late one goes first.
    let text = "/ip firewall filter
        add chain=input action=drop protocol=tcp dst-port=22 src-address-list=early
        add chain=input action=accept protocol=tcp dst-port=22 src-address-list=late
        add chain=input protocol=tcp dst-port=1001 action=add-src-to-address-list address-list=late address-list-timeout=5s
        add chain=input protocol=tcp dst-port=1001 action=add-src-to-address-list address-list=early address-list-timeout=8s
        add chain=input action=drop";
    let of = |again| {
        let options = rsc::translate::Options { again, ..rsc::translate::Options::default() };
        rsc::read(text, &options).program.unwrap()
    };
    assert_eq!(way_in(&of(crate::program::Expiry::Refresh), "22/tcp"), WayIn::Never);
    let (sent, moments) = steps(&of(crate::program::Expiry::Keep), "22/tcp");
    assert_eq!(sent, ["1001/tcp", "1001/tcp"]);
    assert_eq!(moments, ["0s", "5s", "8s"]);
}

#[test]
fn one_stray_packet_opens_what_asks_for_no_more() {
    let program = script(
        "action=accept protocol=tcp dst-port=22 src-address-list=in
        protocol=udp dst-port=1000-1999 action=add-src-to-address-list address-list=in address-list-timeout=1m
        action=drop",
    );
    let WayIn::Steps { steps, .. } = way_in(&program, "22/tcp") else { panic!("it opens") };
    assert_eq!((steps.len(), steps[0].width, steps[0].packet.as_str()), (1, 1000, "1000/udp"));
}

#[test]
fn the_same_datagram_twice_is_of_two_connections() {
    // Nothing is dropped, so that the first one is of a connection that stands.
    let program = read(
        "/ip firewall filter
        add chain=input action=accept connection-state=established
        add chain=input action=accept protocol=tcp dst-port=22 src-address-list=two
        add chain=input action=drop protocol=tcp
        add chain=input protocol=udp dst-port=7 src-address-list=one action=add-src-to-address-list address-list=two address-list-timeout=1m
        add chain=input protocol=udp dst-port=7 action=add-src-to-address-list address-list=one address-list-timeout=1m",
    );
    assert_eq!(steps(&program, "22/tcp").0, ["7/udp", "7/udp"]);
}

#[test]
fn hosts_that_a_packet_puts_on_a_list_are_remembered() {
    let program = read(
        "/ip firewall filter
        add chain=forward action=accept protocol=tcp dst-port=22 dst-address-list=woken
        add chain=forward protocol=udp dst-port=9 dst-address=10.0.0.5 action=add-dst-to-address-list address-list=woken address-list-timeout=1m
        add chain=forward action=drop",
    );
    assert_eq!(steps(&program, "22/tcp to 10.0.0.5").0, ["9/udp to 10.0.0.5"]);
    assert_eq!(way_in(&program, "22/tcp to 10.0.0.6"), WayIn::Never);
}

#[test]
fn what_guards_one_family_or_interface_leaves_the_other_open() {
    let program = script(ARTICLE);
    let search = Search::new(&program);
    let open = |wanted: &dyn Fn(&Class) -> bool| {
        let mut ids = search.ids().filter(|id| wanted(&search.classes()[id.index()]));
        ids.any(|id| search.fate_for_strangers(id).fate == Fate::Accept)
    };
    let here = |class: &Class| class.destination() == Destination::Gateway;
    assert!(open(&|class| here(class) && class.family() == Family::V6 && !class.comes_from_elsewhere()));
    assert!(open(&|class| here(class) && class.family() == Family::V4 && class.comes_from_elsewhere()));
    assert!(!open(&|class| here(class) && class.family() == Family::V4 && !class.comes_from_elsewhere()));
}

#[test]
fn classes_say_what_they_stand_for() {
    let program = script(
        "action=accept protocol=tcp dst-port=333 tcp-flags=syn,!ack
        action=accept protocol=udp src-port=53 dst-port=5000-5099
        action=drop",
    );
    let search = Search::new(&program);
    let of = |packet: &str| &search.classes()[class(&search, packet).index()];
    assert_eq!((of("333/tcp").range(), of("333/tcp").width()), ("333/tcp".to_owned(), 1));
    assert_eq!(of("1/tcp").range(), "1-65535/tcp");
    assert_eq!(of("5000/udp from 53").words(), "5000/udp from 53");
    assert_eq!(of("5000/udp from 53").width(), 100);
    assert_eq!(of("333/tcp ack").range(), of("9/tcp").range());
    for class in search.ids() {
        let shown = &search.classes()[class.index()];
        assert_eq!(search.class_of(shown.packet()), Some(class), "{}", shown.words());
        let (events, findings) =
            trace::parse(&search.trace(&[(Moment::default(), class)]), &program.outside()[0]);
        assert_eq!(
            (findings.len(), search.class_of(&events[0].packet)),
            (0, Some(class)),
            "{}",
            shown.words()
        );
    }
}

#[test]
fn packets_of_classes_can_be_played_at_any_moments() {
    let program = script(ARTICLE);
    let search = Search::new(&program);
    let story = |trap: &str| {
        let at = |seconds: u64| Moment::from_millis(seconds * 1000);
        let sent = ["333/tcp", "777/tcp", "888/tcp", trap, "22/tcp"];
        let packets: Vec<_> =
            sent.iter().zip(0..).map(|(sent, nth)| (at(nth), class(&search, sent))).collect();
        search.play(&packets).last().unwrap().fate
    };
    assert_eq!((story("9/tcp"), story("666/tcp")), (Fate::Accept, Fate::Drop));
}
