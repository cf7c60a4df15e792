//! `knockgate apply` as a trial, and how it ends.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use serde_json::Value;

use crate::apply::{grant_tag, policy};
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::owner::{GATEWAY, OTHER, OWNER, Owned, SERVICE, session_of};
use crate::program::{Folder, KNOCKGATE, Said, run, wait_for};
use crate::refusals::with_nft;

fn owned() -> Option<Owned> {
    can_be_run(&NEEDED).then(|| Owned::new(Gateway::new()))
}

/// Another policy with the door of the confirmed one.
fn changed() -> String {
    policy("20s", "")
}

impl Owned {
    /// A connection to the service that its door let in.
    fn granted(&self) -> TcpStream {
        self.knock();
        self.try_connect(OWNER, SERVICE).expect("the door is open")
    }

    /// What is written down of the trial.
    fn record(&self) -> Value {
        serde_json::from_str(&self.gateway.must("cat /run/knockgate/*/trial")).expect("JSON")
    }

    fn kill_watchdog(&self) {
        let watchdog = format!("{KNOCKGATE} watchdog {}", self.record()["id"].as_str().expect("an id"));
        self.gateway.must(&format!("kill -KILL $(pgrep -f -x '{watchdog}')"));
    }

    #[track_caller]
    fn refuses(&self, session: &TcpStream, why: &str) {
        let said = self.over(session, &["confirm"], "").expect(2);
        assert!(said.stderr.contains(why), "`{why}` in {said:#?}");
    }
}

#[test]
fn who_was_there_before_cannot_confirm_and_who_knocks_anew_can() {
    let Some(owned) = owned() else { return };
    let old = owned.granted();
    let tag = grant_tag(&Owned::confirmed());
    let said = owned.over(&old, &["apply", "--trial", "1m", "-"], &changed()).expect(0);
    assert!(
        said.stdout.contains("in force on trial") && said.stdout.contains("knockgate confirm"),
        "{said:#?}"
    );
    owned.refuses(&old, "is older than the policy");
    // Not even where sudo took the variable away, for the shell above has it.
    let mut command = owned.gateway.enter("env");
    command.args([&session_of(&old), "sh", "-c", "env -u SSH_CONNECTION \"$0\" confirm; exit $?", KNOCKGATE]);
    let said = run(&mut command, "").expect(2);
    assert!(said.stderr.contains("is older than the policy"), "{said:#?}");
    let said = owned.over(&old, &["confirm", "--local"], "").expect(2);
    assert!(said.stderr.contains("`--local` is for a console"), "{said:#?}");
    // The grant was kept, so the policy lets a new connection in.
    assert_eq!(owned.gateway.elements("set", "grants4").len(), 1, "the grant with tag {tag}");
    let new = owned.try_connect(OWNER, SERVICE).expect("granted");
    assert_eq!(owned.over(&new, &["confirm"], "").expect(0).stdout, "<stdin>: confirmed\n");
    let status = owned.gateway.knockgate(&["status", "--format", "json"]).expect(0).json();
    assert!(status["trial"]["running"].is_null() && status["trial"]["ended"].is_null(), "{status}");
    owned.refuses(&new, "no policy is on trial");
}

#[test]
fn who_is_let_in_only_for_the_trial_cannot_confirm_and_is_not_let_in_afterwards() {
    let Some(owned) = owned() else { return };
    let old = owned.granted();
    assert!(owned.try_connect(OTHER, SERVICE).is_none(), "nobody else is granted");
    owned.over(&old, &["apply", "--trial", "1m", "-"], &Owned::lockout()).expect(0);
    let rescued = owned.try_connect(OWNER, SERVICE).expect("it is rescued");
    owned.refuses(&rescued, "was let in only because you try the policy out");
    owned.refuses(&old, "is older than the policy");
    assert!(owned.try_connect(OTHER, SERVICE).is_none(), "nobody else is rescued");
    let listener =
        crate::traffic::inside(owned.gateway.pid(), || std::net::TcpListener::bind("10.9.0.1:8080"));
    let _listener = listener.expect("a free port");
    assert!(owned.try_connect(OWNER, 8080).is_none(), "no other port is open to them");
    let rules = owned.gateway.knockgate(&["status", "--format", "json"]).expect(0).json()["rules"].clone();
    let rescue = rules.as_array().unwrap().iter().find(|rule| rule["rule"] == "who tries this policy out");
    assert!(rescue.is_some_and(|rule| rule["packets"] == 1), "{rules}");
    owned.gateway.knockgate(&["ban", "--force", &OWNER.to_string()]).expect(0);
    assert!(owned.try_connect(OWNER, SERVICE).is_none(), "a ban by hand outranks the rescue");
    owned.gateway.knockgate(&["unban", &OWNER.to_string()]).expect(0);
    owned.gateway.knockgate(&["rollback"]).expect(0);
    owned.is_back();
    // The same where connections to that port are dropped early.
    let early = format!("early-drop = true\n{}", Owned::lockout());
    owned.over(&old, &["apply", "--trial", "1m", "-"], &early).expect(0);
    let rescued = owned.try_connect(OWNER, SERVICE).expect("it is rescued");
    owned.refuses(&rescued, "was let in only because you try the policy out");
    assert!(owned.try_connect(OTHER, SERVICE).is_none(), "nobody else is rescued");
    owned.gateway.knockgate(&["rollback"]).expect(0);
    owned.is_back();
    // The same over the policy that is kept.
    owned.over(&old, &["apply", "--trial", "1m", "-"], &changed()).expect(0);
    owned.try_connect(OWNER, SERVICE).expect("rescued again");
    let new = owned.granted();
    owned.over(&new, &["confirm"], "").expect(0);
    for set in ["rescue4", "rescued4"] {
        assert_eq!(owned.gateway.elements("set", set).len(), 0, "{set}");
    }
    assert!(owned.works());
}

#[test]
fn a_connection_that_does_not_stand_here_shows_nothing() {
    let Some(owned) = owned() else { return };
    let gone = owned.granted();
    let variable = session_of(&gone);
    drop(gone);
    owned.try_out(&changed(), "1m").expect(0);
    let confirm = |arguments: &[&str]| {
        run(owned.gateway.enter("env").args([&variable, KNOCKGATE, "confirm"]).args(arguments), "")
    };
    let said = confirm(&[]).expect(2);
    assert!(said.stderr.contains("no such connection stands"), "{said:#?}");
    let said = confirm(&["--local"]).expect(0);
    assert!(said.stderr.contains("nothing shows that the policy lets you in"), "{said:#?}");
}

#[test]
fn a_connection_that_never_left_the_machine_shows_nothing() {
    let Some(owned) = owned() else { return };
    owned.try_out(&Owned::lockout(), "1m").expect(0);
    let inside = crate::traffic::inside(owned.gateway.pid(), || TcpStream::connect((GATEWAY, SERVICE)));
    let inside = inside.expect("packets of its own are let in");
    owned.refuses(&inside, "never left this machine");
    owned.over(&inside, &["confirm", "--local"], "").expect(0);
}

#[test]
fn without_a_session_only_local_confirms() {
    if !can_be_run(&NEEDED) {
        return;
    }
    // A machine of its own: no session of who runs this test is an ancestor there.
    let disk = Folder::new("local");
    let gateway = Gateway::machine(disk.path());
    run(gateway.enter(KNOCKGATE).args(["apply", "-"]), &policy("10s", "")).expect(0);
    let said = gateway.knockgate(&["confirm"]).expect(2);
    assert!(said.stderr.contains("this is no ssh session") && said.stderr.contains("--local"), "{said:#?}");
    gateway.knockgate(&["confirm", "--local"]).expect(0);
    gateway.knockgate(&["status"]).expect(0);
    gateway.knockgate(&["confirm", "--local"]).expect(2);
}

#[test]
fn a_policy_that_is_not_confirmed_takes_itself_back_and_keeps_grants_and_bans() {
    let Some(owned) = owned() else { return };
    let tag = grant_tag(&Owned::confirmed());
    let said = owned.try_out(&changed(), "2s").expect(0);
    assert!(said.stdout.contains("in force on trial; grants and bans were kept"), "{said:#?}");
    owned.gateway.must(&format!(
        "nft add element inet knockgate grants4 {{ 198.51.100.7 . {tag} timeout 1000s }} &&
         nft add element inet knockgate banned4 {{ 198.51.100.8 timeout 900s }}"
    ));
    let told = owned.gateway.knockgate(&["status"]).expect(0).stdout;
    assert!(told.contains("<stdin> is on trial until") && told.contains("knockgate confirm"), "{told}");
    wait_for("end", || owned.gateway.sh("ls /run/knockgate/*/ended").code.filter(|code| *code == 0));
    let told = owned.gateway.knockgate(&["status"]).expect(0).stdout;
    assert!(told.contains("was taken back at") && told.contains("not confirmed in time"), "{told}");
    assert_eq!(owned.gateway.elements("set", "grants4").len(), 1);
    assert_eq!(owned.gateway.elements("set", "banned4").len(), 1);
    owned.is_back();
    let said = owned.gateway.knockgate(&["confirm", "--local"]).expect(2);
    assert!(said.stderr.contains("not confirmed in time"), "{said:#?}");
}

#[test]
fn where_nothing_was_in_force_a_trial_leaves_nothing() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let before = gateway.ruleset();
    let arguments = ["apply", "--trial", "10ms", "--however-short", "-"];
    run(gateway.enter(KNOCKGATE).args(arguments), &policy("10s", "")).expect(0);
    wait_for("end", || (gateway.ruleset() == before).then_some(()));
    wait_for("note", || gateway.sh("ls /run/knockgate/*/ended").code.filter(|code| *code == 0));
    assert!(gateway.knockgate(&["status"]).expect(0).stdout.ends_with("no policy is in force\n"));
    gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(gateway.must("ls /run"), "");
}

#[test]
fn a_trial_stands_in_the_way_of_every_apply_until_it_is_ended() {
    let Some(owned) = owned() else { return };
    owned.try_out(&changed(), "1m").expect(0);
    let trial = owned.gateway.ruleset();
    for arguments in [&["apply", "-"][..], &["apply", "--no-trial", "-"], &["restore"]] {
        let said = run(owned.gateway.enter(KNOCKGATE).args(arguments), &Owned::lockout()).expect(2);
        for part in ["<stdin> is on trial until", "begun by process", "`knockgate rollback` takes it back"] {
            assert!(said.stderr.contains(part), "{said:#?}");
        }
    }
    assert_eq!(owned.gateway.ruleset(), trial);
    let said = owned.gateway.knockgate(&["rollback"]).expect(0);
    assert_eq!(said.stdout, "<stdin> was taken back; <stdin> is in force\n");
    owned.is_back();
    let said = owned.gateway.knockgate(&["rollback"]).expect(2);
    assert!(said.stderr.contains("no policy is on trial"), "{said:#?}");
    owned.try_out(&changed(), "1m").expect(0);
    owned.gateway.knockgate(&["remove"]).expect(0);
    assert_eq!((owned.gateway.ruleset(), owned.gateway.must("ls /run")), (String::new(), String::new()));
}

#[test]
fn what_is_in_force_already_needs_no_trial() {
    let Some(owned) = owned() else { return };
    let said = owned.try_out(&Owned::confirmed(), "1m").expect(0);
    assert!(said.stdout.ends_with("nothing changed\n"), "{said:#?}");
    assert_eq!(owned.gateway.sh("ls /run/knockgate/*/trial").code, Some(2));
    let said = owned.gateway.try_apply(&changed()).expect(0);
    assert!(said.stderr.contains("if this policy locks you out, nothing takes it back"), "{said:#?}");
}

#[test]
fn a_trial_is_neither_too_short_to_be_confirmed_nor_too_long() {
    for (length, why) in [("9s", "from 10s to 1h"), ("2h", "from 10s to 1h"), ("ten", "not a duration")] {
        let mut command = crate::program::knockgate(&["apply", "--trial", length, "-"]);
        let said = run(&mut command, &policy("10s", "")).expect(2);
        assert!(said.stderr.contains(why), "{said:#?}");
    }
}

#[test]
fn what_cannot_be_gone_back_to_is_not_tried_out() {
    let Some(owned) = owned() else { return };
    owned.gateway.must("rm /run/knockgate/*/applied");
    let before = owned.gateway.ruleset();
    let said = owned.try_out(&changed(), "1m").expect(2);
    assert!(said.stderr.contains("no note of its policy") && said.stderr.contains("--no-trial"), "{said:#?}");
    assert_eq!(owned.gateway.ruleset(), before);
    owned.gateway.apply(&changed());
}

#[test]
fn rules_that_somebody_else_changed_cannot_be_confirmed() {
    let Some(owned) = owned() else { return };
    owned.try_out(&Owned::lockout(), "1m").expect(0);
    owned.gateway.must("nft insert rule inet knockgate input tcp dport 22 accept");
    let through = owned.try_connect(OWNER, SERVICE).expect("somebody opened it");
    owned.refuses(&through, "somebody else changed the rules");
    owned.gateway.knockgate(&["rollback"]).expect(0);
    owned.is_back();
}

#[test]
fn taking_back_is_tried_until_it_works_and_says_why_it_does_not() {
    let Some(owned) = owned() else { return };
    let nft = with_nft(
        "nft-breaks",
        "[ \"$*\" = '-f -' ] && [ -e /run/broken ] && { echo 'no room' >&2; exit 1; }\nexec \"$real\" \"$@\"",
    );
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", nft.path().display());
    let mut command = owned.gateway.enter("env");
    command.args([&path, KNOCKGATE, "apply", "--trial", "100ms", "--however-short", "-"]);
    // It breaks when the trial has begun, whose rules are loaded by the same program.
    let said = run(&mut command, &Owned::lockout()).expect(0);
    let broken = owned.gateway.sh("touch /run/broken");
    if owned.gateway.sh("ls /run/knockgate/*/trial").code != Some(0) {
        panic!("it was taken back before anything could break: {said:#?} {broken:#?}");
    }
    wait_for("trouble", || {
        let said = owned.gateway.knockgate(&["status"]);
        (said.code == Some(1)
            && said.stdout.contains("taking it back failed so far: nft refused the ruleset"))
        .then_some(())
    });
    assert!(!owned.works());
    owned.gateway.must("rm /run/broken");
    owned.is_back();
}

#[test]
fn an_overdue_trial_whose_watchdog_was_killed_is_ended_by_whoever_comes_next() {
    let Some(owned) = owned() else { return };
    owned.try_out(&Owned::lockout(), "1s").expect(0);
    owned.kill_watchdog();
    wait_for("its time", || {
        let status = owned.gateway.knockgate(&["status", "--format", "json"]).expect(0).json();
        (status["trial"]["running"]["left_s"] == 0).then_some(())
    });
    assert!(!owned.works());
    let said = owned.gateway.knockgate(&["confirm", "--local"]).expect(2);
    assert!(said.stderr.contains("the time is up"), "{said:#?}");
    owned.gateway.apply(&Owned::confirmed());
    owned.is_back();
}

#[test]
fn of_six_trials_at_once_one_begins_and_five_say_whose_it_is() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = &Gateway::new();
    let said: Vec<Said> = thread::scope(|scope| {
        let begin = |n| {
            let text = policy(&format!("1{n}s"), "");
            scope.spawn(move || run(gateway.enter(KNOCKGATE).args(["apply", "-"]), &text))
        };
        let begun: Vec<_> = (0..6).map(begin).collect();
        begun.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let record: Value = serde_json::from_str(&gateway.must("cat /run/knockgate/*/trial")).expect("JSON");
    let winner = format!("process {}", record["process"]);
    assert_eq!(said.iter().filter(|said| said.code == Some(0)).count(), 1, "{said:#?}");
    for said in said.iter().filter(|said| said.code != Some(0)) {
        assert!(said.code == Some(2) && said.stderr.contains(&winner), "{winner}: {said:#?}");
    }
    gateway.knockgate(&["rollback"]).expect(0);
}

#[test]
fn where_systemd_runs_it_has_a_second_watchdog() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let disk = Folder::new("systemd");
    let gateway = Gateway::machine(disk.path());
    gateway.apply(&Owned::confirmed());
    let owned = Owned::connect(gateway);
    let noted = disk.path().join("noted");
    let bin = Folder::new("systemd-bin");
    let script = bin.write(
        "systemd-run",
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >/var/lib/new && mv /var/lib/new /var/lib/noted\n",
    );
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    owned.gateway.must("mkdir -p /run/systemd/system");
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", bin.path().display());
    let mut command = owned.gateway.enter("env");
    command.args([&path, KNOCKGATE, "apply", "--trial", "1s", "--however-short", "-"]);
    run(&mut command, &Owned::lockout()).expect(0);
    let words = wait_for("note", || fs::read_to_string(&noted).ok());
    let words: Vec<&str> = words.lines().collect();
    let end = words.iter().position(|word| *word == "--").expect("where its options end");
    assert!(words[..end].contains(&"--on-active=13s") && words[end + 1..].contains(&"watchdog"), "{words:?}");
    // The first one is gone, as when the session is ended with all its processes.
    owned.kill_watchdog();
    assert!(!owned.works());
    let mut second = owned.gateway.enter(words[end + 1]);
    run(second.args(&words[end + 2..]), "").expect(0);
    owned.is_back();
}

#[test]
fn a_restart_comes_up_with_what_was_confirmed_last() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let disk = Folder::new("restart");
    let start = || Gateway::machine(disk.path());
    let gateway = start();
    let nothing = gateway.knockgate(&["restore"]).expect(0).stdout;
    assert_eq!(nothing, "no policy was confirmed, so there is nothing to restore\n");
    gateway.apply(&Owned::confirmed());
    let confirmed = disk.path().join("knockgate/confirmed");
    let kept = fs::read(&confirmed).expect("what was confirmed");
    assert_eq!(fs::metadata(&confirmed).expect("it is there").permissions().mode() & 0o777, 0o600);
    run(gateway.enter(KNOCKGATE).args(["apply", "-"]), &Owned::lockout()).expect(0);
    assert_eq!(fs::read(&confirmed).expect("it is there"), kept, "a trial changes nothing there");
    drop(gateway);
    let gateway = start();
    assert_eq!(gateway.ruleset(), "");
    assert_eq!(gateway.knockgate(&["restore"]).expect(0).stdout, "<stdin> is in force\n");
    let owned = Owned::connect(gateway);
    owned.is_back();
    // What is confirmed is what comes up next.
    owned.try_out(&changed(), "1m").expect(0);
    let new = owned.granted();
    owned.over(&new, &["confirm"], "").expect(0);
    let in_force = owned.gateway.must("nft -s list chain inet knockgate about");
    drop((owned, new));
    let gateway = start();
    gateway.knockgate(&["restore"]).expect(0);
    assert_eq!(gateway.must("nft -s list chain inet knockgate about"), in_force);
    gateway.knockgate(&["remove"]).expect(0);
    assert!(!disk.path().join("knockgate").exists());
}
