use std::fmt::{Debug, Display};
use std::str::FromStr;

use knockgate_compiler::diag::Code;
use knockgate_compiler::frontend::rsc;
use knockgate_compiler::frontend::rsc::ast::{Argument, Statement};
use knockgate_compiler::net::{Endpoint, Interface, Port, Prefix, PrefixError};
use knockgate_compiler::time::Lifetime;

/// Reads each line as every kind of value.
pub(super) fn run(bytes: &[u8]) {
    for text in String::from_utf8_lossy(bytes).lines() {
        one(text);
    }
}

fn one(text: &str) {
    reads_again::<Lifetime>(text);
    reads_again::<Port>(text);
    reads_again::<Endpoint>(text);
    reads_again::<Code>(text);
    if let Some(interface) = reads_again::<Interface>(text) {
        assert_eq!(interface.as_str(), text);
        assert!(text.len() <= Interface::MAX_BYTES);
        assert!(interface.matches(text), "{text} is not itself");
    }
    if let Some(lifetime) = reads_again::<Lifetime>(text) {
        assert_eq!(Lifetime::from_millis(lifetime.as_millis()), Some(lifetime));
    }
    if let Some(prefix) = reads_again::<Prefix>(text) {
        assert!(prefix.contains(prefix.network()) && prefix.covers(prefix));
    }
    if let Err(PrefixError::HostBits(meant)) = text.parse::<Prefix>() {
        assert_eq!(meant.to_string().parse(), Ok(meant), "{text}");
    }
    of_scripts(text);
}

/// The value of `text`, if it is one; what it is shown as is the same value.
fn reads_again<T: FromStr<Err: Debug + PartialEq> + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string().parse().as_ref(), Ok(&value), "{text}");
    Some(value)
}

fn of_scripts(text: &str) {
    rsc::duration(text);
    rsc::truth(text);
    for item in rsc::items(text) {
        assert!(rsc::range(item).is_none_or(|(low, high)| low <= high), "{item}");
    }
    if text.contains(is_stand_in) {
        return;
    }
    let line = format!(":put {}", rsc::quoted(text));
    let (script, findings) = rsc::parse(&line);
    assert_eq!(
        findings.iter().filter(|finding| finding.code != Code::NotFollowed).count(),
        0,
        "{findings:?}"
    );
    let [Statement::Run(command)] = &script.statements[..] else { panic!("{line}: {script:?}") };
    let [Argument::Plain(value)] = &command.arguments[..] else { panic!("{line}: {command:?}") };
    assert_eq!(value.text(), Some(text), "{line}");
}

/// Whether a character stands for a byte of a script that is no text. Where it stands in the script
/// itself, it is written as that byte, and several of those may be another text.
fn is_stand_in(character: char) -> bool {
    ('\u{F780}'..='\u{F7FF}').contains(&character)
}
