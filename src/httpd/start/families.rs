//! The families' start scripts: what each makes of its files.
//!
//! Source: Debian `apache2ctl` and `apache2@.service`; Red Hat `httpd.service` and, before systemd units had options of
//! their own, `/etc/sysconfig/httpd`; SUSE `start_apache2` and its helpers; Alpine and Gentoo `apache2.initd`; FreeBSD
//! `rc.d/apache24`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command_line::CommandLine;
use super::shell::{self, Read};
use super::{Ask, Ground, Launch, Made, Script};
use crate::httpd::Mpm;
use crate::tree::{Files, bytes, resolve};

pub(super) fn launch(ground: &Ground<'_>) -> Launch {
    let mut launch = match ground.script {
        Script::Apache2ctl => apache2ctl(ground),
        Script::Unit { options } => unit(ground, options),
        Script::StartApache2 => start_apache2(ground),
        Script::OpenRc { options, builds_mpm } => open_rc(ground, options, builds_mpm),
        Script::Rc => rc(ground),
        Script::Image => image(ground),
    };
    launch.drop_usual(ground);
    launch
}

/// Returns the environment that the script is started in.
fn given(ground: &Ground<'_>, launch: &mut Launch) -> BTreeMap<String, String> {
    let mut environment = ground.inherited.cloned().unwrap_or_default();
    if let Some(unit) = ground.unit {
        environment.extend(unit.environment.clone());
        launch
            .unknown
            .names
            .extend(unit.passed.iter().filter(|name| !environment.contains_key(*name)).cloned());
        launch.read_from.extend(unit.files.iter().cloned());
    }
    environment
}

/// Reads the file of variables, or takes what a shell said of it.
fn variables(ground: &Ground<'_>, launch: &mut Launch, own: &[(&str, String)]) -> Read {
    let environment = given(ground, launch);
    let file = ground.variables;
    if let Some(said) = ground.said {
        launch.read_from.push(file.to_owned());
        let mut exported = said.clone();
        // These were given to the shell as the script has them, which does not export them.
        exported.retain(|name, _| environment.contains_key(name) || !own.iter().any(|(own, _)| own == name));
        return Read { environment: exported, values: said.clone(), ..Read::default() };
    }
    let own: BTreeMap<String, String> =
        own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let read = shell::read(ground.files, file, &environment, &own);
    launch.read_from.extend(read.files.iter().cloned());
    launch.unknown.every |= read.unknown.every;
    launch.unknown.names.extend(read.unknown.names.iter().cloned());
    launch.constructs.extend(read.constructs.iter().cloned());
    if read.unknown != shell::Unknown::default() {
        let environment = environment.into_iter().chain(own).collect();
        launch.ask_shell = Some(Ask { file: file.to_owned(), environment });
    }
    read
}

/// Reads words as options of httpd, with a program before them.
fn options<'w>(words: impl IntoIterator<Item = &'w str>) -> CommandLine {
    let text = words.into_iter().fold("httpd\0".to_owned(), |text, word| text + word + "\0");
    CommandLine::parse(text.as_bytes())
}

/// Debian: `envvars` is read, then httpd is started with `APACHE_ARGUMENTS`.
fn apache2ctl(ground: &Ground<'_>) -> Launch {
    let mut launch = Launch::default();
    let confdir = ground.config_dir.to_string_lossy().into_owned();
    let suffix = ground.instance.map_or_else(String::new, |name| format!("@{name}"));
    let mut read = variables(ground, &mut launch, &[("APACHE_CONFDIR", confdir.clone()), ("SUFFIX", suffix)]);
    if ground.instance.is_some() {
        read.environment.insert("APACHE_CONFDIR".to_owned(), confdir);
    }
    launch.unknown_options = read.is_unknown("APACHE_ARGUMENTS");
    launch.take_options(options(read.value("APACHE_ARGUMENTS").split_whitespace()), ground.server_root);
    let mut program = read.value("APACHE_HTTPD").split_whitespace();
    if let Some(binary) = program.next().filter(|binary| binary.starts_with('/')) {
        launch.binary = Some(PathBuf::from(binary));
        launch.take_options(options(program), ground.server_root);
    }
    let or = |name: &str, usual: &str| {
        let value = read.value(name);
        if value.is_empty() { usual.to_owned() } else { value.to_owned() }
    };
    let run_dir = PathBuf::from(or("APACHE_RUN_DIR", "/var/run/apache2"));
    let owner = Some(or("APACHE_RUN_USER", "www-data"));
    launch.makes = vec![
        Made { path: run_dir.clone(), owner: None },
        Made { path: run_dir.join("socks"), owner: owner.clone() },
        Made { path: PathBuf::from(or("APACHE_LOCK_DIR", "/var/lock/apache2")), owner },
    ];
    launch.makes.retain(|made| made.path.is_absolute());
    launch.environment = read.environment;
    launch
}

/// A unit that starts httpd itself; without one, the file of options that was read before there were units.
fn unit(ground: &Ground<'_>, file: &str) -> Launch {
    let mut launch = Launch::default();
    let mut environment = given(ground, &mut launch);
    match ground.unit.filter(|unit| !unit.start.is_empty()) {
        Some(unit) => {
            let mut words = unit.start.iter().map(String::as_str);
            let program = words.next().map(Path::new).and_then(Path::file_name);
            if program == ground.binary.file_name() {
                launch.take_options(options(words), ground.server_root);
            }
        }
        None if !file.is_empty() => {
            let read = variables(&Ground { variables: Path::new(file), ..*ground }, &mut launch, &[]);
            launch.unknown_options = read.is_unknown("OPTIONS");
            launch.take_options(options(read.value("OPTIONS").split_whitespace()), ground.server_root);
            environment = read.environment;
        }
        None => {}
    }
    if let Some(name) = ground.instance {
        // Set by the template unit; the configurations of instances tell their paths apart by it.
        environment.entry("HTTPD_INSTANCE".to_owned()).or_insert_with(|| name.to_owned());
    }
    launch.environment = environment;
    launch
}

/// SUSE: the MPM is a program, modules and flags are variables, and so is the main file.
fn start_apache2(ground: &Ground<'_>) -> Launch {
    let files = ground.files;
    let mut launch = Launch::default();
    let mut read = variables(ground, &mut launch, &[]);
    // The script exports every variable of that name.
    let own = read.values.iter().filter(|(name, _)| name.starts_with("APACHE_"));
    read.environment.extend(own.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>());
    // Without the file, the start script neither loads modules nor says so with its define.
    if files.is_file(ground.variables) {
        launch.defines.push("SYSCONFIG".to_owned());
    }
    let chosen = read.value("APACHE_MPM");
    let mpm = if chosen.is_empty() { installed(files) } else { Mpm::of_name(chosen) };
    launch.modules = suse_modules(files, read.value("APACHE_MODULES"), mpm);
    launch.mpm = mpm;
    launch.binary = mpm.map(|mpm| PathBuf::from(format!("/usr/sbin/httpd-{mpm}")));
    let flags = read.value("APACHE_SERVER_FLAGS").split_whitespace().filter(|flag| *flag != "-D");
    launch.defines.extend(flags.map(|flag| flag.strip_prefix("-D").unwrap_or(flag).to_owned()));
    match read.value("APACHE_EXTENDED_STATUS") {
        "lua" => launch.defines.push("LUA_STATUS".to_owned()),
        "on" => launch.defines.push("EXTENDED_STATUS".to_owned()),
        _ => {}
    }
    launch.unknown_options =
        ["APACHE_MODULES", "APACHE_MPM", "APACHE_SERVER_FLAGS"].iter().any(|name| read.is_unknown(name));
    let main = Some(read.value("APACHE_HTTPD_CONF")).filter(|file| !file.is_empty());
    launch.main_file = main.map(|file| ground.server_root.join(file));
    let suffix = ground.instance.map_or_else(String::new, |name| format!("@{name}"));
    launch.first.push(format!("PidFile /run/httpd{suffix}.pid"));
    let below = |word: &str| Path::new("/etc/apache2").join(word);
    let there = |path: &Path| files.is_file(path) || files.is_dir(path);
    let named =
        read.value("APACHE_CONF_INCLUDE_FILES").split_whitespace().map(below).filter(|path| there(path));
    // A pattern is httpd's: the script looks only whether its directory is there.
    let dirs = read.value("APACHE_CONF_INCLUDE_DIRS").split_whitespace().map(below);
    let dirs = dirs.filter(|path| there(path) || path.parent().is_some_and(there));
    launch.then = named.chain(dirs).map(|path| format!("Include \"{}\"", path.display())).collect();
    launch.environment = read.environment;
    launch
}

/// Returns the modules that words of `APACHE_MODULES` load; those without a program are left out, as the script does.
fn suse_modules(files: &dyn Files, words: &str, mpm: Option<Mpm>) -> Vec<(String, String, PathBuf)> {
    let dirs: Vec<PathBuf> = ["/usr/lib64/apache2", "/usr/lib/apache2"]
        .into_iter()
        .flat_map(|dir| [mpm.map_or_else(String::new, |mpm| format!("{dir}-{mpm}")), dir.to_owned()])
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .collect();
    let any = dirs.iter().any(|dir| files.is_dir(dir));
    let mut modules: Vec<(String, String, PathBuf)> = Vec::new();
    for word in words.split_whitespace() {
        let word = word.strip_prefix("mod_").unwrap_or(word);
        let word = match (word, mpm.is_some_and(Mpm::threaded)) {
            ("cgi", true) => "cgid",
            ("cgid", false) => "cgi",
            (word, _) => word,
        };
        let places =
            dirs.iter().flat_map(|dir| ["mod_", ""].map(|prefix| dir.join(format!("{prefix}{word}.so"))));
        // A tree without programs is only a configuration.
        let usual = (!any).then(|| Path::new("/usr/lib64/apache2").join(format!("mod_{word}.so")));
        let Some(program) = places.into_iter().find(|path| files.is_file(path)).or(usual) else { continue };
        let name = match word {
            "php8" | "php9" => "php",
            "auth_mysql" => "mysql_auth",
            other => other,
        };
        let id = format!("{name}_module");
        if !modules.iter().any(|(known, ..)| *known == id) {
            modules.push((id, format!("mod_{name}.c"), program));
        }
    }
    modules
}

/// Returns the MPM of the binary that the alternatives chose, else of the first that is installed.
fn installed(files: &dyn Files) -> Option<Mpm> {
    let chosen = resolve(files, Path::new("/usr/sbin/httpd")).ok();
    let name = chosen.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(|name| Mpm::of_name(name.rsplit_once('-')?.1)).or_else(|| {
        [Mpm::Prefork, Mpm::Worker, Mpm::Event]
            .into_iter()
            .find(|mpm| files.is_file(Path::new(&format!("/usr/sbin/httpd-{mpm}"))))
    })
}

/// Alpine and Gentoo: options, main file and ServerRoot are variables.
fn open_rc(ground: &Ground<'_>, name: &str, builds_mpm: bool) -> Launch {
    let mut launch = Launch::default();
    let read = variables(ground, &mut launch, &[]);
    let words = match ground.unit.filter(|unit| unit.start.len() > 1) {
        // Gentoo under systemd: the unit expands the variable itself.
        Some(unit) if read.value(name).is_empty() => unit.start[1..].join(" "),
        _ => read.value(name).to_owned(),
    };
    launch.unknown_options = read.is_unknown(name) || read.is_unknown("CONFIGFILE");
    launch.take_options(options(words.split_whitespace()), ground.server_root);
    let set = |name: &str| Some(read.value(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = set("SERVERROOT") {
        launch.server_root = Some(root);
    }
    if let Some(file) = set("CONFIGFILE") {
        launch.main_file = Some(launch.server_root.as_deref().unwrap_or(ground.server_root).join(file));
    }
    if let Some(binary) = set("HTTPD").filter(|binary| binary.is_absolute()) {
        launch.binary = Some(binary);
    }
    if builds_mpm {
        launch.mpm = built(ground.files, ground.binary);
    }
    launch.makes.push(Made { path: PathBuf::from("/var/run/apache2"), owner: None });
    launch.environment = read.environment;
    launch
}

/// Returns the MPM that is built in: the binary has its source file's name in it, the package's record its flag.
fn built(files: &dyn Files, binary: &Path) -> Option<Mpm> {
    let binary = files.read(binary).unwrap_or_default();
    let within =
        |mpm: &&Mpm| memchr::memmem::find(&binary, format!("\0{}\0", mpm.source_file()).as_bytes()).is_some();
    if let [mpm] = Mpm::ALL.iter().filter(within).collect::<Vec<_>>()[..] {
        return Some(*mpm);
    }
    let packages = Path::new("/var/db/pkg/www-servers");
    let names = files.list(packages).unwrap_or_default();
    let apache = names.iter().find(|name| bytes(name).starts_with(b"apache-2"))?;
    let flags = files.read(&packages.join(apache).join("USE")).ok()?;
    let flags = String::from_utf8_lossy(&flags).into_owned();
    flags.split_whitespace().find_map(|flag| Mpm::of_name(flag.strip_prefix("apache2_mpms_")?))
}

/// FreeBSD: flags of the service, or of one of its profiles.
fn rc(ground: &Ground<'_>) -> Launch {
    let mut launch = Launch::default();
    let environment = given(ground, &mut launch);
    let mut values = Read { environment: environment.clone(), ..Read::default() };
    for file in ["/etc/defaults/rc.conf", "/etc/rc.conf", "/etc/rc.conf.local", "/etc/rc.conf.d/apache24"] {
        let read = shell::read(ground.files, Path::new(file), &environment, &values.values);
        values.values.extend(read.values);
        launch.read_from.extend(read.files);
        launch.constructs.extend(read.constructs);
        launch.unknown_options |= read.unknown.has("apache24_flags");
    }
    let of_profile = |key: &str| {
        let own = ground.instance.map(|name| values.value(&format!("apache24_{name}_{key}")));
        own.filter(|value| !value.is_empty())
            .unwrap_or_else(|| values.value(&format!("apache24_{key}")))
            .to_owned()
    };
    launch.take_options(options(of_profile("flags").split_whitespace()), ground.server_root);
    if !is_yes(&of_profile("http_accept_enable")) {
        launch.defines.push("NOHTTPACCEPT".to_owned());
    }
    if let Some(name) = ground.instance {
        let pid_file = Some(of_profile("pidfile")).filter(|file| !file.is_empty());
        let pid_file = pid_file.unwrap_or_else(|| format!("/var/run/httpd.{name}.pid"));
        launch.then.push(format!("PidFile {pid_file}"));
    }
    let file = Path::new("/usr/local/sbin/envvars");
    let read = shell::read(ground.files, file, &environment, &BTreeMap::new());
    launch.read_from.extend(read.files);
    launch.constructs.extend(read.constructs);
    launch.unknown.names.extend(read.unknown.names);
    launch.unknown.every |= read.unknown.every;
    launch.environment = read.environment;
    launch
}

/// Reads a switch as rc's `checkyesno` does.
fn is_yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// An image: the environment is the container's, and `apachectl` reads a file beside httpd.
fn image(ground: &Ground<'_>) -> Launch {
    let mut launch = Launch::default();
    let read = variables(ground, &mut launch, &[]);
    launch.environment = read.environment;
    launch
}
