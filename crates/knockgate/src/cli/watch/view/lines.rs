//! The list of the tab that is shown.

use std::time::Instant;

use knockgate::target::nft::Fill;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, HighlightSpacing, Row, Table, TableState};

use super::super::super::listed::{self, printable};
use super::super::super::moment::time_of_day;
use super::super::happening::{Happening, What, stages};
use super::super::model::{self, Model, Pane, fullness};
use super::paint::{Paint, bar, grouped, per_second, span};

/// Bars are no wider, however much room there is.
const BAR: u16 = 30;

/// A happening in one line, with so much room for whom it is about.
pub fn happening<'h>(happening: &'h Happening, who: usize, paint: Paint) -> Line<'h> {
    let time = Span::styled(format!("{}  ", time_of_day(happening.at)), paint.faint());
    let who = Span::raw(format!("{:<who$}  ", happening.who));
    let words = words(happening, paint);
    if happening.who.is_empty() { Line::from(vec![time, words]) } else { Line::from(vec![time, who, words]) }
}

fn words(happening: &Happening, paint: Paint) -> Span<'static> {
    let style = match happening.what {
        What::Granted | What::Allowed => paint.good(),
        What::Knock { .. } | What::Listed(_) => paint.busy(),
        What::Banned(_) => paint.bad(),
        What::Wrong | What::Strike(_) => paint.warn(),
        What::Note(_) => paint.warn(),
        What::GrantEnded | What::BanEnded | What::AllowEnded | What::ListEnded(_) => paint.faint(),
    };
    Span::styled(happening.words(), style)
}

pub fn pane(frame: &mut Frame<'_>, area: Rect, model: &Model, top: &mut usize, paint: Paint, now: Instant) {
    let lines = model.lines(now);
    // Only what can be seen is made into rows.
    let room = usize::from(area.height);
    let place = model.selected(&lines).unwrap_or_default();
    let first = (*top).min(place).max((place + 4).saturating_sub(room));
    let shown = &lines[first.min(lines.len())..(first + room).min(lines.len())];
    let who = shown.iter().filter_map(model::Line::who).map(|who| who.chars().count()).max();
    let who = who.unwrap_or_default().clamp(15, 43) as u16;
    let knocks = model.snapshot.doors.iter().map(|door| door.knocks).max().unwrap_or_default() as u16;
    let columns = Columns { who, made: (knocks + 8).max(11), bar: (area.width / 4).clamp(6, BAR) };
    let (titles, widths) = columns.of(model.pane);
    let of_line = |at: usize| if first + at == place { paint.flat() } else { paint };
    let rows = shown.iter().enumerate().map(|(at, line)| columns.row(line, model, of_line(at)));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(paint.faint())
        .title(tabs(model, paint, area.width))
        .title_bottom(more(model, &lines, paint));
    let table = Table::new(rows, widths)
        .header(Row::new(titles).style(paint.faint()))
        .row_highlight_style(paint.selected())
        .highlight_symbol("▸ ")
        .highlight_spacing(HighlightSpacing::Always)
        .block(block);
    let mut state = TableState::new().with_selected((!lines.is_empty()).then_some(place - first.min(place)));
    frame.render_stateful_widget(table, area, &mut state);
    *top = first;
    if lines.is_empty() {
        empty(frame, area, model, paint);
    }
}

fn empty(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let text = match (model.filter.is_empty(), model.pane) {
        (false, _) => "nothing here has that text",
        (_, Pane::Granted) => "nobody holds a grant",
        (_, Pane::Knocking) => "nobody is knocking",
        (_, Pane::Banned) => "nobody is banned",
        (_, Pane::Allowed) => "nobody is allowed by hand",
        (_, Pane::Listed) => "nobody is on a list",
        (_, Pane::Events) => "nothing has happened yet",
        (_, Pane::Sets | Pane::Rules) => "there are none",
    };
    let middle = Rect { y: area.y + area.height / 2, height: u16::from(area.height > 2), ..area };
    let middle = middle.intersection(frame.area());
    frame.render_widget(Line::styled(text, paint.faint()).alignment(Alignment::Center), middle);
}

/// The tabs; where there is no room for all of them, the one that is shown.
fn tabs<'t>(model: &Model, paint: Paint, width: u16) -> Line<'t> {
    let panes = model.panes();
    let titled = |pane: Pane| match (pane, model.count(pane)) {
        (Pane::Events | Pane::Sets | Pane::Rules, _) | (_, None) => pane.title().to_owned(),
        (_, Some(count)) => format!("{} {}", pane.title(), grouped(count)),
    };
    let mut spans = vec![];
    for pane in &panes {
        let (style, title) = match *pane == model.pane {
            true => (paint.selected().patch(paint.strong()), format!("[{}]", titled(*pane))),
            false => (paint.strong(), format!(" {} ", titled(*pane))),
        };
        spans.push(Span::styled(title, style));
    }
    let line = Line::from(spans);
    if line.width() + 2 <= usize::from(width) {
        return line;
    }
    let place = panes.iter().position(|pane| *pane == model.pane).unwrap_or_default() + 1;
    let title = format!("[{}] {place} of {}, Tab ", titled(model.pane), panes.len());
    Line::styled(title, paint.strong())
}

/// Which part of the list is shown.
fn more<'t>(model: &Model, lines: &[model::Line<'_>], paint: Paint) -> Line<'t> {
    let place = model.selected(lines).map_or(0, |place| place + 1);
    let cut = model.snapshot.list(model.pane).is_some_and(|table| table.cut);
    let text = match (cut, model.count(model.pane)) {
        (true, Some(total)) => format!(" {place} of {}, out of {} ", lines.len(), grouped(total)),
        (true, None) => format!(" {place} of {}, and there are more ", lines.len()),
        (false, _) => format!(" {place} of {} ", lines.len()),
    };
    Line::styled(text, paint.faint()).alignment(Alignment::Right)
}

/// How wide what is of no fixed width is.
struct Columns {
    who: u16,
    made: u16,
    bar: u16,
}

impl Columns {
    fn of(&self, pane: Pane) -> (Vec<&'static str>, Vec<Constraint>) {
        use Constraint::{Length, Max, Min};
        let (who, bar) = (Length(self.who), Max(self.bar));
        match pane {
            Pane::Granted => (vec!["source", "door", "left", ""], vec![who, Length(16), Length(7), bar]),
            Pane::Knocking => (
                vec!["source", "door", "knocks made", "left", ""],
                vec![who, Length(16), Length(self.made), Length(7), bar],
            ),
            Pane::Banned => {
                (vec!["source", "by", "left", "", "why"], vec![who, Length(7), Length(7), bar, Min(6)])
            }
            Pane::Allowed => (vec!["source", "left", "", "why"], vec![who, Length(7), bar, Min(6)]),
            Pane::Listed => (vec!["source", "list", "left", ""], vec![who, Length(20), Length(7), bar]),
            Pane::Events => (vec!["time", "source", "what"], vec![Length(8), who, Min(10)]),
            Pane::Sets => {
                (vec!["list", "entries", "of", "", ""], vec![Min(12), Length(9), Length(9), bar, Length(5)])
            }
            Pane::Rules => (vec!["rule", "now", "packets"], vec![Min(12), Length(10), Length(13)]),
        }
    }

    fn row<'l>(&self, line: &model::Line<'l>, model: &Model, paint: Paint) -> Row<'l> {
        match line {
            model::Line::Row(row, left) => self.listed(row, *left, model, paint),
            model::Line::Event(_, one) => Row::new(vec![
                Line::styled(time_of_day(one.at), paint.faint()),
                Line::raw(one.who.as_str()),
                Line::from(words(one, paint)),
            ]),
            model::Line::Set(name, fill) => self.set(name, *fill, paint),
            model::Line::Rule(rule, rate) => Row::new(vec![
                Line::raw(rule.what.as_str()),
                Line::raw(per_second(*rate)),
                Line::raw(grouped(rule.packets)),
            ]),
        }
    }

    fn listed<'l>(&self, row: &'l listed::Row, left: Option<u64>, model: &Model, paint: Paint) -> Row<'l> {
        let who = Line::raw(row.addresses.as_str());
        let time = Line::raw(left.map_or_else(|| "stays".to_owned(), span));
        let bar = self.time(row, left, paint);
        let why = || Line::raw(row.reason.as_deref().map(printable).unwrap_or_default());
        Row::new(match model.pane {
            Pane::Knocking => {
                let [door, made] = knocking(row, model, paint);
                vec![who, door, made, time, bar]
            }
            Pane::Banned => vec![who, Line::raw(row.what.as_str()), time, bar, why()],
            Pane::Allowed => vec![who, time, bar, why()],
            _ => vec![who, Line::styled(row.what.as_str(), paint.strong()), time, bar],
        })
    }

    fn time(&self, row: &listed::Row, left: Option<u64>, paint: Paint) -> Line<'static> {
        let (Some(left), Some(whole)) = (left, row.whole_ms.or(row.left_ms)) else { return Line::default() };
        let part = left as f64 / whole.max(1) as f64;
        let (full, empty) = bar(part, usize::from(self.bar));
        Line::from(vec![Span::styled(full, paint.of_rest(part)), Span::styled(empty, paint.faint())])
    }

    fn set<'l>(&self, name: &'l str, fill: Fill, paint: Paint) -> Row<'l> {
        let part = fullness(fill);
        let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |n| grouped(n.into()));
        let (full, empty) = bar(part, usize::from(self.bar));
        let style = paint.of_rest(1.0 - part);
        let told = if part >= 1.0 {
            Span::styled("FULL", paint.bad())
        } else {
            Span::raw(format!("{:.0}%", part * 100.0))
        };
        Row::new(vec![
            Line::raw(name),
            Line::raw(number(fill.entries)),
            Line::styled(number(fill.capacity), paint.faint()),
            Line::from(vec![Span::styled(full, style), Span::styled(empty, paint.faint())]),
            Line::from(told),
        ])
    }
}

/// At which doors a source knocks, and how far it is at the one where it is furthest.
fn knocking<'l>(row: &'l listed::Row, model: &Model, paint: Paint) -> [Line<'l>; 2] {
    let stages = stages(&row.what, |door| model.snapshot.knocks(door));
    let furthest = stages.iter().max_by_key(|stage| (stage.made * 100).checked_div(stage.of));
    let Some(stage) = furthest else { return [Line::raw(row.what.as_str()), Line::default()] };
    let others = stages.len() - 1;
    let more = if others > 0 { format!(" +{others}") } else { String::new() };
    let dots = Span::styled("●".repeat(stage.made), paint.busy());
    let open = Span::styled("○".repeat(stage.of.saturating_sub(stage.made)), paint.faint());
    let text = Span::raw(format!(" {} of {}", stage.made, stage.of));
    [Line::styled(format!("{}{more}", stage.door), paint.strong()), Line::from(vec![dots, open, text])]
}
