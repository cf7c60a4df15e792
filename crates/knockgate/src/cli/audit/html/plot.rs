//! Lines over two axes.

mod axis;

use super::markup::{Text, put};
pub use axis::Axis;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 262.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 44.0;
/// Width of a character of a label, at most.
const CHARACTER: f64 = 6.8;

/// A figure with one or more lines.
pub struct Plot {
    /// What is shown.
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    /// A place on the x axis, and what is there.
    pub mark: Option<(f64, &'static str)>,
}

/// One line.
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    pub points: Vec<Point>,
}

pub struct Point {
    pub x: f64,
    pub y: f64,
    /// What is told to whoever points at it.
    pub says: String,
}

/// The shapes of points, one for each line, as the legend shows them.
const SHAPES: [char; 4] = ['●', '■', '◆', '▲'];

impl Plot {
    /// The figure with its legend.
    pub fn draw(&self) -> String {
        let title = Text(&self.title);
        let mut markup = format!(
            "<figure class=\"plot\"><figcaption>{title}</figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{title}</title>\n"
        );
        self.axes(&mut markup);
        self.mark(&mut markup);
        for (index, line) in self.lines.iter().enumerate() {
            self.line(&mut markup, index % SHAPES.len(), line);
        }
        markup.push_str("</svg>\n<ul class=\"legend\">");
        for (index, line) in self.lines.iter().enumerate() {
            let index = index % SHAPES.len();
            put!(markup, "<li><span class=\"l{index}\">{}</span> {}</li>", SHAPES[index], Text(&line.name));
        }
        markup.push_str("</ul></figure>\n");
        markup
    }

    /// Where the axes meet, with room for what is written there.
    fn left(&self) -> f64 {
        let labels = self.y.ticks().into_iter().map(|(_, label)| label.chars().count());
        16.0 + CHARACTER * labels.max().unwrap_or_default() as f64
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let left = self.left();
        (left + self.x.share(x) * (RIGHT - left), BOTTOM - self.y.share(y) * (BOTTOM - TOP))
    }

    fn axes(&self, markup: &mut String) {
        let left = self.left();
        for (value, label) in self.y.ticks() {
            let y = BOTTOM - self.y.share(value) * (BOTTOM - TOP);
            put!(*markup, "<path class=\"grid\" d=\"M{left} {y:.1}H{RIGHT}\"/>");
            text(markup, "end", (left - 8.0, y + 4.0), &label);
        }
        for (value, label) in self.x.ticks() {
            let x = left + self.x.share(value) * (RIGHT - left);
            put!(*markup, "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/>");
            // The last label ends with the axis.
            let anchor = if x > RIGHT - 12.0 { "end" } else { "middle" };
            let x = if anchor == "end" { RIGHT + 12.0 } else { x };
            text(markup, anchor, (x, BOTTOM + 18.0), &label);
        }
        put!(*markup, "<path class=\"axis\" d=\"M{left} {TOP}V{BOTTOM}H{RIGHT}\"/>\n");
        text(markup, "start", (2.0, 12.0), self.y.label);
        text(markup, "middle", (f64::midpoint(left, RIGHT), HEIGHT - 6.0), self.x.label);
    }

    fn mark(&self, markup: &mut String) {
        let Some((value, says)) = self.mark else { return };
        let (x, _) = self.at(value, 1.0);
        put!(*markup, "<path class=\"mark\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>");
        let anchor = if x > f64::midpoint(self.left(), RIGHT) { "end" } else { "start" };
        text(markup, anchor, (x, TOP - 6.0), says);
    }

    fn line(&self, markup: &mut String, index: usize, line: &Line) {
        let places: Vec<(f64, f64)> = line.points.iter().map(|point| self.at(point.x, point.y)).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        put!(*markup, "<path class=\"curve l{index}\" d=\"M{}\"/>\n", path.join("L"));
        for ((x, y), point) in places.iter().zip(&line.points) {
            put!(*markup, "<path class=\"point l{index}\" d=\"{}\">", shape(index, *x, *y));
            put!(*markup, "<title>{}</title></path>\n", Text(&point.says));
        }
    }
}

/// A circle, square, diamond or triangle.
fn shape(index: usize, x: f64, y: f64) -> String {
    match index {
        0 => format!("M{:.1} {y:.1}a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0z", x - 3.6),
        1 => format!("M{:.1} {:.1}h6.4v6.4h-6.4z", x - 3.2, y - 3.2),
        2 => format!("M{x:.1} {:.1}l4.4 4.4l-4.4 4.4l-4.4 -4.4z", y - 4.4),
        _ => format!("M{x:.1} {:.1}l4.2 7.4h-8.4z", y - 4.6),
    }
}

fn text(markup: &mut String, anchor: &str, (x, y): (f64, f64), text: &str) {
    let text = Text(text);
    put!(*markup, "<text text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n");
}
