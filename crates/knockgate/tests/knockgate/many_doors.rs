//! A thousand doors.

use crate::bad_policies::doors;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{knockgate, run};

#[test]
fn a_thousand_doors_compile_and_can_be_put_in_force() {
    let text = doors(1000);
    let compiled = run(&mut knockgate(&["compile", "-"]), &text).expect(0).stdout;
    assert!(compiled.contains("door d0: ") && compiled.contains("door d999: "));
    if !can_be_run(&NEEDED) {
        return;
    }
    let gateway = Gateway::new();
    assert_eq!(gateway.apply(&text), "<stdin>: 1000 doors in force\n");
    assert!(gateway.apply(&text).ends_with("nothing changed\n"));
    assert_eq!(gateway.apply(&doors(1001)), "<stdin>: 1001 doors in force; grants and bans were kept\n");
    let said = gateway.knockgate(&["status"]).expect(0).stdout;
    assert!(said.contains("and 961 more"), "{said}");
    gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(gateway.ruleset(), "");
}
