//! `knockgate apply`, `remove` and `status` on a machine of their own.

use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use serde_json::Value;

use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{KNOCKGATE, run};

/// A policy with something of every kind in it.
pub fn policy(window: &str, more: &str) -> String {
    format!(
        "outside = \"wan0\"\nallow = [\"192.0.2.200\"]\n\n[traps]\nports = [\"666/tcp\", \"4444/tcp\"]\n\n\
         [door.main]\nknock = [\"333/tcp\", \"777/udp\", \"888/tcp\"]\nopens = [\"22/tcp\", \"5000/udp\"]\n\
         window = \"{window}\"\n{more}"
    )
}

const ANOTHER_DOOR: &str =
    "\n[door.another]\nknock = [\"1333/tcp\", \"1777/udp\", \"1888/tcp\"]\nopens = \"8443/tcp\"\n";

/// A table of somebody else's, with everything in it that a careless program could disturb.
const SOMEBODY_ELSES: &str = "nft -f - <<'END'
table inet filter {
	set seen {
		type ipv4_addr
		flags dynamic,timeout
	}
	set grants4 {
		type ipv4_addr
		elements = { 192.0.2.77 }
	}
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 22 counter comment \"somebody else's\"
	}
}
table ip knockgate {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
add element inet filter seen { 192.0.2.1 timeout 1000s }
END";

fn gateway() -> Option<Gateway> {
    can_be_run(&NEEDED).then(Gateway::new)
}

/// Two more doors like that: who holds a grant of any of them is on a list of its own, for traps.
pub const TWO_MORE_DOORS: &str = "\n[door.second]\nknock = [\"2333/tcp\", \"2777/udp\", \"2888/tcp\"]\nopens = \"2443/tcp\"\n\
     \n[door.third]\nknock = [\"3333/tcp\", \"3777/udp\", \"3888/tcp\"]\nopens = \"3443/tcp\"\n";

/// The tag of door `main` in `grants4`, as a ruleset has it.
pub fn grant_tag(policy: &str) -> String {
    tag_of("grant main", policy)
}

/// The tag of a list.
fn tag_of(list: &str, policy: &str) -> String {
    let (policy, findings) = frontend::toml::parse(policy);
    let program = lower(&policy.unwrap_or_else(|| panic!("{findings:?}")));
    let list = program.lists().iter().find(|other| *other.name == *list).expect("a list of the policy");
    format!("0x{:08x}", list.timed.expect("a timed list").tag)
}

#[test]
fn applying_the_same_policy_again_changes_nothing() {
    let Some(gateway) = gateway() else { return };
    let text = policy("10s", "");
    assert_eq!(gateway.apply(&text), "<stdin>: 1 door in force\n");
    let before = gateway.ruleset();
    assert_eq!(gateway.apply(&text), "<stdin>: 1 door in force already, nothing changed\n");
    assert_eq!(gateway.ruleset(), before);
    let said = run(gateway.enter(KNOCKGATE).args(["apply", "-", "--format", "json"]), &text).expect(0);
    assert_eq!(said.json()["changed"], false);
}

#[test]
fn grants_bans_and_progress_survive_a_changed_policy_with_the_time_they_have_left() {
    let Some(gateway) = gateway() else { return };
    let (first, second) = (policy("10s", ""), policy("20s", ANOTHER_DOOR));
    let tag = grant_tag(&first);
    assert_eq!(grant_tag(&second), tag, "a door keeps its tag, whatever stands beside it");
    gateway.apply(&first);
    gateway.must(&format!(
        "nft add element inet knockgate grants4 {{ 198.51.100.7 . {tag} timeout 1000s }} &&
         nft add element inet knockgate grants6 {{ 2001:db8::7 . {tag} timeout 1000s }} &&
         nft add element inet knockgate banned4 {{ 198.51.100.8 timeout 900s }}"
    ));
    let map = |gateway: &Gateway| {
        let text = gateway.must("nft -t list maps inet");
        let name = text.split_whitespace().find(|word| word.starts_with("progress-")).expect("a track");
        name.trim_end_matches(['4', '6']).to_owned()
    };
    let track = map(&gateway);
    gateway.must(&format!(
        "nft add element inet knockgate {track}4 {{ 198.51.100.9 timeout 800s : 0x00000007 }}"
    ));
    let sets = [("set", "grants4", 1000), ("set", "grants6", 1000), ("set", "banned4", 900)];
    let said = gateway.apply(&second);
    assert_eq!(said, "<stdin>: 2 doors in force; grants and bans were kept\n");
    for (kind, name, timeout) in sets {
        let elements = gateway.elements(kind, name);
        let left = elements.values().next().copied();
        assert!(
            elements.len() == 1 && left.is_some_and(|left| left <= timeout && left > timeout - 100),
            "{name}: {elements:?}"
        );
    }
    // Another window is another track: progress is worth seconds, so it may begin anew. With the
    // same window it stays.
    gateway.apply(&policy("20s", ""));
    let track = map(&gateway);
    gateway.must(&format!(
        "nft add element inet knockgate {track}4 {{ 198.51.100.9 timeout 800s : 0x00000007 }}"
    ));
    gateway.apply(&policy("20s", "grant = \"1m\"\n"));
    assert_eq!(gateway.elements("map", &format!("{track}4")).len(), 1);
    assert_eq!(gateway.elements("set", "grants4").len(), 1);
}

#[test]
fn status_shows_grants_bans_and_their_time() {
    let Some(gateway) = gateway() else { return };
    let none = gateway.knockgate(&["status"]).expect(0);
    assert_eq!(none.stdout, "no policy is in force\n");
    let text = policy("10s", "");
    gateway.apply(&text);
    let tag = grant_tag(&text);
    gateway.must(&format!(
        "nft add element inet knockgate grants4 {{ 198.51.100.7 . {tag} timeout 1000s }} &&
         nft add element inet knockgate banned4 {{ 198.51.100.8 timeout 900s }}"
    ));
    let said = gateway.knockgate(&["status"]).expect(0).stdout;
    for part in
        ["policy <stdin> is in force", "main", "22/tcp, 5000/udp", "198.51.100.7", "198.51.100.8", "s left"]
    {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    assert!(!said.contains("333") && !said.contains('\x1b'), "knocks are secret: {said}");
    let json = gateway.knockgate(&["status", "--format", "json"]).expect(0).json();
    assert_eq!((&json["policy"], &json["changed_since_apply"]), (&"<stdin>".into(), &false.into()));
    assert_eq!(json["grants"][0]["source"], "198.51.100.7");
    assert_eq!(json["banned"][0]["source"], "198.51.100.8");
    assert!(json["grants"][0]["left_s"].as_u64().is_some_and(|left| (900..=1000).contains(&left)), "{json}");
}

#[test]
fn who_holds_a_grant_is_spared_by_traps_whatever_policy_made_it() {
    let Some(gateway) = gateway() else { return };
    let (few, many) = (policy("10s", ""), policy("10s", TWO_MORE_DOORS));
    gateway.apply(&few);
    gateway.apply(&policy("10s", ANOTHER_DOOR));
    for source in ["198.51.100.7", "2001:db8::7"] {
        for (door, time) in [("another", "20s"), ("main", "10m")] {
            gateway.knockgate(&["grant", door, source, "--for", time]).expect(0);
        }
    }
    let many = many + ANOTHER_DOOR;
    gateway.apply(&many);
    for (set, source) in [("guests4", "198.51.100.7"), ("guests6", "2001:db8::7")] {
        let guests = gateway.elements("set", set);
        let (key, left) = guests.iter().next().expect("a guest");
        assert!(key.contains(source) && (500..=600).contains(left) && guests.len() == 1, "{guests:?}");
    }
    // For as long as the longest of the grants, and not only as there was an entry.
    gateway.must("nft flush set inet knockgate guests4");
    let tag = |list: &str| tag_of(list, &many);
    gateway.must(&format!(
        "nft add element inet knockgate guests4 '{{ 198.51.100.7 . {} timeout 9s }}'",
        tag("guest 30s")
    ));
    gateway.apply(&format!("{many}# The same, said anew.\n"));
    assert!(gateway.elements("set", "guests4").values().all(|left| (500..=600).contains(left)));
    // And by the grants themselves.
    gateway.apply(&few);
    assert!(!gateway.ruleset().contains("guests4") && gateway.elements("set", "grants4").len() == 2);
}

#[test]
fn members_of_a_set_that_has_to_be_made_anew_are_carried_over() {
    let Some(gateway) = gateway() else { return };
    let text = policy("10s", "");
    let tag = grant_tag(&text);
    // As an older release might have left them: without a size, or for another kind of key.
    gateway.must(&format!(
        "nft -f - <<'END'
table inet knockgate {{
	set banned4 {{
		type ipv4_addr
		flags dynamic,timeout
	}}
	set grants4 {{
		type ipv4_addr . classid
		flags dynamic,timeout
	}}
	set grants6 {{
		type ipv6_addr
		size 10
		flags dynamic,timeout
	}}
	map progress-10s4 {{
		type ipv4_addr : mark
		flags timeout
	}}
	map gone4 {{
		type ipv4_addr : mark
		flags dynamic,timeout
	}}
	chain forgotten {{
		ip saddr @banned4 drop
		meta mark set ip saddr map @gone4
	}}
}}
add element inet knockgate banned4 {{ 198.51.100.8 timeout 2000s expires 1000s, 198.51.100.9 timeout 300s }}
add element inet knockgate grants4 {{ 198.51.100.7 . {tag} timeout 2000s expires 900s }}
add element inet knockgate grants6 {{ 2001:db8::7 timeout 2000s }}
add element inet knockgate progress-10s4 {{ 198.51.100.6 timeout 800s : 0x00000007 }}
END"
    ));
    let said = gateway.apply(&text);
    assert_eq!(said, "<stdin>: 1 door in force; grants and bans were kept\n");
    let left = |kind: &str, set: &str| gateway.elements(kind, set).into_values().collect::<Vec<_>>();
    assert!(matches!(left("set", "banned4")[..], [200..=300, 900..=1000] | [900..=1000, 200..=300]));
    assert!(matches!(left("set", "grants4")[..], [800..=900]), "{:?}", left("set", "grants4"));
    assert!(left("set", "grants6").is_empty(), "a grant of no door cannot be carried over");
    assert!(matches!(left("map", "progress-10s4")[..], [700..=800]), "{}", gateway.ruleset());
    let ruleset = gateway.ruleset();
    assert!(!ruleset.contains("forgotten") && !ruleset.contains("gone4"), "{ruleset}");
    assert_eq!(gateway.apply(&text), "<stdin>: 1 door in force already, nothing changed\n");
}

#[test]
fn tables_of_others_are_as_they_were_and_remove_leaves_no_trace() {
    let Some(gateway) = gateway() else { return };
    gateway.must(SOMEBODY_ELSES);
    // Their elements expire, so times are left out where whole texts are compared.
    let others = |gateway: &Gateway| {
        ["inet filter", "ip knockgate"].map(|table| gateway.must(&format!("nft -s list table {table}")))
    };
    let all = |gateway: &Gateway| gateway.must("nft -s list ruleset");
    let (before, all_before) = (others(&gateway), all(&gateway));
    for text in [policy("10s", ""), policy("20s", ANOTHER_DOOR)] {
        gateway.apply(&text);
        assert_eq!(others(&gateway), before);
    }
    assert!(gateway.must("ls /run/knockgate/*").contains("applied"));
    assert_eq!(gateway.knockgate(&["remove"]).expect(0).stdout, "removed: every port is as it was before\n");
    assert_eq!(all(&gateway), all_before);
    assert_eq!(gateway.must("ls /run"), "");
    assert_eq!(gateway.knockgate(&["remove"]).expect(0).stdout, "nothing to remove\n");
    assert_eq!((all(&gateway), gateway.must("ls /run").as_str()), (all_before, ""));
    assert_eq!(gateway.elements_of_others(), 1);
}

impl Gateway {
    fn elements_of_others(&self) -> usize {
        let text = self.must("nft -j list set inet filter seen");
        let answer: Value = serde_json::from_str(&text).expect("JSON of nft");
        answer["nftables"][1]["set"]["elem"].as_array().map_or(0, Vec::len)
    }
}

#[test]
fn notes_hold_secrets_so_only_root_reads_them() {
    let Some(gateway) = gateway() else { return };
    gateway.apply(&policy("10s", ""));
    let modes = gateway.must("find /run/knockgate -type f -printf '%m %f\\n' | sort");
    assert_eq!(modes, "600 applied\n600 lock\n");
}

#[test]
fn what_was_changed_by_hand_is_reported_and_repaired() {
    let Some(gateway) = gateway() else { return };
    let text = policy("10s", "");
    gateway.apply(&text);
    let sound = gateway.ruleset();
    for change in [
        "nft insert rule inet knockgate input tcp dport 23 accept",
        "nft add rule inet knockgate about accept",
        "nft flush chain inet knockgate input",
        "nft flush chain inet knockgate about",
        "nft add element inet knockgate allow4 { 198.51.100.0/24 }",
        "nft delete element inet knockgate ports.1 { tcp . 22 }",
        "nft add set inet knockgate more '{ type ipv4_addr; }'",
        "nft add chain inet knockgate hooked '{ type filter hook input priority -300; policy drop; }'",
    ] {
        gateway.must(change);
        let said = gateway.knockgate(&["status"]).expect(1).stdout;
        assert!(said.contains("changed by somebody else"), "after `{change}`: {said}");
        let json = gateway.knockgate(&["status", "--format", "json"]).expect(1).json();
        assert_eq!(json["changed_since_apply"], true);
        gateway.apply(&text);
        assert_eq!(gateway.ruleset(), sound, "after `{change}`");
        gateway.knockgate(&["status"]).expect(0);
    }
    gateway.must("nft delete table inet knockgate");
    gateway.knockgate(&["status"]);
    gateway.apply(&text);
    assert_eq!(gateway.ruleset(), sound, "after the whole table was taken away");
    gateway.must("rm -r /run/knockgate");
    let said = gateway.knockgate(&["status"]).expect(1).stdout;
    assert!(said.contains("apply the policy again"), "{said}");
    gateway.apply(&text);
    assert_eq!(gateway.ruleset(), sound, "after the notes were taken away");
    gateway.knockgate(&["status"]).expect(0);
}

#[test]
fn a_table_that_was_deleted_by_hand_is_drift() {
    let Some(gateway) = gateway() else { return };
    gateway.apply(&policy("10s", ""));
    gateway.must("nft delete table inet knockgate");
    let said = gateway.knockgate(&["status"]).expect(1).stdout;
    assert!(said.contains("its table is gone"), "{said}");
    let json = gateway.knockgate(&["status", "--format", "json"]).expect(1).json();
    assert_eq!((&json["policy"], &json["changed_since_apply"]), (&"<stdin>".into(), &true.into()));
}

#[test]
fn a_policy_with_errors_leaves_everything_as_it_is() {
    let Some(gateway) = gateway() else { return };
    gateway.apply(&policy("10s", ""));
    let before = gateway.ruleset();
    let said = gateway.try_apply("outside = 3\n").expect(1);
    assert!(said.stderr.contains("error[P003]"), "{said:#?}");
    run(gateway.enter(KNOCKGATE).args(["apply", "/nonexistent"]), "").expect(2);
    assert_eq!(gateway.ruleset(), before);
}

#[test]
fn more_members_than_a_smaller_list_may_have_are_kept() {
    let Some(gateway) = gateway() else { return };
    let with_sources = |sources: u32| format!("sources = {sources}\n{}", policy("10s", ""));
    gateway.apply(&with_sources(1000));
    let many: Vec<String> = (1..100).map(|n| format!("198.51.100.{n} timeout 1000s")).collect();
    gateway.must(&format!("nft add element inet knockgate banned4 {{ {} }}", many.join(", ")));
    gateway.apply(&with_sources(16));
    assert_eq!(gateway.elements("set", "banned4").len(), 99);
    assert!(gateway.must("nft -t list set inet knockgate banned4").contains("size 16"));
    gateway.apply(&with_sources(2000));
    assert_eq!(gateway.elements("set", "banned4").len(), 99);
}

#[test]
fn every_example_can_be_put_in_force() {
    let Some(gateway) = gateway() else { return };
    for (path, _) in crate::compile::examples() {
        gateway.knockgate(&["apply", "--no-trial", &path]).expect(0);
        gateway.knockgate(&["status"]).expect(0);
        let said = gateway.knockgate(&["apply", "--no-trial", &path]).expect(0).stdout;
        assert!(said.ends_with("nothing changed\n"), "{path}: {said}");
    }
}
