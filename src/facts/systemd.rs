//! What systemd's unit files and manager configuration say about a service, read without systemd.
//!
//! Source: `systemd.unit(5)` for the directories and their order, `systemd.exec(5)` and
//! `systemd.resource-control(5)` for the values, `systemd-system.conf(5)` and systemd's NEWS for the defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Known, parse};
use crate::tree::Files;

/// Directories of units, weakest first: a file in a later one hides one of the same name in an earlier one.
const UNITS: [&str; 8] = [
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/usr/local/lib/systemd/system",
    "/run/systemd/system",
    "/etc/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/system.control",
    "/etc/systemd/system.control",
];

/// Directories of the manager's configuration, weakest first.
const MANAGER: [&str; 4] = ["/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd"];

/// One setting's last assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assigned {
    value: String,
    file: PathBuf,
}

/// The settings of one section, with all assignments of each; an empty assignment takes those before it back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    all: BTreeMap<String, Vec<Assigned>>,
}

impl Settings {
    /// Returns the settings of a service: its unit file and all drop-ins, in systemd's order.
    pub fn of_unit(files: &dyn Files, unit: &str) -> Self {
        let mut settings = Self::default();
        let whole = format!("{unit}.service");
        let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
        let fragment =
            std::iter::once(&whole).chain(&template).find_map(|name| strongest(files, &UNITS, name));
        if let Some((path, text)) = fragment {
            settings.add(&text, "Service", &path);
        }
        // Of two drop-ins with one name, that for the unit hides that for its template and for all services,
        // whatever their directories; within one kind the stronger directory wins.
        let mut kinds = vec!["service.d".to_owned()];
        kinds.extend(template.map(|name| format!("{name}.d")));
        kinds.push(format!("{whole}.d"));
        settings.add_drop_ins(
            files,
            kinds.iter().flat_map(|kind| UNITS.map(|dir| Path::new(dir).join(kind))),
            "Service",
        );
        settings
    }

    /// Returns the manager's own settings, which hold the defaults of all services.
    pub fn of_manager(files: &dyn Files) -> Self {
        let mut settings = Self::default();
        if let Some((path, text)) = strongest(files, &MANAGER, "system.conf") {
            settings.add(&text, "Manager", &path);
        }
        settings.add_drop_ins(
            files,
            MANAGER.iter().map(|dir| Path::new(dir).join("system.conf.d")),
            "Manager",
        );
        settings
    }

    /// Returns a setting's text and the file that set it last.
    pub fn get(&self, key: &str) -> Option<(&str, &Path)> {
        self.get_all(key).last()
    }

    /// Returns all texts of a setting that is a list, each with its file.
    pub fn get_all(&self, key: &str) -> impl Iterator<Item = (&str, &Path)> {
        let all = self.all.get(key).into_iter().flatten();
        all.map(|assigned| (assigned.value.as_str(), assigned.file.as_path()))
    }

    /// Returns the files that were read.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.all.values().flatten().map(|assigned| assigned.file.clone()).collect()
    }

    /// Returns the soft limit of `LimitNOFILE=` and its kin; `u64::MAX` is `infinity`.
    pub fn limit(&self, key: &str) -> Option<Known<u64>> {
        self.read(key, |text| resource_limit(text).map(|(soft, _)| soft))
    }

    /// Returns the hard limit of `LimitNOFILE=` and its kin.
    pub fn hard_limit(&self, key: &str) -> Option<Known<u64>> {
        self.read(key, |text| resource_limit(text).map(|(_, hard)| hard))
    }

    /// Returns an amount such as `MemoryMax=512M` or `TasksMax=15%`, a share being one of `whole`; `u64::MAX`
    /// is `infinity`. A share of an unknown whole is unknown.
    pub fn amount(&self, key: &str, whole: Option<u64>) -> Option<Known<u64>> {
        self.read(key, |text| amount(text, whole))
    }

    fn read(&self, key: &str, value: impl Fn(&str) -> Option<u64>) -> Option<Known<u64>> {
        let (text, file) = self.get(key)?;
        Some(Known { value: value(text)?, source: format!("{}: {key}={text}", file.display()) })
    }

    /// Adds drop-ins: of files with one name the last directory's counts, and all apply in order of name.
    fn add_drop_ins(&mut self, files: &dyn Files, dirs: impl Iterator<Item = PathBuf>, section: &str) {
        let mut by_name: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for dir in dirs {
            for name in files.list(&dir).unwrap_or_default() {
                if Path::new(&name).extension().is_some_and(|extension| extension == "conf") {
                    by_name.insert(name.clone(), dir.join(name));
                }
            }
        }
        for path in by_name.into_values() {
            // A link to /dev/null hides a drop-in of the same name; it reads as an error or as nothing.
            if let Ok(text) = files.read(&path) {
                self.add(&text, section, &path);
            }
        }
    }

    fn add(&mut self, text: &[u8], section: &str, file: &Path) {
        let mut inside = false;
        let mut held = String::new();
        for line in crate::tree::text(text).lines() {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue; // also between continued lines
            }
            if let Some(start) = line.strip_suffix('\\') {
                held.push_str(start);
                held.push(' ');
                continue;
            }
            held.push_str(line);
            let line = std::mem::take(&mut held);
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                inside = name == section;
            } else if inside && let Some((key, value)) = line.split_once('=') {
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                if value.is_empty() {
                    self.all.remove(&key);
                } else {
                    self.all.entry(key).or_default().push(Assigned { value, file: file.to_owned() });
                }
            }
        }
    }
}

/// Returns the file of that name in the strongest directory that has it, with its path.
fn strongest(files: &dyn Files, dirs: &[&str], name: &str) -> Option<(PathBuf, std::sync::Arc<[u8]>)> {
    dirs.iter().rev().find_map(|dir| {
        let path = Path::new(dir).join(name);
        files.read(&path).ok().map(|text| (path, text))
    })
}

/// Reads `1024`, `1024:524288` or `infinity` as soft and hard limit.
fn resource_limit(text: &str) -> Option<(u64, u64)> {
    let one = |text: &str| if text == "infinity" { Some(u64::MAX) } else { parse::number(text.as_bytes()) };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    Some((one(soft)?, one(hard)?))
}

/// Reads `512`, `2G`, `15%`, `12.5%` or `infinity`.
fn amount(text: &str, whole: Option<u64>) -> Option<u64> {
    if text == "infinity" {
        return Some(u64::MAX);
    }
    if let Some(share) = text.strip_suffix('%') {
        return share_of(share, whole?);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let scale: u64 = match suffix {
        "" | "B" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    parse::number(digits.as_bytes())?.checked_mul(scale)
}

/// Returns so many hundredths of `whole`, with up to two decimals, rounded down.
fn share_of(percent: &str, whole: u64) -> Option<u64> {
    let (units, decimals) = percent.split_once('.').unwrap_or((percent, ""));
    if units.is_empty() || decimals.len() > 2 {
        return None;
    }
    let hundredths = parse::number(format!("{units}{decimals:0<2}").as_bytes())?;
    u64::try_from(u128::from(hundredths) * u128::from(whole) / 10_000).ok()
}

/// Tells whether systemd is what started this machine, as `sd_booted(3)` does.
pub fn booted(files: &dyn Files) -> bool {
    files.is_dir(Path::new("/run/systemd/system"))
}

/// Returns systemd's version from the name of its private library, `libsystemd-shared-252.so`.
pub fn version(files: &dyn Files) -> Option<Known<u64>> {
    // Debian's is below the directory of the architecture; few names stand in each of these.
    let mut dirs = vec![PathBuf::from("/usr/lib/systemd"), PathBuf::from("/lib/systemd")];
    for triplet in ["x86_64-linux-gnu", "aarch64-linux-gnu"] {
        dirs.push(Path::new("/usr/lib").join(triplet).join("systemd"));
    }
    dirs.iter().find_map(|dir| {
        files.list(dir).ok()?.iter().find_map(|name| {
            let rest = name.to_str()?.strip_prefix("libsystemd-shared-")?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            let value = parse::number(digits.as_bytes())?;
            Some(Known { value, source: dir.join(name).to_string_lossy().into_owned() })
        })
    })
}

/// The builds of systemd whose defaults differ although the version is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As released, also Debian's and Ubuntu's.
    Upstream,
    /// Red Hat Enterprise Linux 8 and 9 and its rebuilds.
    Enterprise,
    /// Not known to be either.
    Unknown,
}

impl Build {
    /// Returns the build of a distribution by the `ID` of its os-release.
    pub fn of(os_id: &str) -> Self {
        match os_id {
            "debian"
            | "ubuntu"
            | "raspbian"
            | "arch"
            | "fedora"
            | "opensuse-leap"
            | "opensuse-tumbleweed" => Self::Upstream,
            "rhel" | "centos" | "rocky" | "almalinux" | "ol" => Self::Enterprise,
            _ => Self::Unknown,
        }
    }

    /// Returns what a manager of this version gives a service that says nothing: the share of all tasks, in
    /// hundredths; `Some(None)` is no limit, `None` not known.
    pub fn default_tasks_percent(self, version: u64) -> Option<Option<u64>> {
        match (self, version) {
            (_, ..=227) => Some(None),
            (Self::Enterprise, 239 | 252) => Some(Some(80)),
            (Self::Upstream, 231..) => Some(Some(15)),
            _ => None,
        }
    }

    /// Returns the soft limit of open files that a manager of this version gives a service that says nothing.
    ///
    /// 1024 everywhere: what changed with version 240, and with Enterprise Linux 8, is the hard limit alone.
    pub const fn default_open_files(self) -> u64 {
        1024
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn the_last_drop_in_by_name_wins_wherever_it_lies() {
        let files = Memory::new()
            .file(
                "/usr/lib/systemd/system/apache2.service",
                "[Unit]\nTasksMax=1\n[Service]\nTasksMax=100\nLimitNOFILE=10\n",
            )
            .file("/etc/systemd/system/apache2.service.d/10-a.conf", "[Service]\nTasksMax=200\n")
            .file("/run/systemd/system/apache2.service.d/20-b.conf", "[Service]\nTasksMax=300\n")
            .file("/usr/lib/systemd/system/apache2.service.d/ignored.txt", "[Service]\nTasksMax=400\n");
        let settings = Settings::of_unit(&files, "apache2");
        assert_eq!(settings.amount("TasksMax", None).unwrap().value, 300);
        assert_eq!(settings.limit("LimitNOFILE").unwrap().value, 10);
    }

    #[test]
    fn a_drop_in_hides_one_of_the_same_name() {
        let files = Memory::new()
            .file("/usr/lib/systemd/system/apache2.service.d/50-x.conf", "[Service]\nTasksMax=100\n")
            .file("/etc/systemd/system/apache2.service.d/50-x.conf", "[Service]\nLimitNOFILE=5:7\n")
            .file("/etc/systemd/system.control/apache2.service.d/50-y.conf", "[Service]\nMemoryMax=1G\n")
            .file("/etc/systemd/system/service.d/50-x.conf", "[Service]\nTasksMax=1\n")
            .file("/etc/systemd/system/service.d/10-all.conf", "[Service]\nMemoryHigh=12.5%\n");
        let settings = Settings::of_unit(&files, "apache2");
        assert_eq!(settings.get("TasksMax"), None);
        assert_eq!(settings.limit("LimitNOFILE").unwrap().value, 5);
        assert_eq!(settings.hard_limit("LimitNOFILE").unwrap().value, 7);
        assert_eq!(settings.amount("MemoryMax", None).unwrap().value, 1 << 30);
        assert_eq!(settings.amount("MemoryHigh", Some(800)).unwrap().value, 100);
        assert_eq!(settings.amount("MemoryHigh", None), None, "a share of what is not known");
    }

    #[test]
    fn an_instance_takes_its_templates_file_and_drop_ins() {
        let files = Memory::new()
            .file("/lib/systemd/system/apache2@.service", "[Service]\nTasksMax=7\nLimitNOFILE=9\n")
            .file("/etc/systemd/system/apache2@.service.d/a.conf", "[Service]\nTasksMax=8\n")
            .file("/etc/systemd/system/apache2@shop.service.d/b.conf", "[Service]\nLimitNOFILE=infinity\n");
        let settings = Settings::of_unit(&files, "apache2@shop");
        assert_eq!(settings.amount("TasksMax", None).unwrap().value, 8);
        assert_eq!(settings.limit("LimitNOFILE").unwrap().value, u64::MAX);
    }

    #[test]
    fn an_empty_assignment_takes_the_value_back_and_comments_are_skipped() {
        let files = Memory::new()
            .file(
                "/etc/systemd/system/httpd.service",
                "[Service]\nTasksMax=5\nTasksMax=\n#LimitNOFILE=3\n;LimitNOFILE=4\n",
            )
            .file("/etc/systemd/system.conf", "[Manager]\n#DefaultTasksMax=15%\n")
            .file("/etc/systemd/system.conf.d/x.conf", "[Manager]\nDefaultTasksMax = 40 \\\n\n");
        let unit = Settings::of_unit(&files, "httpd");
        assert_eq!((unit.get("TasksMax"), unit.get("LimitNOFILE")), (None, None));
        assert_eq!(Settings::of_manager(&files).amount("DefaultTasksMax", None).unwrap().value, 40);
    }

    #[test]
    fn absurd_amounts_are_no_amounts() {
        for text in
            ["-1", "abc", "5X", "1.234%", "%", "99999999999999999999", "18446744073709551615K", "1.5G"]
        {
            assert_eq!(amount(text, Some(1000)), None, "{text}");
        }
        for (text, want) in
            [("15%", 150), ("0.5%", 5), ("100%", 1000), ("250%", 2500), ("infinity", u64::MAX), ("2K", 2048)]
        {
            assert_eq!(amount(text, Some(1000)), Some(want), "{text}");
        }
    }

    #[test]
    fn the_version_is_read_from_the_private_library() {
        let files = Memory::new().file("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", "");
        assert_eq!(version(&files).unwrap().value, 252);
        let files = Memory::new()
            .file("/usr/lib/systemd/libsystemd-shared-239.so", "")
            .file("/usr/lib/systemd/systemd", "");
        assert_eq!(version(&files).unwrap().value, 239);
        let files = Memory::new().file("/usr/lib/systemd/libsystemd-shared-257.9-1.fc43.so", "");
        assert_eq!(version(&files).unwrap().value, 257);
        assert_eq!(version(&Memory::new()), None);
    }

    #[test]
    fn defaults_are_told_only_where_they_are_known() {
        for (os, version, want) in [
            ("debian", 252, Some(Some(15))),
            ("rocky", 252, Some(Some(80))),
            ("rhel", 239, Some(Some(80))),
            ("centos", 219, Some(None)),
            ("rhel", 257, None),
            ("amzn", 252, None),
            ("debian", 229, None),
        ] {
            assert_eq!(Build::of(os).default_tasks_percent(version), want, "{os} {version}");
        }
    }
}
