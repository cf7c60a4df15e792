//! How events are passed on: a line of JSON for each.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use knockgate_compiler::lower::What;
use knockgate_compiler::time::Lifetime;
use serde_json::{Value, json};

use super::Event;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Something happened.
    Event(Event),
    /// So many events were left out here.
    Missed(u64),
}

impl Line {
    /// With the end of the line.
    pub(super) fn write(&self) -> String {
        let value = match self {
            Self::Event(event) => of_event(event),
            Self::Missed(count) => json!({ "missed": count }),
        };
        format!("{value}\n")
    }

    pub(super) fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        match value.get("missed") {
            Some(count) => Some(Self::Missed(count.as_u64()?)),
            None => event(&value).map(Self::Event),
        }
    }
}

fn of_event(Event { at, source, what, door }: &Event) -> Value {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let mut value = match what {
        What::Knock { number, of } => json!({ "event": "knock", "number": number, "of": of }),
        What::Granted { lasts } => json!({ "event": "granted", "lasts_ms": lasts.as_millis() }),
        What::Wrong { lasts } => json!({ "event": "wrong", "lasts_ms": lasts.as_millis() }),
        What::Strike { number } => json!({ "event": "strike", "number": number }),
        What::Banned { lasts } => json!({ "event": "banned", "lasts_ms": lasts.as_millis() }),
        What::Listed { list, lasts } => {
            json!({ "event": "listed", "list": list, "lasts_ms": lasts.as_millis() })
        }
    };
    value["at_us"] = u64::try_from(at).unwrap_or(u64::MAX).into();
    value["source"] = source.to_string().into();
    if let Some(door) = door {
        value["door"] = (&**door).into();
    }
    value
}

fn event(value: &Value) -> Option<Event> {
    let number = |key: &str| usize::try_from(value[key].as_u64()?).ok();
    let lasts = || Lifetime::from_millis(value["lasts_ms"].as_u64()?);
    let what = match value["event"].as_str()? {
        "knock" => What::Knock { number: number("number")?, of: number("of")? },
        "granted" => What::Granted { lasts: lasts()? },
        "wrong" => What::Wrong { lasts: lasts()? },
        "strike" => What::Strike { number: number("number")? },
        "banned" => What::Banned { lasts: lasts()? },
        "listed" => What::Listed { list: value["list"].as_str()?.into(), lasts: lasts()? },
        _ => return None,
    };
    let at: SystemTime = UNIX_EPOCH.checked_add(Duration::from_micros(value["at_us"].as_u64()?))?;
    let source: IpAddr = value["source"].as_str()?.parse().ok()?;
    Some(Event { at, source, what, door: value["door"].as_str().map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let lasts = Lifetime::from_secs(30);
        let whats = [
            What::Knock { number: 1, of: 3 },
            What::Granted { lasts },
            What::Wrong { lasts },
            What::Strike { number: 2 },
            What::Banned { lasts },
            What::Listed { list: "a \"b\"\n".into(), lasts },
        ];
        for (what, door) in whats.into_iter().zip([Some("main"), None].into_iter().cycle()) {
            let at = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
            let source = "2001:db8::7".parse().unwrap();
            let line = Line::Event(Event { at, source, what, door: door.map(Into::into) });
            let text = line.write();
            assert_eq!((Line::read(&text), text.lines().count()), (Some(line), 1), "{text}");
        }
        assert_eq!(Line::read(&Line::Missed(7).write()), Some(Line::Missed(7)));
        for broken in
            ["", "{}", "{\"event\":\"knock\"}", "{\"missed\":-1}", "[1]", "{\"event\":\"unheard of\"}"]
        {
            assert_eq!(Line::read(broken), None, "{broken}");
        }
    }
}
