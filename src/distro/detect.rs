//! Which family a host is of, and where its server or an instance of it keeps its configuration.

use std::path::{Path, PathBuf};

use super::{Instances, LAYOUTS, Layout, Site};
use crate::tree::{Files, Kind};

/// Why the host's Apache could not be found; what was found instead and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// os-release names no family known here, and no known layout is on disk.
    #[error(
        "this host is {found}, and none of the layouts known here is on its disk ({known}); \
         give facts.distribution if it is one of these under another name"
    )]
    Unknown {
        /// What os-release says.
        found: String,
        /// Names of the families.
        known: String,
    },
    /// What `facts.distribution` says names no family known here.
    #[error(
        "facts.distribution is {told}, which is none of the distributions known here; give {known}, or leave it out: {}",
        match .on_disk {
            Some(family) => format!("the configuration on disk is laid out as on {family}"),
            None => "none of their layouts is on this disk".to_owned(),
        }
    )]
    NoSuchDistribution {
        /// What was told.
        told: String,
        /// Names of the families.
        known: String,
        /// The family on disk.
        on_disk: Option<&'static str>,
    },
    /// The family is known, its Apache is not there.
    #[error("{} is missing: Apache is not installed here; install the package {package} first", .file.display())]
    NotInstalled {
        /// The main configuration file.
        file: PathBuf,
        /// The package.
        package: &'static str,
    },
    /// There is an Apache, and this tool does not know its layout.
    #[error(
        "the Apache here is that of {whose} (its main file is {}), not the distribution's, and is not managed; \
         write its values into its own files", .main.display()
    )]
    Elsewhere {
        /// Whose it is.
        whose: &'static str,
        /// Its main file.
        main: PathBuf,
    },
    /// The release has an httpd before 2.4.
    #[error(
        "{found} has httpd 2.2, which is not managed; move to a release of the family {family} with httpd 2.4"
    )]
    TooOld {
        /// The release.
        found: String,
        /// Its family.
        family: &'static str,
    },
    /// os-release says one family, the disk another.
    #[error(
        "{found} is of the family {family}, but the configuration on disk is laid out as on {on_disk} \
         ({} is there, {} is not); give facts.distribution to say which is right", .there.display(), .missing.display()
    )]
    Disagree {
        /// What os-release says.
        found: String,
        /// Its family.
        family: &'static str,
        /// The family on disk.
        on_disk: &'static str,
        /// The main file found.
        there: PathBuf,
        /// The main file expected.
        missing: PathBuf,
    },
    /// A control panel writes the configuration anew from its own store.
    #[error(
        "{panel} ({dir}) generates Apache's configuration here, and would overwrite what is changed; {instead}"
    )]
    Panel {
        /// The panel.
        panel: &'static str,
        /// Its directory.
        dir: &'static str,
        /// Where the values belong instead.
        instead: &'static str,
    },
    /// The family has no instances.
    #[error(
        "further servers of the family {family} are not managed here (instance); leave out instance to manage the first one, \
         and write a further server's numbers into its own configuration by hand"
    )]
    NoInstances {
        /// The family.
        family: &'static str,
    },
    /// There is no instance of that name.
    #[error("there is no instance {name:?}: {} is missing; instances here: {found}", .dir.display())]
    NoInstance {
        /// The name asked for.
        name: String,
        /// Its directory.
        dir: PathBuf,
        /// Those that are there.
        found: String,
    },
    /// Something could not be read.
    #[error("{}: {error}", .path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's words.
        error: String,
    },
}

/// Control panels: name, the directory each is known by, and where the values belong.
const PANELS: &[(&str, &str, &str)] = &[
    (
        "cPanel",
        "/usr/local/cpanel",
        "set the values in WHM, Apache Configuration, Global Configuration, and what it does not know in \
         /etc/apache2/conf.d/includes/post_virtualhost_global.conf",
    ),
    ("Plesk", "/usr/local/psa", "choose the MPM and modules in Plesk, Tools & Settings, Apache Web Server"),
    (
        "DirectAdmin",
        "/usr/local/directadmin",
        "put the values into custombuild/custom/ap2/conf/extra/httpd-mpm.conf and run `da build rewrite_confs`",
    ),
    (
        "CyberPanel",
        "/usr/local/CyberCP",
        "its web server is OpenLiteSpeed, which is set in its WebAdmin console; the numbers of an Apache behind that are \
         written by the panel too",
    ),
];

/// Other homes of an Apache: whose it is, and its main file.
const HOMES: &[(&str, &str)] = &[
    ("the software collection httpd24", "/opt/rh/httpd24/root/etc/httpd/conf/httpd.conf"),
    ("XAMPP", "/opt/lampp/etc/httpd.conf"),
    ("aaPanel", "/www/server/apache/conf/httpd.conf"),
    ("the official image, without its program bin/httpd", "/usr/local/apache2/conf/httpd.conf"),
    ("bitnami, without its program bin/httpd", "/opt/bitnami/apache/conf/httpd.conf"),
    ("a build of its own", "/usr/local/httpd/conf/httpd.conf"),
    ("a build of its own", "/usr/local/apache/conf/httpd.conf"),
    ("a build of its own", "/opt/apache/conf/httpd.conf"),
    ("a build of its own", "/opt/apache2/conf/httpd.conf"),
];

/// ID, ID_LIKE and VERSION_ID of an os-release file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct OsRelease {
    id: String,
    like: Vec<String>,
    version: String,
}

impl OsRelease {
    /// Returns the family by ID, else by the first word of ID_LIKE that means one.
    fn family(&self) -> Option<&'static Layout> {
        std::iter::once(&self.id).chain(&self.like).find_map(|word| {
            LAYOUTS.iter().find(|layout| layout.os_ids.iter().any(|id| id.eq_ignore_ascii_case(word)))
        })
    }
}

/// Finds out which family the host is, and where the server or its instance keeps its configuration.
///
/// # Errors
/// What was found instead, and what to do.
pub fn detect(
    files: &dyn Files,
    distribution: Option<&str>,
    version: Option<&str>,
    instance: Option<&str>,
) -> Result<Site, NotFound> {
    if let Some(&(panel, dir, instead)) = PANELS.iter().find(|(_, dir, _)| files.is_dir(Path::new(dir))) {
        return Err(NotFound::Panel { panel, dir, instead });
    }
    let mut os = os_release(files);
    let told = distribution.is_some();
    if let Some(id) = distribution.filter(|id| !id.eq_ignore_ascii_case(&os.id)) {
        os = OsRelease { id: id.to_ascii_lowercase(), like: Vec::new(), version: String::new() };
    }
    if let Some(version) = version {
        version.clone_into(&mut os.version);
    }
    if let Some(layout) = os.family().filter(|layout| has_httpd_22(layout, &os)) {
        return Err(NotFound::TooOld { found: format!("{} {}", os.id, os.version), family: layout.name });
    }
    let layout = family(files, &os, told)?;
    let mut site = Site {
        layout,
        instance: instance.map(str::to_owned),
        config_dir: PathBuf::from(layout.config_dir),
        server_root: PathBuf::from(layout.server_root),
        main: None,
        distribution: os.id,
        distribution_version: os.version,
    };
    if let Some(name) = instance {
        enter_instance(files, &mut site, name)?;
    }
    Ok(site)
}

/// Finds the family by its name and by what is on disk.
fn family(files: &dyn Files, os: &OsRelease, told: bool) -> Result<&'static Layout, NotFound> {
    let main = |layout: &Layout| Path::new(layout.config_dir).join(layout.main_file);
    let mark = |layout: &Layout| Path::new(layout.config_dir).join(layout.mark);
    let marked = |layout: &Layout| files.kind(&mark(layout)).is_ok_and(|kind| kind != Kind::Absent);
    // A home of images is one where its program is there too, not a copy of files alone.
    let program = |layout: &Layout| !layout.os_ids.is_empty() || files.is_file(Path::new(layout.binary));
    let stands = |layout: &&Layout| files.is_file(&main(layout)) && marked(layout) && program(layout);
    let on_disk = LAYOUTS.iter().find(stands);
    let Some(named) = os.family() else {
        if let Some(there) = on_disk.filter(|_| !told) {
            return Ok(there);
        }
        let told_by_id = LAYOUTS.iter().filter(|layout| !layout.os_ids.is_empty());
        let known: Vec<&str> = told_by_id.map(|layout| layout.name).collect();
        if told {
            let on_disk = on_disk.map(|layout| layout.name);
            return Err(NotFound::NoSuchDistribution {
                told: os.id.clone(),
                known: known.join(", "),
                on_disk,
            });
        }
        let found = if os.id.is_empty() { "of no known distribution".to_owned() } else { os.id.clone() };
        return Err(NotFound::Unknown { found, known: known.join(", ") });
    };
    let has_main = files.is_file(&main(named));
    if has_main && (told || marked(named) || on_disk.is_none()) {
        return Ok(named);
    }
    // An image has httpd elsewhere than its distribution would.
    if let Some(there) = on_disk.filter(|there| there.os_ids.is_empty() && !has_main) {
        return Ok(there);
    }
    if let Some(there) = on_disk.filter(|_| !told) {
        // Two families may share the main file; then the mark tells them apart.
        let (there_path, missing) =
            if has_main { (mark(there), mark(named)) } else { (main(there), main(named)) };
        return Err(NotFound::Disagree {
            found: os.id.clone(),
            family: named.name,
            on_disk: there.name,
            there: there_path,
            missing,
        });
    }
    match files.kind(&main(named)) {
        Err(error) => Err(NotFound::Unreadable { path: main(named), error: error.to_string() }),
        Ok(_) => Err(elsewhere(files)
            .unwrap_or_else(|| NotFound::NotInstalled { file: main(named), package: named.package })),
    }
}

/// Finds a server that is neither the distribution's nor of a layout known here.
fn elsewhere(files: &dyn Files) -> Option<NotFound> {
    let there = |(_, main): &&(&str, &str)| files.is_file(Path::new(main));
    HOMES.iter().find(there).map(|&(whose, main)| NotFound::Elsewhere { whose, main: main.into() })
}

/// Tells whether a release has httpd 2.2: Amazon Linux 1, whose versions are years, and Enterprise Linux before 7.
fn has_httpd_22(layout: &Layout, os: &OsRelease) -> bool {
    let major = os.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    layout.name == "redhat"
        && match os.id.as_str() {
            "amzn" => major.is_some_and(|major| (2010..2023).contains(&major)),
            "fedora" | "openEuler" | "azurelinux" | "mariner" => false,
            _ => major.is_some_and(|major| (3..7).contains(&major)),
        }
}

/// Turns a site into that of an instance.
fn enter_instance(files: &dyn Files, site: &mut Site, name: &str) -> Result<(), NotFound> {
    let (dir, prefix, suffix) = match site.layout.instances {
        Instances::Directory(prefix) | Instances::Beside(prefix) => {
            site.config_dir = PathBuf::from(format!("{prefix}{name}"));
            if matches!(site.layout.instances, Instances::Directory(_)) {
                site.server_root.clone_from(&site.config_dir);
            }
            (site.config_dir.clone(), prefix.to_owned(), "")
        }
        Instances::File(file) => {
            let (before, after) = file.split_once("{name}").unwrap_or((file, ""));
            (site.main_file(), format!("{}/{before}", site.config_dir.display()), after)
        }
        Instances::None => return Err(NotFound::NoInstances { family: site.layout.name }),
    };
    if files.is_file(&site.main_file()) {
        return Ok(());
    }
    let others = names(files, site, &prefix, suffix);
    let found = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    Err(NotFound::NoInstance { name: name.to_owned(), dir, found })
}

/// Returns the names for which something stands at the prefix, the name and the suffix, except the main server's file.
fn names(files: &dyn Files, site: &Site, prefix: &str, suffix: &str) -> Vec<String> {
    let beside = prefix.rsplit_once('/').map_or("/", |(dir, _)| dir);
    let main = site.path(site.layout.main_file).to_string_lossy().into_owned();
    let entries = files.list(Path::new(beside)).unwrap_or_default();
    let name = |entry: &std::ffi::OsString| {
        let path = format!("{beside}/{}", entry.to_str()?);
        Some(path.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned())
    };
    let others = entries.iter().filter_map(name);
    others.filter(|other| format!("{prefix}{other}{suffix}") != main).collect()
}

/// Returns the other servers of the host that `site` is one of: the main one, and its instances.
pub fn others(files: &dyn Files, site: &Site) -> Vec<Site> {
    let main = Site {
        instance: None,
        config_dir: PathBuf::from(site.layout.config_dir),
        server_root: PathBuf::from(site.layout.server_root),
        ..site.clone()
    };
    let names = match site.layout.instances {
        Instances::Directory(prefix) | Instances::Beside(prefix) => names(files, &main, prefix, ""),
        Instances::File(file) => {
            let (before, after) = file.split_once("{name}").unwrap_or((file, ""));
            names(files, &main, &format!("{}/{before}", main.config_dir.display()), after)
        }
        Instances::None => Vec::new(),
    };
    let instance = |name: String| {
        let mut other = Site { instance: Some(name.clone()), ..main.clone() };
        enter_instance(files, &mut other, &name).is_ok().then_some(other)
    };
    let mut all: Vec<Site> = names.into_iter().filter_map(instance).collect();
    all.retain(|other| other.instance != site.instance && serves_by_itself(files, other));
    if site.instance.is_some() && files.is_file(&main.main_file()) {
        all.insert(0, main);
    }
    all
}

/// Tells whether an instance is one: where it is a file among others, that may be a copy or a part of the main one. A
/// server of its own has a pid file of its own, or takes its name from the template unit.
fn serves_by_itself(files: &dyn Files, site: &Site) -> bool {
    if !matches!(site.layout.instances, Instances::File(_)) {
        return true;
    }
    let text = files.read(&site.main_file()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    text.contains("httpd_instance") || text.lines().any(|line| line.trim_start().starts_with("pidfile"))
}

/// Reads `/etc/os-release`, else `/usr/lib/os-release`; empty where neither can be read.
fn os_release(files: &dyn Files) -> OsRelease {
    let text = files
        .read(Path::new("/etc/os-release"))
        .or_else(|_| files.read(Path::new("/usr/lib/os-release")))
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
            .next_back()
            .unwrap_or_default()
    };
    OsRelease {
        id: value("ID"),
        like: value("ID_LIKE").split_whitespace().map(str::to_owned).collect(),
        version: value("VERSION_ID"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::Memory;

    fn host(os_release: &str) -> Memory {
        Memory::new().file("/etc/os-release", os_release)
    }

    #[test]
    fn the_family_is_found_by_id_then_by_each_word_of_id_like() {
        for os in [
            "ID=debian\nVERSION_ID=\"12\"\n",
            "ID=\"ubuntu\"\nID_LIKE=debian\n",
            "ID=zorin\nID_LIKE=\"ubuntu debian\"\n",
            "NAME=x\nID='devuan'\n",
            "",
        ] {
            let files = host(os).file("/etc/apache2/apache2.conf", "");
            assert_eq!(detect(&files, None, None, None).unwrap().layout.name, "debian", "{os:?}");
        }
        let files = host("ID=debian\nVERSION_ID=\"12\"\n").file("/etc/apache2/apache2.conf", "");
        assert_eq!(detect(&files, None, None, None).unwrap().distribution_version, "12");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = detect(&host("ID=debian\n"), None, None, None).unwrap_err();
        assert!(error.to_string().contains("/etc/apache2/apache2.conf is missing"), "{error}");
        let error = detect(&host("ID=plan9\n"), None, None, None).unwrap_err();
        assert!(error.to_string().contains("this host is plan9"), "{error}");
        let files = host("ID=debian\n")
            .file("/etc/apache2/apache2.conf", "")
            .file("/etc/apache2-two/apache2.conf", "");
        let error = detect(&files, None, None, Some("three")).unwrap_err();
        assert!(error.to_string().ends_with("instances here: two"), "{error}");
        assert_eq!(detect(&files, None, None, Some("two")).unwrap().unit(), "apache2@two");
    }
}
