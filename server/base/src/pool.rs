use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use crossbeam_channel::{Sender, unbounded};

/// How long a task may make others wait. Each class has threads of its own, so that a slow task
/// never stands before a quick one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Latency {
    /// Answers a keystroke: milliseconds, never blocks on a model's decoding.
    Keystroke,
    /// Answers a person who waits: seconds, may wait for a model.
    Interactive,
    /// Nobody waits.
    Background,
}

/// Threads by [`Latency`]. A task that panics is logged and costs neither its thread nor the
/// program. Dropping the pool lets running tasks end and discards nothing that was accepted.
pub struct ThreadPool {
    keystroke: Sender<Task>,
    interactive: Sender<Task>,
    background: Sender<Task>,
}

type Task = Box<dyn FnOnce() + Send>;

impl ThreadPool {
    /// Starts two keystroke threads, eight interactive ones (they mostly wait for a model) and one
    /// in the background.
    pub fn new() -> Self {
        Self {
            keystroke: start("keystroke", 2),
            interactive: start("interactive", 8),
            background: start("background", 1),
        }
    }

    /// Runs `task` on a thread of its class, after those accepted before it.
    pub fn spawn(&self, latency: Latency, task: impl FnOnce() + Send + 'static) {
        let queue = match latency {
            Latency::Keystroke => &self.keystroke,
            Latency::Interactive => &self.interactive,
            Latency::Background => &self.background,
        };
        queue.send(Box::new(task)).expect("the threads live as long as the pool");
    }
}

impl Default for ThreadPool {
    fn default() -> Self {
        Self::new()
    }
}

fn start(name: &str, threads: usize) -> Sender<Task> {
    let (sender, receiver) = unbounded::<Task>();
    for number in 0..threads {
        let receiver = receiver.clone();
        thread::Builder::new()
            .name(format!("{name}-{number}"))
            .spawn(move || {
                for task in receiver {
                    if catch_unwind(AssertUnwindSafe(task)).is_err() {
                        tracing::error!(thread = thread::current().name(), "a task panicked");
                    }
                }
            })
            .expect("the system starts a handful of threads");
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_task_leaves_its_thread_alive() {
        let pool = ThreadPool::new();
        let (sender, receiver) = unbounded();
        pool.spawn(Latency::Background, || panic!("on purpose"));
        pool.spawn(Latency::Background, move || sender.send(1).expect("the receiver lives"));
        assert_eq!(receiver.recv(), Ok(1));
    }
}
