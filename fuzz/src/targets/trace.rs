use knockgate_compiler::net::{Interface, Packet, Payload};
use knockgate_compiler::sim::trace::{Event, parse};

use super::findings::{check, check_span};

/// Findings that are told of a trace.
const MOST_FINDINGS: usize = 100;

/// Reads a trace.
pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let outside: Interface = "ppp*".parse().expect("a name that interfaces have");
    let (events, found) = parse(&text, &outside);
    check(&text, &found, MOST_FINDINGS);
    assert!(events.len() <= text.lines().count());
    assert!(events.is_sorted_by_key(|event| event.at), "time goes back");
    for event in &events {
        check_span(&text, event.span, event);
    }
    for event in events.iter().take(8) {
        reads_again(event, &outside);
    }
}

fn reads_again(event: &Event, outside: &Interface) {
    let line = format!("{} {} {}", event.at, event.packet.source, event.text);
    let (again, found) = parse(&line, outside);
    assert_eq!(found, [], "{line}");
    let [again] = &again[..] else { panic!("{line}: {again:?}") };
    assert_eq!((again.at, &again.text), (event.at, &event.text));
    assert_eq!(without_source_port(&again.packet), without_source_port(&event.packet), "{line}");
}

/// Where a line names no source port, it follows from the lines before.
fn without_source_port(packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    if let Payload::Tcp { from, .. } | Payload::Udp { from, .. } = &mut packet.payload {
        *from = 0;
    }
    packet
}
