//! Rehearsals from beginning to end, and cut short.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use crate::gateway::can_be_run;
use crate::program::{Ended, Folder, knockgate, run, wait_for};

const NEEDED: [&str; 4] = ["unshare", "ip", "nft", "nmap"];

const POLICY: &str = r#"
    outside = "wan0"
    public = "443/tcp"
    traps = { ports = ["666/tcp", "4444/tcp"] }
    [door.near]
    knock = ["333/tcp", "777/udp", "888/tcp"]
    opens = ["22/tcp", "53/udp"]
    [door.behind]
    knock = ["1333/tcp", "1777/tcp", "1888/tcp"]
    opens = ["8443/tcp to 10.20.0.5:443", "443/tcp at 2001:db8:20::5"]
    wrong = "cooldown 5s"
"#;

/// The network namespaces that any process is in.
fn network_namespaces() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").expect("a system with /proc").flatten();
    // A process may have ended since it was listed.
    let links = processes.filter_map(|process| fs::read_link(process.path().join("ns/net")).ok());
    links.map(|link| link.display().to_string()).collect()
}

#[test]
fn a_rehearsal_agrees_with_the_simulator_act_by_act() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let policy = Folder::new("rehearsal").write("policy.toml", POLICY);
    let said = run(&mut knockgate(&["rehearse", &policy, "--seed", "7", "--format", "json"]), "").expect(0);
    let report = said.json();
    assert_eq!(report["agrees"], true, "{report:#}");
    let acts = report["acts"].as_array().expect("acts");
    let happened = |scene: &str, act: &str| {
        let found =
            acts.iter().find(|a| a["scene"] == scene && a["act"].as_str().is_some_and(|a| a.contains(act)));
        &found.unwrap_or_else(|| panic!("no {act} in {report:#}"))["happened"]
    };
    for (scene, act, what, expected) in [
        ("door near", "a stranger connects", "open", false),
        ("door near", "the owner knocks and connects", "open", true),
        ("door near", "the next service", "open", true),
        ("door near", "the grant has run out", "open", false),
        ("door near", "the connection from before", "goes_on", true),
        ("door near", "a wrong knock among", "open", false),
        ("door near", "the last one too late", "open", false),
        ("door near", "repeats what it overheard", "open", true),
        ("door near", "over IPv6", "open", true),
        ("door behind", "the owner knocks and connects", "open", true),
        ("door behind", "over IPv6", "open", true),
        ("strangers", "443/tcp, which is public", "open", true),
        ("strangers", "from port 1 to 65535", "open", false),
        ("strangers", "from port 1 to 65535", "banned", true),
        ("strangers", "from port 65535 to 1", "banned", true),
        ("strangers", "in random order", "banned", true),
        ("traps", "enough traps for a ban", "open", false),
        ("traps", "the ban has run out", "open", true),
    ] {
        assert_eq!(happened(scene, act)[what], expected, "{scene}: {act}");
    }
    assert_eq!(happened("strangers", "nmap")["found"], 1);
    assert!(report["packets"].as_u64().is_some_and(|packets| packets > 3 * 65_535));
}

#[test]
fn a_rehearsal_needs_no_root_where_users_have_namespaces() {
    if !can_be_run(&["unshare", "ip", "nft", "setpriv"]) {
        return;
    }
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let allowed = Command::new("setpriv").args(nobody).args(["unshare", "--user", "--net", "true"]).status();
    if !allowed.expect("setpriv runs").success() {
        eprintln!("not run: this system gives users no namespaces of their own");
        return;
    }
    // Nobody may not look into our build folder, so it gets the program where all may.
    let folder = std::env::temp_dir().join(format!("knockgate-rehearsal-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder of ours");
    let program = folder.join("knockgate");
    fs::copy(crate::program::KNOCKGATE, &program).expect("room for a copy");
    let mut command = Command::new("setpriv");
    command.args(nobody).arg(&program).args(["rehearse", "-", "--format", "json"]);
    let said = run(
        &mut command,
        "outside = \"wan0\"\ndoor.a = { knock = [\"3/tcp\", \"1/tcp\", \"2/tcp\"], opens = \"22/tcp\" }",
    );
    fs::remove_dir_all(&folder).expect("a folder of ours");
    assert_eq!(said.expect(0).json()["agrees"], true);
}

#[test]
fn a_rehearsal_that_is_killed_leaves_nothing_behind() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let policy = Folder::new("rehearsal-killed").write("policy.toml", POLICY);
    let mut command = knockgate(&["rehearse", &policy]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the built program");
    let mut rehearsal = Ended(child);
    // It becomes `unshare`, whose child becomes `knockgate` again, inside.
    let children = format!("/proc/{0}/task/{0}/children", rehearsal.0.id());
    let namespace = wait_for("namespace of the rehearsal", || {
        let child = fs::read_to_string(&children).ok()?.split_whitespace().next().map(str::to_owned)?;
        let is_inside = fs::read_to_string(format!("/proc/{child}/comm")).ok()?.trim() == "knockgate";
        let outside = fs::read_link("/proc/self/ns/net").ok()?;
        let namespace = fs::read_link(format!("/proc/{child}/ns/net")).ok()?;
        (is_inside && namespace != outside).then_some(namespace)
    });
    rehearsal.0.kill().expect("it is running");
    wait_for("end of the rehearsal's processes", || {
        (!network_namespaces().contains(&namespace.display().to_string())).then_some(())
    });
}

#[test]
fn the_article_that_check_has_mended_opens_to_its_knocks_and_bans_at_its_trap() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let article = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/article.rsc");
    let text = std::fs::read_to_string(article).expect("the article is among the examples");
    let script = Folder::new("rehearsal-article").write("article.rsc", &text);
    run(&mut knockgate(&["check", "--fix", &script]), "").expect(0);
    let said = run(&mut knockgate(&["rehearse", &script]), "").expect(0);
    for (act, happened) in [
        ("a stranger connects", "closed"),
        ("the owner knocks and connects", "open"),
        ("the grant has run out: the owner connects again", "closed"),
        ("the right knocks, the last one too late", "closed"),
        ("a sweep from port 1 to 65535", "closed, banned"),
        ("enough traps for a ban, then the right knocks", "closed, banned"),
        ("the ban has run out: the right knocks", "open"),
    ] {
        let line = said.stdout.lines().find(|line| line.starts_with(&format!("= {act}  ")));
        assert!(
            line.is_some_and(|line| line.trim_end().ends_with(&format!(" {happened}"))),
            "{act}: {said:#?}"
        );
    }
}
