//! Who takes a policy back when nobody else is left: a process of its own, with nothing that ties it to
//! the session that it was started from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::super::files::has_systemd;
use super::super::{TargetError, lock};
use super::record::{Phase, Record, note_trouble};
use super::{Why, keep, take_back};

/// What it says when it watches.
const READY: &str = "watching";
/// How often it looks. A clock that counts while the machine sleeps cannot be slept by.
const LOOK: Duration = Duration::from_secs(1);
/// How soon it tries again when somebody else holds the lock.
const BUSY: Duration = Duration::from_millis(50);
/// How soon it tries again after a failure: ever later, up to the longest.
const PACE: Duration = Duration::from_millis(200);
const LONGEST_PACE: Duration = Duration::from_secs(30);
/// Seconds after the latest end of a trial at which systemd looks too.
const AFTER_S: u64 = 2;

/// Starts it, and waits until it watches. While the trial is not running yet, it takes the policy back as
/// soon as the pipe that is returned is closed, which it is when this process ends.
pub(super) fn start(record: &Record) -> Result<ChildStdin, TargetError> {
    let failed = |error: io::Error| TargetError::NoWatchdog(error.to_string());
    let program = std::env::current_exe().map_err(failed)?;
    if has_systemd() {
        ask_systemd(&program, record);
    }
    // What a shell ignores stays ignored in what it becomes (`man 1p trap`).
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT && exec \"$0\" watchdog \"$1\""]).arg(&program).arg(&record.id);
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take().expect("piped");
    let mut said = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).map_err(failed)?;
    if said.trim() == READY {
        return Ok(stdin);
    }
    let ended = child.wait().map_err(failed)?;
    Err(TargetError::NoWatchdog(format!("the process that would ended with {ended}")))
}

/// Has systemd start a second one when the time is up. That it cannot is no reason not to go on: the
/// first one does not need it.
fn ask_systemd(program: &std::path::Path, record: &Record) {
    let seconds = record.left_ms().div_ceil(1000) + AFTER_S;
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--collect", &format!("--unit=knockgate-trial-{}", record.id)]);
    command.args([&format!("--on-active={seconds}s"), "--timer-property=AccuracySec=1s", "--"]);
    command.arg(program).args(["watchdog", &record.id]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(command.spawn());
}

/// Waits for the end of the trial of that name, and takes its policy back if it was not confirmed.
/// Returns when there is no such trial any more.
pub fn watch(id: &str) {
    detach();
    let mut applying = true;
    let mut pace = PACE;
    loop {
        let pause = match step(id, applying) {
            Ok(None) => return,
            Ok(Some(left)) => {
                pace = PACE;
                left.min(LOOK)
            }
            Err(TargetError::Locked { holder }) => {
                end_apply(id, holder);
                BUSY
            }
            Err(error) => {
                // Where not even that can be written there is nobody to be told.
                note_trouble(&error).unwrap_or_default();
                pace = (pace * 2).min(LONGEST_PACE);
                pace
            }
        };
        if applying {
            applying = !has_ended(pause);
        } else {
            thread::sleep(pause);
        }
    }
}

/// Does what is to be done now. Tells how long there is nothing more to do; nothing if there is no such
/// trial.
fn step(id: &str, applying: bool) -> Result<Option<Duration>, TargetError> {
    let ours = || Ok(Record::read()?.filter(|record| record.id == id));
    let due = |record: &Record| match record.phase {
        Phase::Confirmed => true,
        Phase::Loading => !applying || record.left_ms() == 0,
        Phase::Running => record.left_ms() == 0,
    };
    let Some(record) = ours()? else { return Ok(None) };
    if !due(&record) {
        return Ok(Some(Duration::from_millis(record.left_ms())));
    }
    let lock = lock::take()?;
    // It may have been confirmed before the lock was free.
    let Some(record) = ours()? else { return Ok(None) };
    match record.phase {
        Phase::Confirmed => keep(&lock)?,
        Phase::Loading => take_back(&lock, &record, Why::Died)?,
        // It began to run, or its time was set anew, before the lock was free.
        Phase::Running if !due(&record) => return Ok(Some(Duration::from_millis(record.left_ms()))),
        Phase::Running => take_back(&lock, &record, Why::TimeIsUp)?,
    }
    Ok(None)
}

/// Kills the apply that began this trial, if it holds the lock though the time is up: it was stopped, or
/// hangs, and would lock its owner out for good.
fn end_apply(id: &str, holder: Option<u32>) {
    let late = |record: &Record| record.id == id && record.left_ms() == 0;
    let ours = |process: u32| {
        let program = |process: &str| std::fs::read_link(format!("/proc/{process}/exe")).ok();
        program(&process.to_string()).is_some_and(|other| Some(other) == program("self"))
    };
    let Ok(Some(record)) = Record::read() else { return };
    let apply = holder.filter(|holder| late(&record) && *holder == record.process && ours(*holder));
    if let Some(apply) = apply.and_then(|apply| Pid::from_raw(i32::try_from(apply).ok()?)) {
        // It may have ended by itself meanwhile.
        kill_process(apply, Signal::KILL).unwrap_or_default();
    }
}

/// Whether the apply ends within so long. Of one that ended before, standard input is as good as closed.
fn has_ended(most: Duration) -> bool {
    let stdin = io::stdin();
    let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut wanted, Timespec::try_from(most).ok().as_ref()) {
        Ok(0) | Err(Errno::INTR) => return false,
        _ => {}
    }
    let ended = matches!(rustix::io::read(&stdin, &mut [0; 16]), Ok(0) | Err(_));
    if ended && let Ok(nothing) = nothing() {
        dup2_stdin(&nothing).unwrap_or_default();
    }
    ended
}

/// Leaves the session and its terminal, and says that it watches. Nobody may be there to hear it.
fn detach() {
    // One that leads a session already, as systemd starts it, has no terminal.
    setsid().map(|_| ()).unwrap_or_default();
    let said = writeln!(io::stdout(), "{READY}").and_then(|()| io::stdout().flush());
    said.unwrap_or_default();
    if let Ok(nothing) = nothing() {
        dup2_stdout(&nothing).and_then(|()| dup2_stderr(&nothing)).unwrap_or_default();
    }
}

fn nothing() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}
