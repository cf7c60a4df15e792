//! Grants, bans and permissions by hand, and what is shown of them.

use std::fmt::Write;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::Value;

use crate::apply::{TWO_MORE_DOORS, grant_tag, policy};
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{KNOCKGATE, Said, run, wait_for};
use crate::traffic::inside;

fn gateway(policy: &str) -> Option<Gateway> {
    can_be_run(&NEEDED).then(|| {
        let gateway = Gateway::new();
        gateway.apply(policy);
        gateway
    })
}

impl Gateway {
    #[track_caller]
    fn say(&self, line: &str, code: i32) -> Said {
        self.knockgate(&line.split(' ').collect::<Vec<_>>()).expect(code)
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        self.knockgate(&format!("{line} --format json").split(' ').collect::<Vec<_>>()).json()
    }

    /// Who is on one of the lists, with whole seconds left.
    fn listed(&self, what: &str) -> Vec<(String, u64)> {
        let json = self.json(&format!("list {what}"));
        let rows = json[what]["entries"].as_array().expect("rows").iter();
        rows.map(|row| Some((row["source"].as_str()?.to_owned(), row["left_s"].as_u64()?)))
            .collect::<Option<_>>()
            .expect("a source and a time each")
    }

    fn sources(&self, what: &str) -> Vec<String> {
        self.listed(what).into_iter().map(|(source, _)| source).collect()
    }
}

/// Two machines with a cable: a gateway with a policy, and a peer outside with 10.9.0.2 and 10.9.0.3.
fn with_peer(policy: &str) -> Option<(Gateway, Gateway)> {
    if !can_be_run(&NEEDED) {
        return None;
    }
    let (gateway, peer) = (Gateway::new(), Gateway::new());
    gateway.must(&format!(
        "ip link add wan0 type veth peer name eth0 netns {} && ip addr add 10.9.0.1/24 dev wan0 &&
         ip link set wan0 up",
        peer.pid()
    ));
    peer.must("ip addr add 10.9.0.2/24 dev eth0 && ip addr add 10.9.0.3/24 dev eth0 && ip link set eth0 up");
    wait_for("wan0", || gateway.must("ip link show wan0").contains("state UP").then_some(()));
    gateway.apply(policy);
    Some((gateway, peer))
}

/// How long a packet that vanishes is waited for.
const VANISHED: Duration = Duration::from_millis(400);

/// Whether the peer's address gets a connection to a port of the gateway at which somebody listens.
fn connects(peer: &Gateway, from: &str, port: u16) -> bool {
    let from: Ipv4Addr = from.parse().expect("an address");
    inside(peer.pid(), || {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        set_socket_timeout(&socket, Timeout::Send, Some(VANISHED)).expect("a timeout above zero");
        bind(&socket, &SocketAddrV4::new(from, 0)).expect("its own address");
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::new(10, 9, 0, 1), port)).is_ok()
    })
}

#[test]
fn a_grant_by_hand_is_the_one_that_knocks_make_and_can_be_taken_back() {
    let text = policy("10s", TWO_MORE_DOORS);
    let Some(gateway) = gateway(&text) else { return };
    let said = gateway.say("grant main 198.51.100.7", 0).stdout;
    assert_eq!(said, "198.51.100.7 may use door main for 30s\n");
    let element = format!("{{ 198.51.100.7 . {} }}", grant_tag(&text));
    gateway.must(&format!("nft get element inet knockgate grants4 '{element}'"));
    assert_eq!(gateway.elements("set", "grants4").len(), 1);
    assert_eq!(gateway.elements("set", "guests4").len(), 1, "who holds a grant is banned by no trap");
    // A later one stands for the one before, whichever is longer.
    gateway.say("grant main 198.51.100.7 --for 10m", 0);
    gateway.say("grant main 198.51.100.7 --for 1m", 0);
    gateway.say("grant main 2001:db8::7 --for 1h", 0);
    let grants = gateway.listed("grants");
    assert!(
        matches!(&grants[..], [(a, 50..60), (b, 3500..3600)] if a == "198.51.100.7" && b == "2001:db8::7")
    );
    let revoked = gateway.json("revoke 198.51.100.7");
    assert_eq!(revoked["doors"][0], "main");
    gateway.say("revoke 198.51.100.7", 1);
    gateway.say("revoke 2001:db8::7 --door main", 0);
    assert!(gateway.sources("grants").is_empty());
    assert_eq!(gateway.elements("set", "guests4").len() + gateway.elements("set", "guests6").len(), 0);
}

#[test]
fn bans_by_hand_are_kept_when_another_policy_is_applied_with_reason_and_time() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    let reason = "scans {all} day, says \u{e4}";
    gateway.knockgate(&["ban", "198.51.100.0/24", "--for", "2h", "--reason", reason]).expect(0);
    gateway.say("ban 2001:db8::7 --for 1h", 0);
    gateway.say("allow 203.0.113.5 --for 30m", 0);
    gateway.say("ban 192.0.2.9", 0);
    let said = gateway.apply(&policy("20s", "grant = \"1m\"\n"));
    assert!(said.ends_with("grants and bans were kept\n"), "{said}");
    let bans = gateway.json("list bans")["bans"]["entries"].clone();
    let row = |source: &str| {
        let found = bans.as_array().unwrap().iter().find(|row| row["source"] == source);
        found.unwrap_or_else(|| panic!("{source} is not in {bans}")).clone()
    };
    assert_eq!(row("198.51.100.0/24")["reason"], reason);
    assert_eq!(row("198.51.100.0/24")["by"], "hand");
    assert!((7100..7200).contains(&row("198.51.100.0/24")["left_s"].as_u64().unwrap()));
    // An IPv6 address stands for its network; without --for, the ban of the policy is taken.
    assert!((3500..3600).contains(&row("2001:db8::/64")["left_s"].as_u64().unwrap()));
    assert!((50..60).contains(&row("192.0.2.9")["left_s"].as_u64().unwrap()));
    assert_eq!(gateway.sources("allowed"), ["203.0.113.5"]);
    // nft shows the reason as a comment, and a policy that is applied again changes nothing.
    assert!(gateway.must("nft list set inet knockgate banned-by-hand4").contains(reason));
    assert!(gateway.apply(&policy("20s", "grant = \"1m\"\n")).ends_with("nothing changed\n"));
    gateway.say("status", 0);
}

#[test]
fn bans_that_overlap_never_shorten_each_other() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    gateway.say("ban 198.51.100.7 --for 1h", 0);
    gateway.say("ban 198.51.100.128/25 --for 1h", 0);
    let said = gateway.say("ban 198.51.100.0/24 --for 10m", 2);
    assert!(said.stderr.contains("longer") && said.stderr.lines().count() == 1, "{said:#?}");
    assert_eq!(gateway.sources("bans"), ["198.51.100.7", "198.51.100.128/25"], "nothing was changed");
    let said = gateway.json("ban 198.51.100.0/24 --for 2h");
    assert!(said["notes"][0].as_str().unwrap().contains("2 inside"), "{said}");
    assert_eq!(gateway.sources("bans"), ["198.51.100.0/24"]);
    let said = gateway.say("ban 198.51.100.7 --for 1h", 0).stdout;
    assert!(said.contains("already, with 198.51.100.0/24"), "{said}");
    gateway.say("ban 198.51.100.7 --for 3h", 2);
    let said = gateway.json("unban 198.51.100.7");
    assert!(said["notes"][0].as_str().unwrap().contains("198.51.100.0/24"), "{said}");
    gateway.say("ban 198.51.101.0 --for 1h", 0);
    gateway.say("ban 198.51.101.0 --for 2h", 0);
    gateway.say("unban 198.51.101.0", 0);
    // The first and the last addresses have nothing before or behind them.
    for whole in ["0.0.0.0/1", "224.0.0.0/3", "8000::/1"] {
        gateway.say(&format!("ban {whole} --for 1h --force"), 0);
        assert!(gateway.sources("bans").contains(&whole.to_owned()), "{whole}");
    }
    gateway.say("ban 0.0.0.0/0 --for 3h --force", 0);
    assert_eq!(gateway.sources("bans"), ["8000::/1", "0.0.0.0/0"]);
    gateway.say("unban 0.0.0.0/0", 0);
    gateway.say("unban ::/0", 0);
    assert!(gateway.sources("bans").is_empty());
}

#[test]
fn single_sources_and_networks_are_in_sets_of_their_own_and_stand_for_each_other() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    let kept = |set: &str| gateway.elements("set", set).len();
    let sizes = || {
        ["banned-by-hand.single4", "banned-by-hand4", "banned-by-hand.single6", "banned-by-hand6"].map(kept)
    };
    gateway.say("ban 198.51.100.7 --for 1h", 0);
    gateway.say("ban 203.0.113.0/24 --for 1h", 0);
    gateway.say("ban 2001:db8::7 --for 1h", 0);
    gateway.say("ban 2001:db8:0:1::5/128 --for 1h", 0);
    assert_eq!(sizes(), [1, 1, 1, 1]);
    let known = |source: &str| gateway.json(&format!("list {source}"))["known"][0]["on"].clone();
    assert_eq!(known("198.51.100.7"), "banned-by-hand");
    assert_eq!(known("203.0.113.9"), "banned-by-hand: 203.0.113.0/24");
    assert_eq!(known("2001:db8::99"), "banned-by-hand: 2001:db8::/64");
    // An address of a network that is banned as a single source, and the other way round.
    let said = gateway.say("ban 2001:db8::9/128 --for 1m", 0).stdout;
    assert!(said.contains("already, with 2001:db8::/64"), "{said}");
    gateway.say("ban 2001:db8:0:1::9 --for 1m", 2);
    assert!(gateway.json("ban 2001:db8:0:1::9 --for 2h")["notes"][0].as_str().unwrap().contains("1 inside"));
    assert_eq!(sizes(), [1, 1, 2, 0]);
    let said = gateway.json("ban 2001:db8::/32 --for 3h");
    assert!(said["notes"][0].as_str().unwrap().contains("2 inside"), "{said}");
    assert_eq!(sizes(), [1, 1, 0, 1]);
    gateway.say("unban 2001:db8::7", 1);
    gateway.say("unban 2001:db8::/31", 0);
    assert_eq!(gateway.json("unban 192.0.0.0/2")["taken_back"], 2, "one of each kind");
    assert_eq!(sizes(), [0; 4]);
}

#[test]
fn a_network_stands_for_all_single_sources_inside_it_however_they_are_looked_for() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    let sources: Vec<String> =
        (0..300).map(|n| format!("198.51.{}.{} timeout 1h", 100 + n / 256, n % 256)).collect();
    let elements = sources.join(", ");
    gateway.must(&format!("nft add element inet knockgate banned-by-hand.single4 '{{ {elements} }}'"));
    let note = |line: &str| gateway.json(line)["notes"][0].as_str().unwrap().to_owned();
    // Most of 128 addresses are not there; 65,536 are more than all that are.
    assert!(note("ban 198.51.101.0/25 --for 2h").contains("44 inside"));
    assert!(note("ban 198.51.0.0/16 --for 3h").contains("257 inside"));
    assert_eq!(gateway.sources("bans"), ["198.51.0.0/16"]);
}

/// The ruleset of a policy as it was when a list that people manage was one set.
fn of_one_set(gateway: &Gateway, policy: &str) -> String {
    let text = run(gateway.enter(KNOCKGATE).args(["compile", "-"]), policy).expect(0).stdout;
    assert!(text.contains(".single"), "there are such sets");
    let mut kept = String::new();
    let mut within = false;
    for line in text.lines() {
        within |= line.starts_with("\tset ") && line.contains(".single");
        if !within && !line.contains(".single") {
            kept += &format!("{line}\n");
        }
        within &= line != "\t}";
    }
    kept
}

#[test]
fn bans_are_kept_that_were_made_when_a_list_was_one_set() {
    let text = policy("10s", "");
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    run(gateway.enter("nft").args(["-f", "-"]), &of_one_set(&gateway, &text)).expect(0);
    gateway.must("nft add element inet knockgate banned-by-hand4 '{ 198.51.100.7 timeout 1h, 203.0.113.0/24 timeout 1h }'");
    gateway.apply(&text);
    assert_eq!(gateway.sources("bans"), ["198.51.100.7", "203.0.113.0/24"]);
    gateway.say("ban 198.51.100.7 --for 2h", 0);
    assert_eq!(gateway.sources("bans"), ["203.0.113.0/24", "198.51.100.7"], "it is there once");
    assert_eq!(gateway.elements("set", "banned-by-hand.single4").len(), 1, "and moved");
    gateway.say("unban 198.51.100.7", 0);
    gateway.say("unban 203.0.113.0/24", 0);
    assert!(gateway.sources("bans").is_empty());
}

#[test]
fn who_must_not_be_banned_is_not_unless_it_is_forced() {
    let text = format!("exempt = [\"203.0.113.1\"]\n{}", policy("10s", ""));
    let Some(gateway) = gateway(&text) else { return };
    gateway.say("allow 198.51.100.7", 0);
    for (who, why) in [
        ("192.0.2.200", "`allow`"),
        ("192.0.2.0/24", "`allow`"),
        ("203.0.113.1", "`exempt`"),
        ("198.51.100.0/24", "allowed by hand"),
        ("10.1.2.0/24", "this session comes from 10.1.2.3"),
    ] {
        let ban = |more: &[&str]| {
            let mut command = gateway.enter("sh");
            // As sudo does, the shell between has lost the variable.
            let script = "env -u SSH_CONNECTION \"$0\" \"$@\"";
            command.args(["-c", script, KNOCKGATE, "ban", who]).args(more);
            run(command.env("SSH_CONNECTION", "10.1.2.3 50000 10.9.0.1 22"), "")
        };
        let said = ban(&[]).expect(2);
        assert!(said.stderr.contains(why) && said.stderr.contains("--force"), "{who}: {said:#?}");
        assert!(gateway.sources("bans").is_empty(), "{who}");
        ban(&["--force"]).expect(0);
        assert_eq!(gateway.sources("bans"), [who]);
        gateway.say(&format!("unban {who}"), 0);
    }
}

#[test]
fn unban_takes_back_what_traps_did_and_what_they_remember() {
    let text = policy("10s", "");
    let Some((gateway, peer)) = with_peer(&text) else { return };
    let touch = |port: u16| assert!(!connects(&peer, "10.9.0.2", port), "nobody listens there");
    touch(666);
    touch(4444);
    assert_eq!(gateway.sources("bans"), ["10.9.0.2"]);
    let known = gateway.json("list 10.9.0.2");
    let on: Vec<&str> =
        known["known"].as_array().unwrap().iter().filter_map(|fact| fact["on"].as_str()).collect();
    assert!(
        ["banned", "strikes 1", "strikes 2", "offences 1"].iter().all(|list| on.contains(list)),
        "{on:?}"
    );
    gateway.say("unban 10.9.0.2", 0);
    gateway.say("unban 10.9.0.2", 1);
    gateway.say("list 10.9.0.2", 1);
    touch(666);
    assert!(gateway.sources("bans").is_empty(), "one touch is one strike again");
    touch(4444);
    assert_eq!(gateway.json("unban 10.9.0.0/24")["taken_back"], 1, "all that is in the network");
}

#[test]
fn who_is_allowed_gets_in_who_is_banned_does_not_and_a_grant_outranks_a_ban() {
    let text = policy("10s", "").replace("\n\n[traps]", "\npublic = [\"80/tcp\"]\n\n[traps]");
    let Some((gateway, peer)) = with_peer(&text) else { return };
    let _listeners = inside(gateway.pid(), || {
        [22, 80].map(|port| TcpListener::bind(("10.9.0.1", port)).expect("its own address"))
    });
    let reach = |from| (connects(&peer, from, 22), connects(&peer, from, 80));
    assert_eq!(reach("10.9.0.2"), (false, true));
    gateway.say("allow 10.9.0.2", 0);
    assert_eq!((reach("10.9.0.2"), reach("10.9.0.3")), ((true, true), (false, true)));
    gateway.say("disallow 10.9.0.0/24", 0);
    assert_eq!(reach("10.9.0.2"), (false, true));
    gateway.say("ban 10.9.0.0/30", 0);
    assert_eq!(reach("10.9.0.2"), (false, false), "bans by hand stand before public ports");
    gateway.say("grant main 10.9.0.2", 0);
    assert_eq!(reach("10.9.0.2"), (true, false));
    let said = gateway.json("ban 10.9.0.2 --for 10s");
    assert!(said["notes"].to_string().contains("outranks"), "{said}");
    let counted = gateway.json("status")["rules"].clone();
    let rule = counted.as_array().unwrap().iter().find(|rule| rule["rule"] == "sources banned by hand");
    assert!(rule.is_some_and(|rule| rule["packets"].as_u64() > Some(0)), "{counted}");
}

/// What comes at once.
fn read(stream: &mut TcpStream) -> Option<usize> {
    match stream.read(&mut [0; 64]) {
        Ok(bytes) => Some(bytes),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_connection_that_is_cut_stays_so_whatever_either_side_sends() {
    let Some((gateway, peer)) = with_peer(&policy("10s", "")) else { return };
    let listener = inside(gateway.pid(), || TcpListener::bind(("10.9.0.1", 22)).expect("its own address"));
    gateway.say("grant main 10.9.0.2 --for 1h", 0);
    let begin = || {
        let client = inside(peer.pid(), || TcpStream::connect("10.9.0.1:22")).expect("it is granted");
        let (server, _) = listener.accept().expect("a connection");
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout above zero");
        }
        (client, server)
    };
    let (mut client, mut server) = begin();
    client.write_all(b"a").expect("it is open");
    assert_eq!(read(&mut server), Some(1));
    gateway.say("revoke 10.9.0.2", 0);
    client.write_all(b"b").expect("it is open");
    assert_eq!(read(&mut server), Some(1), "without --cut, it goes on");
    assert_eq!(gateway.json("revoke 10.9.0.2 --cut")["cut"], 1);
    assert_eq!(gateway.json("revoke 10.9.0.2 --cut")["cut"], 0);
    for _ in 0..3 {
        client.write_all(b"c").expect("nobody tells the client");
        // A kernel takes this for the beginning of a connection that it has forgotten.
        server.write_all(b"d").expect("nobody tells the server");
        assert_eq!(read(&mut server), None);
    }
    gateway.say("grant main 10.9.0.2", 0);
    let (mut client, mut server) = begin();
    client.write_all(b"e").expect("it is open");
    assert_eq!(read(&mut server), Some(1), "a later connection is another one");
}

/// More than a listing should ever touch, and little enough for every test run.
const MANY: u32 = 200_000;

#[test]
fn status_and_bans_take_no_longer_however_many_are_banned() {
    let Some(gateway) = gateway(&format!("sources = {MANY}\n{}", policy("10s", ""))) else { return };
    let mut text = "add element inet knockgate banned4 { ".to_owned();
    for number in 0..MANY {
        let [_, a, b, c] = number.to_be_bytes();
        write!(text, "10.{a}.{b}.{c} timeout 1h, ").expect("a string takes all");
    }
    run(gateway.enter("nft").args(["-f", "-"]), &(text + "}\n")).expect(0);
    let start = Instant::now();
    let said = gateway.say("status", 0).stdout;
    let took = start.elapsed();
    assert!(said.lines().count() < 70 && said.contains(&format!("and {} more", MANY - 40)), "{said}");
    assert!(said.contains("full: what comes now is not added"), "{said}");
    let json = gateway.json("status");
    assert_eq!(json["banned"].as_array().map(Vec::len), Some(1000));
    assert_eq!(json["counts"]["banned"], serde_json::json!({ "total": MANY, "shown": 1000, "more": true }));
    assert_eq!(json["changed_since_apply"], false);
    let all = gateway.json("list bans --limit 0");
    assert_eq!(all["bans"]["entries"].as_array().map(Vec::len), Some(MANY as usize));
    let start = Instant::now();
    gateway.say("ban 198.51.100.7", 0);
    gateway.say("unban 10.0.0.9", 0);
    // nft alone takes seconds to list as many.
    let (limit, changed) = (Duration::from_secs(2), start.elapsed());
    assert!(took < limit && changed < limit, "status {took:?}, ban and unban {changed:?}");
    gateway.must("nft insert rule inet knockgate input accept");
    gateway.say("status", 1);
}

#[test]
fn status_tells_what_full_sets_refused_and_packets_a_second() {
    let Some((gateway, peer)) = with_peer(&format!("sources = 16\n{}", policy("10m", ""))) else { return };
    let full: Vec<String> = (0..16).map(|n| format!("192.0.2.{n} timeout 1h : 0x1")).collect();
    let map = gateway.must("nft -t list maps inet");
    let map = map.split_whitespace().find(|word| word.starts_with("progress")).expect("a track");
    gateway.must(&format!("nft add element inet knockgate {map} '{{ {} }}'", full.join(", ")));
    let set = |status: &Value| {
        let sets = status["sets"].as_array().expect("sets");
        sets.iter().find(|set| set["set"] == map).expect("the track").clone()
    };
    assert_eq!(set(&gateway.json("status"))["refused"], 0);
    assert!(!connects(&peer, "10.9.0.2", 333));
    let status = gateway.json("status");
    assert_eq!((set(&status)["refused"].as_u64(), set(&status)["full"].as_bool()), (Some(1), Some(true)));
    assert!(
        status["packets"]["dropped"].as_u64() >= Some(1) && status["packets"]["over_s"].is_null(),
        "{status}"
    );
    let said = gateway.say("status", 0).stdout;
    assert!(
        said.contains("full: what comes now is not added; 1 refused\n") && !said.contains("packets/s"),
        "{said}"
    );
    let measured = thread::scope(|scope| {
        let measured = scope.spawn(|| gateway.json("status --rate 1s"));
        while !measured.is_finished() {
            connects(&peer, "10.9.0.3", 333);
        }
        measured.join().expect("a status")
    });
    assert!(set(&measured)["refused_per_s"].as_f64() > Some(0.5), "{measured}");
    assert!(measured["packets"]["dropped_per_s"].as_f64() > Some(0.5), "{measured}");
    assert!((1.0..5.0).contains(&measured["packets"]["over_s"].as_f64().expect("a number")), "{measured}");
    let said = gateway.say("status --rate 1s", 0).stdout;
    assert!(said.contains("packets/s") && said.contains("0.0 accepted, 0.0 dropped, 0.0 rejected"), "{said}");
}

#[test]
fn what_cannot_be_done_by_hand_is_told_in_one_line() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    let long = format!("ban 192.0.2.1 --reason {}", "x".repeat(121));
    for (line, part) in [
        ("grant main 198.51.100.0/24", "one address"),
        ("grant main 224.0.0.1", "nothing is sent from"),
        ("grant nowhere 198.51.100.7", "there are: main"),
        ("grant main 198.51.100.7 --for 30", "30"),
        ("ban 198.51.100.7/24", "did you mean 198.51.100.0/24"),
        ("ban 198.51.100.7 --for 0s", "0s"),
        ("ban 198.51.100.7 --reason a\u{1b}b", "a reason has no"),
        ("list nobody", "wanted: grants"),
        (&long, "at most 120 bytes"),
    ] {
        let said = gateway.say(line, 2);
        assert!(said.stderr.contains(part) && said.stdout.is_empty(), "{line}: {said:#?}");
    }
    gateway.say("remove", 0);
    for line in ["ban 192.0.2.1", "list", "grant main 192.0.2.1", "disallow 192.0.2.1"] {
        assert!(gateway.say(line, 2).stderr.contains("no policy is in force"), "{line}");
    }
}

#[test]
fn lists_of_scripts_are_shown_and_left_to_their_rules() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let script = "/ip firewall filter\nadd chain=input protocol=tcp dst-port=333 action=add-src-to-address-list \
                  address-list=seen address-list-timeout=30s\nadd chain=input action=drop src-address-list=seen\n";
    gateway.apply(script);
    let json = gateway.json("list");
    assert_eq!(json["seen"]["entries"], serde_json::json!([]), "{json}");
    let said = gateway.say("ban 192.0.2.1", 2);
    assert!(
        said.stderr.contains("a script is in force") && said.stderr.contains("knockgate list"),
        "{said:#?}"
    );
    gateway.say("status", 0);
}

#[test]
fn bans_that_touch_are_told_apart_also_those_that_nft_made() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    let all: Vec<String> = (0..16).map(|number| format!("198.51.100.{number}")).collect();
    // Up and down: the kernel's tree is another one each time.
    for source in all.iter().step_by(2).chain(all.iter().skip(1).step_by(2).rev()) {
        gateway.say(&format!("ban {source} --for 1h"), 0);
    }
    gateway.must("nft add element inet knockgate banned-by-hand4 { 198.51.100.16/28 timeout 1h }");
    let mut sources = gateway.sources("bans");
    sources.retain(|source| source != "198.51.100.16/28");
    sources.sort_by_key(|source| source.parse::<Ipv4Addr>().expect("an address"));
    assert_eq!(sources, all);
    for source in &all {
        let said = gateway.say(&format!("ban {source} --for 2h"), 0).stdout;
        assert_eq!(said, format!("banned {source} for 2h\n"));
    }
    let said = gateway.say("ban 198.51.100.17 --for 1m", 0).stdout;
    assert!(said.contains("already, with 198.51.100.16/28"), "{said}");
    for source in &all {
        assert_eq!(gateway.json(&format!("unban {source}"))["taken_back"], 1, "{source}");
    }
    assert_eq!(gateway.sources("bans"), ["198.51.100.16/28"]);
}

#[test]
fn bans_at_once_are_all_there() {
    let Some(gateway) = gateway(&policy("10s", "")) else { return };
    thread::scope(|scope| {
        for number in 0..12 {
            let gateway = &gateway;
            scope.spawn(move || gateway.say(&format!("ban 198.51.100.{} --for 1h", number % 6), 0));
        }
    });
    assert_eq!(gateway.sources("bans").len(), 6);
}
