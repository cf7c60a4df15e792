//! A policy that locks out whoever applied it goes away again, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use knockgate_compiler::random::Rng;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::apply::policy;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::owner::Owned;
use crate::program::{Ended, Folder, KNOCKGATE, run, wait_for};
use crate::refusals::with_nft;
use crate::turns::parts;

fn owned() -> Option<Owned> {
    can_be_run(&NEEDED).then(|| Owned::new(Gateway::new()))
}

#[test]
fn when_the_terminal_is_closed() {
    if !can_be_run(&[&NEEDED[..], &["setsid"]].concat()) {
        return;
    }
    let owned = Owned::new(Gateway::new());
    let folder = Folder::new("terminal");
    let file = folder.write("lockout.toml", Owned::lockout());
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).expect("a terminal of ours");
    unlockpt(&ours).expect("a terminal to be used");
    let name = ptsname(&ours, vec![]).expect("its name").into_string().expect("a plain name");
    let theirs = OpenOptions::new().read(true).write(true).open(name).expect("its other side");
    let mut shell = owned.gateway.enter("setsid");
    let script = "\"$0\" apply --trial 10s \"$1\"; : >/run/applied; exec cat";
    shell.args(["--ctty", "sh", "-c", script, KNOCKGATE, &file]);
    let side = || Stdio::from(theirs.try_clone().expect("a side"));
    let mut shell = Ended(shell.stdin(side()).stdout(side()).stderr(side()).spawn().expect("nsenter"));
    drop(theirs);
    wait_for("trial", || owned.gateway.sh("ls /run/applied").code.filter(|code| *code == 0));
    assert!(!owned.works(), "the policy locks its owner out");
    drop(ours);
    let ended = wait_for("hangup", || shell.0.try_wait().expect("a child of ours"));
    assert!(!ended.success(), "the shell was ended by its terminal: {ended}");
    owned.is_back();
}

#[test]
fn when_the_network_of_the_session_is_cut() {
    let Some(owned) = owned() else { return };
    owned.try_out(&Owned::lockout(), "1s").expect(0);
    owned.owner.must("ip link set eth0 down");
    wait_for("end", || owned.gateway.sh("ls /run/knockgate/*/ended").code.filter(|code| *code == 0));
    owned.owner.must("ip link set eth0 up");
    wait_for("cable", || owned.gateway.must("ip link show wan0").contains("state UP").then_some(()));
    owned.is_back();
}

#[test]
fn when_the_apply_is_stopped_and_never_goes_on() {
    let Some(owned) = owned() else { return };
    let nft = with_nft(
        "nft-stops",
        "[ \"$*\" = '-f -' ] && [ ! -e /run/stopped ] || exec \"$real\" \"$@\"\n\
         \"$real\" \"$@\"; touch /run/stopped; kill -STOP $PPID",
    );
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", nft.path().display());
    let mut command = owned.gateway.enter("env");
    command.args([&path, KNOCKGATE, "apply", "--trial", "1s", "--however-short", "-"]);
    let said = run(&mut command, &Owned::lockout());
    assert_eq!(said.code, None, "it was killed: {said:#?}");
    owned.is_back();
}

#[test]
fn when_the_machine_is_restarted() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let disk = Folder::new("lockout-restart");
    let owned = Owned::new(Gateway::machine(disk.path()));
    assert!(owned.works());
    run(owned.gateway.enter(KNOCKGATE).args(["apply", "-"]), &Owned::lockout()).expect(0);
    assert!(!owned.works(), "the policy locks its owner out");
    drop(owned);
    let gateway = Gateway::machine(disk.path());
    gateway.knockgate(&["restore"]).expect(0);
    Owned::connect(gateway).is_back();
}

/// How often processes are killed: by hand, more often.
fn kills() -> usize {
    env::var("KNOCKGATE_KILLS").ok().map_or(40, |count| count.parse().expect("a number of kills"))
}

fn seed() -> u64 {
    let seed = env::var("KNOCKGATE_SEED").ok().map_or(1, |seed| seed.parse().expect("a whole number"));
    println!("KNOCKGATE_SEED={seed}");
    seed
}

/// Runs an apply and kills it after so long, if it is not done by then.
fn kill_after(gateway: &Gateway, arguments: &[&str], text: &str, time: Duration) -> bool {
    let mut command = gateway.enter(KNOCKGATE);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // nsenter becomes the program.
    let mut apply = Ended(command.spawn().expect("nsenter"));
    let mut input = apply.0.stdin.take().expect("piped");
    input.write_all(text.as_bytes()).expect("a pipe has room for it");
    drop(input);
    // Nothing is waited for: the moment is what is tried out.
    thread::sleep(time);
    let done = apply.0.try_wait().expect("a child of ours").is_some();
    drop(apply);
    !done
}

/// The chains and sets that are there, without elements and counts, which packets change. A listing during
/// which rules change can have some of them several times (nft 1.0.6), so it is taken only if the next one is
/// the same.
fn rules(gateway: &Gateway) -> BTreeSet<String> {
    let list = || parts(&gateway.must("nft -s -t list ruleset"));
    let mut last = list();
    wait_for("rest", || {
        let again = list();
        let same = again == last;
        last = again;
        same.then_some(())
    });
    last
}

/// How long such an apply takes here.
fn duration(apply: impl FnOnce()) -> Duration {
    let start = Instant::now();
    apply();
    start.elapsed()
}

#[test]
fn when_the_apply_is_killed_at_any_moment() {
    let Some(owned) = owned() else { return };
    let old = rules(&owned.gateway);
    let whole = duration(|| drop(owned.try_out(&Owned::lockout(), "1m").expect(0)));
    let new = rules(&owned.gateway);
    assert!(!owned.works(), "the policy locks its owner out");
    owned.gateway.knockgate(&["rollback"]).expect(0);
    let mut rng = Rng::new(seed());
    let (mut killed, mut loaded) = (0, 0);
    for _ in 0..kills() {
        let arguments = ["apply", "--trial", "200ms", "--however-short", "-"];
        let moment = whole.mul_f64(1.2 * rng.fraction());
        killed += usize::from(kill_after(&owned.gateway, &arguments, &Owned::lockout(), moment));
        let now = rules(&owned.gateway);
        loaded += usize::from(now == new);
        assert!(now == old || now == new, "killed after {moment:?}, a mixture:\n{now:#?}");
        // Where no watchdog was started yet there may be a record that says nothing.
        wait_for("the old rules", || (rules(&owned.gateway) == old).then_some(()));
        assert!(owned.works(), "killed after {moment:?}");
    }
    println!(
        "{killed} of {} were killed before they were done; after {loaded} the new rules were there",
        kills()
    );
    assert!(killed > kills() / 4, "hardly any was killed in time");
    // A trial that was begun and never watched over is in nobody's way.
    wait_for("no trial", || owned.gateway.try_apply(&Owned::confirmed()).code.filter(|code| *code == 0));
    assert!(owned.works());
}

#[test]
fn an_apply_for_good_that_is_killed_leaves_one_policy_or_the_other() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let policies = [policy("10s", ""), Owned::lockout()];
    let mut whole = Duration::ZERO;
    let alone: Vec<BTreeSet<String>> = policies
        .iter()
        .map(|text| {
            whole = duration(|| drop(gateway.apply(text)));
            rules(&gateway)
        })
        .collect();
    let mut rng = Rng::new(seed());
    let (mut killed, mut found) = (0, [0, 0]);
    for round in 0..kills() {
        let arguments = ["apply", "--no-trial", "-"];
        let moment = whole.mul_f64(1.2 * rng.fraction());
        killed += usize::from(kill_after(&gateway, &arguments, &policies[round % 2], moment));
        let now = rules(&gateway);
        let which = alone.iter().position(|parts| *parts == now);
        let which = which.unwrap_or_else(|| panic!("killed after {moment:?}, a mixture:\n{now:#?}"));
        found[which] += 1;
    }
    println!("{killed} of {} were killed before they were done; found {found:?}", kills());
    assert!(killed > kills() / 4, "hardly any was killed in time");
    // What a killed nft may still do is done before the lock is free.
    wait_for("lock", || gateway.try_apply(&policies[0]).code.filter(|code| *code == 0));
    assert_eq!(rules(&gateway), alone[0]);
    gateway.knockgate(&["status"]).expect(0);
}
