//! A way to knock as states and what leads from one to the next.

mod across;
mod down;

use knockgate_compiler::audit::{Door, Shape, Trapping, WayIn};
use knockgate_compiler::policy::Wrong;

use super::markup::{Text, put};

/// States in a row, each reached from the one before it.
struct Machine {
    /// First to last; never empty.
    hops: Vec<Hop>,
    /// What the last state is called, in two lines.
    open: [String; 2],
    /// What a wrong knock does, where that is known.
    wrong: Option<Wrong>,
    ban: Option<Ban>,
}

/// What leads to the next state.
struct Hop {
    /// `333/tcp`.
    packet: String,
    /// `within 30s`; may be empty.
    remark: String,
}

/// The state of a banned source.
struct Ban {
    /// What leads there: `2 traps touched`.
    touch: String,
    /// `1m to 10m`.
    lasts: String,
}

/// Knocks that are drawn in a row where there is room for it.
const ACROSS: usize = 6;
/// Characters of a knock in a row.
const ACROSS_LABEL: usize = 12;

/// A door's states; `None` where no way in is known.
pub fn diagram(door: &Door) -> Option<String> {
    let machine = Machine::of(door)?;
    let name = Text(format!("The states of door {}", door.name)).to_string();
    let down = down::draw(&machine, &name);
    if machine.hops.len() > ACROSS || machine.longest_label() > ACROSS_LABEL {
        return Some(format!("<div class=\"diagram\">{down}</div>\n"));
    }
    let across = across::draw(&machine, &name);
    Some(format!("<div class=\"diagram wide\">{across}</div>\n<div class=\"diagram narrow\">{down}</div>\n"))
}

impl Machine {
    fn of(door: &Door) -> Option<Self> {
        match (&door.shape, &door.way_in) {
            (Some(shape), _) => Some(Self::of_shape(shape)),
            (None, WayIn::Steps { steps, .. }) if !steps.is_empty() => {
                let hops = steps.iter().map(|step| Hop {
                    packet: step.packet.clone(),
                    remark: step.after.map(|after| format!("after {after} or more")).unwrap_or_default(),
                });
                let open = ["open".to_owned(), String::new()];
                Some(Self { hops: hops.collect(), open, wrong: None, ban: None })
            }
            _ => None,
        }
    }

    fn of_shape(shape: &Shape) -> Self {
        let mut hops: Vec<Hop> = shape
            .knocks
            .iter()
            .map(|beat| Hop { packet: beat.knock.to_string(), remark: format!("within {}", beat.window) })
            .collect();
        // Nothing is before the first knock that it could be late for.
        hops[0].remark.clear();
        let wrong = (hops.len() > 1).then_some(shape.wrong);
        let open = ["open".to_owned(), format!("for {}", shape.grant)];
        Self { hops, open, wrong, ban: shape.traps.as_ref().map(Ban::of) }
    }

    fn longest_label(&self) -> usize {
        let labels = self.hops.iter().map(|hop| hop.packet.chars().count().max(hop.remark.chars().count()));
        labels.max().unwrap_or_default()
    }
}

impl Ban {
    fn of(traps: &Trapping) -> Self {
        let touch = match traps.strikes {
            1 => "a trap touched".to_owned(),
            strikes => format!("{strikes} traps touched"),
        };
        let lasts = if traps.ban < traps.ban_max {
            format!("{} to {}", traps.ban, traps.ban_max)
        } else {
            format!("for {}", traps.ban)
        };
        Self { touch, lasts }
    }
}

/// What is drawn so far.
#[derive(Default)]
struct Drawing(String);

/// Half the width and height of a state.
type Half = (f64, f64);

/// A numbered state is a circle.
const RADIUS: f64 = 17.0;

impl Drawing {
    /// The whole, of this size.
    fn finish(self, name: &str, width: f64, height: f64) -> String {
        format!(
            "<svg viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\">\
             <title>{name}</title>\n{}</svg>",
            self.0
        )
    }

    /// A line through these points, with an arrow at its end.
    fn arrow(&mut self, class: &str, points: &[(f64, f64)]) {
        self.path(class, points, &format!(" marker-end=\"url(#{class}-end)\""));
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        self.path(class, points, "");
    }

    fn path(&mut self, class: &str, points: &[(f64, f64)], more: &str) {
        let steps = points.iter().enumerate();
        let steps = steps.map(|(index, (x, y))| format!("{}{x} {y}", if index == 0 { 'M' } else { 'L' }));
        put!(self.0, "<path class=\"edge {class}\" d=\"{}\"{more}/>\n", steps.collect::<String>());
    }

    /// An edge from a state to itself, on the side that `(dx, dy)` points to from its centre.
    fn round(&mut self, class: &str, (x, y): (f64, f64), (dx, dy): (f64, f64)) {
        let at = |along: f64, aside: f64| {
            (x + dx * along * RADIUS + dy * aside, y + dy * along * RADIUS + dx * aside)
        };
        let [(ax, ay), (bx, by), (cx, cy), (ex, ey)] =
            [at(0.9, -8.0), at(2.9, -16.0), at(2.9, 16.0), at(1.0, 8.0)];
        put!(
            self.0,
            "<path class=\"edge {class}\" d=\"M{ax} {ay}C{bx} {by} {cx} {cy} {ex} {ey}\" \
             marker-end=\"url(#{class}-end)\"/>\n"
        );
    }

    fn numbered(&mut self, (x, y): (f64, f64), number: usize) {
        put!(self.0, "<circle class=\"state\" cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\"/>\n");
        self.text("name", "middle", (x, y + 4.0), &number.to_string());
    }

    /// A state with a name of one or two lines.
    fn named(&mut self, class: &str, (x, y): (f64, f64), (w, h): Half, lines: [&str; 2]) {
        put!(
            self.0,
            "<rect class=\"state {class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"9\"/>\n",
            x - w,
            y - h,
            2.0 * w,
            2.0 * h
        );
        let first = if lines[1].is_empty() { y + 4.0 } else { y - 3.0 };
        self.text("name", "middle", (x, first), lines[0]);
        if !lines[1].is_empty() {
            self.text("remark", "middle", (x, y + 12.0), lines[1]);
        }
    }

    fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        let text = Text(text);
        put!(self.0, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{text}</text>\n");
    }

    /// The same with the whole text for whoever points at it.
    fn short(&mut self, (x, y): (f64, f64), text: &str, width: usize) {
        let short = super::super::text::cut(text, width);
        let (short, text) = (Text(short), Text(text));
        put!(self.0, "<text class=\"packet\" x=\"{x}\" y=\"{y}\">{short}<title>{text}</title></text>\n");
    }
}

/// The ends of arrows, once for all drawings of a page.
pub fn arrow_ends() -> String {
    let end = |class| {
        format!(
            "<marker id=\"{class}-end\" class=\"end {class}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
             markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\">\
             <path d=\"M0 0L8 4L0 8z\"/></marker>"
        )
    };
    let ends: String = ["right", "wrong", "ban"].into_iter().map(end).collect();
    format!("<svg class=\"ends\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>{ends}</defs></svg>\n")
}
