//! The report: Markdown, and plots beside it.

use std::fs;
use std::path::Path;

use crate::plot::Bars;

/// What has been measured so far.
#[derive(Debug)]
pub struct Report {
    /// Whether there is to be a figure of everything soon, rather than a good one.
    pub quick: bool,
    body: String,
    targets: Vec<String>,
    plots: Vec<(String, String)>,
}

impl Report {
    pub fn new(quick: bool) -> Self {
        Self { quick, body: String::new(), targets: vec![], plots: vec![] }
    }

    /// How many rounds there are to be of what has `full` of them in a full run.
    pub fn rounds(&self, full: usize) -> usize {
        if self.quick { full.min(2) } else { full }
    }

    pub fn heading(&mut self, text: &str) {
        self.line(&format!("## {text}\n"));
    }

    pub fn line(&mut self, text: &str) {
        self.body += text;
        self.body.push('\n');
    }

    /// A row of the table of what was aimed at.
    pub fn target(&mut self, what: &str, wanted: &str, measured: &str, met: bool) {
        let met = if met { "yes" } else { "**no**" };
        self.targets.push(format!("| {what} | {wanted} | {measured} | {met} |\n"));
    }

    /// A plot called `name`, here and as a file.
    pub fn plot(&mut self, name: &str, bars: &Bars<'_>) {
        self.line(&format!("![{}](img/{name}.svg)\n", bars.title));
        self.plots.push((name.to_owned(), bars.svg()));
    }

    /// All of it, below `head`.
    pub fn text(&self, head: &str) -> String {
        let mut text = format!("# Benchmarks\n\n{head}\n");
        if self.quick {
            text += "**A quick run: few rounds, so no figure here is a good one.**\n\n";
        }
        if !self.targets.is_empty() {
            text += "## Targets\n\n| ratio or figure | wanted | measured | met |\n|---|---|---|---|\n";
            text.extend(self.targets.iter().map(String::as_str));
            text.push('\n');
        }
        text + self.body.trim_end() + "\n"
    }

    /// Writes `benchmarks.md` and the plots into this folder.
    pub fn write(&self, folder: &Path, head: &str) -> std::io::Result<()> {
        fs::create_dir_all(folder.join("img"))?;
        for (name, svg) in &self.plots {
            fs::write(folder.join("img").join(format!("{name}.svg")), svg)?;
        }
        fs::write(folder.join("benchmarks.md"), self.text(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stand_before_everything_that_was_measured() {
        let mut report = Report::new(true);
        report.heading("Doors");
        report.target("doors", "many", "few", false);
        let text = report.text("by us");
        assert_eq!(
            text,
            "# Benchmarks\n\nby us\n**A quick run: few rounds, so no figure here is a good one.**\n\n\
             ## Targets\n\n| ratio or figure | wanted | measured | met |\n|---|---|---|---|\n\
             | doors | many | few | **no** |\n\n## Doors\n"
        );
    }
}
