//! What nft's JSON leaves out and its text has: the devices of chains (up to nft 1.0.6 at least), and
//! what rules of `iptables-nft` ask that is no expression of nftables but code of iptables.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Whether there is something to [`complete`] in a listing.
pub fn is_short(listing: &str) -> bool {
    listing.contains("\"xt\"") || listing.contains("\"hook\": \"ingress\"")
}

/// Puts into `objects` what `text`, the same table with handles, says more.
pub fn complete(objects: &mut [Value], text: &str) {
    let rules: BTreeMap<u64, &str> = text
        .lines()
        .filter_map(|line| {
            let (line, handle) = line.rsplit_once(" # handle ")?;
            Some((handle.trim().parse().ok()?, line))
        })
        .collect();
    let devices = devices(text);
    for object in objects {
        if let Some(chain) = object.get_mut("chain") {
            let name = chain["name"].as_str().unwrap_or_default();
            if let Some(devices) = devices.get(name) {
                chain["dev"] = json!(devices);
            }
        }
        if let Some(rule) = object.get_mut("rule") {
            let line = rule["handle"].as_u64().and_then(|handle| rules.get(&handle));
            for statement in rule["expr"].as_array_mut().into_iter().flatten() {
                let known = statement.get("xt").and_then(|xt| known(xt, line.copied().unwrap_or_default()));
                if let Some(known) = known {
                    *statement = known;
                }
            }
        }
    }
}

/// The devices of each chain that has some.
fn devices(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let name = pair[0].strip_prefix("chain ")?.split(' ').next()?;
        let (_, named) = pair[1].split_once(" hook ingress device")?;
        let (named, _) = named.split_once(" priority ")?;
        // Names stand between quotes, so every second part is one.
        Some((name, named.split('"').skip(1).step_by(2).collect()))
    });
    pairs.collect()
}

fn known(xt: &Value, line: &str) -> Option<Value> {
    match (xt["type"].as_str()?, xt["name"].as_str()?) {
        ("match", "comment") => Some(json!({ "counter": null })),
        ("match", "conntrack" | "state") => condition(line, "ct state ", json!({ "ct": { "key": "state" } })),
        ("match", "addrtype") => {
            let left = json!({ "fib": { "result": "type", "flags": ["daddr"] } });
            condition(line, "fib daddr type ", left)
        }
        ("match", "multiport" | "tcp" | "udp") => ports(line),
        ("target", "REJECT") => Some(json!({ "reject": null })),
        ("target", "DNAT") => Some(json!({ "dnat": destination(line) })),
        ("target", "REDIRECT" | "TPROXY") => Some(json!({ "redirect": null })),
        ("target", "NFQUEUE") => Some(json!({ "queue": null })),
        ("target", "CT") if line.contains("notrack") => Some(json!({ "notrack": null })),
        ("target", _) => Some(json!({ "counter": null })),
        _ => None,
    }
}

/// What stands behind `words`, as a condition about `left`.
fn condition(line: &str, words: &str, left: Value) -> Option<Value> {
    let (_, rest) = line.split_once(words)?;
    let (op, rest) = rest.strip_prefix("!= ").map_or(("in", rest), |rest| ("!=", rest));
    let values: Vec<&str> = rest.split(' ').next()?.split(',').collect();
    Some(json!({ "match": { "op": op, "left": left, "right": { "set": values } } }))
}

fn ports(line: &str) -> Option<Value> {
    let (before, rest) = line.split_once(" dport ")?;
    let header = before.rsplit(' ').next()?.trim();
    let (op, rest) = rest.strip_prefix("!= ").map_or(("==", rest), |rest| ("!=", rest));
    let list = match rest.strip_prefix("{ ") {
        Some(list) => list.split_once(" }")?.0,
        None => rest.split(' ').next()?,
    };
    let number = |text: &str| text.parse::<u16>().ok();
    let values: Option<Vec<Value>> = list
        .split(", ")
        .map(|part| match part.split_once('-') {
            Some((first, last)) => Some(json!({ "range": [number(first)?, number(last)?] })),
            None => number(part).map(Value::from),
        })
        .collect();
    let left = json!({ "payload": { "protocol": header, "field": "dport" } });
    Some(json!({ "match": { "op": op, "left": left, "right": { "set": values? } } }))
}

fn destination(line: &str) -> Value {
    let to = line.split_once("dnat to ").and_then(|(_, to)| to.split(' ').next()).unwrap_or_default();
    match to.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?))) {
        Some((address, port)) => json!({ "addr": address.trim_matches(['[', ']']), "port": port }),
        None => json!({ "addr": to }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rule 7, of which JSON names only one piece of code, asks or does for nft's text.
    fn completed(kind: &str, name: &str, line: &str) -> Value {
        let rule = json!({ "handle": 7, "expr": [{ "xt": { "type": kind, "name": name } }] });
        let mut objects = [json!({ "rule": rule })];
        complete(
            &mut objects,
            &format!("table ip filter {{\n\tchain INPUT {{ # handle 1\n\t\t{line} # handle 7\n"),
        );
        objects[0]["rule"]["expr"][0].clone()
    }

    #[test]
    fn what_iptables_asks_is_read_from_the_text() {
        let ct = json!({ "ct": { "key": "state" } });
        let port = json!({ "payload": { "protocol": "udp", "field": "dport" } });
        let fib = json!({ "fib": { "result": "type", "flags": ["daddr"] } });
        let asks = |op: &str, left: &Value, right: Value| json!({ "match": { "op": op, "left": left, "right": { "set": right } } });
        for (name, line, expected) in [
            (
                "conntrack",
                "ct state related,established accept",
                asks("in", &ct, json!(["related", "established"])),
            ),
            ("conntrack", "ct state != new drop", asks("!=", &ct, json!(["new"]))),
            ("addrtype", "fib daddr type local jump DOCKER", asks("in", &fib, json!(["local"]))),
            (
                "multiport",
                "meta l4proto udp udp dport { 5000, 80-90 } accept",
                asks("==", &port, json!([5000, { "range": [80, 90] }])),
            ),
            ("udp", "udp dport 53 accept", asks("==", &port, json!([53]))),
        ] {
            assert_eq!(completed("match", name, line), expected, "{line}");
        }
        assert!(completed("match", "recent", "xt match recent drop").get("xt").is_some(), "not known");
    }

    #[test]
    fn what_iptables_does_is_read_from_the_text() {
        for (name, line, expected) in [
            ("REJECT", "counter reject", json!({ "reject": null })),
            ("LOG", "counter log", json!({ "counter": null })),
            ("DNAT", "dnat to 172.17.0.2:80", json!({ "dnat": { "addr": "172.17.0.2", "port": 80 } })),
            ("DNAT", "dnat to 172.17.0.2", json!({ "dnat": { "addr": "172.17.0.2" } })),
            ("DNAT", "dnat to [fd00::2]:80", json!({ "dnat": { "addr": "fd00::2", "port": 80 } })),
        ] {
            assert_eq!(completed("target", name, line), expected, "{line}");
        }
    }
}
