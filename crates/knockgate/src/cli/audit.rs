//! `knockgate audit`.

mod html;
mod json;
mod page;
mod prove;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::path::PathBuf;

use clap::Args;
use knockgate_compiler::audit::{Audit, Risk, Subject, audit};
use knockgate_compiler::diag::Source;
use knockgate_compiler::program::Program;

use super::input::{ScriptOptions, load};
use super::namespaces;
use super::output::{Answer, Output, write_new};
use page::Page;
use prove::Proof;

#[derive(Debug, Args)]
pub struct Options {
    /// The policy or RouterOS script; `-` is standard input
    policy: PathBuf,
    #[command(flatten)]
    script: ScriptOptions,
    /// Write the audit as a page for a browser, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Play what is claimed in the simulator, and print the packets
    #[arg(long)]
    prove: bool,
    /// Play it on this kernel as well, in a namespace that is gone afterwards
    #[arg(long)]
    lab: bool,
    /// This process has namespaces of its own already
    #[arg(long, hide = true)]
    inside: bool,
    /// Tell of this door alone; can be given several times
    #[arg(long, value_name = "NAME")]
    door: Vec<String>,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    if options.lab && !options.inside {
        return namespaces::enter("play it");
    }
    let loaded = match load(&options.policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    let audit = audit(&Subject { program: &loaded.program, policy: loaded.policy.as_ref() });
    show(options, &loaded.text.source(), &loaded.program, &audit, output)
}

/// Prints what there is to say of a gateway, and writes it for a browser.
fn show(
    options: &Options,
    source: &Source<'_>,
    program: &Program,
    audit: &Audit,
    output: &Output,
) -> anyhow::Result<Answer> {
    let page = Page::new(source, audit, &options.door)?;
    if let Some(path) = &options.html {
        write_new(path, &html::page(&page))?;
        output.tell(&format!("wrote {}, readable by you alone: the knocks are in it\n", path.display()));
    }
    let mut proofs: Option<Vec<Proof<'_>>> =
        (options.prove || options.lab).then(|| prove::all(&page, program));
    if options.lab {
        proofs.iter_mut().flatten().for_each(|proof| proof.play_here(program));
    }
    if output.is_json() {
        output.print_json(&json::audit(&page, proofs.as_deref()))?;
    } else {
        let proofs = proofs.as_deref().map(prove::as_text);
        output.print(&(text::page(&page) + &proofs.unwrap_or_default()))?;
    }
    let shown = proofs.iter().flatten().all(Proof::is_shown);
    let sound = page.worst() != Some(Risk::High) && shown;
    Ok(if sound { Answer::Fine } else { Answer::Findings })
}
