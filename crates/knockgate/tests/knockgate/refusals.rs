//! An apply that cannot be done says why, and changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::apply::policy;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{Folder, KNOCKGATE, Said, run};

/// A folder for `PATH` with an `nft` that runs `script`, in which `real` is the true one.
pub fn with_nft(name: &str, script: &str) -> Folder {
    let folder = Folder::new(name);
    let real = run(Command::new("sh").args(["-c", "command -v nft"]), "").expect(0).stdout;
    let path = folder.write("nft", format!("#!/bin/sh\nreal={}\n{script}\n", real.trim()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    folder
}

pub fn apply_with(gateway: &Gateway, nft: &Folder, policy: &str) -> Said {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", nft.path().display());
    run(gateway.enter("env").args([&format!("PATH={path}"), KNOCKGATE, "apply", "-"]), policy)
}

#[test]
fn without_nft_it_says_where_to_get_it() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    let before = gateway.ruleset();
    let said =
        run(gateway.enter("env").args(["PATH=/nonexistent", KNOCKGATE, "apply", "-"]), &policy("10s", ""));
    let said = said.expect(2);
    assert!(
        said.stderr.contains("`nft` cannot be run") && said.stderr.contains("apt install nftables"),
        "{said:#?}"
    );
    assert_eq!(gateway.ruleset(), before);
}

#[test]
fn without_root_it_says_so() {
    if !can_be_run(&[&NEEDED[..], &["setpriv"]].concat()) {
        return;
    }
    let gateway = Gateway::new();
    let program = "/run/knockgate-copy";
    gateway.must(&format!("cp {KNOCKGATE} {program} && chmod 755 {program}"));
    let as_nobody = |arguments: &[&str]| {
        let mut command = gateway.enter("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(arguments);
        run(&mut command, &policy("10s", ""))
    };
    let before = gateway.ruleset();
    for _ in ["with nothing there", "with a policy in force"] {
        for arguments in [&["apply", "-"][..], &["remove"], &["status"], &["watch"]] {
            let said = as_nobody(arguments).expect(2);
            assert!(said.stderr.contains("needs root; try again with sudo"), "{arguments:?}: {said:#?}");
        }
        gateway.apply(&policy("10s", ""));
    }
    gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(gateway.ruleset(), before);
}

#[test]
fn what_the_kernel_or_nft_lacks_is_named_with_the_version_that_has_it() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    // An nft that cannot do verdict maps, nor taking sources off a set.
    let nft = with_nft(
        "nft-lacks",
        "case \"$*\" in *'-c -f -'*) ;; *) exec \"$real\" \"$@\" ;; esac\n\
         text=$(cat)\n\
         case \"$text\" in *vmap*|*delete*) echo 'Error: Operation not supported' >&2; exit 1 ;; esac\n\
         printf '%s' \"$text\" | \"$real\" \"$@\"",
    );
    let said = apply_with(&gateway, &nft, &policy("10s", "")).expect(2);
    for part in [
        "this kernel or nft cannot run the ruleset:\n",
        "\n  taking sources off a set by a packet (needs Linux 5.4)\n",
        "\n  verdict maps (needs Linux 3.13)\n",
    ] {
        assert!(said.stderr.contains(part), "{said:#?}");
    }
    assert!(!said.stderr.contains("connection tracking"), "{said:#?}");
    assert_eq!(gateway.ruleset(), "");
}

#[test]
fn when_nft_refuses_the_ruleset_it_is_told_why_without_a_rule_and_nothing_is_changed() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    gateway.apply(&policy("10s", ""));
    let before = gateway.ruleset();
    let nft = with_nft(
        "nft-refuses",
        "[ \"$*\" = '-f -' ] && { printf '%s\\n' '/dev/stdin:7:3-9: Error: no room' 'tcp dport 7313 drop' '^^^' >&2; exit 1; }\nexec \"$real\" \"$@\"",
    );
    let said = apply_with(&gateway, &nft, &policy("20s", "")).expect(2);
    let words = "nft refused the ruleset; nothing was changed:\n/dev/stdin:7:3-9: Error: no room\n";
    assert!(said.stderr.ends_with(words), "{said:#?}");
    assert_eq!(gateway.ruleset(), before);
    gateway.knockgate(&["status"]).expect(0);
}

#[test]
fn an_nft_that_answers_nonsense_is_told_of() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    for (script, says) in [
        ("exit 0", "what we do not understand"),
        ("printf '\\377'", "what we do not understand"),
        ("echo '{\"nftables\": 3}'", ""),
        ("kill -9 $$", ""),
    ] {
        let nft = with_nft("nft-nonsense", &format!("[ \"$1\" = -c ] && exec \"$real\" \"$@\"\n{script}"));
        let said = apply_with(&gateway, &nft, &policy("10s", ""));
        assert!(
            !said.crashed() && said.code == Some(2) && said.stderr.contains(says),
            "`{script}`: {said:#?}"
        );
        assert_eq!(gateway.ruleset(), "", "after `{script}`");
    }
}
