//! `knockgate init`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::gateway::{Gateway, can_be_run};
use crate::program::{Folder, KNOCKGATE, knockgate, run};

#[test]
fn the_policy_that_init_writes_is_private_and_without_findings() {
    let folder = Folder::new("init");
    let path = folder.path().join("policy.toml");
    let path = path.to_str().expect("UTF-8");
    let said = run(&mut knockgate(&["init", "--yes", "--outside", "eth0", path]), "").expect(0);
    assert!(said.stdout.contains(&format!("knockgate check {path}")), "{said:#?}");
    assert_eq!(fs::metadata(path).expect("it was written").mode() & 0o7777, 0o600);
    let said = run(&mut knockgate(&["check", path]), "").expect(0);
    assert!(said.stdout.ends_with(": 1 door, no findings\n"), "{said:#?}");

    let before = fs::read(path).expect("it was written");
    let said = run(&mut knockgate(&["init", "--yes", "--outside", "eth0", path]), "").expect(2);
    assert!(said.stderr.contains("is there already; name another file"), "{said:#?}");
    assert_eq!(fs::read(path).expect("it is still there"), before);
}

#[test]
fn what_cannot_be_a_policy_is_not_written() {
    let folder = Folder::new("init-refused");
    for (arguments, says) in [
        (["--outside", "eth0; drop"], "cannot be an interface"),
        (["--opens", "ssh"], "is no port such as `22/tcp`"),
        (["--opens", "70000/tcp"], "is no port such as `22/tcp`"),
    ] {
        let mut command = knockgate(&["init", "--yes", "--outside", "eth0", "policy.toml"]);
        if arguments[0] == "--outside" {
            command = knockgate(&["init", "--yes", "policy.toml"]);
        }
        let said = run(command.args(arguments).current_dir(folder.path()), "").expect(2);
        assert!(said.stderr.contains(says), "{said:#?}");
        assert!(!folder.path().join("policy.toml").exists());
    }
}

#[test]
fn the_default_route_tells_the_outside_interface_and_whom_to_spare() {
    if !can_be_run(&["unshare", "nsenter", "ip"]) {
        return;
    }
    let gateway = Gateway::new();
    let folder = Folder::new("init-route");
    let path = folder.path().join("policy.toml");
    let path = path.to_str().expect("UTF-8");
    let said = run(gateway.enter(KNOCKGATE).args(["init", "--yes", path]), "").expect(2);
    assert!(
        said.stderr.contains("there is no default route") && said.stderr.contains("--outside"),
        "{said:#?}"
    );
    assert!(!folder.path().join("policy.toml").exists());

    gateway.must("ip link add wan7 type veth peer name wan8 && ip link set wan8 up && ip addr add 192.0.2.2/24 dev wan7 && ip link set wan7 up");
    gateway.must("ip route add default via 192.0.2.1");
    run(gateway.enter(KNOCKGATE).args(["init", "--yes", path]), "").expect(0);
    let text = fs::read_to_string(path).expect("it was written");
    assert!(text.contains("outside = [\"wan7\"]") && text.contains("\"192.0.2.1\""), "{text}");
}
