//! The text format of Prometheus, version 0.0.4 (prometheus.io, "Exposition formats").

use std::fmt::Write;

/// What a number may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up, until what is counted begins anew.
    Counter,
}

/// A page of numbers.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    text: String,
}

/// Numbers of one name.
#[derive(Debug)]
pub struct Family<'p> {
    text: &'p mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins the numbers of a name. The name of a counter ends in `_total`.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        put(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.text, name }
    }

    /// A number that stands alone.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Gauge, help).number(&[], value);
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// A number, told from others of its name by these labels.
    pub fn number(&mut self, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let name = self.name;
        match labels.as_slice() {
            [] => put(self.text, format_args!("{name} {value}\n")),
            labels => put(self.text, format_args!("{name}{{{}}} {value}\n", labels.join(","))),
        }
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes all that memory holds");
}

/// The value of a label, as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_hold_any_text() {
        let mut page = Exposition::default();
        page.gauge("up", "Whether it is up.", 1);
        page.family("lines_total", Kind::Counter, "Lines.").number(&[("a", "x"), ("b", "\\ \" \n")], 7);
        let wanted = "# HELP up Whether it is up.\n# TYPE up gauge\nup 1\n\
                      # HELP lines_total Lines.\n# TYPE lines_total counter\n\
                      lines_total{a=\"x\",b=\"\\\\ \\\" \\n\"} 7\n";
        assert_eq!(page.into_text(), wanted);
    }
}
