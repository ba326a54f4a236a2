//! Inside what runs: `ps:exec` and `ps:copy`, over SSH at the router's port.

use crate::support::{python, shared_server};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[EXEC, COPY];

const EXEC: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("git push heroku main", 0, &["remote: Released v2"]),
    ("@up web.1", 0, &[]),
    ("ps:exec --status", 0, &["=== Heroku Exec {app}", "web.1 up running"]),
    (
        "ps:exec -- 'echo $DYNO in $PWD as $(id -u)'",
        0,
        &[
            "Establishing credentials... done",
            "Connecting to web.1 on {app}... up",
            "web.1 in /app as 1000",
        ],
    ),
    ("ps:exec -- echo 'two words' said", 0, &["two words said"]),
    // The CLI does not pass exit codes on.
    ("ps:exec -- 'echo said; exit 3'", 0, &["said"]),
    ("ps:exec -- true", 0, &["!*error*", "!*Error*"]),
    ("sh -c 'echo \"echo \\$((6 * 7)) answered; exit\" | heroku ps:exec'", 0, &["*42 answered"]),
    ("sh -c 'echo piped | heroku ps:exec -- sh -c \"echo ready; cat\"'", 0, &["ready", "piped"]),
    (
        "ps:exec --dyno web.7 -- true",
        2,
        &["Establishing credentials... error", "*Could not connect to dyno!"],
    ),
];

const COPY: &[Step] = &[
    ("ps:copy server.py --output copied.py", 0, &["Copying server.py to copied.py"]),
    ("sh -c 'cmp server.py copied.py && echo the very same'", 0, &["the very same"]),
    ("ps:exec -- 'seq 500000 > /tmp/numbers; sha256sum < /tmp/numbers'", 0, &["<sum> -"]),
    ("ps:copy /tmp/numbers", 0, &["Copying /tmp/numbers to numbers"]),
    ("sh -c 'sha256sum < numbers'", 0, &["{sum} -"]),
    ("ps:copy no-such-file", 2, &["*Could not connect to dyno!"]),
    ("apps:destroy --confirm {app}", 0, &["Destroying {app} *... done"]),
];

#[test]
fn commands_and_files_inside_a_dyno() {
    let server = shared_server!();
    let Some(mut session) = Session::begin(&server, "inside", python()) else { return };
    for script in SCRIPTS {
        session.run(script);
    }
    session.end();
}
