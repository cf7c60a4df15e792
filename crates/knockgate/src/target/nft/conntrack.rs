//! Connections that the kernel follows (linux/netfilter/nfnetlink_conntrack.h).

use std::net::IpAddr;

use knockgate_compiler::backend::nft::CUT;
use rustix::io::Errno;

use super::elements::Element;
use super::netlink::{self, Attributes, Bytes, Request};
use super::{TargetError, table};

/// `IPCTNL_MSG_CT_NEW`, which changes a connection that is there.
const CHANGE: u16 = 0x0100;
const GET: u16 = 0x0101;
const TUPLE: u16 = 1;
const TUPLE_ADDRESSES: u16 = 1;
const SOURCE_V4: u16 = 1;
const SOURCE_V6: u16 = 3;
const STATUS: u16 = 3;
const TIMEOUT: u16 = 7;
const MARK: u16 = 8;
const ZONE: u16 = 18;
const INET4: u8 = 2;
const INET6: u8 = 10;
/// No packet prolongs it (`IPS_FIXED_TIMEOUT`).
const FIXED: u32 = 1 << 10;

/// Seconds that the kernel remembers that a connection was cut. A service that waits in vain for
/// acknowledgements gives up before (`man 7 tcp`, tcp_retries2).
const REMEMBERED_S: u32 = 30 * 60;

/// Cuts the connections that one of these addresses began, and says how many they were: what comes
/// for them is dropped, without an answer.
///
/// They are marked, not deleted: the kernel takes any packet of a deleted connection for the beginning
/// of one (`nf_conntrack_tcp_loose`), so with the next thing the service sends, the connection would be
/// back.
pub fn cut(sources: &Element) -> Result<usize, TargetError> {
    let family = if sources.first.is_ipv4() { INET4 } else { INET6 };
    let request = |kind, attributes| Request { kind, family, flags: 0, attributes };
    let failed = |error| table::refused("connections", error);
    let changes = netlink::collect(&request(GET, Bytes::default()), |connection| {
        let source = Element::of(source(connection)?);
        let is_cut = connection.number(MARK) == Some(CUT);
        (!is_cut && sources.covers(&source)).then(|| change(connection)).flatten()
    });
    let mut cut = 0;
    for change in changes.map_err(failed)? {
        match netlink::order(&request(CHANGE, change)) {
            Ok(()) => cut += 1,
            // It ended meanwhile.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(cut)
}

/// Who began a connection.
fn source(connection: Attributes<'_>) -> Option<IpAddr> {
    let addresses = connection.within(TUPLE).within(TUPLE_ADDRESSES);
    let v4 = addresses.find(SOURCE_V4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let v6 = addresses.find(SOURCE_V6).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    v4.map(IpAddr::from).or(v6.map(IpAddr::from))
}

/// What cuts a connection.
fn change(connection: Attributes<'_>) -> Option<Bytes> {
    let name = Bytes::default().put(TUPLE | 0x8000, connection.find(TUPLE)?);
    let name = connection.find(ZONE).into_iter().fold(name, |name, zone| name.put(ZONE, zone));
    let status = connection.number(STATUS)? | FIXED;
    let marked = name.put(MARK, &CUT.to_be_bytes()).put(STATUS, &status.to_be_bytes());
    Some(marked.put(TIMEOUT, &REMEMBERED_S.to_be_bytes()))
}
