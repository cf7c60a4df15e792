//! Files that commands read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use knockgate_compiler::backend::nft::{self, Ruleset};
use knockgate_compiler::diag::{Code, Diagnostic, Source, Span, has_errors};
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;

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

/// A policy that was read, with what it means.
#[derive(Debug)]
pub struct Loaded {
    pub text: Text,
    pub policy: Policy,
    pub program: Program,
}

impl Loaded {
    /// What nftables is told, or how the command ends because it has no words for something.
    pub fn ruleset(&self, output: &Output) -> anyhow::Result<Result<Ruleset, Answer>> {
        match nft::print(&self.program) {
            Ok(ruleset) => Ok(Ok(ruleset)),
            Err(refused) => {
                let findings: Vec<_> = refused.iter().map(nft::Unsayable::finding).collect();
                output.report(&self.text.source(), &findings)?;
                Ok(Err(Answer::Findings))
            }
        }
    }
}

/// The policy at `path`, or how the command ends without it. What there is to say about it is said.
pub fn load(path: &Path, output: &Output) -> anyhow::Result<Result<Loaded, Answer>> {
    let (text, policy, findings) = match read_policy(path, output)? {
        Ok(read) => read,
        Err(answer) => return Ok(Err(answer)),
    };
    // Where findings are not the result, a JSON result must not be mixed with them.
    if policy.is_none() {
        output.report(&text.source(), &findings)?;
    } else {
        output.findings(&text.source(), &findings);
    }
    Ok(match policy {
        Some(policy) => Ok(Loaded { program: lower(&policy), policy, text }),
        None => Err(Answer::Findings),
    })
}

/// A text with its policy, if it is one, and what there is to say about it.
pub type ReadPolicy = (Text, Option<Policy>, Vec<Diagnostic>);

/// The policy at `path` with its findings, or how the command ends when there is none to be read.
pub fn read_policy(path: &Path, output: &Output) -> anyhow::Result<Result<ReadPolicy, Answer>> {
    Ok(match read(path, frontend::toml::MAX_BYTES, output)? {
        Ok(text) => {
            let (policy, findings) = frontend::toml::parse(&text.text);
            debug_assert_eq!(policy.is_none(), has_errors(&findings));
            Ok((text, policy, findings))
        }
        Err(answer) => Err(answer),
    })
}

/// The text at `path`, which may be `-` for standard input.
pub fn read(path: &Path, most: usize, output: &Output) -> anyhow::Result<Result<Text, Answer>> {
    let name = if path.as_os_str() == "-" { "<stdin>".to_owned() } else { path.display().to_string() };
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
