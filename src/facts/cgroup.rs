//! The limits of the control groups above a service: the tightest of all ancestors counts.
//!
//! Works for version 2, version 1, both at once (hybrid), and inside containers, where the path in
//! `/proc/PID/cgroup` may be one that only the outer host can see: then the group at the mount's own root is
//! the container's.
//!
//! Source: `cgroups(7)`, the kernel's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Known;
use super::parse::{self, Groups};
use crate::tree::Files;

/// Where all systems mount control groups.
const ROOT: &str = "/sys/fs/cgroup";

/// The control groups of one service.
pub struct Service<'a> {
    files: &'a dyn Files,
    groups: Groups,
    mountinfo: PathBuf,
    /// Its content once it was asked for: the kernel writes it anew for each reader.
    mounts: OnceCell<Option<Arc<[u8]>>>,
    /// The mount of version 2, where it has been found; controllers of version 1 are looked up by name.
    unified: Option<PathBuf>,
}

impl<'a> Service<'a> {
    /// Returns the groups of the process `of` (a process id or `self`); `None` where they cannot be read.
    ///
    /// `path` replaces the process's own path: that of a unit which does not run yet.
    pub fn of(files: &'a dyn Files, of: &str, path: Option<&str>) -> Option<Self> {
        let home = Path::new("/proc").join(of);
        let mut groups = parse::groups(&files.read(&home.join("cgroup")).ok()?);
        if let Some(path) = path {
            for (_, legacy) in &mut groups.legacy {
                path.clone_into(legacy);
            }
            groups.unified = groups.unified.map(|_| path.to_owned());
        }
        let mountinfo = home.join("mountinfo");
        let mounts = OnceCell::new();
        let unified = groups.unified.as_ref().and_then(|_| {
            if files.is_file(&Path::new(ROOT).join("cgroup.controllers")) {
                return Some(PathBuf::from(ROOT));
            }
            parse::group_mount(mounts.get_or_init(|| files.read(&mountinfo).ok()).as_ref()?, None)
                .map(PathBuf::from)
        });
        Some(Self { files, groups, mountinfo, mounts, unified })
    }

    /// Returns the least memory, in bytes, that any group above the service may use.
    pub fn memory(&self) -> Option<Known<u64>> {
        self.tightest("memory", |dir, version| match version {
            Version::Two => {
                let max = self.limit(&dir.join("memory.max"));
                // Above `memory.high` the kernel slows the group's processes down to keep it there.
                least(max, self.limit(&dir.join("memory.high")))
            }
            Version::One { leaf } => {
                if !leaf
                    && self
                        .read(&dir.join("memory.use_hierarchy"))
                        .is_some_and(|flag| flag.trim_ascii() == b"0")
                {
                    return None;
                }
                self.limit(&dir.join("memory.limit_in_bytes"))
            }
        })
    }

    /// Returns the fewest tasks that any group above the service may have.
    pub fn tasks(&self) -> Option<Known<u64>> {
        self.tightest("pids", |dir, _| self.limit(&dir.join("pids.max")))
    }

    /// Returns the least processor time of any group above the service, in thousandths of one processor.
    pub fn cpu(&self) -> Option<Known<u64>> {
        self.tightest("cpu", |dir, version| match version {
            Version::Two => {
                let path = dir.join("cpu.max");
                let value = parse::cpu_max(&self.read(&path)?)?;
                Some(Known { value, source: path.to_string_lossy().into_owned() })
            }
            Version::One { .. } => {
                let path = dir.join("cpu.cfs_quota_us");
                let value =
                    parse::cfs_quota(&self.read(&path)?, &self.read(&dir.join("cpu.cfs_period_us"))?)?;
                Some(Known { value, source: path.to_string_lossy().into_owned() })
            }
        })
    }

    /// Walks from the service's group to the mount's root and returns the least value met.
    fn tightest(
        &self,
        controller: &str,
        value: impl Fn(&Path, Version) -> Option<Known<u64>>,
    ) -> Option<Known<u64>> {
        let (mount, path, legacy) = match self.groups.legacy(controller) {
            Some(path) => (self.legacy_mount(controller)?, path, true),
            None => (self.unified.clone()?, self.groups.unified.as_deref()?, false),
        };
        let mut found = None;
        let own = crate::tree::lexical(Path::new(path));
        for (depth, group) in own.ancestors().enumerate() {
            let dir = mount.join(group.strip_prefix("/").unwrap_or(group));
            let version = if legacy { Version::One { leaf: depth == 0 } } else { Version::Two };
            found = least(found, value(&dir, version));
        }
        found
    }

    fn legacy_mount(&self, controller: &str) -> Option<PathBuf> {
        let usual = Path::new(ROOT).join(controller);
        if self.files.is_dir(&usual) {
            return Some(usual);
        }
        let mounts = self.mounts.get_or_init(|| self.read(&self.mountinfo)).as_ref()?;
        parse::group_mount(mounts, Some(controller)).map(PathBuf::from)
    }

    fn limit(&self, path: &Path) -> Option<Known<u64>> {
        let value = parse::group_limit(&self.read(path)?)?;
        Some(Known { value, source: path.to_string_lossy().into_owned() })
    }

    fn read(&self, path: &Path) -> Option<Arc<[u8]>> {
        self.files.read(path).ok()
    }
}

/// The version of a hierarchy.
#[derive(Clone, Copy)]
enum Version {
    /// One hierarchy; a limit always counts for all groups below.
    Two,
    /// One hierarchy a controller; a limit of an ancestor counts where the group says that it inherits.
    One {
        /// Whether the group at hand is the service's own.
        leaf: bool,
    },
}

/// Returns the lesser of two values; of equals the first, which is nearer to the service.
pub(super) fn least(one: Option<Known<u64>>, other: Option<Known<u64>>) -> Option<Known<u64>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.value < one.value { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// Returns the group that systemd gives a unit: `/system.slice/apache2.service`, an instance
/// `/system.slice/system-apache2.slice/apache2@a.service`, with `slice` that of its `Slice=`.
pub fn unit_group(unit: &str, slice: Option<&str>) -> String {
    let mut path = String::new();
    match (slice, unit.split_once('@')) {
        (Some(slice), _) => push_slice(&mut path, slice.strip_suffix(".slice").unwrap_or(slice)),
        (None, None) => path.push_str("/system.slice"),
        (None, Some((template, _))) => {
            path.push_str("/system.slice/system-");
            // A dash in a slice's name would be a level of its own, so systemd escapes the template's.
            path.push_str(&template.replace('-', "\\x2d"));
            path.push_str(".slice");
        }
    }
    path.push('/');
    path.push_str(unit);
    path.push_str(".service");
    path
}

/// Appends `/a.slice/a-b.slice` for `a-b`; `-` is the root slice.
fn push_slice(path: &mut String, slice: &str) {
    if slice == "-" {
        return;
    }
    for (end, _) in slice.match_indices('-').chain(std::iter::once((slice.len(), ""))) {
        path.push('/');
        path.push_str(&slice[..end]);
        path.push_str(".slice");
    }
}
