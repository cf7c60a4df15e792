//! The units for systemd: whether they are sound, and whether our programs can live with what they forbid.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::apply::policy;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{Folder, KNOCKGATE, Said, run};
use crate::restart::Disk;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What runs as a service, with what its unit says of it.
const SERVICES: [&str; 3] = ["knockgate.service", "knockgate-save.service", "knockgate-keep.service"];
/// Tenths of a point of `systemd-analyze security`, from 0 for the safest to 100: a service that may change
/// the packet filter of the machine can have no less than some of them.
const EXPOSURE: &str = "20";

fn unit(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join("packaging/systemd").join(name)).expect("a unit")
}

/// The values that a unit gives for a key.
fn said(unit: &str, key: &str) -> Vec<String> {
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    unit.lines().filter_map(value).collect()
}

#[track_caller]
fn analyze(arguments: &[&str]) -> Said {
    run(Command::new("systemd-analyze").args(arguments).env("SYSTEMD_LOG_COLOR", "0"), "")
}

#[test]
fn what_is_installed_is_complete_and_its_units_are_sound() {
    if !can_be_run(&["systemd-analyze"]) {
        return;
    }
    let folder = Folder::new("installed");
    let prefix = folder.path().to_str().expect("UTF-8");
    // Both programs are in one folder where a whole workspace is built; here the other one only has to
    // complete.
    let built = Folder::new("installed-from");
    fs::copy(KNOCKGATE, built.path().join("knockgate")).expect("a file of ours");
    fs::copy("/bin/true", built.path().join("knock")).expect("a file of ours");
    let mut install = Command::new(format!("{ROOT}/scripts/install"));
    run(install.env("PREFIX", prefix).env("BUILT", built.path()).env_remove("DESTDIR"), "").expect(0);
    for file in [
        "bin/knock",
        "share/man/man1/knockgate.1",
        "share/man/man1/knock.1",
        "share/bash-completion/completions/knockgate",
        "share/zsh/site-functions/_knock",
        "share/fish/vendor_completions.d/knockgate.fish",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let units = folder.path().join("lib/systemd/system");
    let units: Vec<String> = fs::read_dir(units)
        .expect("units")
        .map(|unit| unit.expect("a unit").path().to_str().expect("UTF-8").to_owned())
        .collect();
    assert_eq!(units.len(), 4, "{units:?}");
    // It looks whether the program is there, too.
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(units.iter().map(String::as_str));
    let verified = analyze(&arguments).expect(0);
    assert_eq!(verified.stderr, "", "{verified:#?}");
    for unit in units.iter().filter(|unit| unit.ends_with(".service")) {
        analyze(&["security", "--offline=true", "--no-pager", &format!("--threshold={EXPOSURE}"), unit])
            .expect(0);
    }
}

#[test]
fn rules_come_before_the_network_and_nothing_takes_them_away() {
    let restore = unit("knockgate.service");
    for (key, wanted) in [
        ("Before", "network-pre.target shutdown.target"),
        ("Wants", "network-pre.target"),
        ("ExecStart", "/usr/bin/knockgate restore"),
        ("ExecStop", "/usr/bin/knockgate save"),
        ("RuntimeDirectoryPreserve", "yes"),
    ] {
        assert_eq!(said(&restore, key), [wanted], "{key}");
    }
    for service in SERVICES {
        assert_eq!(said(&unit(service), "CapabilityBoundingSet"), ["CAP_NET_ADMIN"], "{service}");
    }
}

impl Gateway {
    /// Runs a script with what a unit leaves of root: its capabilities, and its folders in a system that
    /// is read-only otherwise.
    fn as_service(&self, unit: &str, script: &str) -> Said {
        let capabilities = said(unit, "CapabilityBoundingSet").join(" ").to_lowercase().replace("cap_", "+");
        let confined = format!(
            "mount --make-rprivate / && mkdir -p -m 700 /run/knockgate /var/lib/knockgate &&
             for folder in /run/knockgate /var/lib/knockgate; do mount --bind $folder $folder; done &&
             mount -o remount,bind,ro /run && mount -o remount,bind,ro /var/lib &&
             mount -o remount,bind,ro / && mount -o remount,bind,ro /proc &&
             exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,{capabilities} sh -c '{script}'"
        );
        run(self.enter("unshare").args(["--mount", "sh", "-c", &confined]), "")
    }
}

#[test]
fn a_service_can_do_what_it_must_with_the_rights_that_its_unit_leaves_it() {
    if !can_be_run(&[&NEEDED[..], &["setpriv"]].concat()) {
        return;
    }
    let disk = Disk::new("units-rights").expect("it can be run");
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    gateway.does("ban 198.51.100.7 --for 1h");
    let [restore, save, _] = SERVICES.map(unit);
    let said = gateway.as_service(&save, &format!("{KNOCKGATE} save")).expect(0);
    assert_eq!(said.stdout, "saved 1 entry of lists, and what rules have counted\n");
    drop(gateway);
    let gateway = disk.start();
    let said = gateway.as_service(&restore, &format!("{KNOCKGATE} restore")).expect(0);
    assert_eq!(said.stdout, "<stdin> is in force; 1 entry of lists put back\n");
    gateway.as_service(&restore, &format!("{KNOCKGATE} save")).expect(0);
    // What is forbidden is forbidden.
    for script in
        ["touch /run/other", "touch /usr/other", "touch /var/lib/other", "mount -t tmpfs tmpfs /mnt"]
    {
        assert_ne!(gateway.as_service(&restore, script).code, Some(0), "{script}");
    }
    let status = gateway.as_service(&restore, "cat /proc/self/status").expect(0).stdout;
    assert!(status.contains("CapEff:\t0000000000001000\n"), "CAP_NET_ADMIN alone: {status}");
    assert!(gateway.does("status").contains("198.51.100.7"));
}

/// The system calls that a unit's filter lets through.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for filter in said(unit, "SystemCallFilter") {
        match filter.strip_prefix('~') {
            None => filter.split(' ').for_each(|name| allowed.extend(calls(name))),
            Some(refused) => {
                let refused: BTreeSet<String> = refused.split(' ').flat_map(calls).collect();
                allowed.retain(|call| !refused.contains(call));
            }
        }
    }
    allowed
}

/// The system calls of a group, and of the groups in it.
fn calls(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let text = analyze(&["syscall-filter", "--no-pager", name]).expect(0).stdout;
    let lines = text.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.flat_map(calls).collect()
}

#[test]
fn a_service_makes_no_system_call_that_its_unit_forbids() {
    if !can_be_run(&[&NEEDED[..], &["systemd-analyze", "strace"]].concat()) {
        return;
    }
    let disk = Disk::new("units-calls").expect("it can be run");
    let gateway = disk.start();
    gateway.apply(&policy("10s", ""));
    gateway.does("ban 198.51.100.7 --for 1h");
    for (service, command) in [("knockgate-save.service", "save"), ("knockgate.service", "restore")] {
        if command == "restore" {
            gateway.must("nft flush ruleset");
        }
        let traced =
            gateway.must(&format!("strace -f -qq -o /run/traced {KNOCKGATE} {command} && cat /run/traced"));
        let unit = unit(service);
        let (allowed, families) = (allowed(&unit), said(&unit, "RestrictAddressFamilies").join(" "));
        let lines = traced.lines().filter_map(|line| line.split_once(' ')).map(|(_, line)| line.trim_start());
        let mut made = 0;
        for (call, arguments) in lines.filter_map(|line| line.split_once('(')) {
            if !call.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                continue;
            }
            made += 1;
            assert!(allowed.contains(call), "{command} calls {call}");
            let runs_what_it_writes = (call == "mprotect" && arguments.contains("PROT_EXEC"))
                || arguments.contains("PROT_WRITE|PROT_EXEC");
            assert!(!runs_what_it_writes, "{command}: {call}({arguments}");
            let family = arguments.split(',').next().unwrap_or_default();
            assert!(call != "socket" || families.contains(family), "{command}: {family}");
        }
        assert!(made > 100, "{command} made {made} calls");
    }
}
