//! What the kernel holds in sets and maps.

use std::collections::BTreeMap;
use std::process::Command;

use knockgate::lab::{Gateway, LabError};
use knockgate_compiler::time::Lifetime;

/// An element that the kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// Its set or map.
    pub set: String,
    /// Its key, as nft prints it.
    pub key: String,
    /// Its data, for a map.
    pub data: Option<String>,
}

/// Everything in the sets and maps of `table`, with the milliseconds that are left.
pub fn elements(gateway: &Gateway, table: &str) -> Result<BTreeMap<Element, Option<u64>>, LabError> {
    let mut list = Command::new("nft");
    list.args(["list", "table"]).args(table.split(' '));
    let text = gateway.namespace().output(list, "")?;
    read_elements(&text).ok_or_else(|| {
        let stderr = format!("cannot read this listing: {text}");
        LabError::Failed { command: format!("nft list table {table}"), stderr }
    })
}

fn read_elements(text: &str) -> Option<BTreeMap<Element, Option<u64>>> {
    let mut found = BTreeMap::new();
    for kind in ["\tset ", "\tmap "] {
        for block in text.split(kind).skip(1) {
            let (name, rest) = block.split_once(" {")?;
            let own = rest.split_once("\n\t}")?.0;
            let Some((_, elements)) = own.split_once("elements = {") else { continue };
            for element in elements.split_once('}')?.0.split(',') {
                let (key, rest) = match element.trim().split_once(" timeout ") {
                    Some((key, rest)) => (key, Some(rest)),
                    None => (element.trim(), None),
                };
                let expires = rest.and_then(|rest| rest.split_once("expires "));
                let left = expires.map(|(_, left)| left.split(' ').next().unwrap_or(left));
                let data = rest.and_then(|rest| rest.split_once(" : ")).map(|(_, data)| data.to_owned());
                let element = Element { set: name.to_owned(), key: key.to_owned(), data };
                let left = match left {
                    Some(text) => Some(milliseconds(text)?),
                    None => None,
                };
                found.insert(element, left);
            }
        }
    }
    Some(found)
}

/// The tag of a list as nft prints it, which takes it for a class of traffic (`man 8 nft`, META EXPRESSIONS).
pub fn class_id(tag: u32) -> String {
    if tag == u32::MAX { "root".to_owned() } else { format!("{:x}:{:x}", tag >> 16, tag & 0xffff) }
}

/// `1m2s30ms`, as nft prints it; what is about to expire has `0s` left.
fn milliseconds(text: &str) -> Option<u64> {
    match text {
        "0s" | "0ms" => Some(0),
        _ => text.parse::<Lifetime>().ok().map(Lifetime::as_millis),
    }
}
