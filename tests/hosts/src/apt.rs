//! This machine's apt: what is installed, what may be installed, and where packages come from.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A Debian package that a test or build step needs on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Its name.
    pub package: &'static str,
    /// What it is for, as a fragment.
    pub purpose: &'static str,
    /// The programs of it that are started by name; a test holds that no others are, but those of every Debian.
    pub programs: &'static [&'static str],
    /// Tells whether what it brings is there, from the package or otherwise.
    pub met: fn() -> bool,
}

/// What building and entering hosts needs of this machine.
pub const HOST_NEEDS: &[Need] = &[
    Need {
        package: "debootstrap",
        purpose: "builds the test hosts",
        programs: &["debootstrap"],
        met: || there("/usr/sbin/debootstrap"),
    },
    Need {
        package: "debian-archive-keyring",
        purpose: "checks what debootstrap fetches",
        programs: &[],
        met: || there("/usr/share/keyrings/debian-archive-keyring.gpg"),
    },
    Need {
        package: "openssh-client",
        purpose: "takes Ansible to the test hosts",
        programs: &["ssh", "ssh-keygen"],
        met: || there("/usr/bin/ssh"),
    },
];

/// Tells whether a path exists.
pub fn there(path: &str) -> bool {
    std::path::Path::new(path).exists()
}

/// Returns the needs that are not met.
pub fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().filter(|need| !(need.met)()).copied().collect()
}

/// Installs what is missing of `needs`; without root rights or apt-get, says what has to be installed.
///
/// # Errors
/// Names every missing package with its purpose, and the command that brings them.
pub fn provide(needs: &[Need]) -> Result<()> {
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = absent.iter().map(|need| need.package).collect();
    let mut list = String::new();
    for need in &absent {
        let _ = write!(list, "\n  {:<24} {}", need.package, need.purpose);
    }
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!(
            "these Debian packages are missing and only root may install them:{list}\nrun as root: {by_hand}"
        );
    }
    // A foreign source of this machine may be broken; what counts is whether the packages can be had.
    let _ = apt_get(&["update"]);
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&packages);
    apt_get(&arguments)
        .with_context(|| format!("these Debian packages are missing:{list}\nrun as root: {by_hand}"))?;
    let still = missing(needs);
    if still.is_empty() {
        return Ok(());
    }
    bail!("the package {} is installed, but what it should bring is not there", still[0].package)
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("starting `apt-get`")?;
    if output.status.success() {
        return Ok(());
    }
    bail!("`apt-get {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())
}

/// Where this machine's apt fetches Debian from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The archive, for the suites `bookworm` and the like.
    pub main: String,
    /// The security archive, for `bookworm-security` and the like.
    pub security: String,
}

/// Returns the mirrors named by this machine's apt configuration.
///
/// # Errors
/// Where apt names no Debian archive, because the machine runs another distribution or its lists were never fetched.
pub fn mirrors() -> Result<Mirrors> {
    let mut lines = index_targets()?;
    if parse_mirrors(&lines).is_none() {
        let _ = apt_get(&["update"]);
        lines = index_targets()?;
    }
    parse_mirrors(&lines).context(
        "this machine's apt names no Debian archive with its security suite \
         (`apt-get indextargets` shows what it names); add both to /etc/apt/sources.list.d and run `apt-get update`",
    )
}

fn index_targets() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
        .output()
        .context("starting `apt-get`")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Picks the archives out of lines `label|URI`; the labels are Debian's own and signed with the archive.
fn parse_mirrors(lines: &str) -> Option<Mirrors> {
    let find = |wanted: &str| {
        lines
            .lines()
            .filter_map(|line| line.split_once('|'))
            .find(|(label, _)| *label == wanted)
            .map(|(_, uri)| uri.trim_end_matches('/').to_owned())
    };
    Some(Mirrors { main: find("Debian")?, security: find("Debian-Security")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_told_apart_by_label_and_both_are_required() {
        let both = "Other|http://o/x/\nDebian|http://m/debian/\nDebian|http://n/debian/\nDebian-Security|http://m/s/\n";
        let want = Mirrors { main: "http://m/debian".into(), security: "http://m/s".into() };
        assert_eq!(parse_mirrors(both), Some(want));
        for lines in ["", "Debian|http://m/debian/\n", "Debian-Security|http://m/s/\n", "Debian\n"] {
            assert_eq!(parse_mirrors(lines), None, "{lines:?}");
        }
    }
}
