//! The way of Ansible to a host: the real ssh on both ends, without a port.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::folders;
use crate::host::{Host, sound};
use crate::inside::PATH;

/// A host that real ssh clients of this machine reach by a name of the test's choice.
///
/// The client's `ProxyCommand` starts the host's `sshd -i` in the host's namespaces: the whole protocol, and no
/// port, so that any number of hosts can be reached at once. It works as long as the [`Host`] lives.
#[derive(Debug)]
pub struct SshHost {
    name: String,
    folder: TempDir,
}

/// The folder in the host that holds the server's configuration for tests.
const SERVER_FOLDER: &str = "/run/ssh-of-the-test";

impl Host {
    /// Makes the host reachable as `name`. Writes to the host only below `/run`.
    #[track_caller]
    pub fn ssh(&self, name: &str) -> SshHost {
        sound(self.make_ssh(name))
    }

    fn make_ssh(&self, name: &str) -> Result<SshHost> {
        // In the machine's own folder for such things, because the path of a control socket must be short.
        let folder = tempfile::Builder::new().prefix("ssh-").tempdir()?;
        let key = folder.path().join("key");
        let words = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"];
        folders::run("ssh-keygen", words.iter().map(Into::into).chain([key.clone().into()]))?;

        fs::create_dir_all(self.path("/run/sshd"))?;
        fs::create_dir_all(self.path(SERVER_FOLDER))?;
        let public = fs::read_to_string(key.with_extension("pub"))?;
        self.write(format!("{SERVER_FOLDER}/authorized_keys"), &public);
        self.write(
            format!("{SERVER_FOLDER}/sshd_config"),
            format!(
                "HostKey /etc/ssh/ssh_host_ed25519_key\n\
                 AuthorizedKeysFile {SERVER_FOLDER}/authorized_keys\n\
                 StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\n\
                 Subsystem sftp internal-sftp\nLogLevel ERROR\n"
            ),
        );

        let mut proxy = String::from("#!/bin/sh\nexec");
        let server = self.machine_command("chroot");
        let words = std::iter::once(server.get_program()).chain(server.get_args());
        for word in words.chain([self.root().as_os_str()]) {
            write!(proxy, " '{}'", word.to_str().context("a path is not UTF-8")?)?;
        }
        writeln!(proxy, " /usr/bin/env -i PATH={PATH} /usr/sbin/sshd -i -f {SERVER_FOLDER}/sshd_config")?;
        let proxy_path = folder.path().join("proxy");
        fs::write(&proxy_path, proxy)?;
        fs::set_permissions(&proxy_path, PermissionsExt::from_mode(0o700))?;

        let host_key = self.read("/etc/ssh/ssh_host_ed25519_key.pub");
        fs::write(folder.path().join("known_hosts"), format!("{name} {host_key}"))?;
        let at = folder.path().display();
        let config = format!(
            "Host {name}\n User root\n IdentityFile {at}/key\n IdentitiesOnly yes\n ProxyCommand {at}/proxy\n \
             UserKnownHostsFile {at}/known_hosts\n GlobalKnownHostsFile /dev/null\n \
             StrictHostKeyChecking yes\n LogLevel ERROR\n"
        );
        fs::write(folder.path().join("config"), config)?;
        Ok(SshHost { name: name.to_owned(), folder })
    }
}

impl SshHost {
    /// Returns the configuration file for `ssh -F`.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Returns the program that connects standard input and output to the host's sshd, to put a slower line before.
    pub fn proxy(&self) -> PathBuf {
        self.folder.path().join("proxy")
    }

    /// Returns the host's line of an Ansible inventory in INI form.
    pub fn inventory(&self) -> String {
        let Self { name, .. } = self;
        let config = self.config();
        let config: &Path = &config;
        format!(
            "{name} ansible_connection=ssh ansible_user=root ansible_python_interpreter=/usr/bin/python3 \
             ansible_ssh_common_args='-F {}'\n",
            config.display()
        )
    }
}
