use super::*;
use crate::diag::Code;
use crate::frontend::{rsc, toml};
use crate::lower::lower;
use crate::program::{Builder, Condition, Hook, Origin, Rule, Verdict};

const OPTIONS: Options = Options { final_drop: true, version: Version::V7 };

const HOME: &str = r#"
    outside = ["ether1", "ether2"]
    public = ["443/tcp", "51820/udp"]
    allow = ["198.51.100.0/24", "2001:db8:1::/48"]
    exempt = ["192.0.2.1", "192.0.2.53"]
    defaults.wrong = "cooldown 10s"
    traps = { ports = ["23/tcp", "445/tcp", "31337/udp"], strikes = 2 }
    door.ssh = { knock = ["17042/tcp", "4813/udp", "28077/tcp", "ping/100"], opens = ["22/tcp", "80/tcp at 10.0.0.5"] }
    door.web = { knock = ["17042/tcp", "999/tcp", "28077/tcp"], opens = "8443/tcp to 10.0.0.6:443" }
    door.old = { knock = ["1/tcp", "2/tcp", "1/tcp"], opens = "23000/tcp to [2001:db8:9::5]:23", wrong = "ignore" }
"#;

fn program(text: &str) -> Program {
    let (policy, findings) = toml::parse(text);
    lower(&policy.unwrap_or_else(|| panic!("{findings:#?}")))
}

fn shaped(text: &str, options: Options) -> Shaped {
    shape(&program(text), options).unwrap_or_else(|refused| panic!("{refused:#?}"))
}

fn refused(text: &str, options: Options) -> Vec<Unsayable> {
    shape(&program(text), options).expect_err("it is refused")
}

#[test]
fn what_has_its_shape_keeps_it() {
    let once = shaped(HOME, OPTIONS).program;
    let again = shape(&once, OPTIONS).unwrap().program;
    assert_eq!(once, again);
}

#[test]
fn a_rule_has_a_family_and_one_action() {
    for rule in shaped(HOME, OPTIONS).program.chains().iter().flat_map(|chain| &chain.rules) {
        assert_eq!(rule.then.len() + usize::from(rule.verdict.is_some()), 1, "{rule:?}");
        let families = rule.when.iter().filter(|c| matches!(c, crate::program::Condition::Family(_)));
        assert_eq!(families.count(), 1, "{rule:?}");
    }
}

#[test]
fn scripts_are_in_the_language_of_routers() {
    let shaped = shaped(HOME, OPTIONS);
    let Script { install, uninstall } = print(&shaped, OPTIONS);
    for text in [install, uninstall] {
        let (_, findings) = rsc::parse(&text);
        let others: Vec<_> = findings.iter().filter(|finding| finding.code != Code::NotFollowed).collect();
        assert!(others.is_empty(), "{others:#?}");
        for line in text.lines().filter(|line| line.contains("add ")) {
            assert!(line.contains(" comment="), "{line}");
        }
    }
}

#[test]
fn conditions_are_written_as_routers_write_them() {
    let install = print(&shaped(HOME, OPTIONS), OPTIONS).install;
    for line in [
        r#"add chain=knockgate-input action=return in-interface-list=!knockgate-outside comment="knockgate: not from outside""#,
        r#"add chain=knockgate-over-v6 action=accept protocol=icmpv6 icmp-options=135:0 hop-limit=equal:255 comment="knockgate: IPv6 neighbour discovery""#,
        r#"add chain=knockgate-ports action=jump jump-target=knockgate-public protocol=tcp dst-port=443 comment="knockgate: which port""#,
        r#"add chain=knockgate-ports action=jump jump-target=knockgate-knocking protocol=tcp dst-port=1-2,999,17042,28077 comment="knockgate: which port""#,
        r#"add chain=knockgate-ports action=jump jump-target=knockgate-trapped protocol=tcp dst-port=23,445 comment="knockgate: which port""#,
        r#"add chain=knockgate-cooldown-10s action=jump jump-target=knockgate-cooldown-10s-ping-100 protocol=icmp icmp-options=8:0-255 packet-size=128 comment="knockgate: which ping""#,
        r#"add chain=knockgate-via-8443-tcp action=dst-nat to-addresses=10.0.0.6 to-ports=443 protocol=tcp src-address-list="knockgate-grant web" comment="knockgate: door web: granted sources to 8443/tcp to 10.0.0.6:443""#,
        r#"/ip firewall nat add chain=dstnat action=jump jump-target=knockgate-dstnat comment="knockgate: enter dstnat""#,
    ] {
        assert!(install.lines().any(|printed| printed == line), "{line}\n{install}");
    }
}

#[test]
fn flags_that_must_be_set_come_first() {
    let install = print(&shaped(HOME, OPTIONS), OPTIONS).install;
    assert!(install.contains(r#" tcp-flags="syn,!fin,!rst,!ack" "#) && !install.contains(r#"tcp-flags="!"#));
}

#[test]
fn a_translation_is_said_only_for_the_protocol_that_is_led_to_it() {
    let install = print(&shaped(HOME, OPTIONS), OPTIONS).install;
    let translations = |chain: &str, protocol: &str| {
        let begins = format!("add chain={chain} action=dst-nat ");
        let of = |line: &&str| line.starts_with(&begins) && line.contains(&format!(" protocol={protocol} "));
        install.lines().filter(of).count()
    };
    for chain in ["knockgate-via-8443-tcp", "knockgate-via-23000-tcp"] {
        assert!(translations(chain, "tcp") > 0 && translations(chain, "udp") == 0, "{install}");
    }
    // Where any packet may be led to it, it is said for both.
    let both = |text: &str| {
        let program = rsc::read(text, &rsc::translate::Options::default()).program.unwrap();
        print(&shape(&program, OPTIONS).unwrap(), OPTIONS).install.matches("action=dst-nat").count()
    };
    let nat =
        "/ip firewall nat\nadd chain=way action=dst-nat to-addresses=10.0.0.5 to-ports=80 protocol=udp\n";
    let jump = "add chain=dstnat action=jump jump-target=way";
    assert_eq!(both(&format!("{nat}{jump}\n")), 1);
    assert_eq!(both(&format!("{nat}{jump} protocol=tcp dst-port=80\n{jump} protocol=udp\n")), 1);
    assert_eq!(both(&format!("{nat}{jump} protocol=tcp dst-port=80\n")), 0);
}

#[test]
fn the_final_drop_is_there_only_if_it_is_asked_for() {
    let without = Options { final_drop: false, ..OPTIONS };
    for (options, drops) in [(OPTIONS, 2), (without, 0)] {
        let shaped = shaped(HOME, options);
        let last = shaped.program.chains().iter().flat_map(|chain| &chain.rules);
        let count = last.filter(|rule| &*rule.origin.what == "everything else from outside").count();
        assert_eq!(count, drops);
        assert_eq!(shaped.notes.contains(&Note::NoFinalDrop), drops == 0);
        assert_eq!(shaped.notes.contains(&Note::FinalDrop), drops > 0);
    }
}

#[test]
fn each_hook_has_one_rule_that_leads_to_ours() {
    let program = shaped(HOME, OPTIONS).program;
    let names: Vec<_> = program.chains().iter().map(|chain| &*chain.name).collect();
    for expected in ["input", "filter knockgate-input", "forward", "prerouting", "nat knockgate-dstnat"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    for chain in program.chains().iter().filter(|chain| chain.hook.is_some()) {
        assert_eq!(chain.rules.len(), 2, "{chain:?}");
    }
}

#[test]
fn doors_that_reset_are_refused_once_and_told_a_way_out() {
    let text = HOME.replace("cooldown 10s", "reset");
    let refused = refused(&text, OPTIONS);
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(refused[0].hint.as_ref().unwrap().contains("cooldown 10s"));
    assert!(refused[0].origin.span.is_some());
}

#[test]
fn wildcards_of_interfaces_are_refused_each_once() {
    let text = HOME.replace(r#""ether1""#, r#""ppp*""#);
    let refused = refused(&text, OPTIONS);
    assert_eq!(refused.iter().map(|refused| &*refused.what).collect::<Vec<_>>(), ["ppp*"]);
}

#[test]
fn an_older_router_translates_no_ipv6_address() {
    let old = Options { version: Version::V6, ..OPTIONS };
    let refused = refused(HOME, old);
    assert_eq!(refused.iter().map(|refused| &*refused.what).collect::<Vec<_>>(), ["/ipv6 firewall nat"]);
    let script = print(&shaped(&HOME.replace("[2001:db8:9::5]", "10.0.0.5"), old), old);
    assert!(
        !script.install.contains("/ipv6 firewall nat") && !script.uninstall.contains("/ipv6 firewall nat")
    );
}

#[test]
fn a_door_that_shares_its_knocks_with_too_many_others_is_refused() {
    let doors: String = (0..9)
        .map(|nth| {
            format!(
                "door.d{nth} = {{ knock = [\"{}/tcp\", \"7/tcp\", \"{}/tcp\"], opens = \"22/tcp\" }}\n",
                100 + nth,
                200 + nth
            )
        })
        .collect();
    let text = format!("outside = \"ether1\"\ndefaults.wrong = \"cooldown 1s\"\n{doors}");
    let refused = refused(&text, OPTIONS);
    assert!(refused.len() == 1 && refused[0].hint.is_some(), "{refused:#?}");
}

#[test]
fn an_action_or_a_list_that_is_not_modelled_is_refused_by_name_and_a_matcher_is_printed_back() {
    let words = |words: &str| {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let input = builder.chain("input", Some(Hook::Input));
        let when = vec![Condition::Opaque(words.into())];
        let origin = Origin { what: "a rule".into(), span: None };
        builder.rule(input, Rule { when, then: vec![], verdict: Some(Verdict::Drop), origin });
        let options = Options { final_drop: true, version: Version::V7 };
        shape(&builder.seal().unwrap(), options).map(|shaped| print(&shaped, options).install)
    };
    for refused in ["action=notrack", "src-address-list=friends"] {
        assert_eq!(words(refused).unwrap_err()[0].what, refused);
    }
    assert!(words("psd=21,3s,3,1").unwrap().contains("action=drop psd=21,3s,3,1"));
}
