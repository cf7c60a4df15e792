//! Lines and tables on a terminal.

/// Columns that a page has.
const WIDTH: usize = 80;

pub const BOLD: &str = "\x1b[1m";
pub const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// A text that grows downwards.
#[derive(Default)]
pub struct Paper(String);

/// How a column of a table is filled.
#[derive(Clone, Copy)]
pub enum Side {
    Left,
    Right,
}

impl Paper {
    /// What is on it.
    pub fn finish(self) -> String {
        self.0
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.0.push('\n');
    }

    /// What follows is about `text`; `aside` is what there is to say of it in short.
    pub fn title(&mut self, text: &str, aside: &str) {
        self.gap();
        self.styled(BOLD, &plain(text));
        if !aside.is_empty() {
            self.0.push_str("  ");
            self.styled(FAINT, &plain(aside));
        }
        self.gap();
    }

    /// A part of what is told under a title.
    pub fn heading(&mut self, text: &str) {
        self.gap();
        self.0.push_str("  ");
        self.styled(BOLD, text);
        self.gap();
    }

    /// A text of its own, behind `indent` blanks.
    pub fn paragraph(&mut self, indent: usize, text: &str) {
        for line in wrapped(text, WIDTH - indent) {
            self.line(indent, &line);
        }
    }

    /// A text behind a label, which is `width` wide and has a style.
    pub fn item(&mut self, indent: usize, (style, label): (&str, &str), width: usize, text: &str) {
        let mut lines = wrapped(text, WIDTH - indent - width).into_iter();
        self.0.push_str(&" ".repeat(indent));
        self.styled(style, label);
        self.0.push_str(&" ".repeat(width.saturating_sub(label.chars().count())));
        self.line(0, &lines.next().unwrap_or_default());
        for line in lines {
            self.line(indent + width, &line);
        }
    }

    /// Rows under a bold one; what does not fit into the last column goes on below.
    pub fn table(&mut self, indent: usize, columns: &[(&str, Side)], rows: &[Vec<String>]) {
        let Some((last, fixed)) = columns.split_last() else { return };
        let width = |(index, (title, _)): (usize, &(&str, Side))| {
            let cells = rows.iter().map(|row| row[index].chars().count());
            cells.chain([title.chars().count()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = fixed.iter().enumerate().map(width).collect();
        let before = indent + widths.iter().map(|width| width + GUTTER).sum::<usize>();
        let head: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        for (index, row) in std::iter::once(&head).chain(rows).enumerate() {
            let mut line = String::new();
            for ((cell, width), (_, side)) in row.iter().zip(&widths).zip(fixed) {
                let cell = plain(cell);
                line += &match side {
                    Side::Left => format!("{cell:<width$}  "),
                    Side::Right => format!("{cell:>width$}  "),
                };
            }
            let rest = wrapped(&row[fixed.len()], WIDTH.saturating_sub(before).max(last.0.len()));
            let mut rest = rest.into_iter();
            line += &rest.next().unwrap_or_default();
            self.0.push_str(&" ".repeat(indent));
            self.styled(if index == 0 { BOLD } else { "" }, line.trim_end());
            self.gap();
            rest.for_each(|more| self.line(before, &more));
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.0.push_str(&" ".repeat(indent));
        self.0.push_str(text);
        self.gap();
    }

    fn styled(&mut self, style: &str, text: &str) {
        let end = if style.is_empty() { "" } else { PLAIN };
        self.0.push_str(&[style, text, end].concat());
    }
}

/// Blanks between columns.
const GUTTER: usize = 2;

/// Without what a terminal would obey: names in scripts can hold anything.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// No longer than `width`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// The words of `text` in lines no longer than `width`; a longer word is broken.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![];
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split_whitespace().map(plain) {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    if used > 0 {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_on_below() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a abcdefgh b", 3), ["a", "abc", "def", "gh", "b"]);
        assert_eq!(wrapped(" ", 3), [""; 0]);
    }

    #[test]
    fn no_name_commands_the_terminal() {
        let mut paper = Paper::default();
        paper.title("\x1b[2Jname", "");
        paper.item(0, ("", "label"), 8, "a \x07bell");
        paper.table(
            0,
            &[("\u{9b}one", Side::Left), ("two", Side::Right)],
            &[vec!["\r1".into(), "\n2".into()]],
        );
        let text = paper.finish().replace(BOLD, "").replace(PLAIN, "");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("one two", 7), "one two");
        assert_eq!(cut("one two", 5), "one…");
    }
}
