//! The interfaces of this machine, and where its routes lead.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use knockgate_compiler::net::Family;
use serde_json::Value;

use super::super::TargetError;

/// An interface.
#[derive(Debug)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its addresses, but for those that hold on the link alone.
    pub addresses: Vec<IpAddr>,
}

/// All interfaces but loopback.
pub fn links() -> Result<Vec<Link>, TargetError> {
    let found = ip(&["address", "show"])?;
    let links = found.iter().filter_map(|link| Some((link["ifname"].as_str()?, link)));
    let links = links.filter(|(name, _)| *name != "lo").map(|(name, link)| {
        let all = link["addr_info"].as_array().into_iter().flatten();
        let usable = all.filter(|address| address["scope"] == "global" || address["scope"] == "site");
        let addresses = usable.filter_map(|address| address["local"].as_str()?.parse().ok()).collect();
        Link { name: name.to_owned(), addresses }
    });
    Ok(links.collect())
}

/// The interfaces that a default route leads out by.
pub fn default_routes(family: Family) -> Result<Vec<String>, TargetError> {
    let version = if family == Family::V4 { "-4" } else { "-6" };
    let routes = ip(&[version, "route", "show", "default"])?;
    let hops = routes.iter().flat_map(|route| {
        let several = route["nexthops"].as_array().into_iter().flatten();
        several.chain([route]).filter_map(|hop| hop["dev"].as_str())
    });
    let mut names: Vec<String> = hops.filter(|name| *name != "lo").map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The interface that packets to `address` go out by, if any.
pub fn way_to(address: IpAddr) -> Option<String> {
    // Without a route, `ip` fails.
    let routes = ip(&["route", "get", &address.to_string()]).ok()?;
    routes.first()?["dev"].as_str().map(str::to_owned)
}

fn ip(arguments: &[&str]) -> Result<Vec<Value>, TargetError> {
    let failed = |error| TargetError::State(PathBuf::from("ip"), error);
    let output = Command::new("ip").arg("-j").args(arguments).output().map_err(failed)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(io::Error::other(words)));
    }
    if output.stdout.trim_ascii().is_empty() {
        return Ok(vec![]);
    }
    let answer: Result<Vec<Value>, _> = serde_json::from_slice(&output.stdout);
    answer.map_err(|error| failed(io::Error::other(error)))
}
