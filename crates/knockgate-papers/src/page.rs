//! The manual page of a program.

mod argument;
mod synopsis;

use std::collections::BTreeSet;

use clap::{Arg, Command};

use crate::roff::{bold, broken, placeholder, prose};

/// The page of `command`, in the language of `man(7)`. `template` is the same page, with marks where something goes
/// that the command line defines: `@NAME@`, `@VERSION@`, `@SYNOPSIS@`, `@COMMANDS@` and `@OPTIONS@`.
pub fn page(mut command: Command, template: &str) -> String {
    command.build();
    let program = Program::new(&command);
    template
        .replace("@NAME@", &program.name())
        .replace("@VERSION@", command.get_version().unwrap_or_default())
        .replace("@SYNOPSIS@", &synopsis::of(&program))
        .replace("@COMMANDS@", &program.commands())
        .replace("@OPTIONS@", &program.options())
}

/// A program and what it can be told to do.
struct Program<'a> {
    root: &'a Command,
    /// None if the program does one thing only.
    tasks: Vec<Task<'a>>,
    shared: Vec<Shared<'a>>,
}

/// One thing that a program does.
struct Task<'a> {
    /// What calls it, such as `apply`.
    words: String,
    command: &'a Command,
}

/// Options that several tasks take, and which are told of once: those under one heading, with one text.
struct Shared<'a> {
    heading: &'a str,
    text: String,
    /// The words of the tasks.
    of: Vec<String>,
}

impl<'a> Program<'a> {
    fn new(root: &'a Command) -> Self {
        let mut tasks = vec![];
        collect(root, "", &mut tasks);
        Self { root, shared: shared(&tasks), tasks }
    }

    /// What a task takes that is not told of elsewhere.
    fn own(&self, task: &Task<'a>) -> Vec<&'a Arg> {
        let is_shared = |heading: &str| {
            self.shared.iter().any(|shared| shared.heading == heading && shared.of.contains(&task.words))
        };
        let mut own = taken(task.command);
        own.retain(|arg| !arg.get_help_heading().is_some_and(is_shared));
        own
    }

    /// The line that `whatis` shows.
    fn name(&self) -> String {
        let about = self.root.get_about().map(ToString::to_string).unwrap_or_default();
        let mut letters = about.trim_end_matches('.').chars();
        let first = letters.next().map(|letter| letter.to_lowercase().to_string()).unwrap_or_default();
        format!("{} \\- {first}{}", self.root.get_name(), letters.as_str())
    }

    fn commands(&self) -> String {
        let sections: Vec<String> = self.tasks.iter().map(|task| self.section(task)).collect();
        sections.join("\n")
    }

    fn section(&self, task: &Task<'a>) -> String {
        let placeholders = placeholders(task.command.get_arguments());
        let text = task.command.get_long_about().or(task.command.get_about()).map(ToString::to_string);
        let text = paragraphs(&text.unwrap_or_default(), ".PP", &placeholders);
        format!(".SS {}\n{text}{}", task.words, described(&self.own(task), &placeholders))
    }

    fn options(&self) -> String {
        let mut options: Vec<&Arg> = self.root.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
        options.sort_by_key(|arg| !arg.is_positional());
        let placeholders = placeholders(self.root.get_arguments());
        if self.tasks.is_empty() {
            return described(&options, &placeholders).trim_start().to_owned();
        }
        let (everywhere, alone): (Vec<&Arg>, _) =
            options.iter().partition(|arg| arg.is_global_set() || arg.get_id() == "help");
        let everywhere = described(&everywhere, &placeholders);
        let alone = described(&alone, &placeholders);
        let shared: String = self.shared.iter().map(Shared::section).collect();
        format!("Every command takes these:{everywhere}\n.PP\nWithout a command:{alone}{shared}")
    }
}

impl Shared<'_> {
    fn section(&self) -> String {
        let words: Vec<String> = self.of.iter().map(|words| bold(words)).collect();
        let (last, others) = words.split_last().expect("shared by several");
        let of = broken(&format!("For {} and {last}:", others.join(", ")));
        format!("\n.SS {}\n{of}{}", self.heading, self.text)
    }
}

/// Every command at the end of a branch, in the order of `--help`. That of clap for help is the option again.
fn collect<'a>(command: &'a Command, words: &str, tasks: &mut Vec<Task<'a>>) {
    let is_told = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
    for below in command.get_subcommands().filter(is_told) {
        let words = format!("{words} {}", below.get_name()).trim_start().to_owned();
        if below.has_subcommands() {
            collect(below, &words, tasks);
        } else {
            tasks.push(Task { words, command: below });
        }
    }
}

fn shared<'a>(tasks: &[Task<'a>]) -> Vec<Shared<'a>> {
    let mut found: Vec<Shared<'a>> = vec![];
    for task in tasks {
        let taken = taken(task.command);
        for heading in headings(&taken) {
            let of_heading = taken.iter().copied().filter(|arg| arg.get_help_heading() == Some(heading));
            let text = under(Some(heading), &taken, &placeholders(of_heading));
            match found.iter_mut().find(|shared| shared.heading == heading && shared.text == text) {
                Some(shared) => shared.of.push(task.words.clone()),
                None => found.push(Shared { heading, text, of: vec![task.words.clone()] }),
            }
        }
    }
    found.retain(|shared| shared.of.len() > 1);
    found
}

/// What a command takes beyond what every one takes: options, and then what is told by its place.
fn taken(command: &Command) -> Vec<&Arg> {
    let is_own = |arg: &&Arg| !arg.is_hide_set() && !arg.is_global_set() && arg.get_id() != "help";
    let mut taken: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
    taken.sort_by_key(|arg| arg.is_positional());
    taken
}

/// The headings that options stand under, in their order.
fn headings<'a>(arguments: &[&'a Arg]) -> Vec<&'a str> {
    let mut headings = vec![];
    for heading in arguments.iter().filter_map(|arg| arg.get_help_heading()) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    headings
}

/// The words that stand for something in the text about these.
fn placeholders<'a>(arguments: impl Iterator<Item = &'a Arg>) -> BTreeSet<String> {
    let names = arguments.flat_map(|arg| arg.get_value_names().unwrap_or_default());
    let words = names.flat_map(|name| name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// An entry for each argument, those under a heading last.
fn described(arguments: &[&Arg], placeholders: &BTreeSet<String>) -> String {
    let mut text = under(None, arguments, placeholders);
    for heading in headings(arguments) {
        let title = prose(&format!("{heading}:"), placeholders);
        text.push_str(&format!("\n.PP\n{title}{}", under(Some(heading), arguments, placeholders)));
    }
    text
}

/// An entry for each argument that stands under this heading.
fn under(heading: Option<&str>, arguments: &[&Arg], placeholders: &BTreeSet<String>) -> String {
    let found = arguments.iter().filter(|arg| arg.get_help_heading() == heading);
    found.map(|arg| argument::entry(arg, placeholders)).collect()
}

/// Running text, with `mark` between its paragraphs.
fn paragraphs(text: &str, mark: &str, placeholders: &BTreeSet<String>) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(|text| prose(text, placeholders)).collect();
    paragraphs.join(&format!("\n{mark}\n"))
}

#[cfg(test)]
mod tests {
    use clap::builder::PossibleValue;
    use clap::{ArgAction, value_parser};

    use super::*;

    fn option(long: &'static str) -> Arg {
        Arg::new(long).long(long).action(ArgAction::SetTrue)
    }

    /// A program with two commands at the ends of branches, which share an option.
    fn gate() -> Command {
        let shape = [PossibleValue::new("round").help("Like a ball"), PossibleValue::new("square")];
        let shape = Arg::new("shape").long("shape").value_parser(shape).default_value("round");
        let loud = || option("loud").help("Be heard").help_heading("Bells");
        let names =
            Arg::new("name").value_name("NAME").required(true).action(ArgAction::Append).num_args(1..);
        let names = names.help("What to call it");
        let add = Command::new("add")
            .about("Add a door")
            .long_about("Add a door\n\nIt is shut. See `shut`, and NAME.")
            .arg(shape.short('s').help("What it looks like").long_help("What it looks like\n\nFrom outside."))
            .arg(loud())
            .arg(option("secret").hide(true))
            .arg(names);
        let shut = Command::new("shut").about("Shut them all").arg(loud());
        Command::new("gate")
            .version("1.2")
            .about("Keeps doors.")
            .arg(option("quiet").global(true).help("Say nothing"))
            .subcommand(Command::new("door").subcommand(add))
            .subcommand(shut)
            .subcommand(Command::new("watch").hide(true))
    }

    #[test]
    fn forms_are_of_what_each_command_takes() {
        assert_eq!(page(gate(), "@NAME@, @VERSION@"), "gate \\- keeps doors, 1.2");
        assert_eq!(
            page(gate(), "@SYNOPSIS@").lines().collect::<Vec<_>>(),
            [
                ".SY gate",
                "\\fBdoor\\fR",
                "\\fBadd\\fR",
                "[\\fIOPTIONS\\fR]",
                "[\\fB\\-s\\fR\\ \\fBround\\fR|\\fBsquare\\fR]",
                "\\fINAME\\fR...\\&",
                ".SY gate",
                "\\fBshut\\fR",
                "[\\fIOPTIONS\\fR]",
                ".YS",
            ]
        );
    }

    #[test]
    fn a_command_is_told_with_its_options_their_values_and_defaults() {
        let told = page(gate(), "@COMMANDS@");
        let door = [
            ".SS door add",
            "Add a door.",
            ".PP",
            "It is shut.",
            "See \\fBshut\\fR, and \\fINAME\\fR.",
            ".TP",
            "\\fB\\-s\\fR, \\fB\\-\\-shape\\fR \\fBround\\fR|\\fBsquare\\fR",
            "What it looks like.",
            "The default is \\fBround\\fR.",
            ".IP",
            "From outside.",
            ".RS",
            ".TP",
            "\\fBround\\fR",
            "Like a ball.",
            ".RE",
            ".TP",
            "\\fINAME\\fR",
            "What to call it.",
            ".SS shut",
            "Shut them all.",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), door);
    }

    #[test]
    fn what_several_commands_take_is_told_once() {
        let told = page(gate(), "@OPTIONS@");
        for once in ["Say nothing.", "Be heard.", ".SS Bells\nFor \\fBdoor add\\fR and \\fBshut\\fR:\n"] {
            assert_eq!(told.matches(once).count(), 1, "{once} in {told}");
        }
        let other = Command::new("ring").about("Ring").arg(option("long").help("On").help_heading("Bells"));
        let told = page(gate().subcommand(other), "@OPTIONS@@COMMANDS@");
        for once in
            ["Be heard.", "\\fBdoor add\\fR and \\fBshut\\fR:\n", ".PP\nBells:\n.TP\n\\fB\\-\\-long\\fR\nOn."]
        {
            assert_eq!(told.matches(once).count(), 1, "{once} in {told}");
        }
        let commands = page(gate(), "@COMMANDS@@SYNOPSIS@");
        for hidden in ["loud", "quiet", "secret", "watch"] {
            assert!(!commands.contains(hidden), "{hidden} in {commands}");
        }
    }

    #[test]
    fn a_program_that_does_one_thing_says_its_forms_itself() {
        let port = Arg::new("port").long("port").value_name("PORT").value_parser(value_parser!(u16));
        let knock =
            Command::new("knock").about("Knock").override_usage("knock [OPTIONS] HOST\n  knock --list");
        let knock = knock.arg(port.help("Where")).arg(Arg::new("host").value_name("HOST").help("At whom"));
        let forms = ".SY knock\n[\\fIOPTIONS\\fR]\n\\fIHOST\\fR\n.SY knock\n\\fB\\-\\-list\\fR\n.YS";
        assert_eq!(page(knock.clone(), "@SYNOPSIS@"), forms);
        let told = page(knock, "@OPTIONS@");
        let begins = ".TP\n\\fIHOST\\fR\nAt whom.\n.TP\n\\fB\\-\\-port\\fR \\fIPORT\\fR\nWhere.\n";
        assert!(told.starts_with(begins), "{told}");
    }
}
