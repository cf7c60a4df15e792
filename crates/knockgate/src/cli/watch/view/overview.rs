//! Above the lists: doors, the busiest rules where there is room, and what happens.

use std::cmp::Reverse;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::super::model::{Door, Model, Rule};
use super::lines::happening;
use super::paint::{Paint, boxed, cut, grouped, per_second};

/// A wider terminal shows the busiest rules, too.
const WIDE: u16 = 140;

pub fn overview(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let rules = if area.width >= WIDE { 50 } else { 0 };
    let doors = if model.snapshot.doors.is_empty() { 0 } else { (area.width - rules) / 2 };
    let widths = [Constraint::Length(doors), Constraint::Length(rules), Constraint::Min(0)];
    let [doors, rules, events] = Layout::horizontal(widths).areas(area);
    if doors.width > 0 {
        self::doors(frame, doors, model, paint);
    }
    if rules.width > 0 {
        busiest(frame, rules, model, paint);
    }
    happenings(frame, events, model, paint);
}

fn doors(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let mut doors: Vec<(&Door, (usize, usize))> =
        model.snapshot.doors.iter().map(|door| (door, model.at_door(&door.name))).collect();
    let room = usize::from(area.height.saturating_sub(3));
    let title = match doors.len() > room {
        true => format!(" doors {room} of {} ", doors.len()),
        false => format!(" doors {} ", doors.len()),
    };
    if doors.len() > room {
        // Those where something happens come first.
        doors.sort_by_key(|(_, (granted, knocking))| Reverse(granted * 2 + knocking));
        doors.truncate(room);
    }
    let name = doors.iter().map(|(door, _)| door.name.len()).max().unwrap_or_default().clamp(4, 20) as u16;
    // Two borders, two numbers, and a space between columns.
    let opens = area.width.saturating_sub(2 + name + 7 + 8 + 3);
    let rows = doors.iter().map(|(door, at)| door_row(door, *at, [name, opens], paint));
    let widths = [name, opens, 7, 8].map(Constraint::Length);
    let head = Row::new(["door", "opens", "granted", "knocking"]).style(paint.faint());
    frame.render_widget(Table::new(rows, widths).header(head).block(boxed(title, paint)), area);
}

fn door_row<'d>(
    door: &'d Door,
    (granted, knocking): (usize, usize),
    [name, opens]: [u16; 2],
    paint: Paint,
) -> Row<'d> {
    let number = |number: usize, style| match number {
        0 => Span::styled("-", paint.faint()),
        _ => Span::styled(number.to_string(), style),
    };
    Row::new([
        Span::styled(cut(&door.name, name), paint.strong()),
        Span::raw(cut(&door.opens, opens)),
        number(granted, paint.good()),
        number(knocking, paint.busy()),
    ])
}

fn busiest(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let with_rate = |rule| (rule, model.rate_of(rule));
    let mut rules: Vec<(&Rule, f64)> = model.snapshot.rules.iter().map(with_rate).collect();
    rules.retain(|(rule, _)| rule.packets > 0);
    rules.sort_by(|(a, rate_a), (b, rate_b)| rate_b.total_cmp(rate_a).then(b.packets.cmp(&a.packets)));
    let right = |text: String| Line::from(text).alignment(Alignment::Right);
    // Two borders, two numbers, and a space between columns.
    let what = area.width.saturating_sub(2 + 9 + 11 + 2);
    let rows = rules.into_iter().map(|(rule, rate)| {
        Row::new([Line::from(cut(&rule.what, what)), right(per_second(rate)), right(grouped(rule.packets))])
    });
    let head = Row::new([Line::from("rule"), right("now".to_owned()), right("packets".to_owned())]);
    let table = Table::new(rows, [what, 9, 11].map(Constraint::Length));
    frame.render_widget(table.header(head.style(paint.faint())).block(boxed(" busiest rules ", paint)), area);
}

fn happenings(frame: &mut Frame<'_>, area: Rect, model: &Model, paint: Paint) {
    let room = usize::from(area.height.saturating_sub(2));
    let shown = || model.happenings().take(room);
    let who = shown().map(|happening| happening.who.chars().count()).max().unwrap_or_default();
    let mut lines: Vec<Line<'_>> = shown().map(|one| happening(one, who, paint)).collect();
    if lines.is_empty() {
        lines.push(Line::styled("nothing has happened yet", paint.faint()));
    }
    frame.render_widget(Paragraph::new(lines).block(boxed(" what happens ", paint)), area);
}
