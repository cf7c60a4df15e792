//! The strings of a policy file that are about what is done around the rules.

use std::net::SocketAddr;

use super::decode::Word;
use crate::diag::{Code, Diagnostic, Span, did_you_mean};
use crate::policy::{Fate, IfChanged, Listen, LogTo};

/// A finding about a text that is none of `known`.
fn unknown(text: &str, span: Span, what: &str, known: &[&'static str]) -> Diagnostic {
    let finding = Diagnostic::error(Code::BadWord, span, format!("`{text}` is no {what}"));
    match did_you_mean(text, known.iter().copied()) {
        Some(meant) => finding.replace(span, meant, format!("did you mean `{meant}`?")),
        None => finding.help(format!("it is one of `{}`", known.join("`, `"))),
    }
}

impl Word for Fate {
    const WHAT: &'static str = "\"keep\" or \"drop\"";
    const PATTERN: &'static str = "^(keep|drop)$";
    const EXAMPLES: &'static [&'static str] = &["keep", "drop"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        match text {
            "keep" => Ok(Self::Keep),
            "drop" => Ok(Self::Drop),
            _ => Err(unknown(text, span, "fate", Self::EXAMPLES)),
        }
    }
}

impl Word for IfChanged {
    const WHAT: &'static str = "\"repair\" or \"alarm\"";
    const PATTERN: &'static str = "^(repair|alarm)$";
    const EXAMPLES: &'static [&'static str] = &["repair", "alarm"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        match text {
            "repair" => Ok(Self::Repair),
            "alarm" => Ok(Self::Alarm),
            _ => Err(unknown(text, span, "answer to a change", Self::EXAMPLES)),
        }
    }
}

impl Word for LogTo {
    const WHAT: &'static str = "\"system\", \"journal\", \"syslog\", \"off\" or a file";
    const PATTERN: &'static str = "^(system|journal|syslog|off|/.*[^/])$";
    const EXAMPLES: &'static [&'static str] =
        &["system", "journal", "syslog", "off", "/var/log/knockgate/events.json"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        match text {
            "system" => Ok(Self::System),
            "journal" => Ok(Self::Journal),
            "syslog" => Ok(Self::Syslog),
            "off" => Ok(Self::Off),
            _ if text.contains('/') => FilePath::read(text, span).map(|path| Self::File(path.0)),
            _ => Err(unknown(text, span, "place to write to", &["system", "journal", "syslog", "off"])
                .help("a file is named by its whole path, as in `/var/log/knockgate/events.json`")),
        }
    }
}

impl Word for Listen {
    const WHAT: &'static str = "an address of loopback with a port, or the path of a socket";
    const PATTERN: &'static str = "^(/.*[^/]|127\\.[0-9.]+:[0-9]{1,5}|\\[::1\\]:[0-9]{1,5})$";
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:9469", "/run/knockgate/metrics.sock"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        if text.contains('/') {
            let path = FilePath::read(text, span)?.0;
            return if path.len() <= MAX_SOCKET_PATH {
                Ok(Self::Unix(path))
            } else {
                let message = format!("the path of a socket has at most {MAX_SOCKET_PATH} bytes");
                Err(Diagnostic::error(Code::BadPlace, span, message).help("choose a shorter one"))
            };
        }
        let bad = |label: &str| {
            Diagnostic::error(Code::BadPlace, span, format!("metrics cannot be asked for at `{text}`"))
                .here(label.to_owned())
                .help("write `127.0.0.1:9469`, `[::1]:9469` or the path of a socket")
        };
        let address: SocketAddr = text.parse().map_err(|_| {
            bad("this is neither an address with a port nor a whole path; names are not looked up")
        })?;
        match address {
            _ if !address.ip().is_loopback() => Err(bad("strangers would reach it")),
            _ if address.port() == 0 => Err(bad("ports are numbers from 1 to 65535")),
            _ => Ok(Self::Tcp(address)),
        }
    }
}

/// Bytes in the path of a Unix socket (`man 7 unix`, `sun_path`), less the final zero.
const MAX_SOCKET_PATH: usize = 107;

/// The whole path of a file.
#[derive(Debug)]
pub(super) struct FilePath(pub(super) Box<str>);

impl Word for FilePath {
    const WHAT: &'static str = "the whole path of a file";
    const PATTERN: &'static str = "^/.*[^/]$";
    const EXAMPLES: &'static [&'static str] = &["/var/lib/prometheus/node-exporter/knockgate.prom"];

    fn read(text: &str, span: Span) -> Result<Self, Diagnostic> {
        let bad = |label: &str| {
            Diagnostic::error(Code::BadPlace, span, format!("`{text}` is no path of a file"))
                .here(label.to_owned())
                .help("write the whole path, from `/` on")
        };
        match text {
            _ if !text.starts_with('/') => Err(bad("it depends on the folder that a program runs in")),
            _ if text.ends_with('/') => Err(bad("this is a folder")),
            _ if text.contains(char::is_control) => Err(bad("there is a control character in it")),
            _ => Ok(Self(text.into())),
        }
    }
}
