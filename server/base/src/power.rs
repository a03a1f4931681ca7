use std::{fs, path::Path};

/// Whether the machine runs on its battery, as far as the system tells: on Linux when there is a
/// mains adapter and none is connected. `false` where nothing is known.
pub fn on_battery() -> bool {
    is_discharging(Path::new("/sys/class/power_supply"))
}

/// Lets the person's own programs go before this thread and those that it starts, which still get a share beside
/// them: for work in the background that somebody may come to wait for.
pub fn be_polite() {
    set_niceness(5);
}

/// Lets everything else go before this thread and the threads and processes that it starts: for bulk work that nobody
/// waits for. It cannot be taken back.
pub fn stand_back() {
    set_niceness(19);
    shorten_turns();
}

/// Does `work` on a thread that [stands back](stand_back), where the calling one is to keep its priority, and waits
/// for it. Threads that it starts take that priority over.
pub fn standing_back<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let stand_back = || {
        stand_back();
        work()
    };
    std::thread::scope(|scope| scope.spawn(stand_back).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Whether this thread lets others go first.
pub fn is_polite() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: takes numbers only. On Linux, process 0 is the calling thread.
    return unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } > 0;
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg_attr(
    not(target_os = "linux"),
    expect(unused_variables, reason = "only Linux knows it of threads")
)]
fn set_niceness(niceness: i32) {
    #[cfg(target_os = "linux")]
    // SAFETY: takes numbers only. On Linux, process 0 is the calling thread; a refusal does no harm.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, niceness);
    }
}

/// Has this thread, which has the lowest priority, and those that it starts run a tenth of a millisecond at a time. A turn
/// that has begun is otherwise ended by nobody for some milliseconds, which is as long as a search takes. Known to
/// Linux from 6.12 on (EEVDF's custom slices); others refuse, which does no harm.
fn shorten_turns() {
    #[cfg(target_os = "linux")]
    {
        /// `struct sched_attr` of `sched_setattr(2)`, as first defined.
        #[repr(C)]
        struct SchedAttr {
            size: u32,
            policy: u32,
            flags: u64,
            nice: i32,
            priority: u32,
            /// Nanoseconds.
            runtime: u64,
            deadline: u64,
            period: u64,
        }
        /// `SCHED_FLAG_KEEP_POLICY`: a person may have started the program with one of their choice.
        const KEEP_POLICY: u64 = 8;
        let attr = SchedAttr {
            size: size_of::<SchedAttr>() as u32,
            policy: 0,
            flags: KEEP_POLICY,
            nice: 19,
            priority: 0,
            runtime: 100_000,
            deadline: 0,
            period: 0,
        };
        // SAFETY: the structure is as long as it says, and outlives the call; 0 is the calling thread.
        unsafe {
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0);
        }
    }
}

/// Gives the system back what the program let go of: after work that needed much memory for a while, glibc
/// keeps most of it.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn is_discharging(supplies: &Path) -> bool {
    let entries = fs::read_dir(supplies).into_iter().flatten().flatten();
    let read =
        |supply: &Path, name: &str| fs::read_to_string(supply.join(name)).unwrap_or_default();
    let online: Vec<bool> = entries
        .map(|entry| entry.path())
        .filter(|supply| matches!(read(supply, "type").trim(), "Mains" | "USB"))
        .map(|supply| read(&supply, "online").trim() == "1")
        .collect();
    !online.is_empty() && !online.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(supplies: &[(&str, &str)], expected: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        for (number, (kind, online)) in supplies.iter().enumerate() {
            let supply = folder.path().join(format!("supply{number}"));
            fs::create_dir(&supply).expect("made");
            fs::write(supply.join("type"), format!("{kind}\n")).expect("written");
            fs::write(supply.join("online"), format!("{online}\n")).expect("written");
        }
        assert_eq!(is_discharging(folder.path()), expected, "{supplies:?}");
    }

    #[test]
    fn a_battery_counts_when_no_adapter_is_connected() {
        check(&[("Battery", ""), ("Mains", "0")], true);
        check(&[("Battery", ""), ("Mains", "0"), ("USB", "1")], false);
        check(&[("Mains", "1")], false);
        check(&[("Battery", "")], false);
        check(&[], false);
    }
}
