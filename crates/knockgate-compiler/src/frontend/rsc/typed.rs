//! What the texts of values stand for, where they stand for something.

use std::time::Duration;

/// `30s`, `1m30s`, `1w3d12:00:00`, `00:00:30`, `00:00:00.500`, `200ms`; a bare number is seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(clock) = clock(rest) {
            return total.checked_add(clock);
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        if tail.is_empty() && total.is_zero() {
            return Some(Duration::from_secs(number));
        }
        let (unit, length) = unit(tail)?;
        total = total.checked_add(unit.checked_mul(u32::try_from(number).ok()?)?)?;
        rest = tail.get(length..)?;
    }
    (!text.is_empty()).then_some(total)
}

/// The unit that `text` begins with, and the length of its name.
fn unit(text: &str) -> Option<(Duration, usize)> {
    let all =
        [("ms", 1), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let (name, millis) = all.into_iter().find(|(name, _)| text.starts_with(name))?;
    Some((Duration::from_millis(millis), name.len()))
}

/// `12:00:00`, `00:00:00.500`.
fn clock(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || minutes > 59 || seconds > 59 || decimals.len() > 3 {
        return None;
    }
    let millis = format!("{decimals:0<3}").parse().ok()?;
    let whole = u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds);
    Some(Duration::from_secs(whole) + Duration::from_millis(millis))
}

/// `yes`, `no`, `true`, `false`.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// The parts of a list: `22,80-90` has two. An empty text has none.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|item| !item.is_empty())
}

/// Both ends of `80-90`, or of `22`.
pub fn range(item: &str) -> Option<(u32, u32)> {
    let (low, high) = item.split_once('-').unwrap_or((item, item));
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(low)?, number(high)?)).filter(|(low, high)| low <= high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_many_forms() {
        let all = [
            ("30s", 30_000),
            ("1000m", 60_000_000),
            ("1m30s", 90_000),
            ("00:00:30", 30_000),
            ("00:00:00.500", 500),
            ("1w3d12:00:00", 907_200_000),
            ("1d7h44m20s", 114_260_000),
            ("500ms", 500),
            ("30", 30_000),
            ("0s", 0),
        ];
        for (text, millis) in all {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "none-dynamic", "1x", "s", "1:2", "00:99:00", "1m30", "99999999999999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn lists_have_items_and_items_may_be_ranges() {
        assert_eq!(items("22,80-90").map(range).collect::<Vec<_>>(), [Some((22, 22)), Some((80, 90))]);
        assert_eq!(items("").count(), 0);
        for text in ["", "-", "90-80", "a-b", "+1"] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn truth_has_two_words_each() {
        assert_eq!(
            ["yes", "true", "no", "false", "y"].map(truth),
            [Some(true), Some(true), Some(false), Some(false), None]
        );
    }
}
