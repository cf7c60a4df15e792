//! Texts in markup.

use std::fmt::{self, Write};

/// A text as a page may hold it, in elements and in attributes with quotes.
pub struct Text<T>(pub T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            '\n' | '\t' => self.0.write_char(c),
            c if c.is_control() => self.0.write_char(char::REPLACEMENT_CHARACTER),
            c => self.0.write_char(c),
        })
    }
}

/// Markup that grows.
macro_rules! put {
    ($markup:expr, $($arguments:tt)*) => {
        std::fmt::Write::write_fmt(&mut $markup, format_args!($($arguments)*))
            .expect("a string takes all that memory holds")
    };
}
pub(super) use put;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let text = Text("<b title=\"x\" id='y'>&amp;\x1b\n").to_string();
        assert_eq!(text, "&lt;b title=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;\u{fffd}\n");
    }
}
