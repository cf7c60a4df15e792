//! A network namespace that exists for one test.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::bounded::{LIMIT, expect_code, in_background, run, spawn};

/// A namespace with nothing but loopback. It lives as long as its holder, which ends with the test even if that is killed.
pub struct Namespace(Ended);

/// A program that is ended with the test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Namespace {
    /// `None`, with a note, where this test cannot run; a failure where it must.
    pub fn with(tools: &[&str]) -> Option<Self> {
        let lacking = lacking(tools);
        if lacking.is_empty() {
            return Some(Self::new());
        }
        let lacking = lacking.join(", ");
        assert!(env::var_os("CI").is_none(), "this test must run here, and lacks: {lacking}");
        eprintln!("not run: lacks {lacking}");
        None
    }

    fn new() -> Self {
        let mut holder = spawn(Command::new("unshare").args([
            "-n",
            "sh",
            "-c",
            "ip link set lo up && echo up && exec cat",
        ]));
        let stdout = holder.stdout.take().expect("piped");
        let holder = Ended(holder);
        let first = in_background(move || BufReader::new(stdout).lines().next());
        let line = first.recv_timeout(LIMIT).expect("a namespace in time");
        assert!(matches!(line, Some(Ok(up)) if up == "up"), "a new network namespace");
        Self(holder)
    }

    /// A command that runs in the namespace.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.0.0.id().to_string(), "-n", program])
            .env("XDG_CONFIG_HOME", "/nonexistent");
        command
    }

    /// Filters what comes in by one nft rule.
    pub fn filter_incoming(&self, rule: &str) {
        let rules = format!(
            "table inet lab {{\n chain in {{\n type filter hook input priority 0;\n {rule}\n }}\n}}\n"
        );
        expect_code(&run(self.enter("nft").arg(rules)), 0);
    }

    /// Starts a program that keeps running.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Ended {
        let mut command = self.enter(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ended(command.spawn().expect("nsenter runs"))
    }
}

fn lacking<'a>(tools: &[&'a str]) -> Vec<&'a str> {
    let is_root = fs::metadata("/proc/self").expect("Linux has /proc").uid() == 0;
    let root = (!is_root).then_some("root");
    let installed = |tool: &&str| match env::var_os("PATH") {
        Some(path) => env::split_paths(&path).any(|folder| folder.join(Path::new(tool)).is_file()),
        None => false,
    };
    let needed = ["unshare", "nsenter", "ip"].into_iter().chain(tools.iter().copied());
    root.into_iter().chain(needed.filter(|tool| !installed(tool))).collect()
}
