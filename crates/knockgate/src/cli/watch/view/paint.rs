//! Colours, bars and numbers.

use std::collections::VecDeque;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType};

/// How things look. Colours are those that the terminal has for their names, so that they fit a dark one
/// and a light one.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    coloured: bool,
    /// Nothing stands out: the line is marked as a whole.
    flat: bool,
}

impl Paint {
    pub fn new(coloured: bool) -> Self {
        Self { coloured, flat: false }
    }

    /// For a line that is marked as a whole.
    pub fn flat(self) -> Self {
        Self { coloured: false, flat: true }
    }

    fn of(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    fn on(self, colour: Color) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.coloured { style.fg(Color::Black).bg(colour) } else { style.add_modifier(Modifier::REVERSED) }
    }

    pub fn good(self) -> Style {
        self.of(Color::Green)
    }

    pub fn busy(self) -> Style {
        self.of(Color::Cyan)
    }

    pub fn warn(self) -> Style {
        self.of(Color::Magenta)
    }

    pub fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub fn alarm(self) -> Style {
        self.on(Color::Yellow)
    }

    pub fn title(self) -> Style {
        self.on(Color::Cyan)
    }

    pub fn key(self) -> Style {
        self.of(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Also on a frame, which is faint.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM)
    }

    pub fn faint(self) -> Style {
        if self.flat { Style::new() } else { Style::new().add_modifier(Modifier::DIM) }
    }

    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Of what is left of something: enough, little, hardly any.
    pub fn of_rest(self, part: f64) -> Style {
        match part {
            part if part > 0.5 => self.good(),
            part if part > 0.2 => self.of(Color::Yellow),
            _ => self.of(Color::Red),
        }
    }
}

/// A frame around something.
pub fn boxed(title: impl Into<String>, paint: Paint) -> Block<'static> {
    let title = Line::styled(title.into(), paint.strong());
    Block::bordered().border_type(BorderType::Rounded).border_style(paint.faint()).title(title)
}

/// A text, or as much of it as there is room for.
pub fn cut(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end_matches([',', ' ']))
}

/// The filled and the empty part of a bar.
pub fn bar(part: f64, width: usize) -> (String, String) {
    let filled = ((part.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    ("━".repeat(filled), "─".repeat(width - filled))
}

/// The latest values, the highest of them full.
pub fn sparks(history: &VecDeque<u64>, width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let latest = || history.iter().skip(history.len().saturating_sub(width));
    let most = latest().copied().max().unwrap_or_default().max(1);
    let level = |value: &u64| LEVELS[(*value as f64 / most as f64 * 7.0).ceil() as usize];
    let text: String = latest().map(level).collect();
    format!("{text:>width$}")
}

/// `1,204`; `1.2M` where that is too long.
pub fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        1000..1_000_000 => format!("{},{:03}", number / 1000, number % 1000),
        1_000_000..10_000_000_000 => format!("{:.1}M", number as f64 / 1e6),
        _ => format!("{:.1}G", number as f64 / 1e9),
    }
}

pub fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 {
        format!("{rate:.1}/s")
    } else {
        format!("{}/s", grouped(rate.round() as u64))
    }
}

/// `12s`, `1m05s`, `2h05m`, `3d04h`.
pub fn span(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_whatever_they_are() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1204, "1,204"), (999_999, "999,999"), (1_250_000, "1.2M")]
        {
            assert_eq!(grouped(number), text);
        }
        for (rate, text) in [(0.0, "0/s"), (0.4, "0.4/s"), (9.96, "10/s"), (33_333.3, "33,333/s")] {
            assert_eq!(per_second(rate), text);
        }
        for (millis, text) in
            [(1, "1s"), (59_001, "1m00s"), (65_000, "1m05s"), (7_500_000, "2h05m"), (90_000_000, "1d01h")]
        {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn bars_and_sparks_are_as_wide_as_they_may_be() {
        for part in [-1.0, 0.0, 0.3, 1.0, 7.0, f64::NAN] {
            let (full, empty) = bar(part, 10);
            assert_eq!(full.chars().count() + empty.chars().count(), 10, "{part}");
        }
        assert_eq!(sparks(&VecDeque::from([0, 1, 8]), 5), "  ▁▂█");
        assert_eq!(sparks(&VecDeque::from([9, 9, 9, 0]), 2), "█▁");
        assert_eq!(sparks(&VecDeque::new(), 3), "   ");
    }
}
