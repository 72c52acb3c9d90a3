//! The real httpd of a test host, in a folder of its own, on a loopback port; gone with its value.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use apache_tuning::facts::Running;
use apache_tuning::httpd::Mpm;
use apache_tuning::httpd::normalise::Written;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use test_hosts::{Flavour, Release, template};

/// The program, and where its modules are, in the test host.
pub const BINARY: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// Puts a test host's `/usr` in the place of this machine's, for the process that it then becomes.
const WITH_ITS_USR: &str = r#"mount --bind "$0" /usr && exec "$@""#;

/// Returns a command that starts the httpd of the Debian 12 test host on this machine's files and network, so that its
/// processes, ports and folders are those of this machine; nothing of httpd need be installed here.
///
/// # Errors
/// Where the test host cannot be built.
pub fn httpd() -> Result<Command> {
    let usr = template::ensure(Release::Bookworm, Flavour::Event)?.join("usr");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", WITH_ITS_USR])
        .arg(usr)
        .arg(BINARY);
    Ok(command)
}

/// A running server.
pub struct Server {
    /// Where it answers.
    pub address: SocketAddr,
    /// What the tool's facts would say about it.
    pub running: Running,
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    /// Starts the server with the MPM's numbers as written, and waits until it answers.
    ///
    /// # Errors
    /// Where the test host cannot be built, or the server does not come up within ten seconds: with its error log.
    pub fn start(mpm: Mpm, written: &Written) -> Result<Self> {
        Self::start_with(mpm, written, "")
    }

    /// Starts the server with these lines at the end of its configuration as well.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(mpm: Mpm, written: &Written, lines: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("apache-tuning-bench-").tempdir()?;
        let root = folder.path();
        // The web user must be able to walk in, whatever the umask.
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let site = root.join("site");
        fs::create_dir(&site)?;
        fs::write(site.join("index.html"), "held\n")?;
        // Nobody else is told this port between here and the server's own bind.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut text = format!(
            "ServerRoot {root}\nPidFile {root}/pid\nErrorLog {root}/error.log\nLogLevel warn\nListen 127.0.0.1:{port}\n\
             ServerName localhost\nDocumentRoot {site}\nKeepAlive On\nKeepAliveTimeout 300\nMaxKeepAliveRequests 0\n\
             User www-data\nGroup www-data\nMutex default:{root}\n\
             LoadModule mpm_module_placeholder x\n\
             LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
             LoadModule status_module {MODULES}/mod_status.so\n<Location /server-status>\nSetHandler server-status\n\
             </Location>\nLoadModule dir_module {MODULES}/mod_dir.so\nDirectoryIndex index.html\n\
             <Directory />\nAllowOverride None\nRequire all granted\n</Directory>\n",
            root = root.display(),
            site = site.display(),
        )
        .replace(
            "LoadModule mpm_module_placeholder x",
            &format!("LoadModule {} {MODULES}/mod_mpm_{mpm}.so", mpm.module()),
        );
        for (directive, value) in written {
            let _ = writeln!(text, "{directive} {value}");
        }
        text.push_str(lines);
        let configuration = root.join("httpd.conf");
        fs::write(&configuration, text)?;
        let process = httpd()?
            .arg("-f")
            .arg(&configuration)
            .arg("-DFOREGROUND")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting apache2")?;
        let running = Running { parent: process.id(), mpm: Some(mpm), ..Running::default() };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { address, running, folder, process };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            // The port is open before the parent has written its process id.
            if self.pid_file().exists() && std::net::TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if self.process.try_wait()?.is_some() || Instant::now() > until {
                bail!("apache2 did not come up:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the file that holds the parent's process id.
    pub fn pid_file(&self) -> std::path::PathBuf {
        self.folder.path().join("pid")
    }

    /// Returns its configuration file, which lies in its `ServerRoot`.
    pub fn configuration(&self) -> std::path::PathBuf {
        self.folder.path().join("httpd.conf")
    }

    /// Returns the server's error log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    /// Returns the threads of the parent and all its children.
    pub fn threads(&self) -> u64 {
        let files = apache_tuning::facts::disk::Disk::new(std::path::Path::new("/"));
        let children = apache_tuning::facts::process::children(&files, &self.running);
        let threads = |pid: u32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        let count: usize = children.into_iter().chain([self.running.parent]).map(threads).sum();
        count as u64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) else { return };
        let _ = kill_process(pid, Signal::TERM);
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.process.wait();
    }
}
