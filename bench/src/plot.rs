//! Bars, drawn as SVG: legible on light and on dark ground.

use std::fmt::Write;

use crate::figure::{Spread, digits};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 110.0;
const BAR: f64 = 14.0;
const GAP: f64 = 16.0;
const TOP: f64 = 40.0;
const LEGEND: f64 = 18.0;

/// Of the Okabe-Ito palette, which people who see few colours can tell apart.
const COLOURS: [&str; 7] = ["#0072b2", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#999999"];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}\
    .axis,.whisker{stroke:#59636e;stroke-width:1}.value{font-size:11px}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.axis,.whisker{stroke:#9198a1}}";

/// Some things measured of each of some others.
#[derive(Debug)]
pub struct Bars<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub series: Vec<String>,
    pub groups: Vec<Group>,
    pub logarithmic: bool,
}

/// Bars side by side: one of each series, if it has any.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub bars: Vec<Option<Spread>>,
}

impl Bars<'_> {
    pub fn svg(&self) -> String {
        let legend = TOP + LEGEND * self.series.len() as f64;
        let mut y = legend + GAP;
        let mut body = String::new();
        for group in &self.groups {
            y = self.group(&mut body, group, y) + GAP;
        }
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" role=\"img\">\
             <title>{}</title><style>{STYLE}</style>\n<text class=\"title\" x=\"8\" y=\"20\">{}, {}{}</text>\n",
            self.title,
            self.title,
            self.unit,
            if self.logarithmic { " (logarithmic)" } else { "" },
        );
        for (number, name) in self.series.iter().enumerate() {
            let y = TOP + LEGEND * number as f64;
            let colour = COLOURS[number % COLOURS.len()];
            put(
                &mut svg,
                format_args!("<rect x=\"8\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"),
            );
            put(&mut svg, format_args!("<text x=\"26\" y=\"{}\">{}</text>", y + 10.5, name.replace('`', "")));
        }
        svg + &body + "</svg>\n"
    }

    /// Draws a group from `y` on, and returns where it ends.
    fn group(&self, svg: &mut String, group: &Group, y: f64) -> f64 {
        let rows = group.bars.iter().flatten().count() as f64;
        let end = y + BAR * rows;
        let middle = (y + end) / 2.0 + 4.0;
        put(
            svg,
            format_args!(
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                group.name
            ),
        );
        put(svg, format_args!("<path class=\"axis\" d=\"M{LEFT} {} V{}\"/>", y - 3.0, end + 3.0));
        let drawn = group.bars.iter().enumerate().filter_map(|(series, bar)| Some((series, (*bar)?)));
        for (row, (series, spread)) in drawn.enumerate() {
            self.bar(svg, COLOURS[series % COLOURS.len()], spread, y + BAR * row as f64);
        }
        end
    }

    fn bar(&self, svg: &mut String, colour: &str, spread: Spread, y: f64) {
        let [low, median, high] =
            [spread.low, spread.median, spread.high].map(|value| LEFT + self.length(value));
        let (height, middle) = (BAR - 3.0, y + (BAR - 3.0) / 2.0);
        put(
            svg,
            format_args!(
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{height}\" fill=\"{colour}\"/>",
                (median - LEFT).max(1.0)
            ),
        );
        put(svg, format_args!("<path class=\"whisker\" d=\"M{low:.1} {middle} H{high:.1}\"/>"));
        let (value, digits) = (spread.median, digits(spread.median));
        let x = high.max(median) + 5.0;
        put(
            svg,
            format_args!(
                "<text class=\"value\" x=\"{x:.1}\" y=\"{:.1}\">{value:.digits$}</text>",
                middle + 4.0
            ),
        );
    }

    fn length(&self, value: f64) -> f64 {
        let all = || self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let most = all().map(|spread| spread.high).fold(f64::MIN_POSITIVE, f64::max);
        let room = WIDTH - LEFT - RIGHT;
        if !self.logarithmic {
            return value / most * room;
        }
        let values = all().map(|spread| spread.low).filter(|&low| low > 0.0);
        // Half of the least, so that its bar can be seen.
        let least = values.fold(most, f64::min) / 2.0;
        (value.max(least) / least).ln() / (most / least).ln() * room
    }
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("a text takes whatever is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(logarithmic: bool) -> Bars<'static> {
        let spread = |median| Some(Spread { low: median / 2.0, median, high: median * 2.0 });
        Bars {
            title: "Things",
            unit: "ms",
            series: vec!["one".to_owned(), "other".to_owned()],
            groups: vec![Group { name: "all".to_owned(), bars: vec![spread(1.0), spread(1000.0)] }],
            logarithmic,
        }
    }

    #[test]
    fn no_bar_leaves_the_picture() {
        for logarithmic in [false, true] {
            let bars = bars(logarithmic);
            for value in [0.5, 1.0, 2000.0] {
                let end = LEFT + bars.length(value);
                assert!((LEFT..=WIDTH - RIGHT).contains(&end), "{logarithmic}: {value} ends at {end}");
            }
        }
    }

    #[test]
    fn equal_factors_are_equal_lengths_on_a_logarithmic_scale() {
        let bars = bars(true);
        let step = |from: f64| bars.length(from * 10.0) - bars.length(from);
        assert!((step(1.0) - step(100.0)).abs() < 1e-9);
    }

    #[test]
    fn each_series_is_named_beside_its_colour() {
        let svg = bars(false).svg();
        assert!(svg.contains("<text x=\"26\" y=\"50.5\">one</text>"), "{svg}");
        assert!(svg.contains("<text x=\"26\" y=\"68.5\">other</text>"), "{svg}");
    }

    #[test]
    fn a_series_without_a_value_has_no_bar() {
        let mut bars = bars(false);
        bars.groups[0].bars[0] = None;
        assert_eq!(bars.svg().matches("class=\"whisker\"").count(), 1);
    }
}
