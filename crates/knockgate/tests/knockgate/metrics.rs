//! `knockgate metrics`: what is told, in which words, and to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::apply::policy;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::owner::{OTHER, OWNER, Owned, SERVICE};
use crate::program::{Ended, KNOCKGATE, run, wait_for};
use crate::traffic::inside;

/// Numbers by name and labels, of a page that keeps every rule of the format.
fn numbers(page: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let mut described = BTreeSet::new();
    let (mut name, mut kind) = ("", "");
    assert!(page.ends_with('\n'), "{page}");
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (of, help) = rest.split_once(' ').expect("a help");
            assert!(described.insert(of) && help.ends_with('.'), "{line}");
            (name, kind) = (of, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (of, is) = rest.split_once(' ').expect("a type");
            assert!(of == name && kind.is_empty() && matches!(is, "gauge" | "counter"), "{line}");
            assert_eq!(is == "counter", name.ends_with("_total"), "{line}");
            kind = is;
        } else {
            let (key, value) = line.rsplit_once(' ').expect("a number");
            let of = labelled(key);
            assert!(of == name && !kind.is_empty(), "{line} stands under {name}");
            assert!(found.insert(key.to_owned(), value.parse().expect("a number")).is_none(), "{line} twice");
        }
    }
    found
}

/// The name of `name` or `name{label="value",...}`.
fn labelled(key: &str) -> &str {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let (name, labels) = key.split_once('{').map_or((key, None), |(name, rest)| (name, Some(rest)));
    assert!(word(name) && name.starts_with("knockgate_"), "{key}");
    let Some(labels) = labels else { return name };
    let mut rest = labels.strip_suffix('}').expect("an end of the labels");
    loop {
        let (label, value) = rest.split_once("=\"").expect("a label");
        assert!(word(label), "{key}");
        let end = value.char_indices().find(|(at, c)| {
            let slashes = value[..*at].bytes().rev().take_while(|byte| *byte == b'\\').count();
            *c == '"' && slashes % 2 == 0
        });
        let end = end.expect("an end of the value").0;
        match &value[end + 1..] {
            "" => return name,
            more => rest = more.strip_prefix(',').expect("another label"),
        }
    }
}

impl Gateway {
    #[track_caller]
    fn metrics(&self) -> BTreeMap<String, f64> {
        numbers(&self.knockgate(&["metrics"]).expect(0).stdout)
    }
}

#[test]
fn numbers_tell_what_packets_did() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let owned = Owned::new(Gateway::new());
    let before = owned.gateway.metrics();
    for (name, value) in [
        ("knockgate_in_force", 1.0),
        ("knockgate_rules_changed", 0.0),
        ("knockgate_trial_running", 0.0),
        ("knockgate_granted_sources{door=\"main\"}", 0.0),
        ("knockgate_door_knocks_completed_total{door=\"main\"}", 0.0),
        ("knockgate_set_capacity{set=\"grants4\"}", 65536.0),
    ] {
        assert_eq!(before[name], value, "{name}");
    }
    owned.knock();
    let stream = owned.try_connect(OWNER, SERVICE).expect("the door is open");
    assert!(owned.try_connect(OTHER, SERVICE).is_none());
    for trap in [666, 4444] {
        drop(owned.try_connect(OTHER, trap));
    }
    owned.gateway.knockgate(&["ban", "198.51.100.0/24"]).expect(0);
    assert!(owned.try_connect(OTHER, SERVICE).is_none(), "banned");
    let page = owned.gateway.knockgate(&["metrics"]).expect(0).stdout;
    let after = numbers(&page);
    for (name, least) in [
        ("knockgate_granted_sources{door=\"main\"}", 1.0),
        ("knockgate_list_entries{list=\"granted\"}", 1.0),
        ("knockgate_list_entries{list=\"banned\"}", 1.0),
        ("knockgate_list_entries{list=\"banned-by-hand\"}", 1.0),
        ("knockgate_door_knocks_completed_total{door=\"main\"}", 1.0),
        ("knockgate_door_packets_total{door=\"main\"}", 1.0),
        ("knockgate_trap_strikes_total", 2.0),
        ("knockgate_trap_bans_total", 1.0),
    ] {
        assert_eq!(after.get(name), Some(&least), "{name} in {page}");
    }
    for fate in ["stranger", "banned", "granted", "established"] {
        assert!(after[&format!("knockgate_packets_total{{fate=\"{fate}\"}}")] > 0.0, "{fate} in {page}");
        assert!(after[&format!("knockgate_bytes_total{{fate=\"{fate}\"}}")] > 20.0, "{fate} in {page}");
    }
    let names: String = after.keys().map(String::as_str).collect();
    for secret in ["333", "777", "888", "666", "4444", "10.9.0", "198.51"] {
        assert!(!names.contains(secret), "{secret} in {page}");
    }
    drop(stream);
}

#[test]
fn numbers_are_told_while_doors_come_and_go() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let door = |number: u16| {
        let first = 8000 + 10 * number;
        format!(
            "\n[door.d{number}]\nknock = [\"{first}/udp\", \"{}/udp\"]\nopens = \"{}/tcp\"\n",
            first + 1,
            100 + number
        )
    };
    let policies =
        [1, 3, 2].map(|doors| "outside = \"wan0\"\n".to_owned() + &(0..doors).map(door).collect::<String>());
    gateway.apply(&policies[2]);
    let done = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            for policy in policies.iter().cycle().take(30) {
                gateway.apply(policy);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut told = 0;
        while !done.load(Ordering::Relaxed) {
            let numbers = gateway.metrics();
            assert_eq!(numbers["knockgate_door_knocks_completed_total{door=\"d0\"}"], 0.0);
            told += 1;
        }
        told
    });
    assert!(told > 5, "{told}");
}

#[test]
fn numbers_tell_of_trials_changes_and_nothing() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let nothing = gateway.metrics();
    assert_eq!(nothing["knockgate_in_force"], 0.0);
    assert_eq!(nothing["knockgate_rules_changed"], 0.0);
    run(gateway.enter(KNOCKGATE).args(["apply", "--trial", "10m", "-"]), &policy("10s", "")).expect(0);
    let trial = gateway.metrics();
    assert_eq!(trial["knockgate_trial_running"], 1.0);
    assert!((500.0..=600.0).contains(&trial["knockgate_trial_remaining_seconds"]));
    gateway.knockgate(&["confirm", "--local"]).expect(0);
    gateway.must("nft add rule inet knockgate input accept");
    assert_eq!(gateway.metrics()["knockgate_rules_changed"], 1.0);
    gateway.must("nft flush ruleset");
    let gone = gateway.metrics();
    assert_eq!((gone["knockgate_in_force"], gone["knockgate_rules_changed"]), (0.0, 1.0));
}

#[test]
fn a_script_has_numbers_too() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    gateway.must("ip link add wan0 type veth peer name far0");
    let script = "/ip firewall filter\nadd chain=input action=accept in-interface=wan0 src-address-list=333\n\
                  add chain=input action=add-src-to-address-list address-list=333 address-list-timeout=1m \
                  in-interface=wan0 protocol=tcp dst-port=333\nadd chain=input action=drop in-interface=wan0\n";
    run(gateway.enter(KNOCKGATE).args(["apply", "--no-trial", "-"]), script).expect(0);
    let page = gateway.knockgate(&["metrics"]).expect(0).stdout;
    let found = numbers(&page);
    assert_eq!(found["knockgate_set_entries{set=\"1\"}"], 0.0);
    assert!(!page.contains("333"), "a list is named after a knock: {page}");
    for fate in ["accepted", "dropped"] {
        assert_eq!(found[&format!("knockgate_packets_total{{fate=\"{fate}\"}}")], 0.0);
    }
}

#[test]
fn a_file_for_node_exporter_is_written_whole_and_for_everybody() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    gateway.apply(&policy("10s", ""));
    gateway.must("mkdir /run/collector && cd /run/collector && umask 077 && echo old > knockgate.prom");
    gateway.knockgate(&["metrics", "--out", "/run/collector/knockgate.prom"]).expect(0);
    assert_eq!(gateway.must("cd /run/collector && stat -c '%n %a' *"), "knockgate.prom 644\n");
    numbers(&gateway.must("cat /run/collector/knockgate.prom"));
    let said = gateway.knockgate(&["metrics", "--out", "/run/no/such/file"]).expect(2);
    assert!(said.stderr.contains("/run/no/such/file"), "{said:#?}");
}

/// Answers there for as long as it is held.
fn served(gateway: &Gateway, place: &str) -> Ended {
    let mut command = gateway.enter(KNOCKGATE);
    command.args(["metrics", "--listen", place]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut served = Ended(command.spawn().expect("knockgate"));
    let mut said = [0; 9];
    let stderr = served.0.stderr.as_mut().expect("piped");
    stderr.read_exact(&mut said).expect("it says where it listens");
    assert_eq!(&said, b"listening");
    served
}

fn asked(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("somebody listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn whoever_asks_over_loopback_or_a_socket_is_answered() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    gateway.apply(&policy("10s", ""));
    let (tcp, unix) = (served(&gateway, "127.0.0.1:9469"), served(&gateway, "/run/metrics.sock"));
    let over_tcp = |request: &str| {
        let stream = inside(gateway.pid(), || TcpStream::connect("127.0.0.1:9469")).expect("it listens");
        asked(stream, request)
    };
    let page = |answer: &str| {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/plain; version=0.0.4"),
            "{head}"
        );
        assert_eq!(numbers(body)["knockgate_in_force"], 1.0);
    };
    page(&over_tcp("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(over_tcp("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(over_tcp("PUT /metrics HTTP/1.1\r\n\r\n").contains("\r\nAllow: GET, HEAD\r\n"));
    let socket = format!("/proc/{}/root/run/metrics.sock", gateway.pid());
    let over_unix = |request: &str| asked(UnixStream::connect(&socket).expect("it listens"), request);
    page(&over_unix("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!(gateway.must("stat -c %a /run/metrics.sock"), "660\n");
    // The numbers are those of now.
    gateway.knockgate(&["remove"]).expect(0);
    wait_for("removal in the numbers", || {
        let answer = over_unix("GET /metrics HTTP/1.1\r\n\r\n");
        answer.contains("\nknockgate_in_force 0\n").then_some(())
    });
    drop((tcp, unix));
    // What the dead left behind is no hindrance.
    drop(served(&gateway, "/run/metrics.sock"));
    let said = gateway.knockgate(&["metrics", "--listen", "192.0.2.1:9469"]).expect(2);
    assert!(said.stderr.contains("an address of loopback"), "{said:#?}");
}
