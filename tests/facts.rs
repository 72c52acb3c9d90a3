//! Facts are read from trees of `/proc`, `/sys` and unit files, as hosts and containers show them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use apache_tuning::distro::{LAYOUTS, Layout, Site};
use apache_tuning::facts::gather::{machine, machine_of};
use apache_tuning::facts::process::{measure, running};
use apache_tuning::facts::{Identity, Known, Machine, Running};
use apache_tuning::httpd::Mpm;
use apache_tuning::params::Facts;
use apache_tuning::tree::Memory;
use apache_tuning::units::Bytes;

/// Debian's server: its start script lowers the limit of open files.
fn debian() -> Site {
    let layout = LAYOUTS.iter().find(|layout| layout.name == "debian").unwrap();
    site(layout, "debian")
}

/// A family without a start script of its own, on one of its distributions.
fn redhat_on(distribution: &str) -> Site {
    let layout = LAYOUTS.iter().find(|layout| layout.name == "redhat").unwrap();
    site(layout, distribution)
}

fn redhat() -> Site {
    redhat_on("rhel")
}

fn site(layout: &'static Layout, distribution: &str) -> Site {
    Site {
        layout,
        instance: None,
        config_dir: layout.config_dir.into(),
        server_root: layout.server_root.into(),
        main: None,
        distribution: distribution.to_owned(),
        distribution_version: String::new(),
    }
}

/// A machine without control groups, systemd or a running server.
fn bare() -> Memory {
    Memory::new()
        .file("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        123456 kB\n")
        .file("/proc/sys/kernel/threads-max", "128000\n")
        .file("/proc/sys/kernel/pid_max", "32768\n")
        .file("/proc/sys/net/core/somaxconn", "4096\n")
        .file("/sys/devices/system/cpu/online", "0-7\n")
}

/// The same with systemd running it.
fn systemd(version: u32) -> Memory {
    bare()
        .file("/run/systemd/system/.keep", "")
        .file(format!("/usr/lib/systemd/libsystemd-shared-{version}.so"), "")
}

fn read(files: &Memory, site: &Site) -> Machine {
    machine(files, site, &Facts::default(), true)
}

fn value<T: Copy>(known: Option<&Known<T>>) -> Option<T> {
    known.map(|known| known.value)
}

const GIB: u64 = 1 << 30;

#[test]
fn a_bare_machine_tells_its_own_limits_and_nothing_else() {
    let facts = read(&bare(), &redhat());
    assert_eq!(
        facts.memory,
        Some(Known { value: Bytes(16 * GIB), source: "/proc/meminfo: MemTotal".into() })
    );
    assert_eq!(value(facts.cpus.as_ref()), Some(8));
    assert_eq!(value(facts.threads_max.as_ref()), Some(128_000));
    assert_eq!(value(facts.pid_max.as_ref()), Some(32_768));
    let somaxconn = facts.somaxconn.unwrap();
    assert_eq!((somaxconn.value, somaxconn.source.as_str()), (4096, "/proc/sys/net/core/somaxconn"));
    assert_eq!(facts.open_files, None, "no systemd, no script, nothing running: not known");
    assert_eq!(facts.tasks_max, None);
    assert_eq!(facts.selinux_graceful_shutdown, None);
    assert_eq!(facts.cpu_quota, None);
}

#[test]
fn missing_and_absurd_files_become_unknown_facts() {
    assert_eq!(read(&Memory::new(), &redhat()), Machine::default());
    let files = Memory::new()
        .file("/proc/meminfo", "MemTotal: lots\n")
        .file("/proc/sys/kernel/threads-max", "-3\n")
        .file("/proc/sys/kernel/pid_max", "99999999999999999999999\n")
        .file("/proc/sys/net/core/somaxconn", "")
        .file("/sys/devices/system/cpu/online", "7-0\n")
        .file("/sys/fs/selinux/booleans/httpd_graceful_shutdown", "maybe")
        .file("/proc/self/cgroup", "\u{0}\u{1}\n")
        .file("/run/systemd/system/.keep", "")
        .file(
            "/etc/systemd/system/httpd.service",
            "[Service]\nTasksMax=many\nLimitNOFILE=-1\nMemoryMax=plenty\n",
        );
    assert_eq!(read(&files, &redhat()), Machine::default());
}

#[test]
fn given_facts_win_and_say_so() {
    let given = Facts {
        memory_mb: Some(2048),
        somaxconn: Some(1),
        selinux_graceful_shutdown: Some(true),
        ..Facts::default()
    };
    let facts = machine(&bare(), &redhat(), &given, true);
    assert_eq!(facts.memory, Some(Known { value: Bytes(2 * GIB), source: "facts.memory_mb".into() }));
    assert_eq!(facts.somaxconn, Some(Known { value: 1, source: "facts.somaxconn".into() }));
    assert_eq!(value(facts.selinux_graceful_shutdown.as_ref()), Some(true));
    assert_eq!(value(facts.cpus.as_ref()), Some(8), "the rest is read");
}

#[test]
fn another_root_has_only_the_facts_it_is_given() {
    let given = Facts { cpus: Some(2), ..Facts::default() };
    let facts = machine(&systemd(252), &debian(), &given, false);
    let want = Machine { cpus: Some(Known { value: 2, source: "facts.cpus".into() }), ..Machine::default() };
    assert_eq!(facts, want);
}

#[test]
fn the_tightest_ancestor_binds_under_version_2() {
    let running = Running { parent: 812, ..Running::default() };
    let files = bare()
        .file("/proc/812/cgroup", "0::/system.slice/web.slice/httpd.service\n")
        .file("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")
        .file("/sys/fs/cgroup/system.slice/memory.max", "8589934592\n")
        .file("/sys/fs/cgroup/system.slice/web.slice/memory.max", "max\n")
        .file("/sys/fs/cgroup/system.slice/web.slice/memory.high", "4294967296\n")
        .file("/sys/fs/cgroup/system.slice/web.slice/pids.max", "700\n")
        .file("/sys/fs/cgroup/system.slice/web.slice/httpd.service/memory.max", "max\n")
        .file("/sys/fs/cgroup/system.slice/web.slice/httpd.service/pids.max", "4915\n")
        .file("/sys/fs/cgroup/system.slice/web.slice/httpd.service/cpu.max", "250000 100000\n");
    let facts = machine_of(&files, &redhat(), &Facts::default(), true, Some(&running));
    let memory = facts.memory.unwrap();
    assert_eq!(memory.value, Bytes(4 * GIB));
    assert_eq!(memory.source, "/sys/fs/cgroup/system.slice/web.slice/memory.high");
    let tasks = facts.tasks_max.unwrap();
    assert_eq!((tasks.value, tasks.source.as_str()), (700, "/sys/fs/cgroup/system.slice/web.slice/pids.max"));
    assert_eq!(value(facts.cpu_quota.as_ref()), Some(2500));
    assert_eq!(value(facts.cpus.as_ref()), Some(8), "a quota is no number of processors");
}

#[test]
fn the_tightest_ancestor_binds_under_version_1() {
    let running = Running { parent: 812, ..Running::default() };
    let files = bare()
        .file(
            "/proc/812/cgroup",
            "9:pids:/system.slice/httpd.service\n4:memory:/a/b\n2:cpu,cpuacct:/a\n1:name=systemd:/x\n",
        )
        .file("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n")
        .file("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n")
        .file("/sys/fs/cgroup/memory/a/memory.use_hierarchy", "1\n")
        .file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        .file("/sys/fs/cgroup/pids/system.slice/httpd.service/pids.max", "614\n")
        .file("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n")
        .file("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
        .link("/sys/fs/cgroup/cpu", "cpu,cpuacct");
    let facts = machine_of(&files, &redhat(), &Facts::default(), true, Some(&running));
    let memory = facts.memory.unwrap();
    assert_eq!(
        (memory.value, memory.source.as_str()),
        (Bytes(GIB), "/sys/fs/cgroup/memory/a/memory.limit_in_bytes")
    );
    assert_eq!(value(facts.tasks_max.as_ref()), Some(614));
    assert_eq!(value(facts.cpu_quota.as_ref()), Some(1500));

    let apart = files.file("/sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n");
    let facts = machine_of(&apart, &redhat(), &Facts::default(), true, Some(&running));
    assert_eq!(
        value(facts.memory.as_ref()),
        Some(Bytes(16 * GIB)),
        "a group that does not hand its limit down"
    );
}

#[test]
fn a_hybrid_host_is_read_where_its_controllers_are() {
    let running = Running { parent: 812, ..Running::default() };
    let files = bare()
        .file("/proc/812/cgroup", "4:memory:/web\n0::/web\n")
        .file(
            "/proc/812/mountinfo",
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            35 31 0:32 / /cg/mem rw - cgroup cgroup rw,memory\n",
        )
        .file("/cg/mem/web/memory.limit_in_bytes", "536870912\n")
        .file("/sys/fs/cgroup/unified/web/pids.max", "99\n");
    let facts = machine_of(&files, &redhat(), &Facts::default(), true, Some(&running));
    assert_eq!(value(facts.memory.as_ref()), Some(Bytes(GIB / 2)), "found by mountinfo");
    assert_eq!(value(facts.tasks_max.as_ref()), Some(99));
}

#[test]
fn in_a_container_the_mounts_own_root_is_the_limit() {
    for (groups, file) in [
        // Its own name space: the path is the root. Else the path is one of the outer host's.
        ("0::/\n", "/sys/fs/cgroup/memory.max"),
        ("0::/system.slice/docker-4711.scope\n", "/sys/fs/cgroup/memory.max"),
        ("0::/../other\n", "/sys/fs/cgroup/memory.max"),
        ("4:memory:/docker/4711\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ] {
        let files = bare()
            .file("/proc/self/cgroup", groups)
            .file("/sys/fs/cgroup/cgroup.controllers", "memory pids\n")
            .file(file, "268435456\n");
        let memory = read(&files, &redhat()).memory.unwrap();
        assert_eq!((memory.value, memory.source.as_str()), (Bytes(256 << 20), file), "{groups}");
    }
}

#[test]
fn a_group_larger_than_the_machine_does_not_bind() {
    let files = bare()
        .file("/proc/self/cgroup", "0::/\n")
        .file("/sys/fs/cgroup/cgroup.controllers", "memory\n")
        .file("/sys/fs/cgroup/memory.max", "1099511627776\n");
    assert_eq!(read(&files, &redhat()).memory.unwrap().source, "/proc/meminfo: MemTotal");
}

#[test]
fn a_stopped_service_is_judged_by_the_group_it_will_get() {
    let files = systemd(252)
        .file("/proc/self/cgroup", "0::/user.slice/session-1.scope\n")
        .file("/sys/fs/cgroup/cgroup.controllers", "memory pids\n")
        .file("/sys/fs/cgroup/user.slice/memory.max", "1048576\n")
        .file("/sys/fs/cgroup/system.slice/memory.max", "2147483648\n")
        .file("/etc/systemd/system/apache2.service.d/mem.conf", "[Service]\nMemoryMax=10%\nTasksMax=600\n");
    let facts = read(&files, &debian());
    let memory = facts.memory.unwrap();
    assert_eq!(memory.value, Bytes(16 * GIB / 10));
    assert_eq!(memory.source, "/etc/systemd/system/apache2.service.d/mem.conf: MemoryMax=10%");
    assert_eq!(value(facts.tasks_max.as_ref()), Some(600));

    let files = files
        .file("/etc/systemd/system/apache2.service.d/mem.conf", "[Service]\nSlice=web-shop.slice\n")
        .file("/sys/fs/cgroup/web.slice/web-shop.slice/memory.max", "1073741824\n");
    assert_eq!(value(read(&files, &debian()).memory.as_ref()), Some(Bytes(GIB)));
}

#[test]
fn systemds_own_defaults_are_used_only_where_known() {
    // 15 % or 80 % of the lesser of pid_max (32768) and threads-max (128000).
    for (version, os, tasks, files) in [
        (252, "debian", Some(4915), Some(1024)),
        (252, "rocky", Some(26_214), Some(1024)),
        (239, "rhel", Some(26_214), Some(1024)),
        (219, "centos", Some(u64::MAX), Some(1024)),
        (252, "amzn", None, Some(1024)),
    ] {
        let facts = read(&systemd(version), &redhat_on(os));
        assert_eq!(value(facts.tasks_max.as_ref()), tasks, "{os} {version}");
        assert_eq!(value(facts.open_files.as_ref()), files, "{os} {version}");
    }
    let said = systemd(252)
        .file("/etc/systemd/system.conf", "[Manager]\nDefaultTasksMax=50%\nDefaultLimitNOFILE=4096:8192\n");
    let facts = read(&said, &redhat_on("amzn"));
    assert_eq!(value(facts.tasks_max.as_ref()), Some(16_384));
    assert_eq!(value(facts.open_files.as_ref()), Some(4096));
}

#[test]
fn debians_start_script_decides_how_many_files_are_open() {
    let dropin = "/etc/systemd/system/apache2.service.d/files.conf";
    let envvars = "/etc/apache2/envvars";
    let tree = |unit: &str, vars: &str| systemd(252).file(dropin, unit).file(envvars, vars);
    let raised = "[Service]\nLimitNOFILE=65536\n";
    for (unit, vars, want, source) in [
        ("", "#APACHE_ULIMIT_MAX_FILES='ulimit -n 65536'\n", 8192, "apache2ctl"),
        (raised, "", 8192, "apache2ctl"),
        (raised, "APACHE_ULIMIT_MAX_FILES='ulimit -n 20000'\n", 20_000, envvars),
        (raised, "APACHE_ULIMIT_MAX_FILES=''\n", 8192, "apache2ctl"),
        (raised, "export APACHE_ULIMIT_MAX_FILES=true\n", 65_536, dropin),
        (
            raised,
            "APACHE_ULIMIT_MAX_FILES=\"ulimit -n 1\"\nAPACHE_ULIMIT_MAX_FILES=\"ulimit -n unlimited\"\n",
            65_536,
            dropin,
        ),
        ("[Service]\nLimitNOFILE=4000\n", "", 4000, dropin),
    ] {
        let facts = read(&tree(unit, vars), &debian());
        let files = facts.open_files.unwrap();
        assert_eq!(files.value, want, "{unit:?} {vars:?}");
        assert!(files.source.starts_with(source), "{unit:?} {vars:?}: {}", files.source);
        assert_eq!(facts.unit_open_files.is_some(), !unit.is_empty());
    }
}

const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
    Max processes             63000                63000                processes\n\
    Max open files            2048                 4096                 files\n";

/// A running server: parent 812 with the children 813 and 814, a helper 815, and an unrelated process 900.
fn serving(binary: &str) -> Memory {
    let stat = |pid: u32, parent: u32, threads: u32, ticks: u64| {
        format!(
            "{pid} (apache2 (x)) S {parent} 812 812 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 {threads} 0 {ticks} 299 4\n"
        )
    };
    let map = |module: &str| format!("7f0-7f1 r-xp 0000 08:01 77   /usr/lib/apache2/modules/{module}\n");
    bare()
        .file("/proc/sys/kernel/random/boot_id", "b0-07\n")
        .file("/proc/812/stat", stat(812, 1, 1, 13_387))
        .file("/proc/812/maps", map("mod_alias.so") + &map("mod_mpm_event.so"))
        .file("/proc/812/limits", LIMITS)
        .file("/proc/812/status", "Name:\tapache2\nUid:\t0\t0\t0\t0\n")
        .link("/proc/812/fd/3", "socket:[1]")
        .file("/proc/812/cgroup", "0::/\n")
        .file("/proc/813/stat", stat(813, 812, 27, 13_400))
        .file("/proc/814/stat", stat(814, 812, 27, 13_400))
        .file("/proc/815/stat", stat(815, 812, 2, 13_400))
        .file("/proc/900/stat", stat(900, 1, 1, 5))
        .link("/proc/812/exe", binary)
        .link("/proc/813/exe", binary)
        .link("/proc/814/exe", binary)
        .link("/proc/815/exe", "/usr/bin/rotatelogs")
        .link("/proc/900/exe", "/usr/sbin/sshd")
}

#[test]
fn the_running_parent_is_found_by_its_pid_file_or_by_search() {
    let want = Running {
        parent: 812,
        mpm: Some(Mpm::Event),
        identity: Some(Identity { boot: "b0-07".to_owned(), pid: 812, ticks: 13_387 }),
        foreground: false,
    };
    for (binary, pid_file) in [
        ("/usr/sbin/apache2", "812\n"),
        ("/usr/sbin/apache2 (deleted)", "812\n"),
        ("/usr/sbin/apache2", ""),
        ("/usr/sbin/apache2", "900\n"),     // stale: another process's by now
        ("/usr/sbin/apache2", "813\n"),     // stale: a child's by now
        ("/usr/sbin/apache2", "4000000\n"), // stale: nobody's
        ("/usr/sbin/apache2", "../812\n"),
    ] {
        let files = serving(binary).file("/run/apache2/apache2.pid", pid_file);
        assert_eq!(running(&files, &debian()), Some(want.clone()), "{binary} {pid_file:?}");
    }
    assert_eq!(running(&bare(), &debian()), None);
    // An upgrade replaced the module under the server; a folder of a like name is none.
    let maps = "7f0-7f1 r--p 0 08:01 7 /srv/mod_mpm_worker/a.so\n7f2-7f3 r-xp 0 08:01 7 /m/mod_mpm_event.so (deleted)\n";
    let files =
        serving("/usr/sbin/apache2").file("/proc/812/maps", maps).file("/run/apache2/apache2.pid", "812");
    assert_eq!(running(&files, &debian()), Some(want));
}

#[test]
fn a_binary_behind_a_link_or_named_after_its_mpm_is_the_server() {
    let merged = serving("/usr/bin/httpd").file("/usr/bin/httpd", "").link("/usr/sbin", "bin");
    assert_eq!(running(&merged, &redhat()).unwrap().parent, 812);
    let suse = serving("/usr/sbin/httpd-worker").file("/proc/812/maps", "");
    assert_eq!(running(&suse, &redhat()).unwrap().mpm, Some(Mpm::Worker));
    assert_eq!(running(&serving("/usr/sbin/httpd-exporter"), &redhat()), None);
    assert_eq!(running(&serving("/opt/other/httpd"), &redhat()), None);
}

#[test]
fn servers_of_containers_other_roots_and_other_configurations_are_not_ours() {
    let binary = "/usr/sbin/apache2";
    let container = serving(binary).link("/proc/self/ns/pid", "pid:[1]").link("/proc/812/ns/pid", "pid:[2]");
    assert_eq!(running(&container, &debian()), None);
    let chroot = serving(binary).link("/proc/812/root", "/srv/image");
    assert_eq!(running(&chroot, &debian()), None);
    for (cmdline, ours) in [
        ("/usr/sbin/apache2\0-k\0start\0", true),
        ("/usr/sbin/apache2\0-d\0/etc/apache2\0-k\0start\0", true),
        ("/usr/sbin/apache2\0-d\0/etc/apache2-shop\0", false),
        ("/usr/sbin/apache2\0-f/tmp/test.conf\0", false),
        ("/usr/sbin/apache2\0-f\0apache2.conf\0", true),
        ("/usr/sbin/apache2\0-f\0conf/blue.conf\0", false),
    ] {
        let files = serving(binary).file("/proc/812/cmdline", cmdline);
        assert_eq!(running(&files, &debian()).is_some(), ours, "{cmdline:?}");
    }
}

#[test]
fn a_running_servers_own_limits_count_until_the_unit_says_otherwise() {
    let files = serving("/usr/sbin/httpd")
        .file("/sys/fs/cgroup/cgroup.controllers", "")
        .file("/sys/fs/cgroup/pids.max", "max\n");
    let facts = read(&files, &redhat());
    let open = facts.open_files.unwrap();
    assert_eq!((open.value, open.source.as_str()), (2048, "/proc/812/limits: Max open files"));
    let tasks = facts.tasks_max.unwrap();
    assert_eq!((tasks.value, tasks.source.as_str()), (63_000, "/proc/812/limits: Max processes"));

    let files = files
        .file("/run/systemd/system/.keep", "")
        .file("/etc/systemd/system/httpd.service.d/x.conf", "[Service]\nLimitNOFILE=9999\nTasksMax=500\n");
    let facts = read(&files, &redhat());
    assert_eq!((value(facts.open_files.as_ref()), value(facts.tasks_max.as_ref())), (Some(9999), Some(500)));
}

#[test]
fn selinux_tells_the_value_in_force() {
    for (text, want) in [("1 1", Some(true)), ("0 1", Some(false)), ("", None)] {
        let files = bare().file("/sys/fs/selinux/booleans/httpd_graceful_shutdown", text);
        assert_eq!(value(read(&files, &redhat()).selinux_graceful_shutdown.as_ref()), want, "{text:?}");
    }
}

fn rollup(rss: u64, pss: u64, private: u64) -> String {
    format!("Rss: {rss} kB\nPss: {pss} kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: {private} kB\n")
}

#[test]
fn memory_is_divided_into_what_is_shared_a_processs_and_a_workers() {
    // Two children of 25 workers: each 2000 kB of its own and 5000 kB in thread areas; 6000 kB shared by all.
    let smaps = "5500-5600 rw-p 00000000 00:00 0    [heap]\nPrivate_Dirty:      1500 kB\n\
        7f00-7f10 rw-p 00000000 00:00 0 \nRss: 9 kB\nPrivate_Clean: 100 kB\nPrivate_Dirty:      4900 kB\n\
        7f10-7f11 ---p 00000000 00:00 0 \nPrivate_Dirty:  0 kB\n\
        7f20-7f30 rw-p 00003000 08:01 77   /usr/lib/libc.so.6\nPrivate_Dirty:       500 kB\nVmFlags: rd wr\n";
    let files = serving("/usr/sbin/apache2")
        .file("/proc/812/smaps_rollup", rollup(7000, 2000, 0))
        .file("/proc/813/smaps_rollup", rollup(13_000, 9000, 7000))
        .file("/proc/814/smaps_rollup", rollup(13_000, 9000, 7000))
        .file("/proc/814/smaps", smaps)
        .file("/proc/813/smaps", smaps)
        .file("/proc/900/status", "Name:\tphp-fpm8.2\nVmRSS:\t  40000 kB\n")
        .file("/proc/900/smaps_rollup", rollup(40_000, 30_000, 20_000))
        .file("/proc/901/status", "Name:\tphp-fpm8.2\nVmRSS:\t  9000 kB\n")
        .file("/proc/902/status", "Name:\tcron\nVmRSS:\t  900 kB\n");
    let found = running(&files, &debian()).unwrap();
    let measured = measure(&files, &found, None).unwrap();
    assert_eq!((measured.processes, measured.workers), (2, 50));
    assert_eq!(measured.rss, Bytes(33_000 << 10));
    assert_eq!(measured.pss, Bytes(20_000 << 10));
    assert_eq!(measured.shared, Bytes(6000 << 10));
    assert_eq!(measured.per_process, Bytes(2000 << 10));
    assert_eq!((measured.per_worker, measured.connections), (Bytes((5000 << 10) / 25), 0));
    assert_eq!(
        measured.shared.0 + 2 * measured.per_process.0 + 50 * measured.per_worker.0,
        measured.pss.0,
        "the parts add up to the whole"
    );
    let others: Vec<_> =
        measured.others.iter().map(|one| (one.name.as_str(), one.processes, one.memory.mib())).collect();
    assert_eq!(others, [("php-fpm8.2", 2, 39_000_u64.div_ceil(1024))], "what is small is left out");

    // A listening socket each; 30 connections in one child and 20 in the other share the thread areas.
    let mut files = files.link("/proc/812/fd/2", "/var/log/apache2/error.log");
    for (pid, connections) in [(813, 30), (814, 20)] {
        files = files
            .link(format!("/proc/{pid}/fd/3"), "socket:[1]")
            .link(format!("/proc/{pid}/fd/4"), "pipe:[7]");
        for fd in 0..connections {
            files = files.link(format!("/proc/{pid}/fd/{}", 10 + fd), format!("socket:[{pid}{fd}]"));
        }
    }
    let measured = measure(&files, &found, None).unwrap();
    assert_eq!((measured.connections, measured.workers), (50, 50));
    assert_eq!((measured.per_worker, measured.per_connection), (Bytes(100 << 10), Bytes(100 << 10)));

    assert_eq!(measure(&serving("/usr/sbin/apache2"), &found, None), None, "the kernel does not show it");
}

#[test]
fn a_second_instance_is_not_taken_for_the_main_server() {
    let shop = Site {
        instance: Some("shop".into()),
        config_dir: "/etc/apache2-shop".into(),
        server_root: "/etc/apache2-shop".into(),
        ..debian()
    };
    let main = serving("/usr/sbin/apache2").file("/proc/812/cmdline", "/usr/sbin/apache2\0-k\0start\0");
    assert!(running(&main, &debian()).is_some());
    assert_eq!(running(&main, &shop), None);
    let other = main.file("/proc/812/cmdline", "/usr/sbin/apache2\0-d\0/etc/apache2-shop\0-k\0start\0");
    assert_eq!(running(&other, &debian()), None);
    assert_eq!(running(&other, &shop).unwrap().parent, 812);
    let named = other.file("/proc/812/cmdline", "").file("/run/apache2-shop/apache2.pid", "812\n");
    assert_eq!(running(&named, &shop).unwrap().parent, 812);
}

#[test]
fn an_instance_is_found_by_the_file_with_its_process_id_or_by_its_configuration() {
    let suse = LAYOUTS.iter().find(|layout| layout.name == "suse").unwrap();
    let suse = Site { config_dir: "/etc/apache2@shop".into(), ..site(suse, "sles") };
    for (main, pid_file, own) in [
        (redhat(), "/run/httpd/instance-shop.pid", "conf/shop.conf"),
        (suse, "/run/httpd@shop.pid", "/etc/apache2@shop/httpd.conf"),
    ] {
        let shop = Site { instance: Some("shop".into()), ..main };
        let started = |file: &str| {
            serving("/usr/sbin/httpd")
                .file("/proc/812/cmdline", format!("/usr/sbin/httpd\0-DFOREGROUND\0-f\0{file}\0"))
        };
        let parent = |files: &Memory| running(files, &shop).map(|running| running.parent);
        assert_eq!(parent(&started(own)), Some(812), "{own}");
        // What the process was started with cannot be read: then its number tells.
        let blind = started(own).file("/proc/812/cmdline", "");
        assert_eq!(parent(&blind), None, "{own}");
        assert_eq!(parent(&blind.file(pid_file, "812\n")), Some(812), "{own}");
        // A stale number of another instance's server.
        assert_eq!(parent(&started("/etc/other.conf").file(pid_file, "812\n")), None, "{own}");
    }
}

/// Only who may start the server decides whether it runs: nobody's process and a test of the configuration are none.
#[test]
fn a_process_counts_as_the_server_by_its_user_its_options_and_its_socket() {
    let binary = "/usr/sbin/apache2";
    let named = || serving(binary).file("/run/apache2/apache2.pid", "812\n");
    let users = |users: &str| named().file("/proc/812/status", format!("Name:\tapache2\nUid:\t{users}\n"));
    let started =
        |words: &str| named().file("/proc/812/cmdline", format!("{binary} {words} ").replace(' ', "\0"));
    let own = |own: &str| users("33 33 33 33").file("/proc/self/status", format!("Uid:\t{own}\n"));
    let first = |first: &str| users("1001 1001 1001 1001").file("/proc/1/status", format!("Uid:\t{first}\n"));
    let silent = named().link("/proc/812/fd/3", "/dev/null");
    let table = |state: &str| {
        let line = format!("0: 0:0050 0:0 {state} 0:0 0:0 0 0 0 1 1\n");
        named().file("/proc/812/net/tcp", line)
    };
    for (what, files, runs) in [
        ("root", users("0 0 0 0"), true),
        ("nobody", users("65534 65534 65534 65534"), false),
        ("nobody by a set-user-id program", users("65534 0 0 0"), false),
        ("root that dropped its rights", users("0 65534 0 0"), false),
        ("nobody knows whose", named().file("/proc/812/status", ""), false),
        ("our own user's", own("33 33 33 33"), true),
        ("another user's than our own", own("34 34 34 34"), false),
        ("of the user of the container's first process", first("1001 1001 1001 1001"), true),
        ("of another user than the first process", first("0 0 0 0"), false),
        ("started", started("-k start"), true),
        ("in the foreground", started("-D FOREGROUND"), true),
        ("a test of the configuration", started("-t"), false),
        ("a list of virtual hosts", started("-D SSL -S"), false),
        ("a question for the version", started("-V"), false),
        ("one that tells it to stop", started("-k stop"), false),
        ("without a socket", silent, false),
        ("with a socket that listens", table("0A"), true),
        ("with a connection alone", table("01"), false),
    ] {
        assert_eq!(running(&files, &debian()).is_some(), runs, "{what}");
        let searched = files.file("/run/apache2/apache2.pid", "");
        assert_eq!(running(&searched, &debian()).is_some(), runs, "{what}, without its file");
    }
    assert!(running(&started("-X"), &debian()).unwrap().foreground);
}

#[test]
fn the_main_servers_file_with_the_number_of_an_instances_server_is_not_believed() {
    let other = serving("/usr/sbin/apache2")
        .file("/run/apache2/apache2.pid", "812\n")
        .file("/proc/812/cmdline", "/usr/sbin/apache2\0-d\0/etc/apache2-shop\0-k\0start\0");
    assert_eq!(running(&other, &debian()), None);
}
