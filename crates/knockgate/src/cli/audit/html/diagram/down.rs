//! States from top to bottom: wrong knocks to the left, bans to the right.

use knockgate_compiler::policy::Wrong;

use super::{Ban, Drawing, Half, Machine, RADIUS};

const WIDTH: f64 = 380.0;
const START: Half = (32.0, 17.0);
const OPEN: Half = (46.0, 22.0);
const WAIT: Half = (39.0, 17.0);
/// From a state to the next.
const STEP: f64 = 66.0;
const EDGE: f64 = 6.0;
/// Centre of what is drawn to the right.
const BANNED: f64 = WIDTH - EDGE - OPEN.0;
/// Centre of what is drawn to the left.
const WAITS: f64 = EDGE + WAIT.0;
/// Where wrong knocks lead up.
const UPWARDS: f64 = EDGE + 16.0;
/// Width of a character of a packet, at most.
const CHARACTER: f64 = 7.4;

/// The machine, and where its states are.
struct Column<'m> {
    machine: &'m Machine,
    x: f64,
}

pub fn draw(machine: &Machine, name: &str) -> String {
    let x = if machine.wrong.is_some() { WAITS + WAIT.0 + 20.0 + START.0 } else { EDGE + OPEN.0 };
    let column = Column { machine, x };
    let mut drawing = Drawing::default();
    column.hops(&mut drawing);
    if let Some(wrong) = machine.wrong {
        column.wrong(&mut drawing, wrong);
    }
    if let Some(ban) = &machine.ban {
        column.ban(&mut drawing, ban);
    }
    column.states(&mut drawing);
    drawing.finish(name, WIDTH, column.y(machine.hops.len()) + OPEN.1 + EDGE)
}

impl Column<'_> {
    fn y(&self, state: usize) -> f64 {
        // The last state is higher than the others.
        let more = if state == self.machine.hops.len() { 2.0 * (OPEN.1 - RADIUS) } else { 0.0 };
        EDGE + OPEN.1 + state as f64 * STEP + more
    }

    fn start(&self) -> (f64, f64) {
        (self.x, self.y(0))
    }

    /// The heights of the states between the start and the open door.
    fn middle(&self) -> impl DoubleEndedIterator<Item = f64> {
        (1..self.machine.hops.len()).map(|state| self.y(state))
    }

    fn half_height(&self, state: usize) -> f64 {
        match state {
            0 => START.1,
            state if state == self.machine.hops.len() => OPEN.1,
            _ => RADIUS,
        }
    }

    fn states(&self, drawing: &mut Drawing) {
        drawing.named("start", self.start(), START, ["start", ""]);
        for (index, y) in self.middle().enumerate() {
            drawing.numbered((self.x, y), index + 1);
        }
        let [first, second] = &self.machine.open;
        drawing.named("open", (self.x, self.y(self.machine.hops.len())), OPEN, [first, second]);
    }

    fn hops(&self, drawing: &mut Drawing) {
        let right = if self.machine.ban.is_some() { BANNED } else { WIDTH };
        let room = ((right - self.x - 24.0) / CHARACTER) as usize;
        for (index, hop) in self.machine.hops.iter().enumerate() {
            let from = self.y(index) + self.half_height(index);
            let to = self.y(index + 1) - self.half_height(index + 1);
            drawing.arrow("right", &[(self.x, from), (self.x, to)]);
            let centre = f64::midpoint(from, to);
            let packet = if hop.remark.is_empty() { centre + 3.0 } else { centre - 3.0 };
            drawing.short((self.x + 14.0, packet), &hop.packet, room);
            if !hop.remark.is_empty() {
                drawing.text("remark", "start", (self.x + 14.0, centre + 11.0), &hop.remark);
            }
        }
    }

    fn wrong(&self, drawing: &mut Drawing, wrong: Wrong) {
        match wrong {
            Wrong::Ignore => {
                self.middle().for_each(|y| drawing.round("wrong", (self.x, y), (-1.0, 0.0)));
                self.aside(drawing, self.x - 2.7 * RADIUS, ["wrong knock:", "nothing"]);
            }
            Wrong::Reset => {
                self.falls(drawing, &[(UPWARDS, self.y(0)), (self.x - START.0, self.y(0))]);
                self.aside(drawing, self.x - RADIUS - 4.0, ["wrong knock", ""]);
            }
            Wrong::Cooldown(lifetime) => {
                self.falls(drawing, &[(UPWARDS, self.y(0) + WAIT.1)]);
                self.aside(drawing, self.x - RADIUS - 4.0, ["wrong knock", ""]);
                let back = [(WAITS + WAIT.0, self.y(0)), (self.x - START.0, self.y(0))];
                drawing.arrow("wrong", &back);
                drawing.named("wait", (WAITS, self.y(0)), WAIT, [&format!("waits {lifetime}"), ""]);
            }
        }
    }

    /// What is said to the left of the first state between.
    fn aside(&self, drawing: &mut Drawing, x: f64, [above, below]: [&str; 2]) {
        drawing.text("aside", "end", (x, self.y(1) - 6.0), above);
        if !below.is_empty() {
            drawing.text("aside", "end", (x, self.y(1) + 8.0), below);
        }
    }

    /// A line from the left of each state between, which goes on to `end`.
    fn falls(&self, drawing: &mut Drawing, end: &[(f64, f64)]) {
        let left = self.x - RADIUS;
        let mut heights = self.middle().rev();
        let Some(lowest) = heights.next() else { return };
        heights.for_each(|y| drawing.line("wrong", &[(left, y), (UPWARDS, y)]));
        drawing.arrow("wrong", &[&[(left, lowest), (UPWARDS, lowest)], end].concat());
    }

    fn ban(&self, drawing: &mut Drawing, ban: &Ban) {
        let top = self.y(0);
        drawing.arrow("ban", &[(self.x + START.0, top), (BANNED - OPEN.0, top)]);
        let mut heights = self.middle().rev();
        if let Some(lowest) = heights.next() {
            let right = self.x + RADIUS;
            heights.for_each(|y| drawing.line("ban", &[(right, y), (BANNED, y)]));
            drawing.arrow("ban", &[(right, lowest), (BANNED, lowest), (BANNED, top + OPEN.1)]);
        }
        drawing.text("aside", "start", (self.x + START.0 + 8.0, top - 7.0), &ban.touch);
        drawing.named("banned", (BANNED, top), OPEN, ["banned", &ban.lasts]);
    }
}
