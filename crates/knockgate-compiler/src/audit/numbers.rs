//! Numbers as people read them.

use super::chance::{Chance, How};

/// Below this, a probability is told by its magnitude.
const RARE: f64 = 1e-4;
/// From here on, a count is told by its magnitude.
const MANY: f64 = 1e9;

/// From here on, a number of years is.
const MILLION: f64 = 1e6;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
const YEAR: f64 = 365.25 * DAY;

/// `1 in 24 (0.0417)`, `2.3e-10`, `never (0)`, `always`.
pub fn probability(probability: f64) -> String {
    match probability {
        p if p <= 0.0 => "never (0)".to_owned(),
        p if p >= 1.0 => "always".to_owned(),
        p if p < RARE => scientific(p),
        p if p > 0.995 => format!("almost always ({})", short_of_one(p)),
        p if p > 0.4 => format!("{:.0} in 100 ({})", p * 100.0, significant(p, 3)),
        p => format!("1 in {} ({})", odds(1.0 / p), significant(p, 3)),
    }
}

/// The same of a scan, with what is uncertain about it.
pub fn chance(chance: &Chance) -> String {
    match chance.how {
        How::Exact => probability(chance.probability),
        How::Played { scans, .. } if chance.probability <= 0.0 => format!("none of {} played", whole(scans)),
        How::Played { scans, .. } if chance.probability >= 1.0 => format!("all of {} played", whole(scans)),
        How::Played { error, .. } => format!("{} ± {}", probability(chance.probability), small(error)),
    }
}

/// `196,605`, `2.8e14`.
pub fn count(count: f64) -> String {
    match count {
        count if count < MANY => separated(count),
        count if count.is_finite() => scientific(count),
        _ => "no end of".to_owned(),
    }
}

/// `9.5`, `31`, `1,234`.
pub fn average(average: f64) -> String {
    if average < 20.0 { significant(average, 2) } else { count(average) }
}

/// `65,535`.
pub fn whole(number: impl Into<f64>) -> String {
    separated(number.into())
}

/// `1 source`, `100,000 sources`.
pub fn counted(number: u32, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", whole(number)) }
}

/// `1,000/s`.
pub fn rate(rate: f64) -> String {
    if rate < 20.0 { format!("{}/s", significant(rate, 2)) } else { format!("{}/s", count(rate)) }
}

/// `45 ms`, `3.3 min`, `8,900 years`: two digits that count.
pub fn duration(seconds: f64) -> String {
    // A unit is used up to where it would be rounded to the next one.
    let units = [
        (1e-3, 0.995, "ms", "ms"),
        (1.0, 59.5, "s", "s"),
        (MINUTE, 59.5 * MINUTE, "min", "min"),
        (HOUR, 47.5 * HOUR, "h", "h"),
        (DAY, 364.5 * DAY, "day", "days"),
    ];
    if seconds < 1e-3 {
        return "less than 1 ms".to_owned();
    }
    if !seconds.is_finite() {
        return "for ever".to_owned();
    }
    let fits = units.into_iter().find(|(_, most, ..)| seconds < *most);
    let (unit, _, one, many) = fits.unwrap_or((YEAR, f64::INFINITY, "year", "years"));
    let amount = two_digits((seconds / unit).max(1.0));
    format!("{amount} {}", if amount == "1" { one } else { many })
}

/// A power of ten on an axis: `1`, `0.01`, `1e-5`, `1,000`.
pub fn decade(exponent: i32) -> String {
    match exponent {
        -3..=0 => significant(10f64.powi(exponent), 1),
        1..=6 => separated(10f64.powi(exponent)),
        _ => format!("1e{exponent}"),
    }
}

fn odds(odds: f64) -> String {
    if odds < 10.0 { significant(odds, 2) } else { separated(odds) }
}

fn small(error: f64) -> String {
    if error < RARE { scientific(error) } else { significant(error, 2) }
}

fn two_digits(number: f64) -> String {
    if number >= MILLION {
        return scientific(number);
    }
    let unit = 10f64.powi((number.log10().floor() as i32 - 1).max(0));
    if number < 10.0 { significant(number, 2) } else { separated((number / unit).round() * unit) }
}

/// `2.3e-10`.
fn scientific(number: f64) -> String {
    format!("{number:.1e}").replace(".0e", "e")
}

/// With so many digits that count, and no zeros behind them.
fn significant(number: f64, digits: i32) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let decimals = (digits - 1 - number.abs().log10().floor() as i32).max(0);
    let text = format!("{number:.*}", decimals as usize);
    if text.contains('.') { without_zeros(&text) } else { text }
}

/// Without zeros at the end of its decimals.
fn without_zeros(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// With as many decimals as tell it from 1.
fn short_of_one(probability: f64) -> String {
    let decimals = (-(1.0 - probability).log10()).ceil().clamp(3.0, 15.0);
    without_zeros(&format!("{probability:.*}", decimals as usize))
}

/// Rounded, with a comma after each three digits.
fn separated(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::audit::chance::{Order, Scan};

    use super::*;

    #[test]
    fn probabilities_are_odds_until_they_are_magnitudes() {
        let told = [
            (0.0, "never (0)"),
            (1.0, "always"),
            (1.0 / 24.0, "1 in 24 (0.0417)"),
            (1.0 / 6.0, "1 in 6 (0.167)"),
            (0.1136, "1 in 8.8 (0.114)"),
            (2.0e-3, "1 in 500 (0.002)"),
            (1.0 / 1716.0, "1 in 1,716 (0.000583)"),
            (0.714, "71 in 100 (0.714)"),
            (0.5, "50 in 100 (0.5)"),
            (0.9996, "almost always (0.9996)"),
            (1.0 - 1e-9, "almost always (0.999999999)"),
            (2.3283e-10, "2.3e-10"),
        ];
        for (number, text) in told {
            assert_eq!(probability(number), text, "{number}");
        }
    }

    #[test]
    fn played_chances_say_how_sure_they_are() {
        let scan = Scan { order: Order::Random, tries: 1, rate: 1000, sources: 1 };
        let told = |probability, how| chance(&Chance { scan, probability, how });
        assert_eq!(told(0.0345, How::Exact), "1 in 29 (0.0345)");
        assert_eq!(told(0.0345, How::Played { scans: 20_000, error: 0.00129 }), "1 in 29 (0.0345) ± 0.0013");
        assert_eq!(told(0.0, How::Played { scans: 2_000, error: 0.0 }), "none of 2,000 played");
        assert_eq!(told(1.0, How::Played { scans: 1, error: 0.0 }), "all of 1 played");
    }

    #[test]
    fn counts_have_commas_until_they_are_magnitudes() {
        let told = [
            (4.0, "4"),
            (196_605.0, "196,605"),
            (1_000_000.0, "1,000,000"),
            (2.814e14, "2.8e14"),
            (1.2e77, "1.2e77"),
        ];
        for (number, text) in told {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            (average(9.48).as_str(), average(1.0).as_str(), average(1234.5).as_str()),
            ("9.5", "1", "1,234")
        );
        assert_eq!((rate(0.0278).as_str(), rate(4369.0).as_str()), ("0.028/s", "4,369/s"));
    }

    #[test]
    fn durations_have_the_unit_that_people_would_use() {
        let told = [
            (0.0, "less than 1 ms"),
            (0.045, "45 ms"),
            (0.999, "1 s"),
            (1.96, "2 s"),
            (59.7, "1 min"),
            (196.6, "3.3 min"),
            (59.8 * MINUTE, "1 h"),
            (26.0 * HOUR, "26 h"),
            (47.9 * HOUR, "2 days"),
            (12.3 * DAY, "12 days"),
            (364.9 * DAY, "1 year"),
            (8_917.0 * YEAR, "8,900 years"),
            (99_900.0 * YEAR, "100,000 years"),
            (8.9e11 * YEAR, "8.9e11 years"),
            (f64::INFINITY, "for ever"),
        ];
        for (seconds, text) in told {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn axes_have_round_labels() {
        let labels: Vec<String> = [-12, -4, -3, -1, 0, 1, 3, 6, 9].into_iter().map(decade).collect();
        assert_eq!(labels, ["1e-12", "1e-4", "0.001", "0.1", "1", "10", "1,000", "1,000,000", "1e9"]);
    }
}
