//! The same knocks to the daemon that most people have: `knockd` must open to this client as to its own.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::bounded::{Folder, LIMIT, expect_code, run};
use crate::namespace::{Ended, Namespace};

const OWN_CLIENT: &str = "/usr/bin/knock";
const OURS: &str = env!("CARGO_BIN_EXE_knock");
const KNOCKS: [&str; 4] = ["127.0.0.1", "7000", "8000:udp", "9000:tcp"];

/// A running `knockd`, whose only door makes the file `open`.
struct Daemon {
    namespace: Namespace,
    folder: Folder,
    _process: Ended,
}

impl Daemon {
    fn start(name: &str) -> Option<Self> {
        let namespace = Namespace::with(&["knockd", OWN_CLIENT])?;
        let folder = Folder::new(name);
        let configuration = format!(
            "[options]\n logfile = {}\n[door]\n sequence = 7000,8000:udp,9000\n seq_timeout = 20\n tcpflags = syn\n \
             start_command = /bin/touch {}\n",
            folder.join("log").display(),
            folder.join("open").display(),
        );
        let file = folder.join("knockd.conf");
        fs::write(&file, configuration).expect("our own folder");
        let process = namespace.start("knockd", &["-i", "lo", "-c", file.to_str().expect("UTF-8")]);
        let daemon = Self { namespace, folder, _process: process };
        eventually("knockd listens", || daemon.log().contains("listening on lo"));
        Some(daemon)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_else(|_| String::new())
    }

    fn knock(&self, client: &str, options: &[&str]) {
        expect_code(&run(self.namespace.enter(client).args(options).args(KNOCKS)), 0);
    }

    fn expect_open(&self) {
        let open = self.folder.join("open");
        eventually("knockd opens", || Path::exists(&open));
        fs::remove_file(open).expect("our own file");
    }
}

fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < LIMIT, "in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn knockd_opens_as_it_does_to_its_own_client() {
    let Some(daemon) = Daemon::start("knockd-opens") else { return };
    for (client, options) in [
        (OWN_CLIENT, &["-d", "20"][..]),
        (OURS, &[]),
        (OURS, &["-d", "20"]),
        (OURS, &["-d", "0"]),
        (OURS, &["-v", "-4", "--delay", "100"]),
    ] {
        daemon.knock(client, options);
        daemon.expect_open();
    }
}

#[test]
fn knockd_takes_a_copy_for_a_wrong_knock() {
    let Some(daemon) = Daemon::start("knockd-copies") else { return };
    daemon.knock(OURS, &["--copies", "2"]);
    daemon.knock(OURS, &["--copies", "1"]);
    daemon.expect_open();
    assert_eq!(daemon.log().matches("OPEN SESAME").count(), 1, "{}", daemon.log());
}
