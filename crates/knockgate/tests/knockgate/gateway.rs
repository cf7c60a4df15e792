//! A machine to be guarded: a network namespace with a `/run` of its own.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::program::{Ended, KNOCKGATE, LIMIT, Said, run};

/// Whether a test can run that needs root and these programs; it says so when not, and fails where
/// it must run.
pub fn can_be_run(programs: &[&str]) -> bool {
    let there = |program: &&&str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let mut lacking: Vec<&str> = programs.iter().filter(|program| !there(program)).copied().collect();
    if !rustix::process::geteuid().is_root() {
        lacking.push("root");
    }
    if lacking.is_empty() {
        return true;
    }
    assert!(env::var_os("CI").is_none(), "this test must run here, and lacks: {}", lacking.join(", "));
    eprintln!("not run: lacks {}", lacking.join(", "));
    false
}

/// The programs that a [`Gateway`] takes.
pub const NEEDED: [&str; 4] = ["unshare", "nsenter", "ip", "nft"];

/// It lives as long as its holder, which ends with the test even if that is killed.
#[derive(Debug)]
pub struct Gateway {
    holder: Ended,
    /// Of a whole machine, its first process, as it is called outside.
    first: Option<u32>,
}

impl Gateway {
    pub fn new() -> Self {
        Self { holder: held(&["--net", "--mount"], "true"), first: None }
    }

    /// A whole machine: its processes end with it, and what it keeps for later is in `disk`.
    pub fn machine(disk: &Path) -> Self {
        let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let holder = held(&namespaces, &format!("mount --bind '{}' /var/lib", disk.display()));
        let children = format!("/proc/{0}/task/{0}/children", holder.0.id());
        let children = fs::read_to_string(children).expect("a process of ours");
        let first = children.trim().parse().expect("one child");
        Self { holder, first: Some(first) }
    }

    /// The process that holds its namespaces.
    pub fn pid(&self) -> u32 {
        self.first.unwrap_or_else(|| self.holder.0.id())
    }

    /// A command that runs on it.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "--net", "--mount"]);
        if self.first.is_some() {
            command.arg("--pid");
        }
        command.args(["--", program]).env_remove("RUST_BACKTRACE").env_remove("SSH_CONNECTION");
        command
    }
    pub fn sh(&self, script: &str) -> Said {
        run(self.enter("sh").args(["-c", script]), "")
    }

    /// What a script prints that has to work.
    #[track_caller]
    pub fn must(&self, script: &str) -> String {
        self.sh(script).expect(0).stdout
    }

    pub fn knockgate(&self, arguments: &[&str]) -> Said {
        run(self.enter(KNOCKGATE).args(arguments), "")
    }

    /// Puts a policy in force for good, and returns what is said.
    #[track_caller]
    pub fn apply(&self, policy: &str) -> String {
        self.try_apply(policy).expect(0).stdout
    }

    pub fn try_apply(&self, policy: &str) -> Said {
        run(self.enter(KNOCKGATE).args(["apply", "--no-trial", "-"]), policy)
    }

    /// All rules and elements, ours and others', without what they counted and how long they have left.
    pub fn ruleset(&self) -> String {
        self.must("nft -s list ruleset")
    }

    /// The elements of a set or map of ours, each with the seconds it has left.
    pub fn elements(&self, kind: &str, name: &str) -> BTreeMap<String, u64> {
        let text = self.must(&format!("nft -j list {kind} inet knockgate {name}"));
        let answer: Value = serde_json::from_str(&text).expect("JSON of nft");
        let found = answer["nftables"].as_array().into_iter().flatten().filter_map(|object| object.get(kind));
        let elements = found.flat_map(|set| set["elem"].as_array().cloned().unwrap_or_default());
        elements
            .map(|element| {
                let element = if element.is_array() { element[0].clone() } else { element };
                let element = &element["elem"];
                (element["val"].to_string(), element["expires"].as_u64().expect("a timed element"))
            })
            .collect()
    }
}

/// What holds new namespaces, in which `script` was run too.
fn held(namespaces: &[&str], script: &str) -> Ended {
    let script = format!("mount -t tmpfs tmpfs /run && ip link set lo up && {script} && echo up && exec cat");
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", &script]);
    // Its standard input is never written to: `cat` ends when we do.
    let holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
    let mut holder = Ended(holder);
    let stdout = holder.0.stdout.take().expect("piped");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(BufReader::new(stdout).lines().next()));
    let line = told.recv_timeout(LIMIT).expect("a namespace in time");
    assert!(matches!(line, Some(Ok(up)) if up == "up"), "a new network namespace");
    holder
}
