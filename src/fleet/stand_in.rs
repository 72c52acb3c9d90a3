//! A tree of files that stands for the facts of a host, so that the plan of a host that is not asked is made by the same
//! code as on the host itself.
//!
//! Every directive that the facts know with the file that sets it becomes a line where the family keeps such lines;
//! modules become what the family loads them with. The texts around them are not those of the host: what is shown of
//! such a plan are settings and paths, never the content of a file.

use std::fmt::Write as _;

use super::record::HostFacts;
use crate::distro::{DropIn, LAYOUTS, Layout, ModuleSwitch};
use crate::httpd::Mpm;
use crate::httpd::core_directives;
use crate::httpd::directives::Group;
use crate::params::Php;
use crate::tree::Memory;

/// Ansible's name of a distribution and its ID in os-release, where lower case alone does not do.
const DISTRIBUTIONS: &[(&str, &str)] = &[
    ("RedHat", "rhel"),
    ("OracleLinux", "ol"),
    ("Amazon", "amzn"),
    ("Archlinux", "arch"),
    ("Archlinux ARM", "archarm"),
    ("openSUSE", "opensuse"),
    ("openSUSE Leap", "opensuse-leap"),
    ("openSUSE Tumbleweed", "opensuse-tumbleweed"),
    ("openSUSE MicroOS", "suse-microos"),
    ("SLES_SAP", "sles_sap"),
    ("Linux Mint", "linuxmint"),
    ("Pop!_OS", "pop"),
    ("EndeavourOS", "endeavouros"),
    ("openEuler", "openEuler"),
    ("Azure Linux", "azurelinux"),
];

/// Returns the ID that os-release has for what Ansible calls a distribution.
pub fn os_release_id(distribution: &str) -> String {
    DISTRIBUTIONS
        .iter()
        .find(|(name, _)| *name == distribution)
        .map_or_else(|| distribution.to_ascii_lowercase(), |(_, id)| (*id).to_owned())
}

/// Returns the `VERSION_ID` that os-release has for Ansible's version: Debian's has no minor number.
pub fn os_release_version(id: &str, version: &str) -> String {
    match id {
        "debian" | "raspbian" | "devuan" => version.split('.').next().unwrap_or(version).to_owned(),
        _ => version.to_owned(),
    }
}

/// Returns the family of a distribution.
pub fn family_of(id: &str) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.os_ids.contains(&id))
}

/// Tells whether a plan can be made from facts for this family: where the MPM is built in, only the host's own program
/// tells which it is.
pub fn can_stand_in(layout: &Layout) -> bool {
    !matches!(layout.modules, ModuleSwitch::BuiltIn)
}

/// Modules that a package of httpd brings on every family, for plans that switch them on.
const SHIPPED: &[&str] = &[
    "alias",
    "auth_basic",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "autoindex",
    "brotli",
    "cache",
    "cache_disk",
    "cache_socache",
    "cgi",
    "cgid",
    "deflate",
    "dir",
    "env",
    "expires",
    "filter",
    "headers",
    "http2",
    "lbmethod_bybusyness",
    "lbmethod_byrequests",
    "mime",
    "negotiation",
    "proxy",
    "proxy_balancer",
    "proxy_fcgi",
    "proxy_hcheck",
    "proxy_http",
    "ratelimit",
    "remoteip",
    "reqtimeout",
    "rewrite",
    "setenvif",
    "slotmem_shm",
    "socache_memcache",
    "socache_redis",
    "socache_shmcb",
    "ssl",
    "status",
    "unique_id",
    "watchdog",
];

/// What a module needs, as Debian's `# Depends:` lines have it.
const NEEDS: &[(&str, &str)] = &[
    ("proxy_fcgi", "proxy"),
    ("proxy_http", "proxy"),
    ("proxy_balancer", "proxy alias slotmem_shm"),
    ("proxy_hcheck", "proxy watchdog"),
    ("deflate", "filter"),
    ("cache_disk", "cache"),
    ("cache_socache", "cache"),
    ("ssl", "setenvif mime socache_shmcb"),
];

/// Where lines of each kind go.
struct Lines {
    mpm: String,
    evasive: String,
    main: String,
}

/// Makes the tree. `None` where the family's MPM is built in.
pub fn tree(facts: &HostFacts, id: &str, version: &str, layout: &Layout) -> Option<Memory> {
    let mpm = facts.mpm.configured?;
    let lines = sort_lines(facts);
    let files = Memory::new().file("/etc/os-release", format!("ID=\"{id}\"\nVERSION_ID=\"{version}\"\n"));
    let files = match layout.modules {
        ModuleSwitch::LinkFarm => links(files, facts, layout, mpm, &lines),
        ModuleSwitch::Lines { file } => load_lines(files, facts, layout, mpm, &lines, file),
        ModuleSwitch::Sysconfig { file } => variables(files, facts, layout, mpm, &lines, file),
        ModuleSwitch::BuiltIn => return None,
    };
    Some(files)
}

/// Puts the directives that a file sets where they belong; a default needs no line.
fn sort_lines(facts: &HostFacts) -> Lines {
    let mut lines = Lines { mpm: String::new(), evasive: String::new(), main: String::new() };
    for (directive, fact) in &facts.effective {
        // Only words of httpd's language become a line; a value that is none cannot have come from a configuration.
        let fit = |text: &str| !text.is_empty() && !text.contains(['\n', '\r', '\0', '"', '\\']);
        if fact.file.is_none()
            || !fit(&fact.value)
            || !directive.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            continue;
        }
        let value = if fact.value.contains(' ') && !directive.starts_with("DOSWhitelist") {
            format!("\"{}\"", fact.value)
        } else {
            fact.value.clone()
        };
        let target = if directive.starts_with("DOS") || directive.starts_with("Evasive") {
            &mut lines.evasive
        } else if is_of_mpm(directive) {
            &mut lines.mpm
        } else {
            &mut lines.main
        };
        let _ = writeln!(target, "{directive} {value}");
    }
    lines
}

/// Tells whether a directive belongs to the MPMs' numbers.
fn is_of_mpm(directive: &str) -> bool {
    core_directives::find(directive.as_bytes()).is_some_and(|row| row.group == Group::MPM)
}

/// The modules to load besides the MPM, without `_module`.
fn loaded(facts: &HostFacts) -> Vec<&str> {
    let named = facts.modules.iter().flatten().filter_map(|module| module.strip_suffix("_module"));
    named
        .filter(|name| {
            !name.starts_with("mpm_")
                && !name.starts_with("evasive")
                && !name.starts_with("php")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
        .collect()
}

fn evasive_on(facts: &HostFacts) -> bool {
    facts.modules.iter().flatten().any(|module| module.starts_with("evasive"))
}

/// The content of a program that mod_evasive's generation is read from.
fn evasive_program(facts: &HostFacts) -> Option<String> {
    let evasive = facts.evasive.as_ref()?;
    let fork = if evasive.fork { "DOSEnabled" } else { "" };
    Some(format!("DOSPageCount\0{fork}\0{}\0", evasive.status.as_deref().unwrap_or_default()))
}

fn php_version(facts: &HostFacts, distribution_default: &str) -> String {
    let known = facts.php_fpm.iter().flatten().next();
    known.cloned().unwrap_or_else(|| distribution_default.to_owned())
}

/// Debian's way.
fn links(mut files: Memory, facts: &HostFacts, layout: &Layout, mpm: Mpm, lines: &Lines) -> Memory {
    const PROGRAMS: &str = "/usr/lib/apache2/modules";
    let dir = layout.config_dir;
    let mut main = String::from(
        "User www-data\nIncludeOptional mods-enabled/*.load\nIncludeOptional mods-enabled/*.conf\n",
    );
    main.push_str(&lines.main);
    main.push_str(
        "Include ports.conf\nIncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n",
    );
    files = files
        .file(format!("{dir}/{}", layout.main_file), main)
        .file(format!("{dir}/envvars"), "export APACHE_LOG_DIR=/var/log/apache2\n")
        .file(format!("{dir}/ports.conf"), "Listen 80\n")
        .file(format!("{dir}/conf-available/security.conf"), "ServerTokens OS\n")
        .file(format!("{dir}/conf-enabled/.keep"), "")
        .file(format!("{dir}/sites-enabled/.keep"), "");
    let load = |files: Memory, name: &str, symbol: &str, program: &str, head: &str| {
        files.file(
            format!("{dir}/mods-available/{name}.load"),
            format!("{head}LoadModule {symbol} {PROGRAMS}/{program}\n"),
        )
    };
    for other in Mpm::ALL {
        let text = if other == mpm { lines.mpm.clone() } else { stock(layout, other) };
        let name = other.debian();
        let conflicts: Vec<&str> =
            Mpm::ALL.iter().filter(|one| **one != other).map(|one| one.debian()).collect();
        files = load(
            files.file(format!("{dir}/mods-available/{name}.conf"), text),
            name,
            other.module(),
            &format!("mod_{name}.so"),
            &format!("# Conflicts: {}\n", conflicts.join(" ")),
        )
        .file(format!("{PROGRAMS}/mod_{name}.so"), "");
    }
    let enable = |files: Memory, name: &str, with_conf: bool| {
        let files =
            files.link(format!("{dir}/mods-enabled/{name}.load"), format!("../mods-available/{name}.load"));
        if with_conf {
            files.link(format!("{dir}/mods-enabled/{name}.conf"), format!("../mods-available/{name}.conf"))
        } else {
            files
        }
    };
    files = enable(files, mpm.debian(), true);
    let on = loaded(facts);
    for name in SHIPPED.iter().copied().chain(on.iter().copied().filter(|name| !SHIPPED.contains(name))) {
        let needs = NEEDS.iter().find(|(module, _)| *module == name);
        let head = needs.map_or_else(String::new, |(_, needs)| format!("# Depends: {needs}\n"));
        files = load(files, name, &format!("{name}_module"), &format!("mod_{name}.so"), &head)
            .file(format!("{PROGRAMS}/mod_{name}.so"), "");
    }
    for name in &on {
        files = enable(files, name, false);
    }
    if let Some(program) = evasive_program(facts) {
        let symbol = facts.evasive.as_ref().map_or("evasive20_module", |evasive| evasive.symbol.as_str());
        files = load(files, "evasive", symbol, "mod_evasive.so", "")
            .file(format!("{PROGRAMS}/mod_evasive.so"), program)
            .file(format!("{dir}/mods-available/evasive.conf"), &lines.evasive);
        if evasive_on(facts) {
            files = enable(files, "evasive", true);
        }
    }
    let version = php_version(facts, "8");
    if facts.php == Some(Php::ModPhp) {
        let name = format!("php{version}");
        files = load(files, &name, "php_module", &format!("lib{name}.so"), "# Depends: mpm_prefork mime\n")
            .file(format!("{PROGRAMS}/lib{name}.so"), "");
        files = enable(files, &name, false);
    }
    for version in facts.php_fpm.iter().flatten() {
        files = files
            .file(format!("/usr/sbin/php-fpm{version}"), "")
            .file(format!("{dir}/conf-available/php{version}-fpm.conf"), "# php-fpm\n");
    }
    if is_managed(facts, "zz-apache-tuning.conf") {
        files = files
            .file(format!("{dir}/{}", layout.drop_in), "# managed\n")
            .link(
                format!("{dir}/conf-enabled/zz-apache-tuning.conf"),
                "../conf-available/zz-apache-tuning.conf",
            )
            .file("/var/lib/apache2/conf/enabled_by_admin/zz-apache-tuning", "");
    }
    files
}

/// `LoadModule` lines, commented or not.
fn load_lines(
    mut files: Memory,
    facts: &HostFacts,
    layout: &Layout,
    mpm: Mpm,
    lines: &Lines,
    switch: &str,
) -> Memory {
    let dir = layout.config_dir;
    let programs = layout.mpm_program.rsplit_once('/').map_or("modules", |(dir, _)| dir);
    let mut loads = String::new();
    for other in Mpm::ALL {
        let hash = if other == mpm { "" } else { "#" };
        let program = layout.mpm_program.replace("{mpm}", other.name());
        let _ = writeln!(loads, "{hash}LoadModule {} {program}", other.module());
        files = files.file(format!("{}/{program}", layout.server_root), "");
    }
    let mut modules = String::new();
    for name in loaded(facts) {
        let _ = writeln!(modules, "LoadModule {name}_module {programs}/mod_{name}.so");
        files = files.file(format!("{}/{programs}/mod_{name}.so", layout.server_root), "");
    }
    if facts.php == Some(Php::ModPhp) {
        let _ = writeln!(modules, "LoadModule php_module {programs}/libphp.so");
    }
    if facts.php_fpm.iter().flatten().next().is_some() {
        files = files.file("/usr/sbin/php-fpm", "");
    }
    let evasive = facts.evasive.as_ref().map(|evasive| {
        let hash = if evasive_on(facts) { "" } else { "#" };
        format!("{hash}LoadModule {} {programs}/mod_evasive.so\n", evasive.symbol)
    });
    if let Some(program) = evasive_program(facts) {
        files = files.file(format!("{}/{programs}/mod_evasive.so", layout.server_root), program);
    }
    let evasive_file = layout.module_conf.replace("{module}", "evasive");
    let evasive_load = layout.module_load.first().map(|pattern| pattern.replace("{module}", "evasive"));
    let own_evasive_file = evasive_file != layout.drop_in;
    if let Some(load) = &evasive {
        if evasive_load.as_ref() == Some(&evasive_file) {
            files = files.file(format!("{dir}/{evasive_file}"), format!("{load}{}", lines.evasive));
        } else {
            modules.push_str(load);
            if own_evasive_file {
                files = files.file(format!("{dir}/{evasive_file}"), &lines.evasive);
            }
        }
    }
    let conf_dir = layout.drop_in.rsplit_once('/').map_or("conf.d", |(dir, _)| dir);
    let numbers = guarded(mpm, &lines.mpm);
    let mut main = format!("ServerRoot \"{}\"\nListen 80\n", layout.server_root);
    if switch == layout.main_file {
        main.push_str(&loads);
        main.push_str(&modules);
    } else {
        let switch_dir = switch.rsplit_once('/').map_or("conf.modules.d", |(dir, _)| dir);
        let _ = writeln!(main, "Include {switch_dir}/*.conf");
        let text = if layout.mpm_file == switch { format!("{loads}{numbers}") } else { loads };
        files = files
            .file(format!("{dir}/{switch}"), text)
            .file(format!("{dir}/{switch_dir}/10-fleet.conf"), modules);
    }
    main.push_str(&lines.main);
    if layout.mpm_file != switch && layout.mpm_file != layout.drop_in {
        files = files.file(format!("{dir}/{}", layout.mpm_file), numbers.clone());
        if !layout.mpm_file.starts_with(conf_dir) || !matches!(layout.drop_in_by, DropIn::Included) {
            let _ = writeln!(main, "Include {dir}/{}", layout.mpm_file);
        }
    }
    if layout.mpm_file == layout.drop_in {
        main.push_str(&numbers);
    }
    match layout.drop_in_by {
        DropIn::Line(line) if is_managed(facts, "zz-apache-tuning.conf") => main.push_str(line),
        DropIn::Included => {
            let _ = writeln!(main, "IncludeOptional {dir}/{conf_dir}/*.conf");
        }
        _ => {}
    }
    if layout.mark.starts_with('/') {
        files = files.file(layout.mark, "");
    } else if !layout.mark.is_empty() {
        files = files.file(format!("{dir}/{}/.keep", layout.mark), "");
    }
    files.file(format!("{dir}/{}", layout.main_file), main)
}

/// SUSE's variables.
fn variables(
    mut files: Memory,
    facts: &HostFacts,
    layout: &Layout,
    mpm: Mpm,
    lines: &Lines,
    switch: &str,
) -> Memory {
    let dir = layout.config_dir;
    let mut words: Vec<&str> = loaded(facts);
    if evasive_on(facts) {
        words.push("evasive24");
    }
    if facts.php == Some(Php::ModPhp) {
        words.push("php8");
    }
    for name in words.iter().copied().chain(SHIPPED.iter().copied()) {
        files = files.file(format!("/usr/lib64/apache2/mod_{name}.so"), "");
    }
    for other in Mpm::ALL {
        files = files.file(format!("/usr/sbin/httpd-{other}"), "");
    }
    if let Some(program) = evasive_program(facts) {
        files = files
            .file("/usr/lib64/apache2/mod_evasive24.so", program)
            .file(format!("{dir}/{}", layout.module_conf.replace("{module}", "evasive")), &lines.evasive);
    }
    let main = format!(
        "Include {dir}/{}\n<IfDefine !SYSCONFIG>\n  Include {dir}/sysconfig.d/loadmodule.conf\n</IfDefine>\n\
         Listen 80\n{}IncludeOptional {dir}/conf.d/*.conf\n",
        layout.mpm_file, lines.main
    );
    files
        .file(format!("{dir}/{}", layout.main_file), main)
        .file(format!("{dir}/{}", layout.mpm_file), guarded(mpm, &lines.mpm))
        .file(format!("{dir}/sysconfig.d/loadmodule.conf"), "")
        .file(format!("{dir}/conf.d/.keep"), "")
        .link("/usr/sbin/httpd", format!("/usr/sbin/httpd-{mpm}"))
        .file(switch, format!("APACHE_MODULES=\"{}\"\nAPACHE_MPM=\"{mpm}\"\n", words.join(" ")))
}

/// The numbers of one MPM where all share a file.
fn guarded(mpm: Mpm, lines: &str) -> String {
    format!("<IfModule {}>\n{lines}</IfModule>\n", mpm.module())
}

fn stock(layout: &Layout, mpm: Mpm) -> String {
    (layout.stock)(mpm).iter().map(|(directive, value)| format!("{directive} {value}\n")).collect()
}

/// Tells whether the tool manages a file of that name on the host.
pub fn is_managed(facts: &HostFacts, name: &str) -> bool {
    facts.managed.iter().any(|managed| managed.path.rsplit('/').next() == Some(name))
}
