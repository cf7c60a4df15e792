//! Files that commands read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use clap::{Args, FromArgMatches};
use knockgate_compiler::backend::Unsayable;
use knockgate_compiler::backend::nft::{self, Ruleset};
use knockgate_compiler::diag::{Code, Diagnostic, Source, Span};
use knockgate_compiler::frontend::rsc::interfaces::Named;
use knockgate_compiler::frontend::{self, rsc};
use knockgate_compiler::lower::{is_worth_telling, lower};
use knockgate_compiler::net::Interface;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::{Expiry, Program};

use super::output::{Answer, Output};

/// A text and what it is called in messages.
#[derive(Debug)]
pub struct Text {
    pub name: String,
    pub text: String,
}

impl Text {
    pub fn source(&self) -> Source<'_> {
        Source::new(&self.name, &self.text)
    }
}

/// The heading of these options.
const SCRIPTS: &str = "RouterOS scripts";

/// What a RouterOS script leaves open.
#[derive(Clone, Debug, Default, Args)]
pub struct ScriptOptions {
    /// Interfaces of this machine that stand for one of the script's, or for a list of them; can be
    /// given several times
    #[arg(long = "interface", value_name = "NAME=IF,...", value_parser = named_interfaces, help_heading = SCRIPTS)]
    interfaces: Vec<(String, Vec<Interface>)>,
    /// An address that is put on a list again keeps its timeout
    ///
    /// Routers start it anew; for IPv6 that is not documented.
    #[arg(long, help_heading = SCRIPTS)]
    no_refresh: bool,
    /// Put in force, or compile, what was understood of a script, though commands were passed over
    #[arg(long, help_heading = SCRIPTS)]
    pub partial: bool,
}

fn named_interfaces(text: &str) -> Result<(String, Vec<Interface>), String> {
    let (name, interfaces) = text.split_once('=').ok_or("for example: WAN=eth0")?;
    let parsed: Result<Vec<Interface>, _> = interfaces.split(',').map(str::parse).collect();
    Ok((name.to_owned(), parsed.map_err(|_| format!("`{interfaces}` are no names of interfaces"))?))
}

impl ScriptOptions {
    /// The same for the compiler.
    pub fn for_compiler(&self) -> rsc::translate::Options {
        rsc::translate::Options {
            again: if self.no_refresh { Expiry::Keep } else { Expiry::Refresh },
            interfaces: self.interfaces.iter().fold(Named::new(), |mut named, (name, interfaces)| {
                named.entry(name.clone()).or_default().extend(interfaces.iter().cloned());
                named
            }),
            ..rsc::translate::Options::default()
        }
    }

    /// The words that say the same on a command line.
    pub fn words(&self) -> Vec<String> {
        let named = self.interfaces.iter().map(|(name, interfaces)| {
            let interfaces: Vec<_> = interfaces.iter().map(Interface::as_str).collect();
            format!("--interface={name}={}", interfaces.join(","))
        });
        let flags = [(self.no_refresh, "--no-refresh"), (self.partial, "--partial")];
        let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word.to_owned());
        named.chain(flags).collect()
    }

    /// What such words say.
    pub fn of_words(words: &[String]) -> anyhow::Result<Self> {
        let words = std::iter::once("script").chain(words.iter().map(String::as_str));
        let matches = Self::augment_args(clap::Command::new("script")).try_get_matches_from(words)?;
        Ok(Self::from_arg_matches(&matches)?)
    }
}

/// A policy or script that was read, with what it means.
#[derive(Debug)]
pub struct Loaded {
    pub text: Text,
    /// `None` for a script.
    pub policy: Option<Policy>,
    pub program: Program,
    /// What was said about a script besides its text.
    pub options: ScriptOptions,
    /// Where commands of a script were passed over.
    passed_over: Vec<Span>,
}

/// Whether a text is a RouterOS script: its name ends in `.rsc`, or it has no name and its first line
/// that is no comment goes to a menu.
pub fn is_script(name: &str, text: &str) -> bool {
    let begins = |line: &str| line.starts_with('/') || line.starts_with("ip ") || line.starts_with("ipv6 ");
    let first = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#'));
    name.ends_with(".rsc") || (name == STDIN && first.is_some_and(begins))
}

/// What messages call standard input.
const STDIN: &str = "<stdin>";

/// The ruleset that is put in force.
pub fn live_rules(program: &Program) -> Result<Ruleset, Vec<Unsayable>> {
    nft::print_live(program, &|effect| is_worth_telling(program, effect))
}

impl Loaded {
    /// How the command ends because commands of a script were passed over, which may close what is open
    /// without them; `None` if none were, or if that is as wanted.
    pub fn gaps(&self, output: &Output) -> anyhow::Result<Option<Answer>> {
        if self.passed_over.is_empty() || self.options.partial {
            return Ok(None);
        }
        let finding = |span: &Span| {
            Diagnostic::error(Code::NotFollowed, *span, "this was passed over, so the rest may let in more")
                .help("take it out of the script; or say `--partial`, if the rest is what you want")
        };
        let findings: Vec<_> = self.passed_over.iter().map(finding).collect();
        output.report(&self.text.source(), &findings)?;
        Ok(Some(Answer::Findings))
    }

    /// What nftables is told, or how the command ends because it has no words for something.
    pub fn ruleset(&self, output: &Output) -> anyhow::Result<Result<Ruleset, Answer>> {
        self.printed(nft::print, output)
    }

    /// The same for a ruleset that counts, and tells what it does.
    pub fn live_ruleset(&self, output: &Output) -> anyhow::Result<Result<Ruleset, Answer>> {
        self.printed(live_rules, output)
    }

    fn printed(
        &self,
        print: fn(&Program) -> Result<Ruleset, Vec<Unsayable>>,
        output: &Output,
    ) -> anyhow::Result<Result<Ruleset, Answer>> {
        if let Some(answer) = self.gaps(output)? {
            return Ok(Err(answer));
        }
        match print(&self.program) {
            Ok(ruleset) => Ok(Ok(ruleset)),
            Err(refused) => {
                let findings: Vec<_> = refused.iter().map(Unsayable::finding).collect();
                output.report(&self.text.source(), &findings)?;
                Ok(Err(Answer::Findings))
            }
        }
    }
}

/// The policy or script at `path`, or how the command ends without it. What there is to say about it
/// is said.
pub fn load(path: &Path, options: &ScriptOptions, output: &Output) -> anyhow::Result<Result<Loaded, Answer>> {
    let text = match read_source(path, output)? {
        Ok(text) => text,
        Err(answer) => return Ok(Err(answer)),
    };
    let (policy, program, findings) = understand(&text, options);
    // Where findings are not the result, a JSON result must not be mixed with them.
    if program.is_none() {
        output.report(&text.source(), &findings)?;
    } else {
        output.findings(&text.source(), &findings);
    }
    Ok(match program {
        Some(program) => {
            let passed_over = passed_over(&findings);
            Ok(Loaded { text, policy, program, options: options.clone(), passed_over })
        }
        None => Err(Answer::Findings),
    })
}

/// Where commands of a script were passed over, by what was found in it.
pub fn passed_over(findings: &[Diagnostic]) -> Vec<Span> {
    const GAPS: [Code; 3] = [Code::NotFollowed, Code::UnknownCommand, Code::ExportGap];
    let gaps = findings.iter().filter(|finding| GAPS.contains(&finding.code));
    gaps.map(|finding| finding.primary.span).collect()
}

/// What a text means, if it means anything: as a policy, and as a program.
pub type Understood = (Option<Policy>, Option<Program>, Vec<Diagnostic>);

/// What a policy or script means, and what there is to say about it.
pub fn understand(text: &Text, options: &ScriptOptions) -> Understood {
    if is_script(&text.name, &text.text) {
        let reading = rsc::read(&text.text, &options.for_compiler());
        return (None, reading.program, reading.findings);
    }
    let (policy, findings) = frontend::toml::parse(&text.text);
    let program = policy.as_ref().map(lower);
    (policy, program, findings)
}

/// The text of the policy or script at `path`, or how the command ends without it.
pub fn read_source(path: &Path, output: &Output) -> anyhow::Result<Result<Text, Answer>> {
    let may_be_script = path.as_os_str() == "-" || path.extension().is_some_and(|end| end == "rsc");
    read(path, if may_be_script { MAX_SCRIPT } else { frontend::toml::MAX_BYTES }, output)
}

/// Bytes that a script may have.
pub const MAX_SCRIPT: usize = 64 << 20;

/// The text at `path`, which may be `-` for standard input.
pub fn read(path: &Path, most: usize, output: &Output) -> anyhow::Result<Result<Text, Answer>> {
    let name = if path.as_os_str() == "-" { STDIN.to_owned() } else { path.display().to_string() };
    match read_text(path, most) {
        Ok(text) => Ok(Ok(Text { name, text })),
        Err((bytes, finding)) => {
            let text = String::from_utf8_lossy(&bytes);
            output.report(&Source::new(&name, &text), &[finding])?;
            Ok(Err(Answer::Failed))
        }
    }
}

/// What could be read, and what was wrong with it.
type Refusal = (Vec<u8>, Diagnostic);

fn read_text(path: &Path, most: usize) -> Result<String, Refusal> {
    let start = Span { start: 0, end: 0 };
    let refuse =
        |code, message: String, help: &str| (vec![], Diagnostic::error(code, start, message).help(help));
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => refuse(
            Code::NoFile,
            format!("there is no file `{shown}`"),
            "is it in another folder? `knockgate init` writes a policy to begin with",
        ),
        ErrorKind::IsADirectory => {
            refuse(Code::Directory, format!("`{shown}` is a folder"), "name the file inside it")
        }
        ErrorKind::PermissionDenied => refuse(
            Code::Unreadable,
            format!("`{shown}` cannot be read: {error}"),
            "policies hold secrets, so they are often readable by root alone: try sudo",
        ),
        _ => refuse(
            Code::Unreadable,
            format!("`{shown}` cannot be read: {error}"),
            "what follows the colon is all that the system tells",
        ),
    };
    let mut bytes = vec![];
    let limit = most as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() > most {
        return Err(refuse(
            Code::TooLarge,
            format!("`{shown}` has more than {most} bytes"),
            "is it the right file?",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        // The text that is shown has a replacement character there.
        let span = Span { start: valid, end: valid + char::REPLACEMENT_CHARACTER.len_utf8() };
        let finding = Diagnostic::error(Code::NotUtf8, span, format!("`{shown}` is not UTF-8 text"))
            .here(format!("the first odd byte is 0x{:02x}", error.as_bytes()[valid]))
            .help("is it the right file? If so, save it as UTF-8");
        (error.into_bytes(), finding)
    })
}
