//! What commands write into the log.

use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::owner::{OWNER, Owned, SERVICE};
use crate::program::{Folder, KNOCKGATE, run, wait_for};

/// Numbers that no line has by chance: ports of knocks and of traps.
const SECRETS: [&str; 5] = ["20333", "20777", "20888", "26666", "24444"];

fn policy(more: &str) -> String {
    format!(
        "outside = \"wan0\"\n{more}\n[traps]\nports = [\"26666/tcp\", \"24444/tcp\"]\n\n\
         [door.main]\nknock = [\"20333/tcp\", \"20777/udp\", \"20888/tcp\"]\nopens = \"22/tcp\"\n"
    )
}

/// A socket on the gateway that takes datagrams, as the daemon does that it stands for.
struct Daemon(UnixDatagram);

impl Daemon {
    fn at(gateway: &Gateway, path: &str) -> Self {
        let path = format!("/proc/{}/root{path}", gateway.pid());
        let socket = UnixDatagram::bind(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        socket.set_nonblocking(true).expect("a socket");
        Self(socket)
    }

    /// With the journal's socket.
    fn journal(gateway: &Gateway) -> Self {
        gateway.must("mkdir -p /run/systemd/journal");
        Self::at(gateway, "/run/systemd/journal/socket")
    }

    fn next(&self) -> Option<String> {
        let mut buffer = [0; 8192];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).expect("UTF-8"))
    }

    /// The only line since the last one, which tells these things.
    #[track_caller]
    fn told(&self, fields: &[&str]) {
        let text = self.next().unwrap_or_else(|| panic!("nothing was told, but should: {fields:?}"));
        Self::check(&text, fields);
        self.told_nothing();
    }

    #[track_caller]
    fn check(text: &str, fields: &[&str]) {
        for field in fields {
            assert!(text.lines().any(|line| line == format!("KNOCKGATE_{field}")), "{field} in {text}");
        }
        let secret = SECRETS.into_iter().find(|secret| text.contains(secret));
        assert_eq!(secret, None, "{text}");
        let written = policy("");
        let quoted = written.lines().find(|line| line.len() > 3 && text.contains(line));
        assert_eq!(quoted, None, "{text}");
        assert!(text.starts_with("MESSAGE=") && text.contains("\nSYSLOG_IDENTIFIER=knockgate\n"), "{text}");
    }

    #[track_caller]
    fn told_nothing(&self) {
        assert_eq!(self.next(), None);
    }
}

fn gateway() -> Option<Gateway> {
    can_be_run(&NEEDED).then(Gateway::new)
}

#[test]
fn each_command_that_changes_something_leaves_its_line_and_no_other_does() {
    let Some(gateway) = gateway() else { return };
    let journal = Daemon::journal(&gateway);
    let say = |line: &str, code: i32| {
        gateway.knockgate(&line.split(' ').collect::<Vec<_>>()).expect(code);
    };
    gateway.apply(&policy(""));
    journal.told(&["EVENT=apply", "POLICY=<stdin>", "USER=root"]);
    gateway.apply(&policy(""));
    journal.told_nothing();
    say("grant main 198.51.100.7", 0);
    journal.told(&["EVENT=grant", "SOURCE=198.51.100.7", "DOOR=main", "SECONDS=30", "BY=hand"]);
    say("revoke 198.51.100.7 --cut", 0);
    journal.told(&["EVENT=revoke", "SOURCE=198.51.100.7", "DOORS=main", "CUT=0"]);
    say("revoke 198.51.100.7", 1);
    journal.told_nothing();
    say("ban 198.51.100.0/24 --for 2h --reason scans", 0);
    journal.told(&["EVENT=ban", "SOURCE=198.51.100.0/24", "SECONDS=7200", "BY=hand", "REASON=scans"]);
    say("ban 198.51.100.7 --for 1h", 0);
    journal.told_nothing();
    say("unban 198.51.100.0/24", 0);
    journal.told(&["EVENT=unban", "SOURCE=198.51.100.0/24", "COUNT=1"]);
    say("unban 198.51.100.0/24", 1);
    journal.told_nothing();
    say("allow 2001:db8::7 --for 1h", 0);
    journal.told(&["EVENT=allow", "SOURCE=2001:db8::/64", "SECONDS=3600"]);
    say("disallow 2001:db8::7", 0);
    journal.told(&["EVENT=disallow", "SOURCE=2001:db8::/64", "COUNT=1"]);
    for quiet in ["status", "list", "doctor", "metrics"] {
        gateway.knockgate(&[quiet]);
        journal.told_nothing();
    }
    say("remove", 0);
    journal.told(&["EVENT=remove", "POLICY=<stdin>"]);
    say("remove", 0);
    journal.told_nothing();
}

#[test]
fn trials_are_told_from_their_beginning_to_their_end() {
    let Some(gateway) = gateway() else { return };
    let owned = Owned::new(gateway);
    let journal = Daemon::journal(&owned.gateway);
    owned.knock();
    let session = owned.try_connect(OWNER, SERVICE).expect("the door is open");
    let try_out = |length: &str| {
        let arguments = ["apply", "--trial", length, "--however-short", "-"];
        owned.over(&session, &arguments, &policy("")).expect(0);
    };
    let from = format!("SESSION={OWNER}");
    try_out("10m");
    journal.told(&["EVENT=apply", "POLICY=<stdin>", "TRIAL=600", &from]);
    owned.gateway.knockgate(&["rollback"]).expect(0);
    journal.told(&["EVENT=take-back", "WHY=`knockgate rollback`", "NOW=<stdin>"]);
    try_out("1s");
    journal.told(&["EVENT=apply", "TRIAL=1"]);
    let text = wait_for("line of the watchdog", || journal.next());
    Daemon::check(&text, &["EVENT=take-back", "WHY=it was not confirmed in time", "NOW=<stdin>"]);
    assert!(!text.contains("KNOCKGATE_USER"), "nobody asked for it: {text}");
    try_out("10m");
    journal.told(&["EVENT=apply"]);
    owned.over(&session, &["confirm"], "").expect(2);
    journal.told_nothing();
    run(owned.gateway.enter(KNOCKGATE).args(["confirm", "--local"]), "").expect(0);
    journal.told(&["EVENT=confirm", "POLICY=<stdin>", "USER=root"]);
}

#[test]
fn a_restart_is_told() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let disk = Folder::new("log-restart");
    Gateway::machine(disk.path()).apply(&policy(""));
    let gateway = Gateway::machine(disk.path());
    let journal = Daemon::journal(&gateway);
    gateway.knockgate(&["restore"]).expect(0);
    journal.told(&["EVENT=restore", "POLICY=<stdin>"]);
}

#[test]
fn where_there_is_no_journal_syslog_is_told() {
    let Some(gateway) = gateway() else { return };
    gateway.must(
        "mkdir /run/dev && mount -t tmpfs tmpfs /run/dev && mknod -m 666 /run/dev/null c 1 3 &&
         mount --bind /run/dev /dev",
    );
    let syslog = Daemon::at(&gateway, "/dev/log");
    let said = gateway.try_apply(&policy("")).expect(0);
    assert!(!said.stderr.contains("log"), "{said:#?}");
    let line = syslog.next().expect("a line");
    let (head, rest) = line.split_once("]: ").expect("a process");
    assert!(head.starts_with("<85>knockgate["), "{line}");
    assert_eq!(rest, "event=apply policy=<stdin> user=root");
    assert_eq!(syslog.next(), None);
}

#[test]
fn a_policy_says_where_its_lines_go() {
    let Some(gateway) = gateway() else { return };
    let journal = Daemon::journal(&gateway);
    gateway.apply(&policy("log = { to = \"/run/kg.json\" }\n"));
    gateway.knockgate(&["ban", "192.0.2.7"]).expect(0);
    let text = gateway.must("cat /run/kg.json && stat -c %a /run/kg.json");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("\"event\":\"apply\"") && lines[2] == "600", "{text}");
    assert!(lines[1].contains("\"event\":\"ban\",\"source\":\"192.0.2.7\",\"seconds\":60"), "{text}");
    gateway.apply(&policy("log = { to = \"off\" }\n"));
    gateway.knockgate(&["unban", "192.0.2.7"]).expect(0);
    journal.told_nothing();
}

#[test]
fn a_command_that_cannot_write_its_line_has_done_its_work_and_says_so() {
    let Some(gateway) = gateway() else { return };
    for to in ["/run/no/such/folder", "journal", "syslog", "/run"] {
        gateway.apply(&policy(&format!("log = {{ to = \"{to}\" }}\n")));
        let said = gateway.knockgate(&["ban", "192.0.2.7"]).expect(0);
        let warnings = said.stderr.lines().filter(|line| line.contains("the log could not be written to"));
        assert_eq!(warnings.count(), 1, "{to}: {said:#?}");
        gateway.knockgate(&["unban", "192.0.2.7"]).expect(0);
        assert!(fs::metadata(format!("/proc/{}/root/run/no", gateway.pid())).is_err());
    }
}
