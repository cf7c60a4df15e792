use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU32, Ordering};

use knockgate_compiler::time::Lifetime;
use serde_json::Value;

use super::*;

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("knockgate-logbook-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn logbook(&self, to: LogTo, rate: u32) -> Logbook {
        let log = Log { to, rate: NonZeroU32::new(rate).unwrap() };
        let sockets = Sockets { journal: self.0.join("journal"), syslog: self.0.join("syslog") };
        Logbook { sockets, ..Logbook::new(&log) }
    }

    fn socket(&self, name: &str) -> UnixDatagram {
        let socket = UnixDatagram::bind(self.0.join(name)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn file(&self) -> (PathBuf, LogTo) {
        let path = self.0.join("log.json");
        let to = LogTo::File(path.to_str().unwrap().into());
        (path, to)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn received(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 16_384];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
}

fn objects(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ban(reason: &str) -> Entry {
    Entry::Banned {
        source: "198.51.100.0/24".parse().unwrap(),
        lasts: Some(Lifetime::from_secs(60)),
        by: By::Hand,
        reason: Some(reason.to_owned()),
    }
}

fn somebody() -> Who {
    Who { user: Some("alice".to_owned()), from: Some("192.0.2.5".parse().unwrap()) }
}

/// One of each kind, with `text` wherever there is room for one.
fn every_entry(text: &str) -> Vec<Entry> {
    let (source, network) = ("2001:db8::7".parse().unwrap(), "2001:db8::/64".parse().unwrap());
    let lasts = Some(Lifetime::from_secs(60));
    let (some, reason) = (|| text.to_owned(), Some(text.to_owned()));
    vec![
        Entry::Granted { source, door: text.into(), lasts, by: By::Knocks },
        Entry::Granted { source, door: text.into(), lasts, by: By::Hand },
        Entry::Revoked { source, doors: vec![text.into(); 20], cut: Some(2) },
        Entry::Revoked { source, doors: vec![], cut: None },
        Entry::Banned { source: network, lasts, by: By::Trap, reason: reason.clone() },
        Entry::Unbanned { source: network, count: 3 },
        Entry::Allowed { source: network, lasts, reason },
        Entry::Disallowed { source: network, count: 1 },
        Entry::Applied { policy: some(), trial: lasts },
        Entry::Applied { policy: some(), trial: None },
        Entry::Confirmed { policy: some() },
        Entry::TakenBack { policy: some(), why: "it was not confirmed in time", now: Some(some()) },
        Entry::Restored { policy: some() },
        Entry::Removed { policy: Some(some()) },
        Entry::Tampered { policy: some() },
        Entry::Repaired { policy: some() },
        Entry::LeftOut { lines: 7 },
    ]
}

#[test]
fn what_packets_did_is_told_of_whoever_it_happened_to() {
    let told = |entry: Entry| entry.to_string();
    let minute = Lifetime::from_secs(60);
    let v6 = "2001:db8::7".parse().unwrap();
    assert_eq!(told(Entry::trapped(v6, minute)), "2001:db8::/64 is banned for 1m by trap");
    assert_eq!(
        told(Entry::trapped("192.0.2.7".parse().unwrap(), minute)),
        "192.0.2.7 is banned for 1m by trap"
    );
    let knocked = told(Entry::knocked(v6, "main".into(), minute));
    assert_eq!(knocked, "2001:db8::7 made the knocks of door main and may use it for 1m");
}

#[test]
fn the_journal_gets_a_field_for_each_thing_that_is_known() {
    let folder = Folder::new();
    let journal = folder.socket("journal");
    let mut logbook = folder.logbook(LogTo::System, 10);
    assert_eq!(logbook.write(ban("scans all night"), &somebody()).unwrap(), Written::Done);
    let wanted = "MESSAGE=198.51.100.0/24 is banned for 1m by hand (scans all night)\nPRIORITY=5\n\
                  SYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=knockgate\nKNOCKGATE_EVENT=ban\n\
                  KNOCKGATE_SOURCE=198.51.100.0/24\nKNOCKGATE_SECONDS=60\nKNOCKGATE_BY=hand\n\
                  KNOCKGATE_REASON=scans all night\nKNOCKGATE_USER=alice\nKNOCKGATE_SESSION=192.0.2.5\n";
    assert_eq!(received(&journal).as_deref(), Some(wanted));
    assert_eq!(received(&journal), None);
}

#[test]
fn syslog_gets_words_that_can_be_told_apart() {
    let folder = Folder::new();
    let syslog = folder.socket("syslog");
    // Where there is no journal, and where it is asked for.
    for to in [LogTo::System, LogTo::Syslog] {
        folder.logbook(to, 10).write(ban("a \\ \"b\""), &somebody()).unwrap();
        let wanted = format!(
            "<85>knockgate[{}]: event=ban source=198.51.100.0/24 seconds=60 by=hand \
             reason=\"a \\\\ \\\"b\\\"\" user=alice session=192.0.2.5",
            std::process::id()
        );
        assert_eq!(received(&syslog), Some(wanted));
    }
}

#[test]
fn a_log_that_is_not_there_is_told_only_where_it_was_asked_for() {
    let folder = Folder::new();
    let write = |to| folder.logbook(to, 10).write(ban("x"), &somebody());
    assert_eq!(write(LogTo::System).unwrap(), Written::Nowhere);
    assert_eq!(write(LogTo::Off).unwrap(), Written::Done);
    for to in [LogTo::Journal, LogTo::Syslog, LogTo::File(folder.0.join("no/such").to_str().unwrap().into())]
    {
        let error = write(to).unwrap_err().to_string();
        assert!(
            error.starts_with("the log could not be written to ") && error.contains("No such file"),
            "{error}"
        );
    }
}

#[test]
fn a_log_that_takes_nothing_holds_nobody_up() {
    let folder = Folder::new();
    let _journal = folder.socket("journal");
    let mut logbook = folder.logbook(LogTo::Journal, 1_000_000);
    // A socket queues a few hundred datagrams at most (unix(7), max_dgram_qlen).
    let refused = (0..100_000).find_map(|_| logbook.write(ban("x"), &somebody()).err());
    assert!(refused.is_some_and(|error| error.to_string().contains("temporarily unavailable")));
}

#[test]
fn a_file_that_was_renamed_is_left_alone() {
    let folder = Folder::new();
    let (path, to) = folder.file();
    let mut logbook = folder.logbook(to, 10);
    logbook.write(ban("one"), &somebody()).unwrap();
    logbook.write(ban("two"), &somebody()).unwrap();
    let rotated = folder.0.join("log.json.1");
    fs::rename(&path, &rotated).unwrap();
    logbook.write(ban("three"), &Who::default()).unwrap();
    let reasons = |path: &Path| objects(path).iter().map(|line| line["reason"].clone()).collect::<Vec<_>>();
    assert_eq!((reasons(&rotated), reasons(&path)), (vec!["one".into(), "two".into()], vec!["three".into()]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let line = &objects(&path)[0];
    assert!(line["seconds"] == 60 && line["event"] == "ban" && line["user"].is_null(), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn of_too_many_lines_the_first_are_written_and_the_others_counted() {
    let folder = Folder::new();
    let (path, to) = folder.file();
    let mut logbook = folder.logbook(to, 3);
    let written: Vec<Written> = (0..100).map(|_| logbook.write(ban("x"), &Who::default()).unwrap()).collect();
    assert_eq!(written[..4], [Written::Done, Written::Done, Written::Done, Written::LeftOut]);
    logbook.finish().unwrap();
    let lines = objects(&path);
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "left-out");
    // On a machine that is slow, a moment's worth more is written.
    assert_eq!(last["lines"], 100 - (lines.len() - 1));
}

#[test]
fn whatever_texts_hold_an_entry_is_one_short_line_in_each_form() {
    for text in
        ["a\nEVIL=1", "\u{1b}[2J\0", "\u{2028}x\r\n<0>y", &"\u{10348}".repeat(5000), &"\"\\".repeat(5000), ""]
    {
        let folder = Folder::new();
        let (path, to) = folder.file();
        let (journal, syslog) = (folder.socket("journal"), folder.socket("syslog"));
        let who = Who { user: Some(text.to_owned()), ..somebody() };
        for entry in every_entry(text) {
            let names =
                Record { at: SystemTime::now(), entry: entry.clone(), who: who.clone() }.fields().len();
            for to in [LogTo::Journal, LogTo::Syslog, to.clone()] {
                folder.logbook(to, 100).write(entry.clone(), &who).unwrap();
            }
            let (fields, line) = (received(&journal).unwrap(), received(&syslog).unwrap());
            assert_eq!(fields.lines().count(), 4 + names, "{fields}");
            assert!(fields.len() < 4096 && line.len() < 4096, "{fields}{line}");
            assert!(!line.contains(|c: char| c.is_control()) && line.contains(entry.event()), "{line}");
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| line.len() < 4096), "{text}");
        assert_eq!(objects(&path).len(), every_entry("").len());
    }
}
