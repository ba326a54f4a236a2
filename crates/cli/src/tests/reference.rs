use crate::test_support::{Machine, root};

#[test]
fn manual_pages_are_printed_and_written() {
    let machine = Machine::bare();
    let page = machine.run("man config:set").stdout;
    assert!(page.contains(".TH windlass-config-set 1"), "{page}");
    assert!(page.contains("Set config vars and restart the app"), "{page}");
    let folder = machine.path("man");
    machine.run(&format!("man --directory {}", folder.display()));
    let pages = std::fs::read_dir(&folder).unwrap().count();
    let shown = root().get_subcommands().filter(|command| !command.is_hide_set()).count();
    assert_eq!(pages, shown + 1);
    let refused = machine.run("man no:such").error();
    assert_eq!(refused.message, "There is no command no:such.");
}
