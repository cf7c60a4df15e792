//! `knockgate watch`, at a terminal and in a pipe.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::owner::Owned;
use crate::program::{Ended, KNOCKGATE, wait_for};

fn owned() -> Option<Owned> {
    can_be_run(&NEEDED).then(|| Owned::new(Gateway::new()))
}

/// What a terminal shows, as far as the view uses one.
#[derive(Debug)]
struct Cells {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    /// A part of a command that has not come as a whole.
    begun: String,
    /// All commands that came.
    commands: String,
}

impl Cells {
    fn new() -> Self {
        Self { rows: vec![vec![' '; 80]; 24], at: (0, 0), begun: String::new(), commands: String::new() }
    }

    fn take(&mut self, text: &str) {
        for c in text.chars() {
            if self.begun.is_empty() && c != '\x1b' {
                self.put(c);
                continue;
            }
            self.begun.push(c);
            if self.begun.len() > 2 && c.is_ascii_alphabetic() {
                let command = std::mem::take(&mut self.begun);
                self.obey(&command);
                self.commands.push_str(&command);
            }
        }
    }

    fn put(&mut self, c: char) {
        let (row, column) = self.at;
        if let Some(cell) = self.rows.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = c;
        }
        self.at.1 += 1;
    }

    fn obey(&mut self, command: &str) {
        let numbers = command.trim_start_matches("\x1b[").trim_end_matches('H');
        match numbers.split_once(';') {
            Some((row, column)) if command.ends_with('H') => {
                let place = |number: &str| number.parse::<usize>().expect("a place from 1") - 1;
                self.at = (place(row), place(column));
            }
            _ if command == "\x1b[2J" => self.rows = vec![vec![' '; 80]; 24],
            _ => {}
        }
    }

    fn text(&self) -> String {
        self.rows.iter().map(|row| row.iter().collect::<String>() + "\n").collect()
    }
}

/// The view at a terminal of 80 columns and 24 lines.
struct Screen {
    keys: File,
    theirs: File,
    cells: Arc<Mutex<Cells>>,
    child: Ended,
}

/// The program at a terminal, and both sides of that, ours first.
fn at_a_terminal(gateway: &Gateway) -> (File, File, Ended) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).expect("a terminal of ours");
    unlockpt(&ours).expect("a terminal to be used");
    let name = ptsname(&ours, vec![]).expect("its name").into_string().expect("a plain name");
    let theirs = OpenOptions::new().read(true).write(true).open(name).expect("its other side");
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).expect("a terminal has a size");
    let side = || Stdio::from(theirs.try_clone().expect("a side"));
    let mut command = gateway.enter(KNOCKGATE);
    command.arg("watch").env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("knockgate");
    drop(command);
    (File::from(ours), theirs, Ended(child))
}

impl Screen {
    fn open(gateway: &Gateway) -> Self {
        let (keys, theirs, child) = at_a_terminal(gateway);
        let mut screen = keys.try_clone().expect("a side");
        let cells = Arc::new(Mutex::new(Cells::new()));
        let shown = Arc::clone(&cells);
        thread::spawn(move || {
            let (mut bytes, mut whole) = ([0; 4096], vec![]);
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                whole.extend_from_slice(&bytes[..length]);
                // A character may have come in part.
                let valid = std::str::from_utf8(&whole).map_or_else(|error| error.valid_up_to(), str::len);
                let rest = whole.split_off(valid);
                shown.lock().expect("no panic").take(std::str::from_utf8(&whole).expect("valid so far"));
                whole = rest;
            }
        });
        Self { keys, theirs, cells, child }
    }

    #[track_caller]
    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal that takes keys");
    }

    /// Waits until this is shown.
    #[track_caller]
    fn shows(&self, text: &str) {
        let shown = || self.cells.lock().expect("no panic").text();
        let found = std::panic::catch_unwind(|| wait_for(text, || shown().contains(text).then_some(())));
        assert!(found.is_ok(), "no `{text}` in\n{}", shown());
    }

    /// Whether the terminal is as it was: lines are edited, the first screen is back, and there is a cursor.
    fn is_given_back(&self) -> bool {
        let modes = tcgetattr(&self.theirs).expect("a terminal").local_modes;
        let commands = self.cells.lock().expect("no panic").commands.clone();
        let last = |one: &str, other: &str| commands.rfind(one) > commands.rfind(other);
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
            && last("\x1b[?1049l", "\x1b[?1049h")
            && last("\x1b[?25h", "\x1b[?25l")
    }

    #[track_caller]
    fn ends(&mut self) {
        let ended = wait_for("end", || self.child.0.try_wait().expect("a child"));
        assert!(ended.success(), "{ended}");
        wait_for("terminal as before", || self.is_given_back().then_some(()));
    }
}

#[test]
fn a_knock_is_seen_as_it_comes_and_its_grant_is_revoked_by_a_key() {
    let Some(owned) = owned() else { return };
    let mut screen = Screen::open(&owned.gateway);
    screen.shows("nobody holds a grant");
    screen.shows("events: live");
    assert!(!screen.is_given_back(), "the view has the terminal");
    owned.knock();
    screen.shows("knock 2 of 3 main");
    screen.shows("granted main");
    screen.shows("▸ 10.9.0.2");
    screen.press("r");
    screen.shows("Revoke every grant of 10.9.0.2? (y/n)");
    screen.press("y");
    screen.shows("10.9.0.2 may no longer use door main");
    assert!(owned.gateway.elements("set", "grants4").is_empty());
    screen.shows("nobody holds a grant");
    screen.press("B198.51.100.7\r1h\rscans all day\r");
    screen.shows("banned 198.51.100.7 for 1h");
    screen.press("3");
    screen.shows("59m");
    screen.shows("scans all day");
    screen.press("uy");
    screen.shows("198.51.100.7 is no longer banned");
    tcsetwinsize(&screen.theirs, Winsize { ws_row: 10, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("a terminal has a size");
    screen.shows("3 of 7, Tab");
    screen.press("q");
    screen.ends();
}

#[test]
fn whoever_ends_it_from_outside_has_the_terminal_back() {
    let Some(owned) = owned() else { return };
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut screen = Screen::open(&owned.gateway);
        screen.shows("events: live");
        // nsenter becomes the program.
        let id = Pid::from_child(&screen.child.0);
        kill_process(id, signal).expect("a child of ours");
        screen.ends();
    }
}

#[test]
fn it_ends_with_its_terminal() {
    let Some(owned) = owned() else { return };
    let (mut ours, theirs, mut child) = at_a_terminal(&owned.gateway);
    let mut seen = String::new();
    while !seen.contains("quit") {
        let mut bytes = [0; 4096];
        let length = ours.read(&mut bytes).expect("it draws");
        seen += &String::from_utf8_lossy(&bytes[..length]);
    }
    drop((ours, theirs));
    wait_for("end", || child.0.try_wait().expect("a child of ours"));
}

#[test]
fn it_goes_on_when_the_rules_are_taken_away_and_others_are_put_in_force() {
    let Some(owned) = owned() else { return };
    let screen = Screen::open(&owned.gateway);
    screen.shows("events: live");
    owned.gateway.must("nft flush ruleset");
    screen.shows("GONE");
    owned.gateway.apply(&Owned::lockout());
    screen.shows("8443/tcp");
    screen.shows("in force since");
    owned.gateway.knockgate(&["remove"]).expect(0);
    screen.shows("no policy is in force");
}

#[test]
fn in_a_pipe_each_happening_is_a_line_until_nobody_reads_it() {
    let Some(owned) = owned() else { return };
    let mut command = owned.gateway.enter(KNOCKGATE);
    command.args(["watch", "--format", "json", "--interval", "100ms"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("nsenter");
    let mut child = Ended(child);
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    assert_eq!(next()["text"], "<stdin> is in force; each knock is told");
    owned.knock();
    for number in [1, 2] {
        let knock = next();
        assert_eq!((&knock["event"], &knock["number"]), (&"knock".into(), &number.into()), "{knock}");
        assert_eq!((&knock["source"], &knock["door"]), (&"10.9.0.2".into(), &"main".into()));
    }
    assert_eq!(next()["event"], "granted");
    owned.gateway.knockgate(&["ban", "198.51.100.9", "--for", "1h"]).expect(0);
    let ban = next();
    assert_eq!((&ban["event"], &ban["by"]), (&"banned".into(), &"hand".into()), "{ban}");
    drop(lines);
    let ended = wait_for("end", || child.0.try_wait().expect("a child"));
    assert!(ended.success(), "{ended}");
}

#[test]
fn without_a_policy_there_is_nothing_to_watch() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let said = Gateway::new().knockgate(&["watch"]).expect(2);
    assert!(said.stderr.contains("no policy is in force") && said.stdout.is_empty(), "{said:#?}");
    let said = Gateway::new().knockgate(&["watch", "--interval", "10ms"]).expect(2);
    assert!(said.stderr.contains("at least 100ms"), "{said:#?}");
}
