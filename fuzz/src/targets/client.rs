//! The `knock` program's own parsers.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use knock::{
    DEFAULT_GAP, Family, Knock, LONGEST_GAP, LONGEST_PING, MOST_COPIES, MOST_KNOCKS, Profile, ProfileError,
    Profiles, Protocol, ResolveError, Sequence, WaitPort, parse_duration, resolve,
};

/// Nothing that is said takes longer.
const HOUR: Duration = Duration::from_secs(3600);

/// Reads a configuration.
pub(super) fn profiles(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Profiles::parse(&text, Path::new("config.toml")) {
        Ok(profiles) => profiles.iter().for_each(|profile| bounded(&profiles, profile)),
        Err(error) => told_with_its_place(&text, &error),
    }
}

fn bounded(profiles: &Profiles, profile: &Profile) {
    assert_eq!(profiles.named(&profile.name), Some(profile));
    let sequence = &profile.sequence;
    assert!((1..=MOST_KNOCKS).contains(&sequence.knocks().len()));
    assert!((1..=MOST_COPIES).contains(&sequence.copies()) && sequence.gap() <= LONGEST_GAP);
    assert!(sequence.duration() < HOUR);
    if let Some(port) = profile.wait {
        assert_eq!(port.to_string().parse(), Ok(port));
        drop(profiles.for_host(&profile.host, port.port()).map_err(|error| error.to_string()));
    }
    sequence.knocks().iter().for_each(|knock| assert_eq!(knock.to_string().parse(), Ok(*knock)));
}

fn told_with_its_place(text: &str, error: &ProfileError) {
    let shown = error.to_string();
    let ProfileError::Bad { line, column, .. } = error else { panic!("no file was read: {shown}") };
    let found = line.checked_sub(1).and_then(|index| text.split('\n').nth(index));
    let width = found.map(|line| line.chars().count());
    assert!(width.is_some_and(|width| (1..=width + 1).contains(column)), "no such place: {shown}");
}

/// Reads each line as a word of the command line, and all of them as one sequence.
pub(super) fn knocks(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for word in text.lines() {
        for otherwise in [Protocol::Tcp, Protocol::Udp, Protocol::Ping] {
            one_knock(word, otherwise);
        }
        match word.parse::<WaitPort>() {
            Ok(port) => assert_eq!(port.to_string().parse(), Ok(port)),
            Err(error) => drop(error.to_string()),
        }
        if let Err(error) = word.parse::<Family>() {
            drop(error.to_string());
        }
        one_address(word);
    }
    sequence(&text);
}

fn one_knock(word: &str, otherwise: Protocol) {
    match Knock::parse(word, otherwise) {
        Ok(knock) => {
            assert_eq!(knock.to_string().parse(), Ok(knock), "{word}");
            assert!(knock.protocol() != Protocol::Ping || knock.number() <= LONGEST_PING);
        }
        Err(error) => drop(error.to_string()),
    }
}

/// Only addresses: a name would be asked for in the network.
fn one_address(word: &str) {
    let Ok(address) = word.parse::<IpAddr>() else { return };
    match resolve(word, Family::Any) {
        Ok(resolved) => assert_eq!(resolved, address),
        Err(ResolveError::NeedsZone { .. }) => {}
        Err(error) => panic!("{word}: {error}"),
    }
}

fn sequence(text: &str) {
    let mut durations = text.lines().map(parse_duration).filter_map(Result::ok);
    let gap = durations.next_back().unwrap_or(DEFAULT_GAP);
    let again = u64::try_from(gap.as_millis()).map(|millis| parse_duration(&format!("{millis}ms")));
    assert_eq!(again, Ok(Ok(gap)));
    let knocks: Vec<Knock> = text.lines().filter_map(|word| word.parse().ok()).collect();
    for copies in [0, 1, MOST_COPIES, u8::MAX] {
        match Sequence::new(knocks.clone(), gap, copies) {
            Ok(sequence) => assert!(sequence.duration() < HOUR, "{text}"),
            Err(error) => drop(error.to_string()),
        }
    }
}
