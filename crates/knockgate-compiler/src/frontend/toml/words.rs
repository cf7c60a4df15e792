//! The strings of a policy file.

use std::net::{IpAddr, SocketAddr};

use super::decode::Word;
use crate::diag::{Code, Diagnostic, Span, did_you_mean};
use crate::net::{Endpoint, EndpointError, Interface, InterfaceError, Port, PortError, Prefix, PrefixError};
use crate::policy::{Host, Knock, ServiceDraft, StepDraft, Wrong};
use crate::time::{Lifetime, LifetimeError};

/// Sets what `finding` suggests for a part of a text into the whole of it.
fn in_place(mut finding: Diagnostic, whole: impl Fn(&str) -> String) -> Diagnostic {
    for edit in finding.suggestions.iter_mut().flat_map(|suggestion| &mut suggestion.edits) {
        edit.replacement = whole(&edit.replacement);
    }
    finding
}

impl Word for Lifetime {
    const WHAT: &'static str = "a duration such as \"30s\"";
    const PATTERN: &'static str = "^(?!$)([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
    const EXAMPLES: &'static [&'static str] = &["30s", "1m30s", "1h"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        text.parse().map_err(|error| {
            let finding = Diagnostic::error(Code::BadDuration, span, format!("`{text}` is no duration"))
                .here(format!("{error}"));
            match error {
                LifetimeError::UnitMissing => {
                    finding.replace(span, format!("{text}s"), "if seconds are meant")
                }
                _ => finding.help("write it as `30s`, `1m30s` or `1h`"),
            }
        })
    }
}

impl Word for Endpoint {
    const WHAT: &'static str = "a port such as \"22/tcp\"";
    const PATTERN: &'static str = "^[0-9]{1,5}/(tcp|udp)$";
    const EXAMPLES: &'static [&'static str] = &["22/tcp", "51820/udp"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        text.parse().map_err(|error| bad_endpoint(text, span, error))
    }
}

fn bad_endpoint(text: &str, span: Span, error: EndpointError) -> Diagnostic {
    let finding = Diagnostic::error(Code::BadPort, span, format!("`{text}` is no port"));
    match error {
        EndpointError::TransportMissing => finding.here("of which protocol?").replace(
            span,
            format!("{}/tcp", text.trim_end_matches('/')),
            "if TCP is meant",
        ),
        EndpointError::TransportUnknown => finding
            .here("the protocol is neither `tcp` nor `udp`")
            .help("write it as `22/tcp` or `51820/udp`"),
        EndpointError::Port(PortError::OutOfRange) => {
            finding.here("ports are numbers from 1 to 65535").help("write it as `22/tcp`")
        }
        EndpointError::Port(PortError::NotANumber) => {
            let (name, transport) = text.split_once('/').unwrap_or((text, "tcp"));
            let finding = finding.here("ports are written as numbers, for names differ between machines");
            match well_known(name) {
                Some(port) => {
                    finding.replace(span, format!("{port}/{transport}"), format!("`{name}` is usually"))
                }
                None => finding.help("write it as `22/tcp`"),
            }
        }
    }
}

/// Usual TCP ports of services that people put behind a knock (IANA service names, and WinBox).
fn well_known(name: &str) -> Option<u16> {
    let known = [("ssh", 22), ("telnet", 23), ("http", 80), ("https", 443), ("rdp", 3389), ("winbox", 8291)];
    known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, port)| port)
}

impl Word for StepDraft {
    const WHAT: &'static str = "a knock such as \"333/tcp\"";
    const PATTERN: &'static str = "^([0-9]{1,5}/(tcp|udp)|ping/[0-9]{1,4})( within [0-9a-z]+)?$";
    const EXAMPLES: &'static [&'static str] = &["333/tcp", "777/udp within 5s", "ping/100"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        let (knock, within) = match text.split_once(" within ") {
            Some((knock, window)) => {
                let (knock, window) = (knock.trim(), window.trim());
                let read = Lifetime::read(window, span)
                    .map_err(|finding| in_place(finding, |fixed| format!("{knock} within {fixed}")))?;
                (knock, Some((read, window)))
            }
            None => (text, None),
        };
        let knock = read_knock(knock, span).map_err(|finding| match within {
            Some((_, window)) => in_place(finding, |fixed| format!("{fixed} within {window}")),
            None => finding,
        })?;
        Ok(Self { knock, within: within.map(|(lifetime, _)| lifetime) })
    }
}

fn read_knock(text: &str, span: Span) -> Result<Knock, Diagnostic> {
    let Some(data) = text.strip_prefix("ping/") else {
        return text.parse().map(Knock::Port).map_err(|error| match error {
            EndpointError::Port(PortError::NotANumber) if text.contains(' ') => {
                Diagnostic::error(Code::BadKnock, span, format!("`{text}` is no knock"))
                    .help("write `333/tcp`, `777/udp within 5s` or `ping/100`")
            }
            error => bad_endpoint(text, span, error),
        });
    };
    let digits = data.bytes().all(|byte| byte.is_ascii_digit());
    match data.parse() {
        Ok(data) if digits && data <= Knock::MAX_PING => Ok(Knock::Ping(data)),
        _ => Err(Diagnostic::error(Code::BadKnock, span, format!("`{text}` is no knock"))
            .here(format!("a ping carries 0 to {} bytes", Knock::MAX_PING))
            .help("the number is what `ping -s` takes: `ping/100` is `ping -s 100`")),
    }
}

impl Word for ServiceDraft {
    const WHAT: &'static str = "a service such as \"22/tcp\"";
    const PATTERN: &'static str = "^[0-9]{1,5}/(tcp|udp)( (at|to) [0-9A-Fa-f:.\\[\\]]+)?$";
    const EXAMPLES: &'static [&'static str] =
        &["22/tcp", "8443/tcp to 10.0.0.5:443", "443/tcp at 192.0.2.80"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        let mut words = text.split_whitespace();
        let port = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        let endpoint = Endpoint::read(port, span)
            .map_err(|finding| in_place(finding, |fixed| [&[fixed], &rest[..]].concat().join(" ")))?;
        let host = match rest[..] {
            [] => Some(Host::Gateway),
            ["at", address] => address.parse().ok().map(Host::At),
            ["to", target] => read_target(target, endpoint.port),
            _ => None,
        };
        let host = host.filter(|host| match host {
            Host::Gateway => true,
            Host::At(address) | Host::Via(address, _) => is_host(*address),
        });
        host.map(|host| Self { endpoint, host }).ok_or_else(|| {
            Diagnostic::error(Code::BadService, span, format!("`{text}` is no service"))
                .here("after `at` stands the address of a host, after `to` that and perhaps a port")
                .help("write `22/tcp` for the gateway itself, `8443/tcp to 10.0.0.5:443` for a host behind with the destination translated, `443/tcp at 192.0.2.80` for a host behind at its own address")
        })
    }
}

/// `10.0.0.5:443`, `[2001:db8::5]:443`, or an address alone, which keeps the port.
fn read_target(text: &str, port: Port) -> Option<Host> {
    if let Ok(address) = text.parse() {
        return Some(Host::Via(address, port));
    }
    let target: SocketAddr = text.parse().ok()?;
    Some(Host::Via(target.ip(), Port::new(target.port())?))
}

fn is_host(address: IpAddr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback())
}

impl Word for Wrong {
    const WHAT: &'static str = "\"reset\", \"cooldown 10s\" or \"ignore\"";
    const PATTERN: &'static str = "^(reset|ignore|cooldown [0-9a-z]+)$";
    const EXAMPLES: &'static [&'static str] = &["reset", "cooldown 10s", "ignore"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        match text.split_once(' ') {
            None if text == "reset" => Ok(Self::Reset),
            None if text == "ignore" => Ok(Self::Ignore),
            Some(("cooldown", lifetime)) => Lifetime::read(lifetime.trim(), span)
                .map(Self::Cooldown)
                .map_err(|finding| in_place(finding, |fixed| format!("cooldown {fixed}"))),
            _ => {
                let finding =
                    Diagnostic::error(Code::BadWrong, span, format!("a wrong knock cannot `{text}`"))
                        .here("expected `reset`, `cooldown 10s` or `ignore`");
                Err(match did_you_mean(text, ["reset", "ignore", "cooldown"]) {
                    Some("cooldown") => finding.replace(span, "cooldown 10s", "say for how long"),
                    Some(meant) => finding.replace(span, meant, format!("did you mean `{meant}`?")),
                    None => finding,
                })
            }
        }
    }
}

impl Word for Prefix {
    const WHAT: &'static str = "an address or network such as \"192.0.2.0/24\"";
    const PATTERN: &'static str = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$";
    const EXAMPLES: &'static [&'static str] = &["192.0.2.10", "192.0.2.0/24", "2001:db8::/32"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        text.parse().map_err(|error| {
            let finding =
                Diagnostic::error(Code::BadAddress, span, format!("`{text}` is no address or network"));
            let address = text.split(['/', '%']).next().unwrap_or(text);
            match error {
                PrefixError::HostBits(meant) => finding
                    .here("bits are set outside the network")
                    .replace(span, meant.to_string(), "if the network is meant")
                    .replace(span, address, "if the one address is meant"),
                PrefixError::Zone => {
                    finding.here("a zone means nothing here").replace(span, address, "without the zone")
                }
                PrefixError::BadLength => {
                    let most = if text.contains(':') { 128 } else { 32 };
                    finding
                        .here(format!("after the `/` stands how many leading bits are fixed, 0 to {most}"))
                        .replace(span, address, "if the one address is meant")
                }
                PrefixError::Malformed => finding
                    .here("names are not looked up, for what they stand for can change")
                    .help("write it as `192.0.2.10`, `192.0.2.0/24` or `2001:db8::/32`"),
            }
        })
    }
}

impl Word for Interface {
    const WHAT: &'static str = "an interface such as \"eth0\"";
    const PATTERN: &'static str = "^([A-Za-z0-9._@:-]{1,15}|[A-Za-z0-9._@:-]{1,14}\\*)$";
    const EXAMPLES: &'static [&'static str] = &["eth0", "ppp*"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        if text.parse::<Self>().is_ok_and(|interface| interface.matches("lo")) {
            return Err(Diagnostic::error(Code::BadInterface, span, "`lo` is never outside")
                .here("whoever comes from there is on this machine already")
                .help("`ip -brief link` lists the interfaces there are"));
        }
        text.parse().map_err(|error| {
            let finding =
                Diagnostic::error(Code::BadInterface, span, format!("`{text}` cannot be an interface"));
            match error {
                InterfaceError::Empty => {
                    finding.here("a name is needed, for this would be the loopback interface too")
                }
                InterfaceError::TooLong => {
                    finding.here(format!("names have at most {} bytes", Interface::MAX_BYTES))
                }
                InterfaceError::Character(bad) => finding.here(format!("`{bad}` is in no interface's name")),
            }
            .help("`ip -brief link` lists the interfaces there are")
        })
    }
}
