//! Other processes: who started whom, who is still there, and how one is stopped from outside.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long a condition may take to come true before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ends it at once.
    Kill,
    /// Lets it stand still.
    Stop,
    /// What Ctrl-C sends.
    Interrupt,
}

/// Waits until `condition` holds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Whether a process of this number exists and is not a zombie.
pub fn is_running(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')))
}

/// The processes that `parent` started.
pub fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// The model processes that `parent` started: those that have come so far as to be one.
pub fn workers(parent: u32) -> Vec<u32> {
    let mut children = children(parent);
    children.retain(|process| {
        let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == b"worker")
    });
    children
}

/// Sends a signal to a process that this test started, or one of its children.
pub fn send(process: u32, signal: Signal) {
    let number = match signal {
        Signal::Kill => libc::SIGKILL,
        Signal::Stop => libc::SIGSTOP,
        Signal::Interrupt => libc::SIGINT,
    };
    // SAFETY: takes and gives plain numbers.
    let sent = unsafe { libc::kill(process as libc::pid_t, number) };
    assert_eq!(sent, 0, "process {process} is gone already");
}
