//! The texts of `/proc` and `/sys`, read into numbers.
//!
//! Every function here takes the bytes of one file. `None` means that the file does not hold what was looked
//! for; a number that does not fit its type counts as not held, so that an absurd file never becomes a limit.
//!
//! Source: `proc(5)`, `cgroups(7)` and the kernel's `Documentation/admin-guide/cgroup-v2.rst`.

/// Returns the one whole number that a file of `/proc/sys` holds.
pub fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// Returns a limit of a control group: a number, or `u64::MAX` for `max`.
///
/// The first version of control groups says "no limit" with `-1` or with the largest multiple of the page size
/// below 2⁶³; whatever is at least 2⁶² is that, on every page size.
pub fn group_limit(text: &[u8]) -> Option<u64> {
    match text.trim_ascii() {
        b"max" | b"-1" => Some(u64::MAX),
        text => number(text).map(|limit| if limit >= 1 << 62 { u64::MAX } else { limit }),
    }
}

/// Returns the processor quota of `cpu.max` (`200000 100000`) in thousandths of one processor.
pub fn cpu_max(text: &[u8]) -> Option<u64> {
    let mut words = words(text);
    let (quota, period) = (words.next()?, words.next()?);
    if quota == b"max" { Some(u64::MAX) } else { thousandths(number(quota)?, number(period)?) }
}

/// Returns the processor quota of `cpu.cfs_quota_us` and `cpu.cfs_period_us` in thousandths of one processor.
pub fn cfs_quota(quota: &[u8], period: &[u8]) -> Option<u64> {
    if quota.trim_ascii().starts_with(b"-") {
        return Some(u64::MAX);
    }
    thousandths(number(quota)?, number(period)?)
}

fn thousandths(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period)
}

/// Returns how many processors a list such as `0-3,5` names; a list that runs backwards names none.
pub fn cpu_list(text: &[u8]) -> Option<u64> {
    let mut count: u64 = 0;
    for range in text.trim_ascii().split(|byte| *byte == b',') {
        let mut ends = range.splitn(2, |byte| *byte == b'-');
        let first = number(ends.next()?)?;
        let last = ends.next().map_or(Some(first), number)?;
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// Returns the bytes of a line such as `MemTotal:       16333776 kB`.
pub fn kib_field(text: &[u8], name: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let rest = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?.trim_ascii();
        number(rest.strip_suffix(b"kB")?)?.checked_mul(1024)
    })
}

/// The control groups of one process, as paths below the mount of each hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// The group in the one hierarchy of version 2.
    pub unified: Option<String>,
    /// Controller and group in the hierarchies of version 1: `("memory", "/system.slice")`.
    pub legacy: Vec<(String, String)>,
}

impl Groups {
    /// Returns the group in the version 1 hierarchy that has `controller`.
    pub fn legacy(&self, controller: &str) -> Option<&str> {
        self.legacy.iter().find(|(name, _)| name == controller).map(|(_, path)| path.as_str())
    }
}

/// Returns the control groups in `/proc/PID/cgroup`.
pub fn groups(text: &[u8]) -> Groups {
    let mut groups = Groups::default();
    for line in lines(text) {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let path = String::from_utf8_lossy(path).into_owned();
        if controllers.is_empty() {
            groups.unified = Some(path);
            continue;
        }
        for controller in controllers.split(|byte| *byte == b',') {
            groups.legacy.push((String::from_utf8_lossy(controller).into_owned(), path.clone()));
        }
    }
    groups
}

/// Returns where `/proc/PID/mountinfo` says a hierarchy of control groups is mounted: version 2 without a
/// controller, else the version 1 hierarchy that has it.
pub fn group_mount(text: &[u8], controller: Option<&str>) -> Option<String> {
    lines(text).find_map(|line| {
        // 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
        let mut fields = words(line);
        let mount = fields.nth(4)?;
        fields.find(|field| *field == b"-")?;
        let kind = fields.next()?;
        let options = fields.nth(1)?;
        let found = match controller {
            None => kind == b"cgroup2",
            Some(name) => {
                kind == b"cgroup"
                    && options.split(|byte| *byte == b',').any(|option| option == name.as_bytes())
            }
        };
        found.then(|| String::from_utf8_lossy(mount).into_owned())
    })
}

/// Returns the soft limit of a line of `/proc/PID/limits`, such as `Max open files`; `u64::MAX` is unlimited.
pub fn soft_limit(text: &[u8], name: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let soft = words(line.strip_prefix(name.as_bytes())?).next()?;
        if soft == b"unlimited" { Some(u64::MAX) } else { number(soft) }
    })
}

/// What `/proc/PID/stat` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The parent's process id.
    pub parent: u32,
    /// Threads of the process.
    pub threads: u64,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Processor time of its own, in clock ticks.
    pub ticks: u64,
    /// Processor time of the children it has waited for, in clock ticks.
    pub ticks_of_children: u64,
}

/// Clock ticks in a second, as the kernel shows them to programs: `USER_HZ`, 100 on every architecture this
/// program is built for.
pub const TICKS: u64 = 100;

/// Returns the second since the epoch at which the machine started, from `/proc/stat`.
pub fn boot_time(text: &[u8]) -> Option<u64> {
    lines(text).find_map(|line| number(line.strip_prefix(b"btime ")?))
}

/// Reads `/proc/PID/stat`. The command's name may hold blanks and brackets, so counting starts after the last
/// bracket.
pub fn stat(text: &[u8]) -> Option<Stat> {
    let after = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = words(text.get(after..)?);
    let parent = u32::try_from(number(fields.nth(1)?)?).ok()?;
    // Behind the parent come six fields about groups and terminals and four about page faults.
    let user = number(fields.nth(9)?)?;
    let mut next = || number(fields.next()?);
    let (system, user_of_children, system_of_children) = (next()?, next()?, next()?);
    let threads = number(fields.nth(2)?)?;
    let started = number(fields.nth(1)?)?;
    Some(Stat {
        parent,
        threads,
        started,
        ticks: user.saturating_add(system),
        ticks_of_children: user_of_children.saturating_add(system_of_children),
    })
}

/// Returns the seconds since the machine started, from `/proc/uptime`: `8211.42 15120.00`.
pub fn uptime(text: &[u8]) -> Option<u64> {
    number(text.split(|byte| *byte == b'.').next()?)
}

/// What one process holds in memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Resident: every page it maps, shared or not.
    pub rss: u64,
    /// Proportional: a page shared by n processes counts as 1/n.
    pub pss: u64,
    /// Private: pages that nobody else maps.
    pub private: u64,
}

/// Reads `/proc/PID/smaps_rollup`.
pub fn rollup(text: &[u8]) -> Option<Held> {
    Some(Held {
        rss: kib_field(text, "Rss")?,
        pss: kib_field(text, "Pss")?,
        private: kib_field(text, "Private_Clean")?.checked_add(kib_field(text, "Private_Dirty")?)?,
    })
}

/// Returns a value of one of the kernel's tables that have a line of names and, with the same beginning, one of values:
/// `/proc/net/netstat`.
pub fn table_value(text: &[u8], table: &str, name: &str) -> Option<u64> {
    let mut rows = lines(text).filter_map(|line| line.strip_prefix(table.as_bytes()));
    let at = words(rows.next()?).position(|word| word == name.as_bytes())?;
    number(words(rows.next()?).nth(at)?)
}

/// Returns the lines of a text without their line feeds.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// Returns the words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_alone() {
        for (text, want) in [
            ("4096\n", Some(4096)),
            ("  7 ", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("+1", None),
            ("1 2", None),
            ("", None),
            ("\n", None),
            ("many", None),
        ] {
            assert_eq!(number(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn no_limit_has_several_spellings() {
        for (text, want) in [
            ("max\n", Some(u64::MAX)),
            ("9223372036854771712\n", Some(u64::MAX)), // pages of 4 KiB
            ("9223372036854710272\n", Some(u64::MAX)), // pages of 64 KiB
            ("-1\n", Some(u64::MAX)),
            ("536870912\n", Some(512 << 20)),
            ("0\n", Some(0)),
            ("", None),
            ("maximum", None),
        ] {
            assert_eq!(group_limit(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn a_processor_quota_is_a_share_of_its_period() {
        for (text, want) in [
            ("max 100000\n", Some(u64::MAX)),
            ("200000 100000\n", Some(2000)),
            ("50000 100000\n", Some(500)),
            ("50000 0\n", None),
            ("50000\n", None),
            ("18446744073709551615 1\n", None),
        ] {
            assert_eq!(cpu_max(text.as_bytes()), want, "{text:?}");
        }
        assert_eq!(cfs_quota(b"-1\n", b"100000\n"), Some(u64::MAX));
        assert_eq!(cfs_quota(b"150000\n", b"100000\n"), Some(1500));
    }

    #[test]
    fn processors_are_counted_from_ranges() {
        for (text, want) in [
            ("0\n", Some(1)),
            ("0-3\n", Some(4)),
            ("0-1,4-5,7\n", Some(5)),
            ("\n", None),
            ("3-1\n", None),
            ("0-18446744073709551615\n", None),
            ("0-\n", None),
        ] {
            assert_eq!(cpu_list(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn a_field_in_kib_is_found_by_its_whole_name() {
        let text = b"MemTotalHuge: 1 kB\nMemTotal:       24683420 kB\nMemFree:  77 kB\nOdd: 3\n";
        assert_eq!(kib_field(text, "MemTotal"), Some(24_683_420 * 1024));
        assert_eq!(kib_field(text, "MemFree"), Some(77 * 1024));
        assert_eq!(kib_field(text, "Odd"), None, "no unit, no amount");
        assert_eq!(kib_field(text, "Mem"), None);
        assert_eq!(kib_field(b"MemTotal: 18446744073709551615 kB", "MemTotal"), None, "does not fit");
    }

    #[test]
    fn the_groups_of_both_versions_are_told_apart() {
        let hybrid =
            groups(b"4:memory:/system.slice/apache2.service\n2:cpu,cpuacct:/a:b\n1:name=systemd:/x\n0::/u\n");
        assert_eq!(hybrid.legacy("memory"), Some("/system.slice/apache2.service"));
        assert_eq!(hybrid.legacy("cpuacct"), Some("/a:b"), "a colon may be in the path");
        assert_eq!(hybrid.legacy("pids"), None);
        assert_eq!(hybrid.unified.as_deref(), Some("/u"));
        assert_eq!(groups(b"garbage\n"), Groups::default());
    }

    #[test]
    fn the_mount_of_a_hierarchy_is_found_by_its_controller() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /cg/cpu rw,relatime shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
            41 31 0:38 / /cg/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(group_mount(text, Some("cpuacct")).as_deref(), Some("/cg/cpu"));
        assert_eq!(group_mount(text, Some("memory")), None);
        assert_eq!(group_mount(text, None).as_deref(), Some("/cg/unified"));
    }

    #[test]
    fn the_soft_limit_is_the_first_column() {
        let text = b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             96365                96365                processes \n\
            Max open files            8192                 524288               files     \n\
            Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(soft_limit(text, "Max open files"), Some(8192));
        assert_eq!(soft_limit(text, "Max locked memory"), Some(u64::MAX));
        assert_eq!(soft_limit(text, "Max stack size"), None);
    }

    #[test]
    fn a_process_is_read_past_a_name_with_brackets() {
        let text = b"812 (a) b (c)) S 1 812 812 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 27 0 133387 2998272 413\n";
        assert_eq!(
            stat(text),
            Some(Stat { parent: 1, threads: 27, started: 133_387, ticks: 7, ticks_of_children: 0 })
        );
        assert_eq!(stat(b"812 (cut off"), None);
        assert_eq!(stat(b"812 (x) S 1 2"), None);
    }

    #[test]
    fn private_memory_is_clean_and_dirty_together() {
        let text =
            b"5500-7ffc ---p 00000000 00:00 0    [rollup]\nRss:  1772 kB\nPss:   309 kB\nPss_Anon:  112 kB\n\
            Shared_Clean: 1620 kB\nPrivate_Clean:  40 kB\nPrivate_Dirty: 112 kB\n";
        assert_eq!(rollup(text), Some(Held { rss: 1772 << 10, pss: 309 << 10, private: 152 << 10 }));
        assert_eq!(rollup(b""), None, "a kernel thread has none");
    }
}
