//! What comes with a program on paper and in a shell: its manual page and its completions. Both are made of what its
//! command line defines, so that neither can say anything else.

#![forbid(unsafe_code)]

mod page;
mod roff;

use clap::Command;
pub use clap_complete::Shell;

pub use page::page;

/// The script by which a shell completes the words of this program.
pub fn completions(mut command: Command, shell: Shell) -> String {
    let name = command.get_name().to_owned();
    let mut script = vec![];
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8(script).expect("names and descriptions are UTF-8")
}
