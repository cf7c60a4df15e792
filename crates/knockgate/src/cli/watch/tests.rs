//! A gateway made up: what is shown of it, and what keys do.

mod drawn;
mod pressed;
mod told;

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use knockgate::target::nft::Fill;

use super::super::listed::{Row, Table};
use super::happening::{Happening, What};
use super::model::{Door, Force, Model, Pane, Rule, Snapshot, Source};

/// A moment of the clock.
fn clock(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_417_200 + seconds)
}

fn row(source: &str, what: &str, left_s: u64, whole_s: u64) -> Row {
    let first: IpAddr = source.split('/').next().and_then(|first| first.parse().ok()).expect("an address");
    Row {
        first,
        addresses: source.to_owned(),
        what: what.to_owned(),
        reason: None,
        left_ms: Some(left_s * 1000),
        whole_ms: Some(whole_s * 1000),
    }
}

fn table(rows: Vec<Row>) -> Table {
    Table { total: Some(rows.len() as u64), rows, ..Table::default() }
}

fn snapshot(at: Instant) -> Snapshot {
    let door =
        |name: &str, opens: &str, knocks| Door { name: name.to_owned(), opens: opens.to_owned(), knocks };
    let rule = |what: &str, packets| Rule { what: what.to_owned(), packets };
    let set = |name: &str, entries, capacity| (name.to_owned(), Fill { entries, capacity: Some(capacity) });
    let by_hand =
        Row { reason: Some("scans all day".to_owned()), ..row("198.51.100.0/24", "hand", 5400, 7200) };
    let granted = vec![row("192.0.2.7", "ssh", 12, 40), row("2001:db8::2:7", "web-admin", 100, 120)];
    let knocking = vec![row("192.0.2.9", "ssh 2/3, vpn 1/3", 7, 10), row("192.0.2.8", "web-admin 1", 5, 10)];
    Snapshot {
        at,
        name: "home.toml".to_owned(),
        force: Force::AsApplied,
        since: Some(clock(0)),
        trial_ms: None,
        doors: vec![
            door("ssh", "22/tcp", 3),
            door("web-admin", "8443/tcp, 9090/tcp at 10.8.0.2", 4),
            door("vpn", "51820/udp", 3),
        ],
        lists: vec![
            (Pane::Granted, table(granted)),
            (Pane::Knocking, table(knocking)),
            (Pane::Banned, table(vec![row("203.0.113.5", "a trap", 30, 60), by_hand])),
            (Pane::Allowed, table(vec![])),
        ],
        sets: vec![set("grants4", Some(1), 65536), set("banned4", Some(16), 16), set("stages4", None, 65536)],
        rules: vec![rule("door ssh: knock 1 of 3", 40), rule("everything else from outside", 1000)],
        accepted: 5000,
        dropped: 1000,
    }
}

/// A second later, and busier.
fn later(at: Instant) -> Snapshot {
    let mut snapshot = snapshot(at + Duration::from_secs(1));
    snapshot.accepted += 1204;
    snapshot.dropped += 33;
    snapshot.rules[1].packets += 33;
    snapshot
}

fn model(at: Instant) -> Model {
    let mut model = Model::new(snapshot(at), Source::Live { missed: 0 });
    model.hear(vec![happened(1, What::Knock { number: 2, of: 3 }), happened(2, What::Granted)]);
    model
}

fn happened(second: u64, what: What) -> Happening {
    Happening { at: clock(second), who: "192.0.2.7".to_owned(), door: Some("ssh".to_owned()), what }
}
