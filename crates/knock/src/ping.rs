//! Echo requests, sent by the system's `ping`: std has no raw sockets, and they would ask for root.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long one ping may take; it waits for an answer for one second of it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1500);

/// The most that is kept of what `ping` complains about, in bytes.
const LONGEST_COMPLAINT: u64 = 1024;

/// What became of a request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The target answered, so the request has arrived.
    Answered,
    /// No answer came in time.
    Silent,
}

/// Sends one echo request with `size` bytes of payload and waits for its answer.
pub(crate) fn ping(target: IpAddr, size: u16) -> Result<Outcome, PingError> {
    let mut command = command(target, size);
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => PingError::Missing { program: program.clone() },
        _ => PingError::Unusable { program: program.clone(), error },
    };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let Some(status) = wait_for(&mut child).map_err(failed)? else {
        return Ok(Outcome::Silent);
    };
    match outcome(status) {
        Some(outcome) => Ok(outcome),
        None => Err(PingError::Unsent { target, complaint: complaint(&mut child).map_err(failed)? }),
    }
}

fn command(target: IpAddr, size: u16) -> Command {
    let (program, count_size, limit): (_, [&str; 3], &[&str]) = if cfg!(windows) {
        ("ping", ["-n", "1", "-l"], &["-w", "1000"])
    } else if cfg!(target_vendor = "apple") {
        // Apple's ping6 has no time limit of its own; PATIENCE ends it.
        if target.is_ipv6() {
            ("ping6", ["-c", "1", "-s"], &[])
        } else {
            ("ping", ["-c", "1", "-s"], &["-t", "1"])
        }
    } else {
        // -q: a line for each reply would cost a reverse look-up.
        ("ping", ["-c", "1", "-s"], &["-q", "-W", "1"])
    };
    let mut command = Command::new(program);
    command.args(count_size).arg(size.to_string()).args(limit).arg(target.to_string());
    command
}

/// The exit status, or `None` for a `ping` that had to be ended.
fn wait_for(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// BSD's ping exits with 2 when nothing answered, the others with 1.
fn outcome(status: ExitStatus) -> Option<Outcome> {
    let silent = if cfg!(target_vendor = "apple") { 2 } else { 1 };
    match status.code() {
        Some(0) => Some(Outcome::Answered),
        Some(code) if code == silent => Some(Outcome::Silent),
        _ => None,
    }
}

fn complaint(child: &mut Child) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(LONGEST_COMPLAINT).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Why an echo request could not be sent.
#[derive(Debug)]
pub enum PingError {
    /// The system has no such program.
    Missing {
        /// The program that was looked for.
        program: String,
    },
    /// The program could not be run.
    Unusable {
        /// The program.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// The program ran and did not send the request.
    Unsent {
        /// Where the request should have gone.
        target: IpAddr,
        /// What the program wrote on standard error.
        complaint: String,
    },
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program } => {
                write!(f, "a ping knock needs the system's `{program}`, which is not installed")
            }
            Self::Unusable { program, error } => write!(f, "cannot run the system's `{program}`: {error}"),
            Self::Unsent { target, complaint } => write!(f, "cannot ping {target}: {complaint}"),
        }
    }
}

impl std::error::Error for PingError {}
