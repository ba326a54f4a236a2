//! `windlass ps:exec` and `ps:copy`, and time limits of `windlass run`.

use crate::support::{python, shared_server};
use nix::sys::signal::Signal;
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::command;
use windlass_testkit::wait_until;

#[test]
fn a_command_runs_beside_the_app_and_sees_what_it_sees() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "exec", &python());
    let _ = app.cli(&["config:set", "COLOUR=green"]).success();
    let ran = app.cli(&["ps:exec", "--", "echo $COLOUR $DYNO $(id -u) $PWD; echo no >&2; exit 42"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (42, "green web.1 1000 /app\n"), "{ran}");
    assert!(ran.stderr.contains("no\n"), "{ran}");
    // The same processes, the same network.
    let beside = app.cli(&["ps:exec", "cat /proc/1/comm; curl -sS localhost:$PORT/healthz -o /dev/null -w %{http_code} || python3 -c 'import os,urllib.request as u; print(u.urlopen(\"http://localhost:\" + os.environ[\"PORT\"]).status)'"]);
    let said = beside.success();
    assert!(said.starts_with("init\n") && said.contains("200"), "{said}");
    let input: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let mut client = server.client(&["ps:exec", "--app", &app.name, "--", "sha256sum"]);
    let sum = command::run(&mut client, &input).success();
    assert_eq!(sum.split_whitespace().next(), Some(windlass_oci::digest_of(&input).hex()));
    let missing = app.cli(&["ps:exec", "--dyno", "web.7", "true"]);
    assert_eq!(missing.code(), 4, "{missing}");
    app.wait_for_log("app[api]: Running `echo $COLOUR");
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_client_that_goes_away_takes_its_command_with_it() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "exechup", &python());
    let mut client =
        app.start_cli(&["ps:exec", "--", "sleep 7654 & echo $((6 * 7)) begun; sleep 7654"]);
    wait_until("the command to run", Duration::from_secs(20), || {
        client.so_far().contains("42 begun")
    });
    let count = || {
        let listed = app.cli(&["ps:exec", "--", "grep -al 7654 /proc/[0-9]*/cmdline | wc -l"]);
        listed.success().trim().parse::<u32>().unwrap()
    };
    assert!(count() >= 3, "the two, and who asks");
    client.signal(Signal::SIGKILL);
    client.kill();
    // Only the shell and the program that ask are left.
    wait_until("their end", Duration::from_secs(20), || count() <= 2);
}

#[test]
fn files_are_copied_both_ways() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "copy", &python());
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let path = |name: &str| here(name).to_str().unwrap().to_owned();
    let content: Vec<u8> = (0..500_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::create_dir_all(here("tree/sub")).unwrap();
    std::fs::write(here("tree/large file"), &content).unwrap();
    std::fs::write(here("tree/sub/small"), "small\n").unwrap();
    std::os::unix::fs::symlink("sub/small", here("tree/link")).unwrap();

    let copied = app.cli(&["ps:copy", &path("tree"), "web.1:/tmp"]);
    assert_eq!(copied.code(), 0, "{copied}");
    assert!(copied.stderr.contains("done, 3 files"), "{copied}");
    let seen =
        app.cli(&["ps:exec", "--", "cat /tmp/tree/link; stat -c %U /tmp/tree/link"]).success();
    assert_eq!(seen, "small\napp\n");
    let copied = app.cli(&["ps:copy", "web.1:/tmp/tree", &path("back")]);
    assert_eq!(copied.code(), 0, "{copied}");
    assert_eq!(std::fs::read(here("back/large file")).unwrap(), content);
    assert_eq!(std::fs::read_to_string(here("back/sub/small")).unwrap(), "small\n");
    assert_eq!(std::fs::read_link(here("back/link")).unwrap().to_str(), Some("sub/small"));

    let _ = app.cli(&["ps:copy", &path("tree/sub/small"), "web.1:/tmp/renamed"]).success();
    let _ = app.cli(&["ps:copy", "web.1:/tmp/renamed", folder.path().to_str().unwrap()]).success();
    assert_eq!(std::fs::read_to_string(here("renamed")).unwrap(), "small\n");

    for (from, to) in [
        ("web.1:/tmp/nothing", path("nothing")),
        ("web.1:/tmp/tree", folder.path().to_str().unwrap().to_owned()),
        ("web.1:/", path("root")),
        ("web.1:/etc/passwd", "web.1:/tmp/x".to_owned()),
    ] {
        let refused = app.cli(&["ps:copy", from, &to]);
        assert_ne!(refused.code(), 0, "{refused}");
        assert!(matches!(refused.code(), 1 | 2), "{refused}");
    }
    let denied = app.cli(&["ps:copy", &path("tree"), "web.1:/etc"]);
    assert!(denied.code() == 1 && denied.stderr.contains("tar in web.1 ended"), "{denied}");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    app.wait_for_processes(&["web.1"]);
}

#[test]
fn a_one_off_is_stopped_at_its_time_limit() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "timelimit", &python());
    let ran = app.cli(&["run", "--time-to-live", "2", "--", "echo begun; sleep 1000"]);
    assert_eq!(ran.code(), 143, "{ran}");
    assert!(ran.stderr.contains("it reached its time limit of 2 s"), "{ran}");
    let _ = app.cli(&["run:detached", "--time-to-live", "2", "--", "sleep 1000"]).success();
    assert_eq!(app.processes().len(), 2);
    app.wait_for_log("Stopping process: it reached its time limit of 2 s");
    app.wait_for_processes(&["web.1"]);
    let long = app.cli(&["run", "--time-to-live", "86401", "true"]);
    assert_eq!(long.code(), 5, "{long}");

    let name = app.cli(&["run:detached", "sleep 1000"]).everything();
    let name = name.split_whitespace().find(|word| word.starts_with("run.")).unwrap().to_owned();
    assert!(app.cli(&["ps"]).success().contains(&name));
    let _ = app.cli(&["ps:stop", &name]).success();
    app.wait_for_processes(&["web.1"]);
}

/// A full-screen program: draws, follows a resize, reads keys, ends with a code.
const SCREEN: &str = "import curses, sys
def main(screen):
    while True:
        rows, columns = screen.getmaxyx()
        screen.clear()
        screen.addstr(0, 0, 'size %dx%d' % (rows, columns))
        screen.refresh()
        key = screen.getch()
        if key == ord('q'):
            return 7
        if key == curses.KEY_RESIZE:
            curses.update_lines_cols()
sys.exit(curses.wrapper(main))
";

#[test]
fn full_screen_programs_work_in_run_and_exec() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "screen", &python());
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("screen.py");
    std::fs::write(&program, SCREEN).unwrap();
    let _ = app.cli(&["ps:copy", program.to_str().unwrap(), "web.1:/tmp/screen.py"]).success();
    let inline = format!("python3 -c \"{SCREEN}\"");
    for (verb, line) in [("ps:exec", "python3 /tmp/screen.py"), ("run", inline.as_str())] {
        let client = server.client(&[verb, "--app", &app.name, "--", line]);
        let driver = "import os, pty, sys, time, fcntl, termios, struct, signal, select
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
size = lambda r, c: fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', r, c, 0, 0))
size(30, 90)
seen = b''
def until(text):
    global seen
    end = time.time() + 30
    while text not in seen and time.time() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try: seen += os.read(terminal, 65536)
            except OSError: break
    assert text in seen, (text, seen)
until(b'size 30x90')
size(41, 123)
until(b'41x123')
os.write(terminal, b'q')
while True:
    try:
        if not os.read(terminal, 65536): break
    except OSError: break
print('code', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";
        let mut python = std::process::Command::new("python3");
        python.args(["-c", driver]).arg(client.get_program()).args(client.get_args());
        python.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
        python.env("TERM", "xterm");
        let finished = command::run(&mut python, b"");
        assert_eq!(finished.stdout.trim(), "code 7", "{verb}: {finished}");
    }
}
