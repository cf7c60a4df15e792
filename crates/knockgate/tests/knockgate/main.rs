//! The built `knockgate`, used as people use it.

mod apply;
mod audit_page;
mod bad_policies;
mod beside;
mod browser;
mod compile;
mod doctor;
mod fix;
mod gateway;
mod hand;
mod import;
mod init;
mod many_doors;
mod mutations;
mod papers;
mod program;
mod refusals;
mod rehearsal;
mod scripts;
mod shell;
mod simulate;
mod suggestions;
mod traffic;
mod turns;
