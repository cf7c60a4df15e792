//! `check --fix` writes down what is suggested.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::program::{Folder, knockgate, run};

const ARTICLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/article.rsc"));

const POLICY: &str = r#"outside = ["eth0"]

[door.ssh]
knok = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#;

#[test]
fn the_article_is_mended_and_then_left_alone() {
    let folder = Folder::new("fix-article");
    let path = folder.write("article.rsc", ARTICLE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let said = run(&mut knockgate(&["check", "--fix", &path]), "").expect(0);
    for part in ["fixed 9 findings\n", "  R007: the line is broken", "  R023: ", "warning[R043]"] {
        assert!(said.stderr.contains(part), "{part} in {said:#?}");
    }
    let mended = fs::read_to_string(&path).unwrap();
    assert!(mended.ends_with("\nadd chain=input action=drop in-interface-list=WAN\n"), "{mended}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let said = run(&mut knockgate(&["check", "--fix", &path]), "").expect(0);
    assert!(said.stderr.contains("nothing that can be fixed"), "{said:#?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), mended);
}

#[test]
fn a_policy_is_mended_where_it_is_linked_to() {
    let folder = Folder::new("fix-policy");
    let path = folder.write("policy.toml", POLICY);
    let link = folder.path().join("link.toml");
    symlink(&path, &link).unwrap();
    run(&mut knockgate(&["check", "--fix", link.to_str().unwrap()]), "").expect(0);
    assert!(fs::read_to_string(&path).unwrap().contains("\nknock = "));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn standard_input_is_mended_on_standard_output() {
    let said = run(&mut knockgate(&["check", "--fix", "-"]), POLICY).expect(0);
    assert_eq!(said.stdout, POLICY.replace("knok", "knock"));
    assert!(said.stderr.contains("fixed 1 finding\n"), "{said:#?}");
    let said = run(&mut knockgate(&["check", "--fix", "--format", "json", "-"]), POLICY).expect(0);
    let json = said.json();
    assert_eq!(
        (&json["text"], &json["fixed"][0]["code"]),
        (&POLICY.replace("knok", "knock").into(), &"P002".into())
    );
}

#[test]
fn what_cannot_be_fixed_is_still_an_error() {
    let folder = Folder::new("fix-not");
    let text = "/ip firewall filter add chain=input action=accept dst-port=22\n";
    let path = folder.write("bad.rsc", text);
    let said = run(&mut knockgate(&["check", "--fix", &path]), "").expect(1);
    assert!(said.stderr.contains("error[R020]"), "{said:#?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
