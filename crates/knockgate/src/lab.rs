//! Throw-away network namespaces.
//!
//! A [`Namespace`] is held by a thread of ours and by nothing else: no name below `/run/netns`, no
//! process. It ends with the value, and with this process however that ends.
//!
//! A [`Gateway`] is one whose interfaces are ours, and [`replay()`] plays traces to it.

mod gateway;
mod replay;
mod tun;
pub mod wire;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use knockgate_compiler::backend::Unsayable;
use rustix::thread::{Pid, UnshareFlags, gettid};

pub use gateway::{Gateway, Link, Seen};
pub use replay::{LONGEST, MOST_PACKETS, Played, replay};

/// Why something in a namespace did not work.
#[derive(Debug)]
pub enum LabError {
    /// The kernel gives no namespace: it takes CAP_SYS_ADMIN (`man 2 unshare`).
    NoNamespace(io::Error),
    /// The program could not be run at all.
    NotRun {
        /// What was to be run.
        command: String,
        /// Why not.
        error: io::Error,
    },
    /// The program said no.
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// A file below `/proc/sys` could not be written.
    NotSet {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// An interface of ours could not be made.
    NoInterface {
        /// Its name.
        name: String,
        /// Why not.
        error: io::Error,
    },
    /// An interface or a socket of ours did not work.
    Io(io::Error),
    /// The gateway does not answer at this address of its own.
    Unreachable(IpAddr),
    /// The gateway's packet filter has no words for this, and perhaps for more.
    Unsayable(Unsayable),
    /// A trace lasts so many seconds.
    TooLong(u64),
    /// A trace has so many packets.
    TooMany(usize),
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNamespace(error) => write!(f, "no network namespace: {error}"),
            Self::NotRun { command, error } => write!(f, "cannot run `{command}`: {error}"),
            Self::Failed { command, stderr } => write!(f, "`{command}` failed: {}", stderr.trim_end()),
            Self::NotSet { file, error } => write!(f, "cannot write {}: {error}", file.display()),
            Self::NoInterface { name, error } => {
                write!(f, "no interface `{name}` with /dev/net/tun: {error}")
            }
            Self::Io(error) => write!(f, "an interface or a socket of the lab: {error}"),
            Self::Unreachable(address) => write!(f, "the gateway of the lab does not answer at {address}"),
            Self::Unsayable(refused) => f.write_str(&refused.finding().message),
            Self::TooLong(seconds) => {
                write!(f, "the trace lasts {seconds} seconds; at most {LONGEST} are played in real time")
            }
            Self::TooMany(packets) => {
                write!(f, "the trace has {packets} packets; at most {MOST_PACKETS} are played")
            }
        }
    }
}

impl std::error::Error for LabError {}

impl From<io::Error> for LabError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace of its own, with its loopback interface up.
#[derive(Debug)]
pub struct Namespace {
    holder: Pid,
    /// `None` only while the value is dropped: the holder ends when nobody can send it a job.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// A new one. Takes root, or a user namespace of ours.
    pub fn new() -> Result<Self, LabError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let hold = move || {
            let made = leave_network().map(|()| gettid());
            let go_on = made.is_ok();
            if tell.send(made).is_ok() && go_on {
                inbox.into_iter().for_each(|job| job());
            }
        };
        let started = thread::Builder::new().name("namespace".to_owned()).spawn(hold);
        let thread = started.map_err(LabError::NoNamespace)?;
        let made = told.recv().expect("the holder tells before it ends");
        let holder = made.map_err(|error| LabError::NoNamespace(error.into()))?;
        let namespace = Self { holder, jobs: Some(jobs), thread: Some(thread) };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// What `work` returns when it is done inside: sockets and files that it opens, and programs
    /// that it starts, belong to the namespace, which lasts as long as they do. A panic goes on
    /// here. One call at a time.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move || {
            // Nobody waits for the answer only when the caller's thread is gone.
            drop(tell.send(catch_unwind(AssertUnwindSafe(work))));
        });
        let jobs = self.jobs.as_ref().expect("jobs are taken only when dropped");
        jobs.send(job).expect("the holder waits for jobs");
        match told.recv().expect("the holder answers each job") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// What `command` says on its standard output when it has `input` and ends well.
    pub fn output(&self, command: Command, input: &str) -> Result<String, LabError> {
        let input = input.to_owned();
        self.run(move || output(command, &input))
    }

    /// Runs `ip` with these arguments.
    pub fn ip(&self, arguments: &[&str]) -> Result<(), LabError> {
        let mut command = Command::new("ip");
        command.args(arguments);
        self.output(command, "").map(drop)
    }

    /// Loads a ruleset, and returns what it prints.
    pub fn nft(&self, ruleset: &str) -> Result<String, LabError> {
        let mut command = Command::new("nft");
        command.args(["-f", "-"]);
        self.output(command, ruleset)
    }

    /// Sets what is below `/proc/sys/net`: `ipv4/ip_forward` to `1`.
    pub fn set(&self, key: &str, value: &str) -> Result<(), LabError> {
        let file = Path::new("/proc/sys/net").join(key);
        let value = value.to_owned();
        // Which namespace's value such a file has is decided by the thread that opens it.
        self.run(move || std::fs::write(&file, value).map_err(|error| LabError::NotSet { file, error }))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no job ends the holder: it catches their panics");
        }
    }
}

/// Where a cable ends.
#[derive(Clone, Copy, Debug)]
pub struct Plug<'a> {
    /// In this namespace.
    pub namespace: &'a Namespace,
    /// As an interface of this name.
    pub interface: &'a str,
    /// With these addresses, as in `192.0.2.1/24`. They are usable at once.
    pub addresses: &'a [&'a str],
}

/// Connects two namespaces by a pair of virtual Ethernet devices (`man 4 veth`).
pub fn connect(one: Plug<'_>, other: Plug<'_>) -> Result<(), LabError> {
    let far = other.namespace.holder.as_raw_pid().to_string();
    one.namespace.ip(&[
        "link",
        "add",
        "name",
        one.interface,
        "type",
        "veth",
        "peer",
        "name",
        other.interface,
        "netns",
        &far,
    ])?;
    // Up first: IPv6 addresses of an interface that is down become usable some time after it is up.
    for plug in [one, other] {
        plug.namespace.ip(&["link", "set", plug.interface, "up"])?;
    }
    for plug in [one, other] {
        for address in plug.addresses {
            let with = ["address", "add", address, "dev", plug.interface];
            // Without it an IPv6 address waits for duplicates to object (RFC 4862, section 5.4).
            let nodad = address.contains(':').then_some("nodad");
            plug.namespace.ip(&with.into_iter().chain(nodad).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "leaving a namespace has no safe wrapper, because of other flags")]
fn leave_network() -> rustix::io::Result<()> {
    // SAFETY: only UnshareFlags::FILES can take a file from another thread, and it is not given.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

fn output(mut command: Command, input: &str) -> Result<String, LabError> {
    let said = format!("{} {}", command.get_program().display(), joined(&command));
    let not_run = |error| LabError::NotRun { command: said.clone(), error };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(not_run)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    // Read while writing, or both sides would wait for each other once the pipes are full.
    let finished = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends before it has read everything says itself why.
            stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        let read = scope.spawn(move || {
            let mut text = String::new();
            stdout.map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut text)).map(|_| text)
        });
        let finished = child.wait_with_output()?;
        Ok((finished, read.join().expect("reading does not panic")?))
    });
    let (finished, stdout) = finished.map_err(not_run)?;
    if finished.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    Err(LabError::Failed { command: said, stderr })
}

fn joined(command: &Command) -> String {
    command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
