//! Packets as people write them: a line each, `TIME SOURCE KNOCK [words]`.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::diag::{Code, Diagnostic, Span, did_you_mean};
use crate::net::{
    Destination, Family, Interface, Packet, Payload, TcpFlags, echo_packet_size, echo_request_type,
};
use crate::time::{Lifetime, Moment};

/// A packet of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it arrives.
    pub at: Moment,
    /// What arrives.
    pub packet: Packet,
    /// The packet as it was written: `333/tcp`, `22/tcp ack`.
    pub text: String,
    /// Its line.
    pub span: Span,
}

/// Findings that are told of one trace.
const MAX_FINDINGS: usize = 100;

/// The packets of a trace, in order, and what is wrong with its other lines. Packets that name no
/// interface come in by `outside`. A SYN that names no source port has one of its own, as that of a
/// client's next connection has; what follows to the same place has the same.
pub fn parse(text: &str, outside: &Interface) -> (Vec<Event>, Vec<Diagnostic>) {
    let (mut events, mut findings) = (vec![], vec![]);
    let mut ports = SourcePorts::default();
    let mut start = 0;
    let mut last = Moment::default();
    for line in text.split_inclusive('\n') {
        let span = Span { start, end: start + line.trim_end().len() };
        start += line.len();
        let words = line.split('#').next().unwrap_or_default();
        if words.trim().is_empty() {
            continue;
        }
        match event(words.trim(), span, outside, &mut ports) {
            Ok(event) if event.at < last => {
                let message = format!("time goes back from {last} to {}", event.at);
                findings.push(
                    Diagnostic::error(Code::BadTrace, span, message)
                        .help("put the lines in order of their times"),
                );
            }
            Ok(event) => {
                last = event.at;
                events.push(event);
            }
            Err(message) => findings.push(
                Diagnostic::error(Code::BadTrace, span, message)
                    .help("a line is `TIME SOURCE KNOCK [words]`: `1.5s 198.51.100.7 333/tcp`"),
            ),
        }
        if findings.len() == MAX_FINDINGS {
            break;
        }
    }
    (events, findings)
}

/// The source port of the last connection from a source to a place.
#[derive(Default)]
struct SourcePorts(HashMap<(IpAddr, Destination, u16), u16>);

impl SourcePorts {
    const FIRST: u16 = 40_000;

    fn of(&mut self, source: IpAddr, destination: Destination, to: u16, begins: bool) -> u16 {
        let port = self.0.entry((source, destination, to)).or_insert(Self::FIRST);
        if begins {
            *port = port.checked_add(1).unwrap_or(Self::FIRST);
        }
        *port
    }
}

fn event(line: &str, span: Span, outside: &Interface, ports: &mut SourcePorts) -> Result<Event, String> {
    let mut words = line.split_whitespace();
    let mut next = |what: &str| words.next().ok_or_else(|| format!("the {what} is missing"));
    let time = next("time")?;
    let at = moment(time).ok_or_else(|| format!("`{time}` is no time such as `0s`, `1.5s` or `2m`"))?;
    let source = next("source")?;
    let source: IpAddr = source.parse().map_err(|_| format!("`{source}` is no address"))?;
    let knock = next("knock")?;
    let mut draft = Draft::of(Family::of(source), knock)?;
    let rest: Vec<&str> = words.collect();
    draft.read_words(&rest)?;
    let name = outside.as_str().replace('*', "0");
    let text = std::iter::once(knock).chain(rest).collect::<Vec<_>>().join(" ");
    Ok(Event { at, packet: draft.finish(source, &name, ports)?, text, span })
}

/// A duration, or a decimal number of seconds with its unit.
fn moment(text: &str) -> Option<Moment> {
    if matches!(text, "0" | "0s" | "0ms") {
        return Some(Moment::default());
    }
    if let Ok(lifetime) = text.parse::<Lifetime>() {
        return Some(Moment::from_millis(lifetime.as_millis()));
    }
    let (whole, decimals) = text.strip_suffix('s')?.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let seconds: u64 = whole.parse().ok().filter(|s| *s <= Lifetime::MAX.as_secs())?;
    Some(Moment::from_millis(seconds * 1000 + format!("{decimals:0<3}").parse::<u64>().ok()?))
}

/// What a packet carries, before its flags are known.
enum Kind {
    Tcp(u16),
    Udp(u16),
    Ping(u16),
}

struct Draft {
    family: Family,
    kind: Kind,
    flags: Option<TcpFlags>,
    interface: Option<String>,
    destination: Destination,
    from: Option<u16>,
    size: Option<u16>,
    hop_limit: u8,
    fragment: bool,
    extension_headers: bool,
}

/// The words that a packet may have, besides the names of TCP flags.
const WORDS: [&str; 7] = ["in", "to", "from", "size", "ttl", "frag", "ext"];

impl Draft {
    fn of(family: Family, knock: &str) -> Result<Self, String> {
        let wrong = || format!("`{knock}` is no knock such as `333/tcp`, `777/udp` or `ping/100`");
        let kind = match knock.split_once('/') {
            None if knock == "ping" => Kind::Ping(56),
            Some(("ping", data)) => Kind::Ping(data.parse().map_err(|_| wrong())?),
            Some((port, "tcp")) => Kind::Tcp(port.parse().map_err(|_| wrong())?),
            Some((port, "udp")) => Kind::Udp(port.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        Ok(Self {
            family,
            kind,
            flags: None,
            interface: None,
            destination: Destination::Gateway,
            from: None,
            size: None,
            hop_limit: 64,
            fragment: false,
            extension_headers: false,
        })
    }

    fn read_words(&mut self, words: &[&str]) -> Result<(), String> {
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = |what: &str| words.next().ok_or_else(|| format!("`{word}` needs {what}"));
            match word {
                "in" => {
                    let name = value("the name of an interface")?;
                    let interface: Interface =
                        name.parse().map_err(|_| format!("`{name}` cannot be an interface"))?;
                    self.interface = Some(interface.as_str().to_owned());
                }
                "to" => self.destination = Destination::Other(number(word, value("an address")?)?),
                "from" => self.from = Some(number(word, value("a port")?)?),
                "size" => self.size = Some(number(word, value("a number of bytes")?)?),
                "ttl" => self.hop_limit = number(word, value("a number of hops")?)?,
                "frag" => self.fragment = true,
                "ext" if self.family == Family::V6 => self.extension_headers = true,
                "ext" => return Err("IPv4 has no extension headers".to_owned()),
                _ => self.read_flag(word)?,
            }
        }
        Ok(())
    }

    fn read_flag(&mut self, word: &str) -> Result<(), String> {
        let flags = TcpFlags::NAMED.into_iter().chain([("none", TcpFlags::NONE)]);
        let Some((_, flag)) = flags.clone().find(|(name, _)| *name == word) else {
            let known = flags.map(|(name, _)| name).chain(WORDS);
            return Err(match did_you_mean(word, known) {
                Some(meant) => format!("`{word}` is no word of a trace; did you mean `{meant}`?"),
                None => format!("`{word}` is no word of a trace: they are TCP flags, {}", WORDS.join(", ")),
            });
        };
        if !matches!(self.kind, Kind::Tcp(_)) {
            return Err(format!("only TCP has the flag `{word}`"));
        }
        self.flags = Some(self.flags.unwrap_or_default().with(flag));
        Ok(())
    }

    fn finish(self, source: IpAddr, outside: &str, ports: &mut SourcePorts) -> Result<Packet, String> {
        if let Destination::Other(address) = self.destination
            && Family::of(address) != self.family
        {
            return Err(format!("{source} and {address} are not of one family"));
        }
        let header = echo_packet_size(self.family, 0) - 8;
        let (payload, size) = match self.kind {
            Kind::Tcp(to) => {
                let flags = self.flags.unwrap_or(TcpFlags::SYN);
                let begins = flags == TcpFlags::SYN;
                let from = self.from.unwrap_or_else(|| ports.of(source, self.destination, to, begins));
                (Payload::Tcp { from, to, flags }, header + 20)
            }
            Kind::Udp(to) => {
                let from = self.from.unwrap_or_else(|| ports.of(source, self.destination, to, false));
                (Payload::Udp { from, to }, header + 8)
            }
            Kind::Ping(data) => {
                let kind = echo_request_type(self.family);
                (Payload::Icmp { kind }, echo_packet_size(self.family, data))
            }
        };
        Ok(Packet {
            source,
            destination: self.destination,
            interface: self.interface.as_deref().unwrap_or(outside).into(),
            payload,
            size: self.size.unwrap_or(size),
            hop_limit: self.hop_limit,
            fragment: self.fragment,
            extension_headers: self.extension_headers,
        })
    }
}

fn number<T: std::str::FromStr>(word: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` does not fit `{word}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside() -> Interface {
        "eth0".parse().unwrap()
    }

    #[test]
    fn a_trace_is_read_line_by_line() {
        let text = "# a comment\n0s 198.51.100.7 333/tcp\n\n1.5s 2001:db8::7 777/udp # two\n2s 198.51.100.7 22/tcp ack psh in lan0 to 10.0.0.5 size 52\n";
        let (events, findings) = parse(text, &outside());
        assert_eq!(findings, []);
        assert_eq!(events.len(), 3);
        assert_eq!(events[1].at, Moment::from_millis(1500));
        assert_eq!(&*events[0].packet.interface, "eth0");
        let last = &events[2].packet;
        assert_eq!(&*last.interface, "lan0");
        assert_eq!(last.size, 52);
        assert_eq!(last.destination, Destination::Other("10.0.0.5".parse().unwrap()));
        let flags = TcpFlags::ACK.with(TcpFlags::PSH);
        assert_eq!(last.payload, Payload::Tcp { from: 40_000, to: 22, flags });
    }

    #[test]
    fn each_line_that_cannot_be_read_is_told_with_its_place() {
        for (line, message) in [
            ("soon 198.51.100.7 333/tcp", "no time"),
            ("0s example.org 333/tcp", "no address"),
            ("0s 198.51.100.7", "the knock is missing"),
            ("0s 198.51.100.7 333", "no knock"),
            ("0s 198.51.100.7 70000/tcp", "no knock"),
            ("0s 198.51.100.7 333/tcp sym", "did you mean `syn`"),
            ("0s 198.51.100.7 333/udp syn", "only TCP"),
            ("0s 198.51.100.7 333/tcp to 2001:db8::1", "one family"),
            ("0s 198.51.100.7 333/tcp in", "needs the name"),
            ("0s 198.51.100.7 333/tcp ext", "no extension headers"),
        ] {
            let text = format!("0s 198.51.100.7 1/tcp\n{line}\n");
            let (events, findings) = parse(&text, &outside());
            assert_eq!((events.len(), findings.len()), (1, 1), "{line}");
            assert!(findings[0].message.contains(message), "{}", findings[0].message);
            assert_eq!(findings[0].primary.span.start, 22);
        }
    }

    #[test]
    fn each_syn_begins_a_connection_of_its_own() {
        let text =
            "0s 192.0.2.1 22/tcp\n1s 192.0.2.1 22/tcp ack\n2s 192.0.2.1 22/tcp\n3s 192.0.2.1 22/tcp from 7\n";
        let (events, _) = parse(text, &outside());
        let from = |event: &Event| match event.packet.payload {
            Payload::Tcp { from, .. } => from,
            _ => 0,
        };
        let ports: Vec<u16> = events.iter().map(from).collect();
        assert_eq!(ports[0], ports[1]);
        assert_ne!(ports[1], ports[2]);
        assert_eq!(ports[3], 7);
    }

    #[test]
    fn time_never_goes_back() {
        let (events, findings) = parse("2s 192.0.2.1 1/tcp\n1s 192.0.2.1 2/tcp\n", &outside());
        assert_eq!((events.len(), findings.len()), (1, 1));
    }
}
