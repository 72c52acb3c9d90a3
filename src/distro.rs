//! Where each distribution family keeps what: one row a family.

/// How a family chooses which modules are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleSwitch {
    /// Links in an `enabled` directory to files in an `available` one, with markers: Debian's a2enmod.
    LinkFarm,
    /// `LoadModule` lines commented and uncommented in one file.
    Lines {
        /// The file, absolute.
        file: &'static str,
    },
    /// A variable in a file that the start script reads: SUSE.
    Sysconfig {
        /// The file, absolute.
        file: &'static str,
    },
    /// Built in: only reported.
    BuiltIn,
}

/// One family of distributions.
#[derive(Debug)]
pub struct Layout {
    /// The family's name, and that of its fixtures.
    pub name: &'static str,
    /// Words of ID or ID_LIKE in os-release that mean this family, most specific first.
    pub os_ids: &'static [&'static str],
    /// The directory of the configuration: `/etc/apache2`.
    pub config_dir: &'static str,
    /// The main file: `/etc/apache2/apache2.conf`.
    pub main_file: &'static str,
    /// The compiled-in ServerRoot.
    pub server_root: &'static str,
    /// The server's binary.
    pub binary: &'static str,
    /// The service unit, without `.service`.
    pub unit: &'static str,
    /// The user that serves requests.
    pub user: &'static str,
    /// How modules are switched.
    pub modules: ModuleSwitch,
    /// Where the own drop-in is written.
    pub drop_in: &'static str,
    /// The file of variables that the start script reads, or empty.
    pub envvars: &'static str,
    /// Identifier and source file of the modules built into the binary.
    pub built_in: &'static [(&'static str, &'static str)],
}

/// The families, most specific first.
pub const LAYOUTS: &[Layout] = &[Layout {
    name: "debian",
    os_ids: &["debian", "ubuntu", "raspbian", "devuan", "kali", "linuxmint", "pop"],
    config_dir: "/etc/apache2",
    main_file: "/etc/apache2/apache2.conf",
    server_root: "/etc/apache2",
    binary: "/usr/sbin/apache2",
    unit: "apache2",
    user: "www-data",
    modules: ModuleSwitch::LinkFarm,
    drop_in: "/etc/apache2/conf-available/zz-apache-tuning.conf",
    envvars: "/etc/apache2/envvars",
    built_in: &[
        ("core_module", "core.c"),
        ("so_module", "mod_so.c"),
        ("watchdog_module", "mod_watchdog.c"),
        ("http_module", "http_core.c"),
        ("log_config_module", "mod_log_config.c"),
        ("logio_module", "mod_logio.c"),
        ("version_module", "mod_version.c"),
        ("unixd_module", "mod_unixd.c"),
    ],
}];
