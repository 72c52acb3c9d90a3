//! mod_evasive: three programs with one name. The `LoadModule` line found on the host and the program it loads
//! decide symbol, guard and dialect.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::distro::{Layout, ModuleSwitch};
use crate::facts::listen;
use crate::feature::{self, Feature, Host, Module, Place, Setting, Want, Writes};
use crate::httpd::Mpm;
use crate::httpd::directives::{Directive, Group, Loaded, Parser, is_evasive};
use crate::plan::switch;
use crate::rules;
use crate::tree::Files;

/// The name of this feature's parameters and block.
pub const NAME: &str = "evasive";

/// The group of its directives.
pub const GROUP: Group = Group(NAME);

/// Tells whether it is the 2.x line's, whose identifier has no number.
fn is_second(identifier: &str) -> bool {
    identifier == "evasive_module"
}

fn is_first(identifier: &str) -> bool {
    is_evasive(identifier) && !is_second(identifier)
}

const fn directive(name: &'static str, parser: Parser) -> Directive {
    Directive::new(name, GROUP, parser).in_vhosts().module(is_evasive).process_wide(is_first)
}

const fn number(name: &'static str, default: fn(Mpm, &dyn Loaded) -> &'static str) -> Directive {
    directive(name, Parser::Strtol0).default(default).positive()
}

const fn status(name: &'static str, module: fn(&str) -> bool) -> Directive {
    directive(name, Parser::Strtol0).default(|_, _| "403").module(module)
}

crate::parameters! {
    // Defaults: the heads of `mod_evasive20.c` and of `mod_evasive.c` of the 2.x line.
    /// mod_evasive's settings, in the dialect of the build found on the host. A key that is omitted is not changed; one
    /// that is removed from the task again restores the earlier value.
    pub struct Evasive {
        /// Whether mod_evasive protects this server. If omitted, it is not changed.
        enabled: bool => [
            directive("DOSEnabled", Parser::Text).default(|_, _| "false").module(is_second)
        ];
        /// Size of the hash table. `DOSHashTableSize`. If omitted, it is not changed.
        hash_table_size: i64 => [
            number("DOSHashTableSize", |_, loaded| if loaded.any_module(&is_second) { "3079" } else { "3097" })
        ];
        /// Requests for one page within `page_interval` before a client is blocked. `DOSPageCount`. If omitted, it is not
        /// changed.
        page_count: i64 => [
            number("DOSPageCount", |_, _| "2")
        ];
        /// Requests for the whole site within `site_interval` before a client is blocked. `DOSSiteCount`. If omitted, it
        /// is not changed.
        site_count: i64 => [
            number("DOSSiteCount", |_, _| "50")
        ];
        /// Idle seconds after which the page counter starts again. `DOSPageInterval`. If omitted, it is not changed.
        page_interval: i64 => [
            number("DOSPageInterval", |_, _| "1")
        ];
        /// Idle seconds after which the site counter starts again. `DOSSiteInterval`. If omitted, it is not changed.
        site_interval: i64 => [
            number("DOSSiteInterval", |_, _| "1")
        ];
        /// Seconds for which a client stays blocked; each request starts them again. `DOSBlockingPeriod`. If omitted, it
        /// is not changed.
        blocking_period: i64 => [
            number("DOSBlockingPeriod", |_, _| "10")
        ];
        /// HTTP status of a blocked request, where the build has a directive for it. If omitted, it is not changed.
        http_status: i64 => [
            status("DOSHTTPResponseCode", is_first),
            status("DOSHTTPStatus", is_second).more_words(),
            status("DOSBlockingHttpResponse", |identifier| identifier == "evasive24_module")
        ];
        /// Address that is mailed when a client is first blocked. `DOSEmailNotify`. If omitted, it is not changed.
        email_notify: String => [
            directive("DOSEmailNotify", Parser::Text)
        ];
        /// Command run when a client is first blocked, with exactly one `%s` for its address. `DOSSystemCommand`. If
        /// omitted, it is not changed.
        system_command: String => [
            directive("DOSSystemCommand", Parser::Text)
        ];
        /// Directory of the lock files; writable by the web server's user alone. `DOSLogDir`. If omitted, it is not
        /// changed.
        log_dir: String => [
            directive("DOSLogDir", Parser::Text).default(|_, _| "/tmp")
        ];
        /// Addresses never blocked. `DOSWhitelist`. For `mod_evasive` 2.x and a `Listen` without an address, IPv4 entries
        /// are written in their IPv6 form too (`::ffff:192.0.2.1`), which such a socket has of these clients. If omitted,
        /// it is not changed.
        whitelist: Vec<String> => [
            directive("DOSWhitelist", Parser::Iterate)
        ];
    }
}

/// The directives of all builds that no parameter sets.
const WATCHED: &[Directive] = &[
    directive("DOSWhitelistUri", Parser::Iterate).module(is_second),
    directive("DOSBlocklistUri", Parser::Iterate).module(is_second),
];

/// mod_evasive, whatever its generation.
static MODULE: Module = Module { package, ..Module::stock("evasive", is_evasive) };

fn package(layout: &Layout) -> &'static str {
    match layout.name {
        "debian" => "libapache2-mod-evasive",
        "suse" => "apache2-mod_evasive",
        "freebsd" => "ap24-mod_evasive",
        "gentoo" => "www-apache/mod_evasive",
        _ => "mod_evasive",
    }
}

/// The feature.
pub static EVASIVE: Feature = Feature {
    name: NAME,
    doc: "mod_evasive, in the dialect of the build found on the host. If omitted, it is not managed.",
    fields: Evasive::FIELDS,
    list: false,
    directives: Evasive::DIRECTIVES,
    watched: WATCHED,
    modules: &[&MODULE],
    rules: &[],
    writes: Writes::ModuleFile,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<Evasive>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Evasive>,
    look: |place| installed(place).map(|build| Box::new(build) as Box<dyn std::any::Any>),
    want,
    takes_over: inside,
};

/// Which of the incompatible programs a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// 1.10.1 and its descendants: active as soon as it is loaded.
    One,
    /// 2.x (the maintained fork): off until `DOSEnabled true`.
    Two,
}

/// The build of mod_evasive that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The module identifier of its `LoadModule` line: `evasive20_module`.
    pub symbol: String,
    /// The program, as the line has it.
    pub program: String,
    /// The generation.
    pub generation: Generation,
    /// The directive for the status of a blocked request, where the build has one.
    pub status_directive: Option<&'static str>,
}

/// The directives that tell the builds apart, each with the generation it belongs to.
const STATUS: [(&str, Generation); 3] = [
    ("DOSHTTPStatus", Generation::Two),
    ("DOSHTTPResponseCode", Generation::One),
    ("DOSBlockingHttpResponse", Generation::One),
];

/// Finds the build that the `LoadModule` line in `load` (the content of the file at `load_path`) loads.
///
/// The names of directives inside the program itself decide; where it cannot be read, the symbol does: only the fork
/// is called `evasive_module`.
pub fn build(files: &dyn Files, load: &[u8], server_root: &Path) -> Option<Build> {
    let text = String::from_utf8_lossy(load);
    let (symbol, program) = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let directive = words.next()?;
        let symbol = words.next()?.trim_matches('"');
        let program = words.next()?.trim_matches('"');
        (directive.eq_ignore_ascii_case("LoadModule")
            && symbol.starts_with("evasive")
            && symbol.ends_with("_module"))
        .then(|| (symbol.to_owned(), program.to_owned()))
    })?;
    let path: PathBuf = server_root.join(&program);
    let content = files.read(&path).unwrap_or_default();
    let contains = |name: &str| memchr::memmem::find(&content, name.as_bytes()).is_some();
    let readable = contains("DOSPageCount");
    let fork = contains("DOSEnabled") || (!readable && symbol == "evasive_module");
    let generation = if fork { Generation::Two } else { Generation::One };
    let status_directive = if readable {
        STATUS.iter().find(|(name, _)| contains(name)).map(|(name, _)| *name)
    } else {
        // The program cannot be read: the status directive of the one build that each symbol is known from.
        match symbol.as_str() {
            "evasive_module" => Some("DOSHTTPStatus"),
            "evasive20_module" if program.ends_with("mod_evasive20.so") => Some("DOSHTTPResponseCode"),
            _ => None,
        }
    };
    Some(Build { symbol, program, generation, status_directive })
}

/// Returns the identifier and program of a build whose file lies among the modules, as `apxs` leaves it without a line.
fn unloaded(place: &Place<'_>) -> Option<(&'static str, String)> {
    let dir = Path::new(place.site.layout.mpm_program).parent()?;
    let builds = [
        ("mod_evasive20.so", "evasive20_module"),
        ("mod_evasive24.so", "evasive24_module"),
        ("mod_evasive.so", "evasive_module"),
    ];
    builds.into_iter().find_map(|(file, identifier)| {
        let program = dir.join(file);
        let there = place.files.is_file(&place.site.server_root.join(&program));
        there.then(|| (identifier, program.display().to_string()))
    })
}

/// Returns the build that is installed here, loaded or not.
fn installed(place: &Place<'_>) -> Option<Build> {
    let found = switch::loadable(place, &MODULE)?;
    let line = format!("LoadModule {} {}", found.identifier, found.program);
    build(place.files, line.as_bytes(), &place.site.server_root)
}

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(evasive) = (group as &dyn std::any::Any).downcast_ref::<Evasive>() else { return };
    let layout = host.place.site.layout;
    let Some(build) = host.looks.get::<Build>() else {
        if evasive.enabled != Some(false) {
            let file = switch::usual_file(host.place.site, &MODULE);
            let (what, way) = match unloaded(&host.place) {
                Some((identifier, program)) => (
                    format!("mod_evasive is not loaded: {program} is there, and no line loads it"),
                    format!("write `LoadModule {identifier} {program}` into {} first", file.display()),
                ),
                None => (
                    format!("mod_evasive is not installed: no file {} loads it", file.display()),
                    match host.place.site.distribution.as_str() {
                        "amzn" => "build it with apxs: this distribution has no package of it".to_owned(),
                        _ => format!("install the package {} first", package(layout)),
                    },
                ),
            };
            want.findings.push(rules::evasive::EV_026.finding(("evasive", "present"), what, way));
        }
        return;
    };
    if let (Some(status), None) = (evasive.http_status, build.status_directive) {
        want.findings.push(rules::evasive::EV_005.finding(
            ("evasive.http_status", &status.to_string()),
            format!(
                "this build of mod_evasive ({}) has no directive for the status: it always answers 403",
                build.symbol
            ),
            "leave evasive.http_status out".to_owned(),
        ));
    }
    let spoken = |row: &Directive| match row.key {
        "enabled" => build.generation == Generation::Two,
        "http_status" => build.status_directive == Some(row.name),
        _ => true,
    };
    want.given_in(&EVASIVE, group, spoken);
    if build.generation == Generation::Two && listen::is_dual(&host.place.configuration.listen) {
        add_mapped(want);
    }
    want.guard(&EVASIVE, &build.symbol);
    want.in_drop_in = is_loaded_later(&host.place);
    want.module = evasive.enabled;
    want.idle = Some(rules::evasive::EV_027.finding(
        ("evasive", "values"),
        "mod_evasive is not enabled, so these values protect nothing yet".to_owned(),
        "set evasive.enabled: true".to_owned(),
    ));
}

/// Tells whether the line that loads the module, as its administrator wrote it, is read after the usual file of its
/// settings, whose guard would be false there.
fn is_loaded_later(place: &Place<'_>) -> bool {
    if !matches!(place.site.layout.modules, ModuleSwitch::Lines { .. }) {
        return false;
    }
    let usual = place.site.module_conf(MODULE.name);
    let Some(loads) = switch::loadable(place, &MODULE).map(|found| found.file) else { return false };
    let read = &place.configuration.files;
    let at = |path: &Path| read.iter().position(|file| file.path == path);
    let Some(mut at_load) = at(&loads).filter(|_| loads != usual) else { return false };
    if let Some(at_usual) = at(&usual) {
        return at_usual < at_load;
    }
    // A pattern reads a directory in the order of names: where the usual file would be, if it were there.
    loop {
        let file = &read[at_load];
        if file.path.parent() == usual.parent() {
            return usual < file.path;
        }
        match file.included_at {
            Some((by, _)) if (by as usize) < at_load => at_load = by as usize,
            _ => return false,
        }
    }
}

/// Adds to each IPv4 entry of the whitelist the form in which a socket of both families has its address: 2.x compares the
/// client's own address with the entries, and there it is an IPv6 one.
fn add_mapped(want: &mut Want) {
    let settings = std::mem::take(&mut want.settings);
    for setting in settings {
        let mapped = setting
            .words
            .first()
            .filter(|_| setting.directive == "DOSWhitelist")
            .and_then(|word| mapped(word));
        let twin = mapped.map(|word| Setting { words: vec![word], ..setting.clone() });
        want.settings.push(setting);
        if let Some(twin) = twin.filter(|twin| !want.settings.contains(twin)) {
            want.settings.push(twin);
        }
    }
}

/// Returns the IPv6 form of an IPv4 address, of a network, or of an address that ends in stars; `None` for anything else.
pub(crate) fn mapped(entry: &str) -> Option<String> {
    let (address, length) = if let Some((address, length)) = entry.split_once('/') {
        (address.to_owned(), length.parse::<u8>().ok().filter(|bits| *bits <= 32)?)
    } else {
        let parts: Vec<&str> = entry.split('.').collect();
        let known = parts.iter().take_while(|part| **part != "*").count();
        if parts.len() != 4 || parts[known..].iter().any(|part| *part != "*") {
            return None;
        }
        let whole: Vec<&str> = parts.iter().map(|part| if *part == "*" { "0" } else { *part }).collect();
        (whole.join("."), u8::try_from(known).ok()? * 8)
    };
    let address: Ipv4Addr = address.parse().ok()?;
    Some(if length == 32 { format!("::ffff:{address}") } else { format!("::ffff:{address}/{}", 96 + length) })
}

/// Tells whether lines inside this section are, or with another build were, mod_evasive's settings: a guard that
/// names any mod_evasive. Settings left under the guard of a build that is gone are taken over too.
pub fn inside(section: &[u8]) -> bool {
    let Some(guard) = section.strip_suffix(b">").and_then(|section| section.get(1..)) else { return false };
    let mut words = guard.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"IfModule"))
        && words.next().is_some_and(|word| {
            (word.starts_with(b"evasive") && word.ends_with(b"_module"))
                || (word.starts_with(b"mod_evasive") && word.ends_with(b".c"))
        })
        && words.next().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn an_entry_of_ipv4_has_a_form_for_sockets_of_both_families() {
        for (entry, want) in [
            ("127.0.0.1", Some("::ffff:127.0.0.1")),
            ("10.0.0.0/8", Some("::ffff:10.0.0.0/104")),
            ("192.0.2.7/32", Some("::ffff:192.0.2.7")),
            ("0.0.0.0/0", Some("::ffff:0.0.0.0/96")),
            ("127.0.0.*", Some("::ffff:127.0.0.0/120")),
            ("127.*.*.*", Some("::ffff:127.0.0.0/104")),
            ("127.*.0.1", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("10.0.0.0/40", None),
            ("web", None),
        ] {
            assert_eq!(mapped(entry).as_deref(), want, "{entry}");
        }
    }

    #[test]
    fn the_program_decides_the_dialect_and_the_symbol_where_it_cannot_be_read() {
        let so = "/usr/lib/apache2/modules/m.so";
        for (line, program, want) in [
            (
                "LoadModule evasive20_module",
                "DOSPageCount DOSHTTPResponseCode",
                (Generation::One, Some("DOSHTTPResponseCode")),
            ),
            ("LoadModule evasive20_module", "DOSPageCount", (Generation::One, None)),
            (
                "loadmodule evasive24_module",
                "DOSPageCount DOSBlockingHttpResponse",
                (Generation::One, Some("DOSBlockingHttpResponse")),
            ),
            (
                "LoadModule evasive_module",
                "DOSPageCount DOSEnabled DOSHTTPStatus",
                (Generation::Two, Some("DOSHTTPStatus")),
            ),
            (
                "LoadModule evasive20_module",
                "DOSPageCount DOSEnabled DOSHTTPStatus",
                (Generation::Two, Some("DOSHTTPStatus")),
            ),
            ("LoadModule evasive_module", "", (Generation::Two, Some("DOSHTTPStatus"))),
            ("LoadModule evasive24_module", "", (Generation::One, None)),
        ] {
            let files = Memory::new().file(so, program);
            let found =
                build(&files, format!("# x\n{line} {so}\n").as_bytes(), Path::new("/etc/apache2")).unwrap();
            assert_eq!((found.generation, found.status_directive), want, "{line} {program}");
        }
        assert!(build(&Memory::new(), b"#LoadModule evasive20_module x.so\n", Path::new("/")).is_none());
    }
}
