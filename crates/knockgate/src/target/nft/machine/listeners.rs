//! Who listens on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use knockgate_compiler::net::{Endpoint, Port, Transport};

use super::super::TargetError;
use super::read;

/// A socket that takes packets from anybody.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// Its port.
    pub endpoint: Endpoint,
    /// The address it is bound to.
    pub address: IpAddr,
    inode: u64,
}

/// The tables of sockets (`man 5 proc`), and the state that listens in each (`include/net/tcp_states.h`).
const TABLES: [(&str, Transport, &str); 4] = [
    ("tcp", Transport::Tcp, "0A"),
    ("tcp6", Transport::Tcp, "0A"),
    ("udp", Transport::Udp, "07"),
    ("udp6", Transport::Udp, "07"),
];

/// All that listen in our network namespace.
pub fn listeners() -> Result<Vec<Listener>, TargetError> {
    let mut found = vec![];
    for (name, transport, state) in TABLES {
        let path = format!("/proc/thread-self/net/{name}");
        // Without IPv6 there are no tables of it.
        if Path::new(&path).exists() {
            let table = read(&path)?;
            found.extend(table.lines().skip(1).filter_map(|row| listener(row, transport, state)));
        }
    }
    Ok(found)
}

fn listener(row: &str, transport: Transport, listens: &str) -> Option<Listener> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    let (address, port) = columns.get(1)?.split_once(':')?;
    let port = Port::new(u16::from_str_radix(port, 16).ok()?)?;
    let inode = columns.get(9)?.parse().ok()?;
    let listener = Listener { endpoint: Endpoint { transport, port }, address: parse(address)?, inode };
    (columns.get(3) == Some(&listens)).then_some(listener)
}

/// An address as those tables have it: groups of four bytes, each in the machine's order.
fn parse(hex: &str) -> Option<IpAddr> {
    let group = |index: usize| {
        let digits = hex.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(group(0)?).into());
    }
    let groups = [group(0)?, group(1)?, group(2)?, group(3)?];
    let bytes: [u8; 16] = groups.concat().try_into().ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

impl Listener {
    /// Whether only this machine itself reaches it.
    pub fn is_inward(&self) -> bool {
        self.address.is_loopback()
    }
}

/// The names of the programs that have these sockets open, as far as they can be told.
pub fn programs(listeners: &[Listener]) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    let wanted = |inode: &u64| listeners.iter().any(|listener| listener.inode == *inode);
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // A process may end at any moment, and what is not one has no such folder.
        for inode in sockets(&process.path().join("fd")).unwrap_or_default().into_iter().filter(wanted) {
            if let Ok(name) = fs::read_to_string(process.path().join("comm")) {
                found.entry(inode).or_insert_with(|| name.trim().to_owned());
            }
        }
    }
    found
}

impl Listener {
    /// Its program's name, if `programs` has it.
    pub fn program(&self, programs: &BTreeMap<u64, String>) -> Option<String> {
        programs.get(&self.inode).cloned()
    }
}

fn sockets(folder: &Path) -> io::Result<Vec<u64>> {
    let links = fs::read_dir(folder)?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    Ok(links.filter_map(inode).collect())
}
