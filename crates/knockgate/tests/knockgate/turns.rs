//! One apply at a time.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread;

use crate::apply::policy;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{Ended, KNOCKGATE, run, wait_for};
use crate::refusals::with_nft;

/// The chains and sets of a ruleset. What stays from one policy to the next keeps its place
/// among them, so their order tells nothing.
pub fn parts(ruleset: &str) -> BTreeSet<String> {
    let inner = ruleset.trim_start_matches("table inet knockgate {\n").trim_end_matches("\n}\n");
    inner.split("\n\n").map(str::to_owned).collect()
}

#[test]
fn of_six_applies_at_once_each_is_done_or_says_who_holds_the_lock_and_rulesets_never_mix() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let policies: Vec<String> = (0..6).map(|n| policy(&format!("1{n}s"), "")).collect();
    let alone: BTreeSet<BTreeSet<String>> = policies
        .iter()
        .map(|text| {
            gateway.apply(text);
            parts(&gateway.ruleset())
        })
        .collect();
    assert_eq!(alone.len(), 6, "the rulesets can be told apart");
    for _ in 0..10 {
        let said: Vec<_> = thread::scope(|scope| {
            let started: Vec<_> =
                policies.iter().map(|text| scope.spawn(|| gateway.try_apply(text))).collect();
            started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(said.iter().any(|said| said.code == Some(0)), "{said:#?}");
        for said in &said {
            let waits = said.code == Some(2) && said.stderr.contains("another apply is under way");
            assert!(said.code == Some(0) || waits, "{said:#?}");
        }
        assert!(alone.contains(&parts(&gateway.ruleset())), "a mixture:\n{}", gateway.ruleset());
        gateway.knockgate(&["status"]).expect(0);
    }
}

#[test]
fn applies_and_removes_at_once_leave_all_or_nothing() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    gateway.apply(&policy("10s", ""));
    let whole = gateway.ruleset();
    for _ in 0..10 {
        thread::scope(|scope| {
            let apply: &[&str] = &["apply", "--no-trial", "-"];
            for arguments in [apply; 4].into_iter().chain([&["remove"][..]; 3]) {
                let gateway = &gateway;
                scope.spawn(move || {
                    let said = run(gateway.enter(KNOCKGATE).args(arguments), &policy("10s", ""));
                    let waits = said.code == Some(2) && said.stderr.contains("another apply is under way");
                    assert!(said.code == Some(0) || waits, "{arguments:?}: {said:#?}");
                });
            }
        });
        let ruleset = gateway.ruleset();
        assert!(ruleset.is_empty() || ruleset == whole, "{ruleset}");
        gateway.knockgate(&["status"]).expect(0);
    }
    gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(gateway.must("ls /run"), "");
}

#[test]
fn the_lock_says_who_holds_it_and_is_free_when_that_one_is_killed() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    // An apply that never ends by itself: its nft ends only after it.
    let nft = with_nft("nft-waits", "while kill -0 $PPID; do sleep 0.05; done");
    let mut command = gateway.enter("env");
    command.args([&format!("PATH={}:/usr/bin:/bin", nft.path().display()), KNOCKGATE, "apply", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut slow = Ended(command.spawn().expect("nsenter"));
    let mut input = slow.0.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, policy("10s", "").as_bytes()).expect("it reads its policy");
    drop(input);
    // nsenter and env become the program, so it has the same process number.
    let holder = slow.0.id().to_string();
    wait_for("lock", || {
        let said = gateway.sh("cat /run/knockgate/*/lock");
        (said.stdout == holder).then_some(())
    });
    for arguments in [&["apply", "-"][..], &["remove"]] {
        let said = run(gateway.enter(KNOCKGATE).args(arguments), &policy("10s", "")).expect(2);
        let words = format!("another apply is under way (process {holder} holds the lock)");
        assert!(said.stderr.contains(&words), "{said:#?}");
    }
    assert_eq!(gateway.ruleset(), "");
    drop(slow);
    assert_eq!(gateway.apply(&policy("10s", "")), "<stdin>: 1 door in force\n");
}
