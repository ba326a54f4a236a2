//! Children of the server from before it became another program: routers and shims that the old
//! program had started. Nobody waits for them by their handle any more.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often to look although no child was said to have ended: signals of several come as one.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Reaps the children that are there now when they end. Called before the server has any of its
/// own, whose ends others wait for.
pub fn reap() {
    let mut children = children();
    if children.is_empty() {
        return;
    }
    tokio::spawn(async move {
        let Ok(mut ended) = signal(SignalKind::child()) else { return };
        while !children.is_empty() {
            children.retain(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
            let _ = tokio::time::timeout(LOOK_AGAIN, ended.recv()).await;
        }
    });
}

fn children() -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}
