//! What `knockgate save` and `restore` carry over a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use knockgate_compiler::hash::fnv1a_64;
use serde_json::Value;

use crate::apply::{TWO_MORE_DOORS, policy};
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::owner::{OTHER, OWNER, Owned, SERVICE};
use crate::program::{Folder, wait_for};

/// A disk that machines come up with, one after another.
pub struct Disk(Folder);

impl Disk {
    pub fn new(name: &str) -> Option<Self> {
        can_be_run(&NEEDED).then(|| Self(Folder::new(name)))
    }

    pub fn start(&self) -> Gateway {
        Gateway::machine(self.0.path())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("knockgate/holdings")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("something was saved")
    }

    /// Changes what was saved, and makes the file whole again.
    fn change(&self, change: impl FnOnce(&str) -> String) {
        let text = self.text();
        let (body, _) = text.rsplit_once("end ").expect("a last line");
        let body = change(body);
        let whole = format!("{body}end {:016x}\n", fnv1a_64(body.as_bytes()));
        fs::write(self.file(), whole).expect("a file of ours");
    }

    /// As if the machine had been off from this moment of its clock on until now.
    fn saved_at(&self, unix_ms: u64) {
        self.change(|body| {
            let (before, rest) = body.split_once("saved ").expect("when it was saved");
            let (_, rest) = rest.split_once('\n').expect("more lines");
            format!("{before}saved {unix_ms} 5000 00000000-another-start\n{rest}")
        });
    }
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("not so late")
}

impl Gateway {
    #[track_caller]
    pub fn does(&self, line: &str) -> String {
        self.knockgate(&line.split(' ').collect::<Vec<_>>()).expect(0).stdout
    }

    /// Who is on one of the lists: source, whole seconds left, reason.
    fn rows(&self, what: &str) -> Vec<(String, u64, Option<String>)> {
        let json = self.knockgate(&["list", what, "--format", "json"]).expect(0).json();
        let row = |row: &Value| {
            let text = |key: &str| row[key].as_str().map(str::to_owned);
            (text("source").expect("a source"), row["left_s"].as_u64().expect("a time"), text("reason"))
        };
        json[what]["entries"].as_array().expect("rows").iter().map(row).collect()
    }

    fn sources_of(&self, what: &str) -> Vec<String> {
        let mut sources: Vec<_> = self.rows(what).into_iter().map(|(source, ..)| source).collect();
        sources.sort();
        sources
    }

    /// What the rules have counted, by what they are.
    fn counted(&self) -> Vec<(String, u64)> {
        let status = self.knockgate(&["status", "--format", "json"]).expect(0).json();
        let rules = status["rules"].as_array().expect("rules").iter();
        rules
            .map(|rule| {
                (rule["rule"].as_str().expect("a text").to_owned(), rule["packets"].as_u64().expect(""))
            })
            .collect()
    }
}

#[test]
fn bans_of_traps_go_on_after_a_restart_and_the_next_ones_are_longer() {
    let Some(disk) = Disk::new("restart-traps") else { return };
    let owned = Owned::new(disk.start());
    for trap in [666, 4444] {
        assert!(owned.try_connect(OTHER, trap).is_none());
    }
    owned.knock();
    assert!(owned.try_connect(OWNER, SERVICE).is_some());
    assert_eq!(owned.gateway.sources_of("bans"), [OTHER.to_string()]);
    let counted = owned.gateway.counted();
    assert!(counted.iter().any(|(_, packets)| *packets > 0), "{counted:?}");
    let said = owned.gateway.does("save");
    assert!(said.starts_with("saved ") && said.contains(" entries of lists"), "{said}");
    let mode = fs::metadata(disk.file()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for secret in ["333", "777", "888"] {
        assert!(!disk.text().contains(&format!("{secret}/")), "{secret} in {}", disk.text());
    }
    drop(owned);

    let gateway = disk.start();
    let said = gateway.does("restore");
    assert!(said.starts_with("<stdin> is in force; ") && said.contains("were not to be kept"), "{said}");
    assert_eq!(gateway.counted(), counted, "rules go on counting");
    assert_eq!(gateway.rows("grants"), [], "grants are dropped");
    let [(source, left, _)] = &gateway.rows("bans")[..] else { panic!("one ban") };
    assert!(*source == OTHER.to_string() && (30..60).contains(left), "{source} for {left} s");
    let owned = Owned::connect(gateway);
    assert!(owned.try_connect(OWNER, SERVICE).is_none(), "no grant is left");
    owned.gateway.must(&format!("nft delete element inet knockgate banned4 {{ {OTHER} }}"));
    assert!(owned.try_connect(OTHER, 666).is_none());
    // The first packet of a new machine may have to wait for its neighbour's address.
    let bans =
        wait_for("ban after one touch", || Some(owned.gateway.rows("bans")).filter(|bans| !bans.is_empty()));
    let [(_, left, _)] = &bans[..] else { panic!("one ban: {bans:?}") };
    assert!((90..120).contains(left), "twice as long as the first: {left} s");
    assert!(owned.gateway.counted().iter().zip(&counted).any(|(now, then)| now.1 > then.1));
    owned.is_back();
}

#[test]
fn each_of_the_doors_whose_rules_are_written_once_goes_on_counting() {
    let Some(disk) = Disk::new("restart-doors") else { return };
    let owned = Owned::new(disk.start());
    owned.gateway.apply(&policy(
        "10s",
        "\n[door.another]\nknock = [\"1333/tcp\", \"1777/udp\", \"1888/tcp\"]\n\
         opens = [\"8443/tcp\", \"9443/tcp\"]\nwindow = \"10s\"\n",
    ));
    let ruleset = owned.gateway.ruleset();
    assert!(ruleset.contains("door main: granted sources to 22/tcp, and 3 like it"), "{ruleset}");
    owned.knock();
    // Who is not let in is looked up too.
    assert!(owned.try_connect(OTHER, SERVICE).is_none());
    let _connection = owned.try_connect(OWNER, SERVICE).expect("it knocked");
    let counted = owned.gateway.counted();
    for (name, times) in [("main", 1), ("another", 0)] {
        for knock in 1..=3 {
            let rule = (format!("door {name}: knock {knock} of 3"), times);
            assert!(counted.contains(&rule), "{rule:?} is not in {counted:?}");
        }
    }
    for (service, times) in
        [("door main: granted sources to 22/tcp", 1), ("door main: granted sources to 5000/udp", 0)]
    {
        let rule = (service.to_owned(), times);
        assert!(counted.contains(&rule), "{rule:?} is not in {counted:?}");
    }
    owned.gateway.does("save");
    drop(owned);
    let gateway = disk.start();
    gateway.does("restore");
    assert_eq!(gateway.counted(), counted);
}

#[test]
fn what_was_done_by_hand_comes_back_with_its_reasons_and_the_time_that_is_left() {
    let Some(disk) = Disk::new("restart-hand") else { return };
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    let reason = "scans {all} day, says \u{e4}";
    gateway.knockgate(&["ban", "198.51.100.0/24", "--for", "2h", "--reason", reason]).expect(0);
    for line in [
        "ban 203.0.113.9 --for 30m",
        "ban 2001:db8::7 --for 1h",
        "ban 224.0.0.0/3 --for 1h --force",
        "ban 192.0.2.1 --for 90s",
        "allow 192.0.2.8/29 --for 1d",
        "grant main 192.0.2.77 --for 1h",
    ] {
        gateway.does(line);
    }
    let (bans, allowed) = (gateway.rows("bans"), gateway.rows("allowed"));
    assert!(bans.len() == 5 && allowed.len() == 1, "{bans:?} {allowed:?}");
    gateway.does("save");
    drop(gateway);
    // A hundred seconds without power.
    disk.saved_at(unix_ms() - 100_000);
    let gateway = disk.start();
    let said = gateway.does("restore");
    assert!(said.contains(" 1 had run out"), "{said}");
    let after = gateway.rows("bans");
    for (source, left, reason) in bans.iter().filter(|(source, ..)| source != "192.0.2.1") {
        let found = after.iter().find(|(other, ..)| other == source);
        let (_, now, why) = found.unwrap_or_else(|| panic!("{source} is not in {after:?}"));
        assert!((left - 130..=left - 100).contains(now), "{source}: {left} s, then {now} s");
        assert_eq!(why, reason);
    }
    assert_eq!(after.len(), bans.len() - 1, "{after:?}");
    assert_eq!(gateway.sources_of("allowed"), ["192.0.2.8/29"]);
    assert_eq!(gateway.rows("grants"), []);
    // Intervals are ours again, as those that were said.
    gateway.does("unban 198.51.100.0/24");
    gateway.does("disallow 192.0.2.8/29");
}

#[test]
fn the_policy_says_what_outlives_a_restart() {
    let Some(disk) = Disk::new("restart-fates") else { return };
    for (bans, grants) in [("drop", "keep"), ("keep", "drop")] {
        let gateway = disk.start();
        let fates = format!("\n[restart]\nbans = \"{bans}\"\ngrants = \"{grants}\"\n");
        gateway.apply(&policy("10s", &(TWO_MORE_DOORS.to_owned() + &fates)));
        gateway.does("ban 198.51.100.7 --for 1h");
        gateway.does("grant main 192.0.2.77 --for 1h");
        gateway.does("grant main 2001:db8::7 --for 1h");
        gateway.does("save");
        drop(gateway);
        let gateway = disk.start();
        gateway.does("restore");
        let kept =
            |fate: &str, sources: &[&str]| if fate == "keep" { sources.to_vec() } else { vec![] }.join(" ");
        assert_eq!(gateway.sources_of("bans").join(" "), kept(bans, &["198.51.100.7"]));
        assert_eq!(gateway.sources_of("grants").join(" "), kept(grants, &["192.0.2.77", "2001:db8::7"]));
        let guests = gateway.elements("set", "guests4").len();
        assert_eq!(guests, usize::from(grants == "keep"), "who holds a grant is banned by no trap");
    }
}

#[test]
fn a_clock_that_is_behind_prolongs_nothing_and_one_that_is_ahead_ends_what_it_must() {
    let Some(disk) = Disk::new("restart-clock") else { return };
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    gateway.does("ban 198.51.100.7 --for 1h");
    gateway.does("save");
    drop(gateway);
    for (saved_at, left) in [(unix_ms() + 86_400_000, 3540..3600), (unix_ms() - 3_000_000, 540..600)] {
        disk.saved_at(saved_at);
        let gateway = disk.start();
        gateway.does("restore");
        let [(_, now, _)] = &gateway.rows("bans")[..] else { panic!("one ban") };
        assert!(left.contains(now), "{now} s are left, not {left:?}");
    }
    disk.saved_at(unix_ms() - 4_000_000);
    let gateway = disk.start();
    assert!(gateway.does("restore").contains("; 0 entries of lists put back, 1 had run out"));
    assert_eq!(gateway.rows("bans"), []);
}

#[test]
fn lists_are_told_by_their_names_when_the_policy_has_changed_and_none_gets_more_than_it_may_hold() {
    let Some(disk) = Disk::new("restart-changed") else { return };
    let kept = disk.start();
    kept.apply(&policy("10s", ""));
    kept.must(
        "nft add element inet knockgate banned4 { $(seq -s, 1 200 | sed 's/[0-9]*/198.51.100.& timeout 1h/g') }",
    );
    kept.does("ban 203.0.113.9 --for 30m");
    kept.does("save");
    let saved = disk.text();
    kept.does("remove");
    assert!(!disk.file().exists(), "nothing of it is left");
    // Other rules that a restart comes up with, with less room.
    kept.apply(&policy("20s", "").replace("allow =", "sources = 64\nallow ="));
    fs::write(disk.file(), saved).expect("a file of ours");
    drop(kept);
    let gateway = disk.start();
    let said = gateway.does("restore");
    assert!(said.contains("; 65 entries of lists put back") && said.contains(" 136 found no room"), "{said}");
    assert_eq!(gateway.rows("bans").len(), 65);
    assert!(gateway.counted().iter().all(|(_, packets)| *packets == 0), "these rules have counted nothing");
}

#[test]
fn newer_lists_are_never_overwritten_by_saved_ones() {
    let Some(disk) = Disk::new("restart-newer") else { return };
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    gateway.does("ban 198.51.100.7 --for 1h");
    gateway.does("ban 198.51.100.8 --for 1h");
    gateway.does("save");
    gateway.does("unban 198.51.100.7");
    gateway.does("ban 198.51.100.8 --for 10h");
    let before = gateway.rows("bans");
    assert_eq!(gateway.does("restore"), "<stdin> is in force\n");
    assert_eq!(gateway.sources_of("bans"), ["198.51.100.8"]);
    assert!(gateway.rows("bans")[0].1 + 60 > before[0].1);
    // Who takes all rules away takes the lists too: nobody saves that they are empty.
    let saved = disk.text();
    gateway.must("nft flush ruleset");
    assert!(gateway.does("save").contains("what was saved before stays"));
    assert_eq!(disk.text(), saved);
    assert!(gateway.does("restore").contains("; 1 entry of lists put back"));
    assert_eq!(gateway.sources_of("bans"), ["198.51.100.8"]);
}

#[test]
fn a_restore_that_was_killed_halfway_is_finished_by_the_next_one() {
    let Some(disk) = Disk::new("restart-killed") else { return };
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    for host in 1..20 {
        gateway.does(&format!("ban 198.51.100.{host} --for 1h"));
    }
    gateway.does("save");
    let saved = disk.text();
    // The rules are there, and some of the bans; one of them is newer.
    gateway.must(
        "touch $(echo /run/knockgate/*/)holdings-due && nft flush set inet knockgate banned-by-hand.single4",
    );
    gateway.does("ban 198.51.100.3 --for 5h");
    gateway.does("ban 198.51.100.4 --for 5h");
    assert!(gateway.does("save").contains("what was saved before stays"));
    assert_eq!(disk.text(), saved);
    let said = gateway.does("restore");
    assert!(said.contains("; 17 entries of lists put back, 2 were there already"), "{said}");
    let bans = gateway.rows("bans");
    assert_eq!((bans.len(), bans.iter().filter(|(_, left, _)| *left > 4 * 3600).count()), (19, 2));
    gateway.does("save");
}

#[test]
fn a_damaged_file_is_told_in_one_line_and_the_rules_come_all_the_same() {
    let Some(disk) = Disk::new("restart-damaged") else { return };
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    gateway.does("ban 198.51.100.7 --for 1h");
    gateway.does("save");
    drop(gateway);
    let whole = fs::read(disk.file()).expect("it was saved");
    let cut = whole[..whole.len() / 2].to_vec();
    let changed: Vec<u8> = whole.iter().map(|byte| if *byte == b'7' { b'8' } else { *byte }).collect();
    let endless = vec![b'x'; 1 << 20];
    for (text, what) in [
        (vec![], "empty"),
        (cut, "cut off"),
        (changed, "changed"),
        (vec![0xff; 99], "no text"),
        (endless, "a line"),
    ] {
        fs::write(disk.file(), text).expect("a file of ours");
        let gateway = disk.start();
        let said = gateway.knockgate(&["restore"]).expect(1);
        assert_eq!(said.stdout, "<stdin> is in force\n", "{what}");
        assert!(said.stderr.contains("/var/lib/knockgate/holdings is damaged"), "{what}: {said:#?}");
        assert_eq!(said.stderr.lines().count(), 1, "{what}: {said:#?}");
        assert_eq!(gateway.rows("bans"), [], "{what}");
        let json = gateway.knockgate(&["status", "--format", "json"]).expect(0).json();
        assert_eq!(json["changed_since_apply"], false, "{what}");
        gateway.does("save");
    }
    let gateway = disk.start();
    gateway.does("restore");
    let owned = Owned::connect(gateway);
    owned.is_back();
}

#[test]
fn what_a_restart_cannot_find_again_is_not_saved() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    assert!(gateway.does("save").contains("no lists are in force"));
    gateway.apply(&policy("10s", ""));
    let said = gateway.knockgate(&["save"]).expect(2);
    assert!(said.stderr.contains("is not the one that the machine starts with"), "{said:#?}");
}

#[test]
fn saves_and_applies_at_once_leave_a_whole_file() {
    let Some(disk) = Disk::new("restart-at-once") else { return };
    let gateway = &disk.start();
    let policies = ["10s", "20s"].map(|window| policy(window, ""));
    gateway.apply(&policies[0]);
    gateway.does("ban 198.51.100.7 --for 1h");
    gateway.does("save");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let said = gateway.knockgate(&["save"]);
                    let hindered =
                        ["were changed while", "there is no set"].iter().any(|why| said.stderr.contains(why));
                    assert!(said.code == Some(0) || (said.code == Some(2) && hindered), "{said:#?}");
                }
            });
        }
        for policy in policies.iter().cycle().take(6) {
            gateway.apply(policy);
        }
    });
    gateway.does("save");
    gateway.must("nft flush ruleset");
    assert!(gateway.does("restore").contains("; 1 entry of lists put back"));
    assert_eq!(gateway.sources_of("bans"), ["198.51.100.7"]);
    gateway.does("remove");
    assert_eq!(gateway.sh("ls -d /run/knockgate /var/lib/knockgate").stdout, "", "nothing is left");
}

#[test]
fn an_apply_after_a_flush_puts_back_what_was_saved() {
    let Some(disk) = Disk::new("restart-flushed") else { return };
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    gateway.does("ban 198.51.100.9 --for 1h");
    gateway.does("save");
    let saved = disk.text();
    gateway.must("nft flush ruleset");
    gateway.apply(&policy("10s", ""));
    assert_eq!(gateway.sources_of("bans"), ["198.51.100.9"]);
    gateway.does("save");
    let bans = |text: &str| text.lines().filter(|line| line.contains("198.51.100.9")).count();
    assert_eq!((bans(&saved), bans(&disk.text())), (1, 1));
}
