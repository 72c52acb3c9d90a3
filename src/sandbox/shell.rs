//! A shell that carries out a start script's file of variables, as the start script does, where this program cannot
//! follow it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::run;

/// How long the shell may take.
const SHELL: Duration = Duration::from_secs(10);

/// What it does: reads the file as `apache2ctl` and its like do, and tells the environment that httpd would get.
const SCRIPT: &str = "set -e; file=$1; shift; . \"$file\" </dev/null >/dev/null 2>&1; set +e; export \"$@\"; \
                      unset file; exec /usr/bin/env -0";

/// Variables that start scripts read without exporting them.
const NAMES: [&str; 19] = [
    "APACHE2_OPTS",
    "APACHE_ARGUMENTS",
    "APACHE_CONF_INCLUDE_DIRS",
    "APACHE_CONF_INCLUDE_FILES",
    "APACHE_EXTENDED_STATUS",
    "APACHE_HTTPD",
    "APACHE_HTTPD_CONF",
    "APACHE_LOCK_DIR",
    "APACHE_MODULES",
    "APACHE_MPM",
    "APACHE_RUN_DIR",
    "APACHE_RUN_USER",
    "APACHE_SERVER_FLAGS",
    "CONFIGFILE",
    "HTTPD",
    "HTTPD_OPTS",
    "OPTIONS",
    "PIDFILE",
    "SERVERROOT",
];

/// Asks a shell what a file of variables of this machine sets on top of an environment. The file is the start script's
/// own, which root carries out at each start; one that another program or person may write to is left alone.
///
/// # Errors
/// Why nothing was asked, or what went wrong.
pub(crate) fn ask_shell(
    file: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root carries out the start script's files".to_owned());
    }
    let about = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if about.uid() != 0 || about.mode() & 0o022 != 0 {
        return Err(format!("{} can be written to by others than root", file.display()));
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "sh"]).arg(file).args(NAMES).env_clear().envs(environment).process_group(0);
    let run = run(&mut command, b"", SHELL).map_err(|error| format!("`/bin/sh`: {error}"))?;
    if run.code != Some(0) {
        return Err(format!("the shell failed in {}{}", file.display(), run.ended.unwrap_or_default()));
    }
    Ok(crate::httpd::start::environment(run.output.as_bytes()))
}
