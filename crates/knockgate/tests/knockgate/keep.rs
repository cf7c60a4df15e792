//! `knockgate keep` on a machine of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::events::{KNOCKS, POLICY, pair, send};
use crate::gateway::Gateway;
use crate::owner::Owned;
use crate::program::{Ended, Folder, KNOCKGATE, LIMIT, run, wait_for};
use crate::restart::Disk;

/// A keeper that runs.
struct Keeper {
    child: Ended,
    said: Arc<Mutex<String>>,
}

impl Keeper {
    /// One that is at work.
    fn of(gateway: &Gateway) -> Self {
        let keeper = Self::start(gateway.enter(KNOCKGATE));
        keeper.wait_for("listening");
        keeper
    }

    fn start(mut command: Command) -> Self {
        let mut child =
            command.arg("keep").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("nsenter");
        let said = Arc::new(Mutex::new(String::new()));
        let (to, stderr) = (Arc::clone(&said), child.stderr.take().expect("piped"));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                to.lock().expect("no panic").extend([&line, "\n"]);
            }
        });
        Self { child: Ended(child), said }
    }

    fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    #[track_caller]
    fn wait_for(&self, words: &str) {
        self.wait_for_more(words, 0);
    }

    /// Waits until words were said more than so often.
    #[track_caller]
    fn wait_for_more(&self, words: &str, times: usize) {
        let start = Instant::now();
        while self.count(words) <= times {
            assert!(start.elapsed() < LIMIT, "`{words}` is not more than {times} times in {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn count(&self, words: &str) -> usize {
        self.said().matches(words).count()
    }
}

impl Gateway {
    fn is_sound(&self) -> bool {
        self.knockgate(&["status"]).code == Some(0)
    }

    /// Where events are passed on, as it is called outside.
    fn socket(&self) -> String {
        format!("/proc/{}/root{}", self.pid(), self.must("ls /run/knockgate/*/events").trim())
    }
}

/// Flushes all rules, and waits until that is mended: everything that was to be told before is told by then.
fn flushed(gateway: &Gateway, keeper: &Keeper) {
    let before = keeper.count("put in force again");
    gateway.must("nft flush ruleset");
    keeper.wait_for_more("put in force again", before);
}

#[test]
fn rules_that_are_flushed_are_in_force_again_at_once() {
    let Some((gateway, peer)) = pair(POLICY) else { return };
    let keeper = Keeper::of(&gateway);
    let sound = gateway.ruleset();
    let start = Instant::now();
    gateway.must("nft flush ruleset");
    wait_for("table", || {
        gateway.sh("nft -t list table inet knockgate").code.is_some_and(|code| code == 0).then_some(())
    });
    let took = start.elapsed();
    println!("in force again after {took:?}: {}", keeper.said());
    assert!(took < Duration::from_secs(3), "{took:?}, on a machine that may be busy");
    keeper.wait_for("nft (process ");
    keeper.wait_for("put in force again; lists were lost");
    assert_eq!(gateway.ruleset(), sound);
    assert!(gateway.is_sound());
    // The door works, and it is heard of.
    send(&peer, "10.9.0.2", &KNOCKS);
    keeper.wait_for("10.9.0.2 may use door main for 30s");
    assert_eq!(gateway.elements("set", "grants4").len(), 1);
    let said = keeper.said();
    assert!(KNOCKS.iter().all(|port| !said.contains(&port.to_string())), "{said}");
    assert!(!said.contains("666"), "{said}");
}

#[test]
fn what_was_changed_by_hand_is_put_right_and_grants_stay() {
    let Some((gateway, peer)) = pair(POLICY) else { return };
    let keeper = Keeper::of(&gateway);
    send(&peer, "10.9.0.2", &KNOCKS);
    keeper.wait_for("may use door main");
    let sound = gateway.must("nft -t -s list ruleset");
    gateway.must("nft insert rule inet knockgate input tcp dport 23 accept");
    keeper.wait_for("put in force again");
    assert_eq!(gateway.must("nft -t -s list ruleset"), sound);
    assert_eq!(gateway.elements("set", "grants4").len(), 1);
    assert_eq!(keeper.count("lost"), 0, "{}", keeper.said());
}

#[test]
fn rules_that_were_changed_before_it_begins_are_put_right_then() {
    let Some((gateway, _peer)) = pair(POLICY) else { return };
    gateway.must("nft delete table inet knockgate");
    let keeper = Keeper::of(&gateway);
    keeper.wait_for("another program changed the rules; they were put in force again");
    assert!(gateway.is_sound());
}

#[test]
fn an_alarm_is_told_once_and_changes_nothing() {
    let policy = format!("if-changed = \"alarm\"\n{POLICY}");
    let Some((gateway, _peer)) = pair(&policy) else { return };
    let keeper = Keeper::of(&gateway);
    gateway.must("nft add rule inet knockgate about accept");
    keeper.wait_for("changed the rules; `knockgate apply`");
    gateway.must("nft add rule inet knockgate about accept");
    // What is told next shows that the second change was seen too.
    gateway.apply(&policy.replace("22/tcp", "2222/tcp"));
    keeper.wait_for_more("is in force", 1);
    gateway.apply(&policy);
    keeper.wait_for_more("is in force", 2);
    // The rules are the same, and yet it is another policy.
    gateway.apply(POLICY);
    keeper.wait_for_more("is in force", 3);
    flushed(&gateway, &keeper);
    assert_eq!(
        (keeper.count("`knockgate apply`"), keeper.count("put in force again")),
        (1, 1),
        "{}",
        keeper.said()
    );
}

#[test]
fn what_knockgate_itself_does_is_no_change_by_somebody_else() {
    let Some((gateway, peer)) = pair(POLICY) else { return };
    let keeper = Keeper::of(&gateway);
    for window in 5..10 {
        gateway.apply(&POLICY.replace("opens", &format!("window = \"{window}s\"\nopens")));
        gateway.knockgate(&["ban", "198.51.100.7"]).expect(0);
        gateway.knockgate(&["grant", "main", "198.51.100.7"]).expect(0);
        gateway.knockgate(&["unban", "198.51.100.7"]).expect(0);
        keeper.wait_for_more("is in force", window - 4);
    }
    // Whatever program is in force by now, its events are understood.
    send(&peer, "10.9.0.2", &KNOCKS);
    keeper.wait_for("may use door main");
    gateway.knockgate(&["remove"]).expect(0);
    keeper.wait_for("no policy is in force");
    gateway.apply(POLICY);
    keeper.wait_for_more("is in force", 7);
    assert_eq!(keeper.count("changed"), 0, "{}", keeper.said());
    flushed(&gateway, &keeper);
    assert_eq!(keeper.count("changed"), 1, "{}", keeper.said());
}

#[test]
fn a_trial_is_left_alone_and_mended_by_its_end() {
    let Some((gateway, _peer)) = pair(POLICY) else { return };
    let keeper = Keeper::of(&gateway);
    let other = POLICY.replace("22/tcp", "2222/tcp");
    run(gateway.enter(KNOCKGATE).args(["apply", "-", "--trial", "60s"]), &other).expect(0);
    gateway.must("nft flush ruleset");
    keeper.wait_for("while a policy is on trial");
    assert_eq!(gateway.ruleset(), "");
    gateway.knockgate(&["rollback"]).expect(0);
    keeper.wait_for_more("is in force", 2);
    assert!(gateway.is_sound());
    assert_eq!(keeper.count("put in force again"), 0, "{}", keeper.said());
    flushed(&gateway, &keeper);
}

#[test]
fn events_are_passed_on_to_many_and_an_end_by_force_leaves_nothing_in_the_way() {
    let Some((gateway, peer)) = pair(POLICY) else { return };
    let mut keeper = Keeper::of(&gateway);
    let refused = gateway.knockgate(&["keep"]).expect(2);
    assert!(refused.stderr.contains("another `knockgate keep` runs already (process "), "{refused:?}");
    assert_eq!(gateway.must("stat -c %a /run/knockgate/*/events"), "600\n");
    let readers = [(); 2].map(|()| UnixStream::connect(gateway.socket()).expect("somebody passes events on"));
    send(&peer, "fd00::2", &KNOCKS);
    for reader in &readers {
        reader.set_read_timeout(Some(LIMIT)).expect("a timeout above zero");
        let lines = BufReader::new(reader).lines().take(3);
        let lines: Vec<Value> =
            lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
        let events: Vec<&Value> = lines.iter().map(|line| &line["event"]).collect();
        assert_eq!(events, ["knock", "knock", "granted"]);
        assert!(lines.iter().all(|line| line["source"] == "fd00::2" && line["door"] == "main"), "{lines:?}");
    }
    keeper.child.0.kill().expect("a child of ours");
    keeper.child.0.wait().expect("a child of ours");
    let [mut reader, _] = readers;
    assert_eq!(reader.read(&mut [0; 16]).expect("an end"), 0);
    let again = Keeper::of(&gateway);
    send(&peer, "10.9.0.2", &KNOCKS);
    again.wait_for("10.9.0.2 may use door main");
    drop(again);
    gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(gateway.must("ls /run"), "");
}

#[test]
fn who_started_it_is_told_when_it_is_at_work() {
    let Some((gateway, _peer)) = pair(POLICY) else { return };
    let folder = Folder::new("keep-notify");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a folder of ours");
    socket.set_read_timeout(Some(LIMIT)).expect("a timeout above zero");
    let mut command = gateway.enter(KNOCKGATE);
    command.env("NOTIFY_SOCKET", &path);
    let _keeper = Keeper::start(command);
    let mut said = [0; 32];
    let length = socket.recv(&mut said).expect("a word in time");
    assert_eq!(&said[..length], b"READY=1");
    UnixStream::connect(gateway.socket()).expect("it is at work by then");
}

#[test]
fn what_was_saved_of_lists_is_back_after_a_flush() {
    let Some(disk) = Disk::new("keep-lists") else { return };
    let owned = Owned::new(disk.start());
    owned.gateway.does("ban 198.51.100.9 --for 1h --reason scans");
    owned.gateway.does("ban 198.51.100.128/25 --for 1h");
    owned.gateway.does("save");
    let keeper = Keeper::of(&owned.gateway);
    flushed(&owned.gateway, &keeper);
    keeper.wait_for("2 entries of lists were put back");
    let bans = owned.gateway.does("list bans");
    for part in ["198.51.100.9", "scans", "198.51.100.128/25"] {
        assert!(bans.contains(part), "{part} in {bans}");
    }
    assert!(owned.gateway.is_sound());
}

#[test]
fn what_was_taken_back_does_not_return_after_a_flush() {
    let Some(disk) = Disk::new("keep-taken-back") else { return };
    let owned = Owned::new(disk.start());
    for line in
        ["ban 198.51.100.9 --for 1h", "allow 198.51.100.10 --for 1h", "grant main 198.51.100.11 --for 1h"]
    {
        owned.gateway.does(line);
    }
    owned.gateway.does("ban 203.0.113.7 --for 1h");
    owned.gateway.does("save");
    for line in ["unban 198.51.100.9", "disallow 198.51.100.10", "revoke 198.51.100.11"] {
        owned.gateway.does(line);
    }
    let keeper = Keeper::of(&owned.gateway);
    flushed(&owned.gateway, &keeper);
    keeper.wait_for("1 entries of lists were put back");
    let lists = owned.gateway.does("list");
    assert!(lists.contains("203.0.113.7") && !lists.contains("198.51.100."), "{lists}");
}

#[test]
fn what_packets_do_is_logged_and_counted_as_the_policy_says() {
    let (log, metrics) = ("/run/happened.json", "/run/metrics.sock");
    let policy = format!("{POLICY}\n[log]\nto = \"{log}\"\n\n[metrics]\nlisten = \"{metrics}\"\n");
    let Some((gateway, peer)) = pair(&policy) else { return };
    let _keeper = Keeper::of(&gateway);
    send(&peer, "10.9.0.2", &KNOCKS);
    send(&peer, "10.10.0.5", &[666, 4444]);
    let lines = wait_for("log", || {
        let text = gateway.sh(&format!("cat {log}")).stdout;
        (text.contains("\"ban\"") && text.contains("\"knocks\"")).then_some(text)
    });
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |event: &str, by: &str| {
        entries.iter().find(|entry| entry["event"] == event && entry["by"] == by).expect("an entry").clone()
    };
    assert_eq!(of("grant", "knocks")["source"], "10.9.0.2");
    assert_eq!(of("ban", "trap")["source"], "10.10.0.5");
    assert!(KNOCKS.iter().all(|port| !lines.contains(&port.to_string())), "{lines}");
    let path = format!("/proc/{}/root{metrics}", gateway.pid());
    let mut connection = UnixStream::connect(path).expect("keep listens");
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    assert!(answer.contains("\nknockgate_list_entries{list=\"banned\"} 1\n"), "{answer}");
}
