//! What is said of cache lines that stand on a host, whoever wrote them.

use std::path::Path;

use super::{CACHE_ID, DISK_ID, NAME};
use crate::facts::access;
use crate::httpd::directives::{Group, Loaded as _};
use crate::httpd::numbers;
use crate::httpd::read::startup::Line;
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View};

/// Returns the lines that switch caching on, each with its provider and the beginning of the paths.
fn enabled<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Line, &'a str, &'a str)> {
    view.served("CacheEnable").map(|line| {
        // In a section the paths are the section's.
        let path = line.words.get(1).map_or_else(|| line.within("Location").unwrap_or("/"), String::as_str);
        (line, line.first(), path)
    })
}

/// Tells whether the cache answers before any other module is asked.
fn is_quick(view: &View<'_>) -> bool {
    !view.standing("CacheQuickHandler").is_some_and(|word| word.eq_ignore_ascii_case("off"))
}

/// Returns the line that caches on disk, where caching works at all.
fn on_disk<'a>(view: &View<'a>) -> Option<&'a Line> {
    let works = view.has(CACHE_ID) && view.has(DISK_ID);
    enabled(view).find(|(_, provider, _)| works && *provider == "disk").map(|(line, _, _)| line)
}

pub(super) fn root_missing(view: &View<'_>, out: &mut Reporter<'_>) {
    // What this task writes is judged where it is written.
    let Some(line) = on_disk(view).filter(|_| !view.params.groups.has(NAME)) else { return };
    let why = match (view.standing("CacheRoot"), view.disk()) {
        (None, _) => Some("CacheRoot is not set".to_owned()),
        (Some(root), _) if !root.starts_with('/') => {
            Some(format!("CacheRoot {root} is not an absolute path"))
        }
        (Some(root), Some(files)) if !files.is_dir(Path::new(root)) => {
            Some(format!("CacheRoot {root} is not a directory"))
        }
        (Some(root), Some(files)) => {
            let user = view.web_user();
            let may = |status| access::may_write(files, user, &status);
            let denied = files.status(Path::new(root)).is_some_and(|status| !may(status));
            denied.then(|| format!("CacheRoot {root} cannot be written by {user}"))
        }
        (Some(_), None) => None,
    };
    if let Some(why) = why {
        out.of(view, NAME, "CacheRoot").value(view.standing("CacheRoot").unwrap_or_default()).emit(
            format!("{why}, so that CacheEnable at {} stores nothing, with no message", view.place(line)),
            format!("make a directory of its own: install -d -m 0700 -o {} DIR", view.web_user()),
        );
    }
}

pub(super) fn cookies_stored(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(line) = on_disk(view).filter(|_| !view.params.groups.has(NAME)) else { return };
    let ignored = view
        .served("CacheIgnoreHeaders")
        .any(|line| line.words.iter().any(|word| word.eq_ignore_ascii_case("set-cookie")));
    if !ignored {
        out.of(view, NAME, "CacheIgnoreHeaders").emit(
            format!(
                "CacheEnable at {}: a cookie that one visitor got is handed to the next one",
                view.place(line)
            ),
            "write CacheIgnoreHeaders Set-Cookie",
        );
    }
}

pub(super) fn nothing_cleans(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some(line), Some(files), Some(root)) = (on_disk(view), view.disk(), view.standing("CacheRoot"))
    else {
        return;
    };
    if view.params.groups.has(NAME) || super::cleaner::cleans(files, view.layout, Path::new(root)) {
        return;
    }
    out.of(view, NAME, "CacheRoot").value(root).emit(
        format!("nothing keeps {root} small: CacheEnable at {} fills the disk", view.place(line)),
        format!(
            "run htcacheclean -d 15 -n -t -i -p {root} -l 300M as {}, or set cache_disk",
            view.web_user()
        ),
    );
}

pub(super) fn answers_before_judges(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(line) = on_disk(view).filter(|_| !view.params.groups.has(NAME)) else { return };
    let judges = |id: &str| id == "security2_module" || id.starts_with("evasive");
    if is_quick(view) && view.after.any_module(&judges) {
        out.of(view, NAME, "CacheQuickHandler").value("On").emit(
            format!(
                "CacheQuickHandler is on with CacheEnable at {}: what is cached is answered before ModSecurity or \
                 mod_evasive can refuse",
                view.place(line)
            ),
            "write CacheQuickHandler Off",
        );
    }
}

pub(crate) static CACHE_002: Rule = Rule {
    id: "CACHE-002",
    severity: Severity::Error,
    setting: "CacheEnable",
    summary: "the kind of cache is not loaded or not known; nothing is cached, with no message",
    source: "httpd 2.4 modules/cache/cache_util.c, cache_get_providers",
    check: Check::View(no_provider),
    example: "CacheEnable dsk /",
    instead: "CacheEnable disk /",
    ..Rule::NEW
};

fn no_provider(view: &View<'_>, out: &mut Reporter<'_>) {
    for (line, provider, _) in enabled(view) {
        let module = match provider {
            "disk" => "cache_disk",
            "socache" => "cache_socache",
            _ => "",
        };
        if !module.is_empty() && view.has(&format!("{module}_module")) {
            continue;
        }
        let (why, hint) = if module.is_empty() {
            ("no module brings it".to_owned(), "write disk or socache".to_owned())
        } else {
            (format!("mod_{module} is not loaded"), format!("load mod_{module}"))
        };
        out.of(view, NAME, "CacheEnable").value(provider).emit(
            format!(
                "CacheEnable {provider} at {}: {why}; nothing is cached, with no message",
                view.place(line)
            ),
            hint,
        );
    }
}

pub(crate) static CACHE_003: Rule = Rule {
    id: "CACHE-003",
    severity: Severity::Error,
    setting: "CacheQuickHandler",
    summary: "the cache answers before an access rule is asked; who is denied gets what others may see",
    source: "httpd 2.4 modules/cache/mod_cache.c, cache_quick_handler",
    check: Check::View(past_access_rules),
    example: "CacheQuickHandler On",
    instead: "CacheQuickHandler Off",
    ..Rule::NEW
};

/// Returns the path of the section that an access rule stands in, where it is below a server's files or paths.
fn guarded<'a>(view: &View<'a>, line: &'a Line) -> Option<&'a str> {
    if let Some(path) = line.within("Location") {
        // Pages that the server makes of itself are never stored.
        const OWN: [&str; 5] =
            ["server-status", "server-info", "balancer-manager", "ldap-status", "md-status"];
        let own = view.served("SetHandler").any(|other| {
            other.server == line.server
                && other.within("Location") == Some(path)
                && OWN.contains(&other.first())
        });
        return (!own).then_some(path);
    }
    let dir = line.within("Directory")?.trim_end_matches('/');
    let roots =
        view.served("DocumentRoot").filter(|root| line.server.is_none() || root.server == line.server);
    roots.map(|root| root.first().trim_end_matches('/')).find_map(|root| {
        let rest = dir.strip_prefix(root)?;
        if rest.is_empty() { Some("/") } else { rest.starts_with('/').then_some(rest) }
    })
}

fn past_access_rules(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(CACHE_ID) || !is_quick(view) {
        return;
    }
    let lets_all = |line: &Line| {
        let words = line.words.join(" ").to_ascii_lowercase();
        ["all granted", "all denied", "from all"].contains(&words.as_str())
    };
    let rules = ["Require", "Allow", "Deny"].into_iter().flat_map(|directive| view.served(directive));
    let rules: Vec<(&Line, &str)> =
        rules.filter(|line| !lets_all(line)).filter_map(|line| Some((line, guarded(view, line)?))).collect();
    for (line, _, path) in enabled(view) {
        let in_way = rules.iter().find(|(rule, guarded)| {
            let same_server = rule.server.is_none() || line.server.is_none() || rule.server == line.server;
            same_server && (guarded.starts_with(path) || path.starts_with(guarded))
        });
        if let Some((rule, guarded)) = in_way {
            out.of(view, NAME, "CacheQuickHandler").value("On").emit(
                format!(
                    "CacheQuickHandler is on: CacheEnable at {} answers for {guarded} before {} at {} is asked",
                    view.place(line),
                    rule.directive,
                    view.place(rule)
                ),
                "write CacheQuickHandler Off, or CacheDisable for that path",
            );
        }
    }
}

pub(crate) static CACHE_005: Rule = Rule {
    id: "CACHE-005",
    severity: Severity::Error,
    setting: "CacheEnable",
    summary: "in a <Location> it does nothing while the quick handler is on, with no message",
    source: "httpd 2.4 modules/cache/mod_cache.c, cache_quick_handler",
    check: Check::View(in_location),
    ..Rule::NEW
};

fn in_location(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(CACHE_ID) || !is_quick(view) {
        return;
    }
    for (line, provider, path) in enabled(view).filter(|(line, ..)| !line.sections.is_empty()) {
        out.of(view, NAME, "CacheEnable").value(provider).emit(
            format!("CacheEnable {provider} at {} caches nothing: CacheQuickHandler is on", view.place(line)),
            format!("write CacheQuickHandler Off, or CacheEnable {provider} {path} outside of the section"),
        );
    }
}

pub(crate) static CACHE_006: Rule = Rule {
    id: "CACHE-006",
    severity: Severity::Error,
    setting: "CacheMaxFileSize, CacheMaxExpire",
    summary: "a unit; httpd reads the digits and ignores the rest",
    source: "httpd 2.4 modules/cache/mod_cache_disk.c, mod_cache.c",
    check: Check::View(unit_ignored),
    example: "CacheMaxFileSize 10M",
    instead: "CacheMaxFileSize 10485760",
    ..Rule::NEW
};

fn unit_ignored(view: &View<'_>, out: &mut Reporter<'_>) {
    for (directive, unit) in
        [("CacheMaxFileSize", "bytes"), ("CacheMaxExpire", "seconds"), ("CacheDefaultExpire", "seconds")]
    {
        let Some(text) = view.standing(directive) else { continue };
        let read = numbers::atoi(text);
        if !read.digits || !read.rest.is_empty() {
            out.on(view, directive).value(text).effective(read.value).emit(
                format!(
                    "{directive} {text}{} is read as {} {unit}",
                    view.at(view.line(directive)),
                    read.value
                ),
                format!("write {unit}, as a plain number"),
            );
        }
    }
}

pub(crate) static CACHE_008: Rule = Rule {
    id: "CACHE-008",
    severity: Severity::Error,
    setting: "cache_disk.size",
    summary: "the disk has less room than the cache may take and a fifth more",
    source: "httpd 2.4 support/htcacheclean.c: between two runs a cache grows beyond its limit",
    check: Check::View(too_large),
    ..Rule::NEW
};

fn too_large(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some(line), Some(root)) = (on_disk(view), view.standing("CacheRoot")) else { return };
    let Some(space) = view.files.space(Path::new(root)) else { return };
    let asked = view.params.groups.get::<super::CacheDisk>();
    let size = asked.map_or(super::USUAL_SIZE, super::CacheDisk::limit);
    if space.free.0 < size / 5 * 6 {
        out.of(view, NAME, "cache_disk.size").value(size).emit(
            format!(
                "{} MiB are free where {root} is, and the cache ({}) may take {} MiB and a fifth more",
                space.free.mib(),
                view.place(line),
                size >> 20
            ),
            "lower cache_disk.size, or give it a larger disk",
        );
    }
}

pub(crate) static CACHE_009: Rule = Rule {
    id: "CACHE-009",
    severity: Severity::Warning,
    setting: "CacheRoot",
    summary: "the cache is on the disk of the whole system, which it can fill",
    source: "httpd 2.4 modules/cache/mod_cache_disk.c: nothing in httpd limits the size",
    check: Check::View(on_the_systems_disk),
    ..Rule::NEW
};

fn on_the_systems_disk(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some(_), Some(root)) = (on_disk(view), view.standing("CacheRoot")) else { return };
    let device = |path: &str| view.files.space(Path::new(path)).map(|space| space.device);
    if device(root).is_some_and(|own| device("/") == Some(own)) && view.remarks(Group(NAME)) {
        out.of(view, NAME, "CacheRoot").value(root).emit(
            format!("CacheRoot {root}{} is on the disk of /", view.at(view.line("CacheRoot"))),
            "give it a file system of its own: then a full cache harms nothing else",
        );
    }
}

pub(crate) static CACHE_010: Rule = Rule {
    id: "CACHE-010",
    severity: Severity::Warning,
    setting: "CacheEnable",
    summary: "files of the own disk gain nothing from a cache on disk, and are slower where nothing says how long they keep",
    source: "measured: 12,000 to 14,000 requests a second without, 7,000 to 18,000 with, 1,600 to 2,400 without a lifetime",
    check: Check::View(gains_nothing),
    ..Rule::NEW
};

fn gains_nothing(view: &View<'_>, out: &mut Reporter<'_>) {
    let handled = |line: &Line| {
        let handler = line.words.join(" ").to_ascii_lowercase();
        ["proxy:", "php", "cgi", "fcgi", "uwsgi", "wsgi", "perl"].iter().any(|word| handler.contains(word))
    };
    let made = ["ProxyPass", "ProxyPassMatch", "BalancerMember"]
        .into_iter()
        .any(|directive| view.served(directive).next().is_some())
        || ["SetHandler", "AddHandler", "AddType"].into_iter().any(|name| view.served(name).any(handled))
        || view.served("RewriteRule").any(|rule| rule.words.get(2).is_some_and(|flags| flags.contains('P')))
        || view
            .after
            .any_module(&|id: &str| id.starts_with("php") || id == "wsgi_module" || id == "passenger_module");
    let compressed = ["AddOutputFilterByType", "SetOutputFilter"].into_iter().any(|name| {
        view.served(name).any(|line| {
            let filters = line.first().to_ascii_uppercase();
            (filters.contains("DEFLATE") && view.has("deflate_module"))
                || (filters.contains("BROTLI") && view.has("brotli_module"))
        })
    });
    if let Some(line) = on_disk(view).filter(|_| !made && !compressed) {
        out.of(view, NAME, "CacheEnable").value(line.words.join(" ")).emit(
            format!(
                "CacheEnable at {}: nothing here is made or compressed for a request, and a file of the own disk is \
                 served as quickly without the cache: the system keeps it in memory",
                view.place(line)
            ),
            "take the cache out, or name only paths whose answers are made anew for each request",
        );
    }
}

pub(crate) static CACHE_011: Rule = Rule {
    id: "CACHE-011",
    severity: Severity::Warning,
    setting: "CacheStorePrivate, CacheStoreNoStore, CacheIgnoreCacheControl",
    summary: "answers that ask not to be stored are stored, or what the client asks for is ignored",
    source: "httpd 2.4 modules/cache/cache_util.c; RFC 9111",
    check: Check::View(stores_private),
    ..Rule::NEW
};

fn stores_private(view: &View<'_>, out: &mut Reporter<'_>) {
    for (directive, what) in [
        ("CacheStorePrivate", "answers meant for one visitor are stored for all"),
        ("CacheStoreNoStore", "answers that ask not to be stored are stored"),
        ("CacheIgnoreCacheControl", "a visitor who asks for a fresh answer does not get it"),
    ] {
        let on = |line: &&Line| line.first().eq_ignore_ascii_case("on");
        if let Some(line) = view.served(directive).find(on).filter(|_| view.has(CACHE_ID)) {
            out.of(view, NAME, directive)
                .value("On")
                .emit(format!("{directive} On at {}: {what}", view.place(line)), "take the line out");
        }
    }
}

pub(crate) static CACHE_013: Rule = Rule {
    id: "CACHE-013",
    severity: Severity::Info,
    setting: "Header",
    summary: "answers vary on a field that nearly each client has its own value of: each gets a copy of its own",
    source: "RFC 9110, 12.5.5",
    check: Check::View(varies),
    ..Rule::NEW
};

fn varies(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(_) = on_disk(view).filter(|_| view.remarks(Group(NAME))) else { return };
    let line = view.served("Header").find(|line| {
        let words: Vec<String> = line.words.iter().map(|word| word.to_ascii_lowercase()).collect();
        let at = words.iter().position(|word| word == "vary");
        let values = at.and_then(|at| words.get(at + 1));
        values.is_some_and(|values| values.contains("user-agent") || values.contains("cookie"))
    });
    if let Some(line) = line {
        out.of(view, NAME, "Header").value(line.words.join(" ")).emit(
            format!(
                "Header at {}: answers vary on User-Agent or Cookie, one copy for each value",
                view.place(line)
            ),
            "vary on less, or leave these paths out of the cache",
        );
    }
}
