//! A disk that is soon full.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

/// The file that takes what is left of the disk.
const BALLAST: &str = "ballast";

/// A file system in memory of a fixed size. Only programs that are started through it see it: it is
/// mounted in a namespace of their own, which an ordinary user may make on most systems.
pub struct SmallDisk {
    folder: PathBuf,
    keeper: Child,
    /// The keeper ends with it.
    _open: ChildStdin,
    as_user: bool,
}

impl SmallDisk {
    /// Mounts a disk of so many bytes at `folder`; `None` where the system does not let this user
    /// have one, and why is printed: the test is then left out.
    pub fn mount(folder: &Path, bytes: u64) -> Option<Self> {
        let mut reasons = Vec::new();
        for as_user in [true, false] {
            match Self::try_mount(folder, bytes, as_user) {
                Ok(disk) => return Some(disk),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        crate::skip(&format!("no small disk can be mounted here: {}", reasons.join("; ")));
        None
    }

    fn try_mount(folder: &Path, bytes: u64, as_user: bool) -> io::Result<Self> {
        let mut command = Command::new("unshare");
        if as_user {
            command.args(["--user", "--map-root-user"]);
        }
        let script =
            "mount -t tmpfs -o size=\"$2\",mode=755 tmpfs \"$1\" && echo ready && exec cat >&2";
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(folder);
        command.arg(bytes.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = command.spawn()?;
        let (stdin, stdout) = (keeper.stdin.take(), keeper.stdout.take());
        let (Some(open), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("no pipes"));
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != "ready" {
            drop(open);
            let output = keeper.wait_with_output()?;
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(Self { folder: folder.to_owned(), keeper, _open: open, as_user })
    }

    /// The same place for this process; `inside` lies on the disk.
    pub fn seen(&self, inside: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// Starts `program` in `folder` where the disk is mounted.
    pub fn command(&self, folder: &Path, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.keeper.id().to_string(), "--mount"]);
        if self.as_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh"]);
        command.arg(folder).arg(program);
        command
    }

    /// Takes all room but so many bytes.
    pub fn fill_but(&self, bytes: usize) {
        let path = self.seen(&self.folder.join(BALLAST));
        let mut ballast = File::options().create(true).append(true).open(&path).expect("opened");
        let block = [0; 4096];
        while ballast.write_all(&block).is_ok() {}
        let length = ballast.metadata().expect("measured").len();
        ballast.set_len(length.saturating_sub(bytes as u64)).expect("shortened");
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        fs::remove_file(self.seen(&self.folder.join(BALLAST))).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
