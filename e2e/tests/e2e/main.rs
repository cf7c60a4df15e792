//! The simulator against the kernel, and against what a policy says.

mod cases;
mod flood;
mod kept;
mod lab;
mod properties;
mod replay;
mod scans;
mod wire;

use knockgate_e2e::campaign::{self, Report};
use knockgate_e2e::{policies, programs, scripts};

/// Whether this test can run here. Where it must, it fails instead.
fn able() -> bool {
    let Some(lacking) = campaign::lacking() else { return true };
    assert!(std::env::var_os("CI").is_none(), "this test must run here, and lacks: {lacking}");
    eprintln!("not run: lacks {lacking}");
    false
}

fn expect_agreement(report: &Report) {
    eprintln!("{} cases, {:?}", report.cases, report.coverage);
    for found in &report.disagreements {
        eprintln!("\n{found}");
    }
    eprintln!("seen once only: {:#?}", report.unrepeated);
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(report.disagreements.is_empty(), "the simulator and the kernel disagree");
    assert!(report.inconclusive.is_empty(), "the machine is too slow for {:?}", report.inconclusive);
}

#[test]
fn simulator_equals_kernel_on_random_programs() {
    if able() {
        expect_agreement(&campaign::run(1, 120, programs::case));
    }
}

#[test]
fn simulator_equals_kernel_on_random_policies() {
    if able() {
        expect_agreement(&campaign::run(1, 120, policies::case));
    }
}

#[test]
fn simulator_equals_kernel_on_random_routeros_scripts() {
    if able() {
        expect_agreement(&campaign::run(1, 120, scripts::case));
    }
}
