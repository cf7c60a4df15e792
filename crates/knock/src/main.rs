//! The `knock` program: see `knock(1)`.

#![forbid(unsafe_code)]

mod cli;
mod failure;
mod request;

use std::env;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use knock::{Knock, ProfileError, Profiles, relay, resolve, say, wait_open};
use knockgate_papers::{completions, page};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::request::{Errand, Request};

/// What the manual page says beside what the command line defines.
const TEMPLATE: &str = include_str!("../../../docs/man/knock.1.in");

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&format!("knock: {failure}"));
            failure.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    if cli.list {
        return list(&profiles()?);
    }
    if cli.man {
        return print(&page(Cli::command(), TEMPLATE));
    }
    if let Some(shell) = cli.completions {
        return print(&completions(Cli::command(), shell));
    }
    let request = Request::new(cli, profiles)?;
    let target = resolve(&request.host, request.family)?;
    let mut tell = |knock| tell(cli, target, knock);
    match request.errand {
        Errand::Knock => say(target, &request.sequence, &mut tell)?,
        Errand::Wait { port, limit } => {
            wait_open(target, port, &request.sequence, limit, &mut tell)?;
        }
        Errand::Proxy { port, limit } => {
            let connection = wait_open(target, port, &request.sequence, limit, &mut tell)?;
            relay(connection, io::stdin(), io::stdout()).map_err(Failure::Relay)?;
        }
    }
    Ok(())
}

/// Standard output belongs to the connection when it is relayed.
fn tell(cli: &Cli, target: IpAddr, knock: Knock) {
    if !cli.verbose {
        return;
    }
    let line = format!("hitting {} {target}:{}", knock.protocol(), knock.number());
    if cli.proxy {
        complain(&line);
    } else if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(&format!("knock: cannot write to standard output: {error}"));
    }
}

/// Writes to standard error. When that is closed too, nobody is left to be told.
fn complain(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

fn list(profiles: &Profiles) -> Result<(), Failure> {
    let lines = profiles.iter().map(|profile| {
        let wait = profile.wait.map_or(String::new(), |port| format!("  waits for {port}"));
        format!("{}  {}{wait}\n", profile.name, profile.host)
    });
    print(&lines.collect::<String>())
}

/// Prints a result. Whoever closes the pipe has read enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Print),
    }
}

/// The user's profiles; none when there is no file.
fn profiles() -> Result<Profiles, ProfileError> {
    let Some(path) = config_file() else { return Ok(Profiles::default()) };
    let profiles = match Profiles::read(&path) {
        Err(ProfileError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Profiles::default());
        }
        result => result?,
    };
    if profiles.readable_by_others() {
        let path = path.display();
        complain(&format!("knock: warning: others can read the knocks in {path}: chmod 600 it"));
    }
    Ok(profiles)
}

/// `knock/config.toml` in the user's configuration folder (XDG Base Directory Specification 0.8: a relative
/// `XDG_CONFIG_HOME` does not count).
fn config_file() -> Option<PathBuf> {
    let folder = if cfg!(windows) {
        env::var_os("APPDATA").map(PathBuf::from)
    } else {
        env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| env::home_dir().map(|home| home.join(".config")))
    };
    folder.map(|folder| folder.join("knock").join("config.toml"))
}
