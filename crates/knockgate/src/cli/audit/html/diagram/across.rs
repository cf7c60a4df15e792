//! States from left to right: bans above, wrong knocks below.

use knockgate_compiler::policy::Wrong;

use super::{Ban, Drawing, Half, Machine, RADIUS};

const START: Half = (42.0, 17.0);
const OPEN: Half = (46.0, 22.0);
/// Width of a character between two states, at most.
const CHARACTER: f64 = 7.4;
/// Between two states at least.
const GAP: f64 = 92.0;
const EDGE: f64 = 6.0;
/// From the row of states to what is drawn above or below it.
const ASIDE: f64 = 56.0;

/// The machine, and where its states are.
struct Row<'m> {
    machine: &'m Machine,
    /// Centres, from the start to the open door.
    centres: Vec<f64>,
    y: f64,
}

pub fn draw(machine: &Machine, name: &str) -> String {
    let row = Row::of(machine);
    let mut drawing = Drawing::default();
    row.hops(&mut drawing);
    if let Some(wrong) = machine.wrong {
        row.wrong(&mut drawing, wrong);
    }
    if let Some(ban) = &machine.ban {
        row.ban(&mut drawing, ban);
    }
    row.states(&mut drawing);
    let below = if machine.wrong.is_some() { ASIDE + 24.0 } else { OPEN.1 + EDGE };
    drawing.finish(name, row.open() + OPEN.0 + EDGE, row.y + below)
}

impl<'m> Row<'m> {
    fn of(machine: &'m Machine) -> Self {
        let gap = GAP.max(machine.longest_label() as f64 * CHARACTER + 22.0);
        let mut centres = vec![EDGE + START.0];
        let mut right = EDGE + 2.0 * START.0;
        for _ in 1..machine.hops.len() {
            centres.push(right + gap + RADIUS);
            right += gap + 2.0 * RADIUS;
        }
        centres.push(right + gap + OPEN.0);
        let y = if machine.ban.is_some() { EDGE + OPEN.1 + ASIDE } else { EDGE + OPEN.1 };
        Self { machine, centres, y }
    }

    fn start(&self) -> f64 {
        self.centres[0]
    }

    fn open(&self) -> f64 {
        self.centres[self.centres.len() - 1]
    }

    /// The states between the start and the open door.
    fn middle(&self) -> &[f64] {
        &self.centres[1..self.centres.len() - 1]
    }

    fn half_width(&self, state: usize) -> f64 {
        match state {
            0 => START.0,
            state if state + 1 == self.centres.len() => OPEN.0,
            _ => RADIUS,
        }
    }

    fn states(&self, drawing: &mut Drawing) {
        drawing.named("start", (self.start(), self.y), START, ["start", ""]);
        for (index, x) in self.middle().iter().enumerate() {
            drawing.numbered((*x, self.y), index + 1);
        }
        let [first, second] = &self.machine.open;
        drawing.named("open", (self.open(), self.y), OPEN, [first, second]);
    }

    fn hops(&self, drawing: &mut Drawing) {
        for (index, hop) in self.machine.hops.iter().enumerate() {
            let from = self.centres[index] + self.half_width(index);
            let to = self.centres[index + 1] - self.half_width(index + 1);
            drawing.arrow("right", &[(from, self.y), (to, self.y)]);
            let centre = f64::midpoint(from, to) - 2.0;
            drawing.text("packet", "middle", (centre, self.y - 8.0), &hop.packet);
            if !hop.remark.is_empty() {
                drawing.text("remark", "middle", (centre, self.y + 17.0), &hop.remark);
            }
        }
    }

    fn wrong(&self, drawing: &mut Drawing, wrong: Wrong) {
        let first = self.middle()[0];
        match wrong {
            Wrong::Ignore => {
                for x in self.middle() {
                    drawing.round("wrong", (*x, self.y), (0.0, 1.0));
                }
                let says = "a wrong knock changes nothing";
                drawing.text("aside", "start", (first - RADIUS, self.y + ASIDE + 12.0), says);
            }
            Wrong::Reset => {
                let under = (self.start(), self.y + ASIDE);
                self.falls(drawing, &[under, (self.start(), self.y + START.1)]);
                drawing.text(
                    "aside",
                    "start",
                    (self.start() + 12.0, under.1 + 15.0),
                    "wrong knock: back to the start",
                );
            }
            Wrong::Cooldown(lifetime) => {
                let centre = (self.start(), self.y + ASIDE);
                self.falls(drawing, &[(centre.0 + START.0, centre.1)]);
                drawing.arrow("wrong", &[(centre.0, centre.1 - START.1), (centre.0, self.y + START.1)]);
                drawing.named("wait", centre, START, [&format!("waits {lifetime}"), ""]);
                drawing.text("aside", "start", (centre.0 + START.0 + 14.0, centre.1 + 15.0), "wrong knock");
            }
        }
    }

    /// A line from below each state between, which goes on to `end`.
    fn falls(&self, drawing: &mut Drawing, end: &[(f64, f64)]) {
        let under = self.y + ASIDE;
        let last = self.middle()[self.middle().len() - 1];
        for x in self.middle().iter().take(self.middle().len() - 1) {
            drawing.line("wrong", &[(*x, self.y + RADIUS), (*x, under)]);
        }
        let line = [&[(last, self.y + RADIUS), (last, under)], end].concat();
        drawing.arrow("wrong", &line);
    }

    fn ban(&self, drawing: &mut Drawing, ban: &Ban) {
        let above = self.y - ASIDE;
        drawing.arrow(
            "ban",
            &[(self.start(), self.y - START.1), (self.start(), above), (self.open() - OPEN.0, above)],
        );
        for x in self.middle() {
            drawing.line("ban", &[(*x, self.y - RADIUS), (*x, above)]);
        }
        drawing.text("aside", "start", (self.start() + 8.0, above - 7.0), &ban.touch);
        drawing.named("banned", (self.open(), above), OPEN, ["banned", &ban.lasts]);
    }
}
