//! `knockgate metrics`, and the numbers that `knockgate keep` gives away.

mod gather;
mod meaning;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use knockgate::metrics::{Endpoint, write};
use knockgate_compiler::policy::Listen;

use gather::gather;

use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// Write a file instead, for the textfile collector of node_exporter
    ///
    /// All of it or nothing, and readable by everybody.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Answer `GET /metrics` there until it is stopped: 127.0.0.1:9469, or a path for a Unix socket
    #[arg(long, value_name = "ADDRESS:PORT|PATH", value_parser = listen, conflicts_with = "out")]
    listen: Option<Listen>,
}

fn listen(text: &str) -> Result<Listen, String> {
    if text.contains('/') {
        return Ok(Listen::Unix(text.into()));
    }
    let address: SocketAddr =
        text.parse().map_err(|_| "an address with a port, or a path with a `/`".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(Listen::Tcp(address)),
        false => Err("an address of loopback; whoever is elsewhere asks a proxy of yours".to_owned()),
    }
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    if let Some(at) = &options.listen {
        let endpoint = Endpoint::bind(at).with_context(|| format!("listening at {}", place(at)))?;
        output.tell(&format!("listening at {}\n", place(at)));
        endpoint.serve(page).context("waiting for somebody who asks")?;
        return Ok(Answer::Fine);
    }
    let text = gather()?;
    match &options.out {
        Some(path) => write(path, &text).with_context(|| format!("writing `{}`", path.display()))?,
        None => output.print(&text)?,
    }
    Ok(Answer::Fine)
}

/// The numbers, or why there are none.
pub fn page() -> Result<String, String> {
    gather().map_err(|error| format!("{error:#}"))
}

fn place(at: &Listen) -> String {
    match at {
        Listen::Unix(path) => path.to_string(),
        Listen::Tcp(address) => format!("http://{address}/metrics"),
    }
}
