//! The namespaces of a running host, and how to get into them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the first process of a host does: mounts, brings the loopback interface up, and then only waits for the
/// end of its standard input, which comes when the test ends or dies. As it ignores SIGCHLD, the kernel itself
/// reaps every orphan, as an init would.
const INIT: &str = r#"
set -eu
mount -t proc proc "$0/proc"
mount -t tmpfs -o mode=755 tmpfs "$0/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$0/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$0/dev/tty" c 5 0
ln -s /proc/self/fd "$0/dev/fd"
ln -s fd/0 "$0/dev/stdin"
ln -s fd/1 "$0/dev/stdout"
ln -s fd/2 "$0/dev/stderr"
mkdir -m 755 "$0/dev/pts"
mkdir -m 1777 "$0/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$0/dev/pts"
ln -s pts/ptmx "$0/dev/ptmx"
hostname web
chroot "$0" /usr/sbin/ip link set lo up
echo ready
exec env --ignore-signal=CHLD cat >/dev/null 2>&1
"#;

/// The namespaces of one host; dropping them kills every process inside and with that every mount.
#[derive(Debug)]
pub(crate) struct Inside {
    /// `unshare` itself, which is in the new namespaces but keeps this machine's root.
    holder: Child,
}

impl Inside {
    /// Makes the namespaces over the tree at `root`.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"])
            .args(["--propagation", "private", "--", "sh", "-c", INIT])
            .arg(root)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting `unshare`")?;
        let mut first = String::new();
        if let Some(out) = holder.stdout.take() {
            BufReader::new(out).read_line(&mut first)?;
        }
        if first == "ready\n" {
            return Ok(Self { holder });
        }
        let mut words = String::new();
        if let Some(mut out) = holder.stderr.take() {
            out.read_to_string(&mut words)?;
        }
        holder.wait()?;
        bail!("the namespaces of the host {} could not be made: {}", root.display(), words.trim())
    }

    /// Returns the command line, as words, that starts a program of this machine in the namespaces.
    pub(crate) fn enter(&self) -> Vec<String> {
        let ns = |kind: &str| format!("/proc/{}/ns/{kind}", self.holder.id());
        vec![
            "nsenter".into(),
            format!("--mount={}", ns("mnt")),
            format!("--net={}", ns("net")),
            format!("--uts={}", ns("uts")),
            format!("--ipc={}", ns("ipc")),
            format!("--pid={}", ns("pid_for_children")),
            "--".into(),
        ]
    }

    /// Runs `work` on a thread of this process that sees the host's network.
    pub(crate) fn on_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.holder.id());
        let namespace = File::open(&path).with_context(|| format!("opening {path}"))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                anyhow::Ok(work())
            });
            match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// The search path inside a host: Debian's own for root.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Drop for Inside {
    fn drop(&mut self) {
        // The end of its input ends the first process, with it the kernel ends all others, and only then does
        // `unshare` return: after this nothing writes to the tree any more.
        drop(self.holder.stdin.take());
        for _ in 0..500 {
            if !matches!(self.holder.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
