//! The MPM's numbers as the distributions ship them.

use crate::httpd::Mpm;

/// No numbers are shipped: httpd's own defaults count.
pub(super) fn none(_: Mpm) -> &'static [(&'static str, &'static str)] {
    &[]
}

/// The numbers in Debian's and Ubuntu's `mpm_*.conf`, equal in every release from Debian 10 and Ubuntu 18.04 on.
pub(super) fn debian(mpm: Mpm) -> &'static [(&'static str, &'static str)] {
    match mpm {
        Mpm::Event | Mpm::Worker => &[
            ("StartServers", "2"),
            ("MinSpareThreads", "25"),
            ("MaxSpareThreads", "75"),
            ("ThreadLimit", "64"),
            ("ThreadsPerChild", "25"),
            ("MaxRequestWorkers", "150"),
            ("MaxConnectionsPerChild", "0"),
        ],
        Mpm::Prefork => &[
            ("StartServers", "5"),
            ("MinSpareServers", "5"),
            ("MaxSpareServers", "10"),
            ("MaxRequestWorkers", "150"),
            ("MaxConnectionsPerChild", "0"),
        ],
    }
}

/// The numbers in SUSE's `server-tuning.conf`.
pub(super) fn suse(mpm: Mpm) -> &'static [(&'static str, &'static str)] {
    const THREADS: &[(&str, &str)] = &[
        ("StartServers", "3"),
        ("MinSpareThreads", "25"),
        ("MaxSpareThreads", "75"),
        ("ThreadLimit", "64"),
        ("ThreadsPerChild", "25"),
        ("MaxRequestWorkers", "256"),
        ("MaxConnectionsPerChild", "10000"),
        // Event's alone.
        ("AsyncRequestWorkerFactor", "2"),
    ];
    match mpm {
        Mpm::Event => THREADS,
        Mpm::Worker => THREADS.split_last().map_or(&[], |(_, shared)| shared),
        Mpm::Prefork => &[
            ("StartServers", "5"),
            ("MinSpareServers", "5"),
            ("MaxSpareServers", "10"),
            ("ServerLimit", "256"),
            ("MaxRequestWorkers", "256"),
            ("MaxConnectionsPerChild", "10000"),
        ],
    }
}

/// The numbers in the `httpd-mpm.conf` of Apache httpd itself, which Arch and Alpine ship.
pub(super) fn upstream(mpm: Mpm) -> &'static [(&'static str, &'static str)] {
    match mpm {
        Mpm::Event | Mpm::Worker => &[
            ("StartServers", "3"),
            ("MinSpareThreads", "75"),
            ("MaxSpareThreads", "250"),
            ("ThreadsPerChild", "25"),
            ("MaxRequestWorkers", "400"),
            ("MaxConnectionsPerChild", "0"),
        ],
        Mpm::Prefork => &[
            ("StartServers", "5"),
            ("MinSpareServers", "5"),
            ("MaxSpareServers", "10"),
            ("MaxRequestWorkers", "250"),
            ("MaxConnectionsPerChild", "0"),
        ],
    }
}
