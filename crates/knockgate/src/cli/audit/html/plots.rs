//! What is drawn of a door's numbers.

use knockgate_compiler::audit::Door;
use knockgate_compiler::audit::chance::{Chance, Curve, Order, Scan};

use super::super::words;
use super::plot::{Axis, Line, Plot, Point};
use knockgate_compiler::audit::numbers::{self, counted};

/// Lines that can be told apart in one plot.
const LINES: usize = 4;

/// How likely a random sweep opens the door, by number of traps and by rate.
pub fn of_chances(door: &Door) -> Vec<String> {
    [by_traps(door), by_rate(door)].into_iter().flatten().map(|plot| plot.draw()).collect()
}

fn by_traps(door: &Door) -> Option<Plot> {
    let lines: Vec<Line> = door.curves.iter().take(LINES).map(curve).collect();
    let values: Vec<f64> = points(&lines).map(|(_, probability)| probability).collect();
    let most = door.curves.iter().map(|curve| curve.by_traps.len()).max()?.checked_sub(1)?;
    let traps = door.shape.as_ref().map(|shape| shape.traps.as_ref().map_or(0, |traps| traps.ports.len()));
    let traps = traps.filter(|traps| *traps <= most);
    Some(Plot {
        title: "A random sweep, by number of traps".to_owned(),
        x: Axis::whole("traps", u32::try_from(most).ok().filter(|most| *most > 0)?),
        y: Axis::decades("probability that it opens", some(values.into_iter())?, 0),
        mark: traps.map(|traps| (traps as f64, "as it is")),
        lines,
    })
}

fn curve(curve: &Curve) -> Line {
    let name = match curve.rate {
        Some(rate) => numbers::rate(rate.into()),
        None => "no window passes".to_owned(),
    };
    let point = |(traps, probability): (usize, &f64)| {
        let says = format!(
            "{}, {name}: {}",
            counted(u32::try_from(traps).unwrap_or(u32::MAX), "trap", "traps"),
            numbers::probability(*probability)
        );
        Point { x: traps as f64, y: *probability, says }
    };
    let points = curve.by_traps.iter().enumerate().map(point).filter(|point| point.y > 0.0).collect();
    Line { name, points }
}

fn by_rate(door: &Door) -> Option<Plot> {
    let random: Vec<&Chance> =
        door.chances.iter().filter(|chance| chance.scan.order == Order::Random).collect();
    let who = |scan: &Scan| Scan { rate: 0, ..*scan }.to_string();
    let lines = grouped(
        &random,
        |chance| who(&chance.scan),
        |chance| Point {
            x: chance.scan.rate.into(),
            y: chance.probability,
            says: format!("{}: {}", numbers::rate(chance.scan.rate.into()), numbers::chance(chance)),
        },
    );
    let (xs, ys): (Vec<f64>, Vec<f64>) = points(&lines).unzip();
    Some(Plot {
        title: "A random sweep, by its rate".to_owned(),
        x: Axis::decades("packets a second", some(xs.into_iter())?, 12),
        y: Axis::decades("probability that it opens", some(ys.into_iter())?, 0),
        lines,
        mark: None,
    })
}

/// How long an attack takes, by its rate.
pub fn of_attack(door: &Door) -> Option<String> {
    let times: Vec<_> = door.attack.as_ref()?.times.iter().collect();
    let lines = grouped(
        &times,
        |time| words::attackers(time.attackers),
        |time| Point {
            x: time.rate.into(),
            y: if time.seconds.is_finite() { time.seconds } else { 0.0 },
            says: format!("{}: {}", numbers::rate(time.rate.into()), numbers::duration(time.seconds)),
        },
    );
    let (xs, ys): (Vec<f64>, Vec<f64>) = points(&lines).unzip();
    let plot = Plot {
        title: "An attack, by its rate".to_owned(),
        x: Axis::decades("packets a second, of all sources together", some(xs.into_iter())?, 12),
        y: Axis::durations("how long it takes", some(ys.into_iter())?),
        lines,
        mark: None,
    };
    Some(plot.draw())
}

/// Lines of values with one name, each with more than one point that a logarithm can show.
fn grouped<T>(values: &[&T], name: impl Fn(&T) -> String, point: impl Fn(&T) -> Point) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![];
    for value in values {
        let (name, point) = (name(value), point(value));
        match lines.iter_mut().find(|line| line.name == name) {
            _ if point.y <= 0.0 => {}
            Some(line) => line.points.push(point),
            None => lines.push(Line { name, points: vec![point] }),
        }
    }
    lines.retain(|line| line.points.len() > 1);
    lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.x.total_cmp(&b.x)));
    lines.truncate(LINES);
    lines
}

fn points(lines: &[Line]) -> impl Iterator<Item = (f64, f64)> {
    lines.iter().flat_map(|line| &line.points).map(|point| (point.x, point.y))
}

/// The same values, if there are any.
fn some(values: impl Iterator<Item = f64>) -> Option<impl Iterator<Item = f64>> {
    let mut values = values.peekable();
    values.peek().is_some().then_some(values)
}
