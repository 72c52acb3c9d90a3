//! `cargo xtask fixture`: takes the Debian tree of the demonstration, `tests/fixtures/debian12`, from a built host.
//!
//! What is there in it: the configuration and the state folder of Apache as the packages leave them, empty files where
//! programs and modules are, and as much of the package database as says their versions. The files of the PHP
//! package are not Apache's; they are written here anew, with the lines that count.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use test_hosts::{Flavour, Release, folders, template};

use crate::no_arguments;

pub(crate) const HELP: &str = "take the Debian tree of the demonstration from a built host";

/// Copied as they are; folders whole.
const COPIED: &[&str] = &["etc/apache2", "var/lib/apache2", "usr/lib/os-release"];

/// Programs, whose being there is all that counts.
const PROGRAMS: &[&str] = &["usr/sbin/apache2", "usr/sbin/php-fpm8.2"];

/// The folder of Apache's modules.
const MODULES: &str = "usr/lib/apache2/modules";

/// The packages whose version the database keeps.
const PACKAGES: &[&str] = &[
    "apache2",
    "apache2-bin",
    "apache2-data",
    "libapache2-mod-evasive",
    "libapache2-mod-php8.2",
    "php8.2-fpm",
];

/// Files of the PHP package in words of this project.
const WRITTEN: &[(&str, &str)] = &[
    (
        "etc/apache2/mods-available/php8.2.load",
        "# Conflicts: php5\n# Depends: mpm_prefork\nLoadModule php_module /usr/lib/apache2/modules/libphp8.2.so\n",
    ),
    (
        "etc/apache2/mods-available/php8.2.conf",
        "<FilesMatch \"\\.php$\">\n    SetHandler application/x-httpd-php\n</FilesMatch>\n",
    ),
    (
        "etc/apache2/conf-available/php8.2-fpm.conf",
        "<IfModule !mod_php8.c>\n<IfModule proxy_fcgi_module>\n    <FilesMatch \"\\.php$\">\n        \
         SetHandler \"proxy:unix:/run/php/php8.2-fpm.sock|fcgi://localhost\"\n    </FilesMatch>\n\
         </IfModule>\n</IfModule>\n",
    ),
];

pub(crate) fn run(arguments: lexopt::Parser) -> Result<ExitCode> {
    no_arguments(arguments)?;
    let root = template::ensure(Release::Bookworm, Flavour::Php)?;
    let to = folders::workspace().join("tests/fixtures/debian12/root");
    folders::remove_tree(&to)?;
    let place = |path: &str| -> Result<PathBuf> {
        let target = to.join(path);
        fs::create_dir_all(target.parent().unwrap_or(&to))?;
        Ok(target)
    };

    for path in COPIED {
        let words: [OsString; 4] = ["-rP".into(), "--".into(), root.join(path).into(), place(path)?.into()];
        folders::run("cp", words)?;
    }
    std::os::unix::fs::symlink("../usr/lib/os-release", place("etc/os-release")?)?;
    for path in PROGRAMS {
        let target = place(path)?;
        fs::write(&target, "")?;
        fs::set_permissions(&target, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    for entry in fs::read_dir(root.join(MODULES)).context("listing the modules")? {
        let name = entry?.file_name();
        fs::write(place(&format!("{MODULES}/{}", name.to_string_lossy()))?, "")?;
    }
    for (path, text) in WRITTEN {
        fs::write(place(path)?, text)?;
    }

    let database = fs::read_to_string(root.join("var/lib/dpkg/status"))?;
    let mut status = String::new();
    for package in PACKAGES {
        let head = format!("Package: {package}\n");
        let entry = database.split("\n\n").find(|entry| entry.starts_with(&head));
        let entry = entry.with_context(|| format!("the host has no package {package}"))?;
        for line in entry.lines() {
            if ["Package: ", "Status: ", "Architecture: ", "Version: "]
                .iter()
                .any(|key| line.starts_with(key))
            {
                let _ = writeln!(status, "{line}");
            }
        }
        status.push('\n');
    }
    fs::write(place("var/lib/dpkg/status")?, status)?;
    println!("{}", to.display());
    Ok(ExitCode::SUCCESS)
}
