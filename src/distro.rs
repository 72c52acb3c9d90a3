//! Where each distribution family keeps what: [`LAYOUTS`], one row a family, and which row a host is.

use std::path::{Path, PathBuf};

use crate::httpd::Mpm;
use crate::tree::{Files, Kind, resolve};

/// How a family chooses which modules are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleSwitch {
    /// Links in an `enabled` directory to files in an `available` one, with markers: Debian's a2enmod.
    LinkFarm,
    /// `LoadModule` lines commented and uncommented in one file.
    Lines {
        /// The file, below the configuration directory.
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

/// How httpd comes to read the own drop-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropIn {
    /// By a link that a2enconf makes.
    Linked,
    /// By a pattern in the main file.
    Included,
    /// By a line of its own at the end of the main file.
    Line(&'static str),
}

/// Where a second instance of the server keeps its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// In a directory: this text and the instance's name. httpd is started with `-d`.
    Directory(&'static str),
    /// In a directory, this text and the instance's name, that holds a main file. httpd is started with `-f`, and
    /// ServerRoot is that of the first one.
    Beside(&'static str),
    /// In a main file beside the first one, with the rest shared; `{name}` stands for the name. httpd is started
    /// with `-f`.
    File(&'static str),
    /// There are none that could be told.
    None,
}

/// One family of distributions. Paths are below the configuration directory unless they start with `/`.
#[derive(Debug)]
pub struct Layout {
    /// The family's name, and that of its fixtures.
    pub name: &'static str,
    /// Words of ID or ID_LIKE in os-release that mean this family.
    pub os_ids: &'static [&'static str],
    /// The directory of the configuration: `/etc/apache2`.
    pub config_dir: &'static str,
    /// The main file: `apache2.conf`.
    pub main_file: &'static str,
    /// What else is there on a host of this family and on no other with that main file; empty where the main file
    /// alone tells.
    pub mark: &'static str,
    /// The compiled-in ServerRoot.
    pub server_root: &'static str,
    /// The server's binary.
    pub binary: &'static str,
    /// The program that starts the server by hand, with the words before `start`; empty where the binary's own `-k`
    /// does (Red Hat's script only asks systemd, which then has not what was started by hand).
    pub control: &'static [&'static str],
    /// The service unit, without `.service`.
    pub unit: &'static str,
    /// The user that serves requests.
    pub user: &'static str,
    /// How modules are switched.
    pub modules: ModuleSwitch,
    /// The program of an MPM as `LoadModule` names it, `{mpm}` standing for its name; where the MPM is built in, the
    /// server's binary for it.
    pub mpm_program: &'static str,
    /// What to install for an MPM, `{mpm}` standing for its name.
    pub mpm_package: &'static str,
    /// The file that holds an MPM's numbers, `{mpm}` standing for its name.
    pub mpm_file: &'static str,
    /// Where the own drop-in is written.
    pub drop_in: &'static str,
    /// How the drop-in comes to be read.
    pub drop_in_by: DropIn,
    /// Where the settings of a module that is packaged by itself are written, `{module}` standing for its name.
    pub module_conf: &'static str,
    /// The files whose `LoadModule` lines load modules, the usual one for such a module first; `*` stands for any name.
    /// Where a start script loads modules, the file with its variables.
    pub module_load: &'static [&'static str],
    /// What to install for the server itself.
    pub package: &'static str,
    /// The file of variables that the start script reads, or empty.
    pub envvars: &'static str,
    /// Where further instances are.
    pub instances: Instances,
    /// Identifier and source file of the modules built into the binary.
    pub built_in: &'static [(&'static str, &'static str)],
    /// The MPM's numbers as the distribution ships them, for giving them back.
    pub stock: fn(Mpm) -> &'static [(&'static str, &'static str)],
}

/// What every httpd that loads the rest has built in.
const CORE: &[(&str, &str)] =
    &[("core_module", "core.c"), ("so_module", "mod_so.c"), ("http_module", "http_core.c")];

/// The families. A host's os-release says which one counts where several look alike on disk.
pub const LAYOUTS: &[Layout] = &[
    Layout {
        name: "debian",
        os_ids: &["debian", "ubuntu", "raspbian", "devuan", "kali", "linuxmint", "pop"],
        config_dir: "/etc/apache2",
        main_file: "apache2.conf",
        mark: "",
        server_root: "/etc/apache2",
        binary: "/usr/sbin/apache2",
        control: &["/usr/sbin/apache2ctl"],
        unit: "apache2",
        user: "www-data",
        modules: ModuleSwitch::LinkFarm,
        mpm_program: "/usr/lib/apache2/modules/mod_mpm_{mpm}.so",
        mpm_package: "apache2-bin",
        mpm_file: "mods-available/mpm_{mpm}.conf",
        drop_in: "conf-available/zz-apache-tuning.conf",
        drop_in_by: DropIn::Linked,
        module_conf: "mods-available/{module}.conf",
        module_load: &["mods-available/{module}.load"],
        package: "apache2",
        envvars: "envvars",
        instances: Instances::Directory("/etc/apache2-"),
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
        stock: debian_stock,
    },
    Layout {
        name: "redhat",
        // Oracle Linux 7 and Amazon Linux 2023 name no relative that would tell.
        os_ids: &[
            "rhel",
            "centos",
            "rocky",
            "almalinux",
            "ol",
            "fedora",
            "amzn",
            "eurolinux",
            "scientific",
            "openEuler",
            "azurelinux",
            "mariner",
        ],
        config_dir: "/etc/httpd",
        main_file: "conf/httpd.conf",
        mark: "conf.modules.d",
        server_root: "/etc/httpd",
        binary: "/usr/sbin/httpd",
        control: &[],
        unit: "httpd",
        user: "apache",
        modules: ModuleSwitch::Lines { file: "conf.modules.d/00-mpm.conf" },
        mpm_program: "modules/mod_mpm_{mpm}.so",
        mpm_package: "httpd",
        mpm_file: "conf.modules.d/00-mpm.conf",
        // conf.d is read last and in the order of names, so only a later name there could win.
        drop_in: "conf.d/zz-apache-tuning.conf",
        drop_in_by: DropIn::Included,
        module_conf: "conf.d/mod_{module}.conf",
        module_load: &["conf.d/mod_{module}.conf", "conf.modules.d/*.conf"],
        package: "httpd",
        envvars: "",
        instances: Instances::File("conf/{name}.conf"),
        built_in: CORE,
        stock: no_stock,
    },
    Layout {
        name: "suse",
        os_ids: &[
            "opensuse-leap",
            "opensuse-tumbleweed",
            "opensuse",
            "suse",
            "sles",
            "sles_sap",
            "sled",
            "suse-microos",
        ],
        config_dir: "/etc/apache2",
        main_file: "httpd.conf",
        mark: "/etc/sysconfig/apache2",
        server_root: "/srv/www",
        binary: "/usr/sbin/httpd",
        control: &["/usr/sbin/start_apache2", "-k"],
        unit: "apache2",
        user: "wwwrun",
        modules: ModuleSwitch::Sysconfig { file: "/etc/sysconfig/apache2" },
        mpm_program: "/usr/sbin/httpd-{mpm}",
        mpm_package: "apache2-{mpm}",
        mpm_file: "server-tuning.conf",
        drop_in: "conf.d/zz-apache-tuning.conf",
        drop_in_by: DropIn::Included,
        module_conf: "conf.d/mod_{module}.conf",
        module_load: &["/etc/sysconfig/apache2"],
        package: "apache2",
        envvars: "",
        instances: Instances::Beside("/etc/apache2@"),
        built_in: &[
            ("core_module", "core.c"),
            ("so_module", "mod_so.c"),
            ("http_module", "http_core.c"),
            ("unixd_module", "mod_unixd.c"),
            ("systemd_module", "mod_systemd.c"),
        ],
        stock: suse_stock,
    },
    Layout {
        name: "arch",
        os_ids: &["arch", "archarm", "manjaro", "cachyos", "endeavouros", "archcraft", "artix"],
        config_dir: "/etc/httpd",
        main_file: "conf/httpd.conf",
        mark: "conf/extra",
        server_root: "/etc/httpd",
        binary: "/usr/bin/httpd",
        control: &["/usr/bin/apachectl"],
        unit: "httpd",
        user: "http",
        modules: ModuleSwitch::Lines { file: "conf/httpd.conf" },
        mpm_program: "modules/mod_mpm_{mpm}.so",
        mpm_package: "apache",
        mpm_file: "conf/extra/httpd-mpm.conf",
        drop_in: "conf/extra/zz-apache-tuning.conf",
        drop_in_by: DropIn::Line("Include conf/extra/zz-apache-tuning.conf\n"),
        module_conf: "conf/extra/zz-apache-tuning.conf",
        module_load: &["conf/httpd.conf"],
        package: "apache",
        envvars: "",
        instances: Instances::None,
        built_in: CORE,
        stock: upstream_stock,
    },
    Layout {
        name: "alpine",
        os_ids: &["alpine", "postmarketos"],
        config_dir: "/etc/apache2",
        main_file: "httpd.conf",
        mark: "/etc/alpine-release",
        server_root: "/var/www",
        binary: "/usr/sbin/httpd",
        control: &["/usr/sbin/apachectl"],
        unit: "apache2",
        user: "apache",
        modules: ModuleSwitch::Lines { file: "httpd.conf" },
        mpm_program: "modules/mod_mpm_{mpm}.so",
        mpm_package: "apache2",
        mpm_file: "conf.d/mpm.conf",
        // default.conf and mpm.conf are read in the order of names: an earlier one would lose against them.
        drop_in: "conf.d/zz-apache-tuning.conf",
        drop_in_by: DropIn::Included,
        module_conf: "conf.d/zz-apache-tuning.conf",
        module_load: &["httpd.conf", "conf.d/*.conf"],
        package: "apache2",
        envvars: "",
        instances: Instances::None,
        built_in: CORE,
        stock: upstream_stock,
    },
    Layout {
        name: "freebsd",
        os_ids: &["freebsd"],
        config_dir: "/usr/local/etc/apache24",
        main_file: "httpd.conf",
        mark: "",
        server_root: "/usr/local",
        binary: "/usr/local/sbin/httpd",
        control: &["/usr/local/sbin/apachectl"],
        unit: "apache24",
        user: "www",
        modules: ModuleSwitch::Lines { file: "httpd.conf" },
        mpm_program: "libexec/apache24/mod_mpm_{mpm}.so",
        mpm_package: "apache24",
        // The files under extra/ are not read unless the administrator includes them.
        mpm_file: "Includes/zz-apache-tuning.conf",
        drop_in: "Includes/zz-apache-tuning.conf",
        drop_in_by: DropIn::Included,
        module_conf: "Includes/zz-apache-tuning.conf",
        module_load: &["httpd.conf"],
        package: "apache24",
        envvars: "",
        instances: Instances::None,
        built_in: CORE,
        stock: no_stock,
    },
    Layout {
        name: "gentoo",
        os_ids: &["gentoo"],
        config_dir: "/etc/apache2",
        main_file: "httpd.conf",
        mark: "/etc/gentoo-release",
        server_root: "/usr/lib64/apache2",
        binary: "/usr/sbin/apache2",
        control: &["/usr/sbin/apache2ctl"],
        unit: "apache2",
        user: "apache",
        modules: ModuleSwitch::BuiltIn,
        mpm_program: "/usr/sbin/apache2",
        mpm_package: "www-servers/apache",
        mpm_file: "modules.d/00_mpm.conf",
        drop_in: "modules.d/zz-apache-tuning.conf",
        drop_in_by: DropIn::Included,
        module_conf: "modules.d/10_mod_{module}.conf",
        module_load: &["modules.d/10_mod_{module}.conf"],
        package: "www-servers/apache",
        envvars: "",
        instances: Instances::None,
        built_in: CORE,
        stock: no_stock,
    },
];

/// No numbers are shipped: httpd's own defaults count.
fn no_stock(_: Mpm) -> &'static [(&'static str, &'static str)] {
    &[]
}

/// The numbers in Debian's and Ubuntu's `mpm_*.conf`, equal in every release from Debian 10 and Ubuntu 18.04 on.
fn debian_stock(mpm: Mpm) -> &'static [(&'static str, &'static str)] {
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
fn suse_stock(mpm: Mpm) -> &'static [(&'static str, &'static str)] {
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
fn upstream_stock(mpm: Mpm) -> &'static [(&'static str, &'static str)] {
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

/// One server on one host: a family's row with the instance's paths filled in.
#[derive(Debug, Clone)]
pub struct Site {
    /// The family.
    pub layout: &'static Layout,
    /// The instance's name, if it is not the main one.
    pub instance: Option<String>,
    /// The directory of the configuration: `/etc/apache2` or `/etc/apache2-NAME`.
    pub config_dir: PathBuf,
    /// ServerRoot until a `ServerRoot` line says otherwise.
    pub server_root: PathBuf,
    /// The distribution's ID, as os-release or the facts have it; empty where neither does.
    pub distribution: String,
    /// Its VERSION_ID; empty where it is not known.
    pub distribution_version: String,
}

impl Site {
    /// Returns a path of the layout: below the configuration directory unless it is absolute.
    pub fn path(&self, path: &str) -> PathBuf {
        self.config_dir.join(path)
    }

    /// Returns the directory of the configuration with every link on the way to it followed: what is changed, staged,
    /// recorded and undone has its paths below this one.
    pub fn real_config_dir(&self, files: &dyn Files) -> PathBuf {
        resolve(files, &self.config_dir).unwrap_or_else(|_| self.config_dir.clone())
    }

    /// Returns the main configuration file.
    pub fn main_file(&self) -> PathBuf {
        match (&self.instance, self.layout.instances) {
            (Some(name), Instances::File(file)) => self.path(&file.replace("{name}", name)),
            _ => self.path(self.layout.main_file),
        }
    }

    /// Returns the file whose lines or variables switch modules; `None` where links do, or nothing does.
    pub fn switch_file(&self) -> Option<PathBuf> {
        match self.layout.modules {
            ModuleSwitch::Lines { file } => Some(self.path(file)),
            // An instance has its own.
            ModuleSwitch::Sysconfig { file } => Some(match &self.instance {
                Some(name) => PathBuf::from(format!("{file}@{name}")),
                None => PathBuf::from(file),
            }),
            ModuleSwitch::LinkFarm | ModuleSwitch::BuiltIn => None,
        }
    }

    /// Returns the arguments by which httpd is told that it is this instance; none for the main one.
    pub fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match (&self.instance, self.layout.instances) {
            (Some(_), Instances::Directory(_)) => vec!["-d".to_owned(), text(&self.config_dir)],
            (Some(_), Instances::File(_) | Instances::Beside(_)) => {
                vec!["-f".to_owned(), text(&self.main_file())]
            }
            _ => Vec::new(),
        }
    }

    /// Returns the file that holds the numbers of an MPM.
    pub fn mpm_file(&self, mpm: Mpm) -> PathBuf {
        self.path(&self.layout.mpm_file.replace("{mpm}", mpm.name()))
    }

    /// Returns the file that holds the settings of a module that is packaged by itself.
    pub fn module_conf(&self, module: &str) -> PathBuf {
        self.path(&self.layout.module_conf.replace("{module}", module))
    }

    /// Returns the own drop-in.
    pub fn drop_in(&self) -> PathBuf {
        self.path(self.layout.drop_in)
    }

    /// Returns the service unit's name: `apache2`, `apache2@NAME`.
    pub fn unit(&self) -> String {
        match &self.instance {
            Some(name) => format!("{}@{name}", self.layout.unit),
            None => self.layout.unit.to_owned(),
        }
    }
}

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
        "the family {family} starts one Apache alone and has no instances; leave out instance to manage that one, and \
         write a further server's numbers into its own configuration by hand"
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
    let layout = family(files, &os, told)?;
    let mut site = Site {
        layout,
        instance: instance.map(str::to_owned),
        config_dir: PathBuf::from(layout.config_dir),
        server_root: PathBuf::from(layout.server_root),
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
    let stands = |layout: &&Layout| files.is_file(&main(layout)) && marked(layout);
    let on_disk = LAYOUTS.iter().find(stands);
    let Some(named) = os.family() else {
        if let Some(there) = on_disk.filter(|_| !told) {
            return Ok(there);
        }
        let known: Vec<&str> = LAYOUTS.iter().map(|layout| layout.name).collect();
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
        Ok(_) => Err(NotFound::NotInstalled { file: main(named), package: named.package }),
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
    let beside = prefix.rsplit_once('/').map_or("/", |(dir, _)| dir);
    let main = site.path(site.layout.main_file).to_string_lossy().into_owned();
    let others: Vec<String> = files
        .list(Path::new(beside))
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            let path = format!("{beside}/{}", entry.to_str()?);
            Some(path.strip_prefix(&prefix)?.strip_suffix(suffix)?.to_owned())
        })
        .filter(|other| format!("{prefix}{other}{suffix}") != main)
        .collect();
    let found = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    Err(NotFound::NoInstance { name: name.to_owned(), dir, found })
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
