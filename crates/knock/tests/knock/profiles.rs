use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::bounded::{Folder, expect_code, run};
use crate::{gate, hear, knock};

/// A configuration folder with this file in it, which nobody else may read.
fn configured(name: &str, file: &str) -> (Folder, impl Fn() -> Command) {
    let folder = Folder::new(name);
    fs::create_dir_all(folder.join("knock")).expect("our own folder");
    fs::write(folder.join("knock/config.toml"), file).expect("our own folder");
    set_mode(&folder, 0o600);
    let path = folder.path().to_owned();
    let knock = move || {
        let mut command = knock();
        command.env("XDG_CONFIG_HOME", &path).env("APPDATA", &path);
        command
    };
    (folder, knock)
}

#[cfg(unix)]
fn set_mode(folder: &Folder, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(folder.join("knock/config.toml"), permissions).expect("our own file");
}

#[cfg(not(unix))]
fn set_mode(_: &Folder, _: u32) {}

#[test]
fn a_profile_knocks_and_waits_as_it_says() {
    let ((first_gate, first), (second_gate, second)) = (gate(), gate());
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let wait = door.local_addr().unwrap();
    let file = format!(
        "[profile.home]\nhost = \"127.0.0.1\"\nknocks = [\"{first}\", \"{second}\"]\ngap = \"20ms\"\nwait = \"{}\"\n",
        wait.port()
    );
    let (_folder, knock) = configured("knocks-and-waits", &file);
    let output = run(knock().args(["-v", "home"]));
    let (stdout, stderr) = expect_code(&output, 0);
    assert_eq!((stdout.lines().count(), stderr), (2, ""));
    for _ in 0..2 {
        hear(&first_gate);
        hear(&second_gate);
    }
    door.accept().unwrap();
}

#[test]
fn the_command_line_outranks_the_profile() {
    let (gate, first) = gate();
    let file = format!(
        "[profile.home]\nhost = \"127.0.0.1\"\nknocks = [\"{first}\", \"{first}\"]\ncopies = 1\nfamily = \"6\"\n"
    );
    let (_folder, knock) = configured("outranks", &file);
    let output = run(knock().args(["-4", "-d", "10", "home"]));
    expect_code(&output, 0);
    hear(&gate);
    hear(&gate);
    for (options, told) in [
        (&["home"][..], "has no IPv6 address"),
        (&["-4", "--copies", "2", "home"], "comes twice in a row"),
        (&["-u", "home"], "profile `home` has its own"),
        (&["work"], "there is no profile for `work`"),
    ] {
        let output = run(knock().args(options));
        let (_, stderr) = expect_code(&output, 2);
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[test]
fn a_proxy_finds_the_profile_by_name_and_by_host() {
    let (gate, first) = gate();
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = door.local_addr().unwrap().port().to_string();
    let file = format!("[profile.home]\nhost = \"127.0.0.1\"\nknocks = [\"{first}\"]\ncopies = 1\n");
    let (_folder, knock) = configured("proxy", &file);
    for host in ["home", "127.0.0.1"] {
        let accepted = door.try_clone().unwrap();
        let served = crate::bounded::in_background(move || accepted.accept().map(drop));
        let output = run(knock().args(["--proxy", host, &port]));
        expect_code(&output, 0);
        hear(&gate);
        served.recv_timeout(crate::bounded::LIMIT).unwrap().unwrap();
    }
}

#[test]
fn the_list_of_profiles_keeps_their_knocks_secret() {
    let file = "[profile.work]\nhost = \"gw.example.org\"\nknocks = [\"333\", \"777/udp\"]\nwait = \"22/tcp\"\n\
                [profile.home]\nhost = \"192.0.2.1\"\nknocks = [\"4444\"]\n";
    let (_folder, knock) = configured("list", file);
    let output = run(knock().arg("--list"));
    assert_eq!(expect_code(&output, 0), ("home  192.0.2.1\nwork  gw.example.org  waits for 22/tcp\n", ""));
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_place() {
    let (folder, knock) = configured("mistake", "[profile.home]\nhost = \"gw\"\nknoks = [\"333\"]\n");
    let output = run(knock().arg("home"));
    let (_, stderr) = expect_code(&output, 2);
    let place = format!("{}:3:1: unknown field `knoks`", folder.join("knock").join("config.toml").display());
    assert!(stderr.contains(&place) && stderr.contains("did you mean `knocks`?"), "{stderr}");
    let output = run(knock().args(["127.0.0.1", "9/udp"]));
    expect_code(&output, 0);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_warned_about() {
    let (folder, knock) = configured("warned", "");
    set_mode(&folder, 0o640);
    let output = run(knock().arg("--list"));
    let (stdout, stderr) = expect_code(&output, 0);
    assert_eq!(stdout, "");
    assert!(stderr.contains("warning: others can read the knocks in"), "{stderr}");
}
