//! HTTP/2: mod_http2 and the order of the protocols.

use crate::feature::{self, Feature, Host, Module, Want, Writes};
use crate::httpd::Mpm;
use crate::httpd::directives::{Directive, Group, Parser};
use crate::httpd::read::{Line, Scope};
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, THREADED, View};

/// The name of this feature's parameters and block.
pub const NAME: &str = "http2";

const MODULE_ID: &str = "http2_module";

fn is_http2(identifier: &str) -> bool {
    identifier == MODULE_ID
}

const fn directive(name: &'static str, parser: Parser) -> Directive {
    Directive::new(name, Group(NAME), parser).in_vhosts().module(is_http2)
}

crate::parameters! {
    /// HTTP/2. A number that is omitted is not changed; one that is removed from the task again restores the earlier
    /// value.
    pub struct Http2 {
        /// Whether clients are offered HTTP/2: `true` loads mod_http2 and writes `Protocols`, `false` takes out what this
        /// program put in. If omitted, both are not changed.
        enabled: bool => [
            Directive::new("Protocols", Group(NAME), Parser::Iterate).in_vhosts().default(|_, _| "http/1.1"),
        ];
        /// Threads for HTTP/2 in each process, beside those of the MPM. `H2MinWorkers`; httpd's default is
        /// ThreadsPerChild.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
        min_workers: i64 => [directive("H2MinWorkers", Parser::Raw)];
        /// Most of them. `H2MaxWorkers`, at least `min_workers`.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
        max_workers: i64 => [directive("H2MaxWorkers", Parser::Raw)];
        /// Requests that one connection may carry at a time. `H2MaxSessionStreams`.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_147_483_647)))]
        max_streams: i64 => [directive("H2MaxSessionStreams", Parser::Raw).default(|_, _| "100")];
        /// Whether HTTP/2 is offered without TLS too (`h2c`). Default: no; no browser uses it.
        clear_text: bool;
        /// Whether answers are pushed that nobody asked for. `H2Push`; browsers dropped it.
        push: bool => [directive("H2Push", Parser::Flag).default(|_, _| "On")];
    }
}

static MODULE: Module = Module {
    package: |layout| match layout.name {
        "redhat" => "mod_http2",
        "alpine" => "apache2-http2",
        _ => layout.package,
    },
    ..Module::stock("http2", is_http2)
};

pub(crate) static H2_010: Rule = Rule {
    id: "H2-010",
    severity: Severity::Error,
    setting: "http2.enabled",
    summary: "prefork serves no HTTP/2",
    source: "httpd 2.4 modules/http2/h2_conn.c; AH10034",
    ..Rule::NEW
};

pub(crate) static H2_011: Rule = Rule {
    id: "H2-011",
    severity: Severity::Error,
    setting: "http2.max_workers",
    summary: "less than min_workers; every HTTP/2 request fails",
    source: "httpd 2.4 modules/http2/h2_workers.c",
    ..Rule::NEW
};

pub(crate) static H2_005: Rule = Rule {
    id: "H2-005",
    severity: Severity::Warning,
    setting: "Protocols",
    summary: "http/1.1 before h2: every client is served by HTTP/1.1",
    source: "httpd 2.4 server/protocol.c, ap_select_protocol",
    example: "Protocols http/1.1 h2",
    instead: "Protocols h2 http/1.1",
    check: Check::View(old_protocol_first),
    ..Rule::NEW
};

fn old_protocol_first(view: &View<'_>, out: &mut Reporter<'_>) {
    let words = protocols(view);
    let place = |name: &str| words.iter().position(|word| word.eq_ignore_ascii_case(name));
    if let (Some(old), Some(new)) = (place("http/1.1"), place("h2"))
        && old < new
        && view.has(MODULE_ID)
        && !view.standing("ProtocolsHonorOrder").is_some_and(|word| word.eq_ignore_ascii_case("off"))
    {
        out.about("Protocols").value(words.join(" ")).effective("http/1.1").emit(
            format!(
                "Protocols{} prefers http/1.1 to h2: no client gets HTTP/2",
                view.at(view.line("Protocols"))
            ),
            "write Protocols h2 http/1.1, or ProtocolsHonorOrder off",
        );
    }
}

pub(crate) static H2_006: Rule = Rule {
    id: "H2-006",
    severity: Severity::Warning,
    setting: "Protocols",
    summary: "h2 without mod_http2: every client is served by HTTP/1.1, with no message",
    source: "httpd 2.4 server/protocol.c",
    check: Check::View(no_module),
    ..Rule::NEW
};

fn no_module(view: &View<'_>, out: &mut Reporter<'_>) {
    let words = protocols(view);
    if words.iter().any(|word| is_new(word)) && !view.has(MODULE_ID) {
        out.about("Protocols").value(words.join(" ")).effective("http/1.1").emit(
            format!("Protocols{} names h2, but mod_http2 is not loaded", view.at(view.line("Protocols"))),
            "set http2.enabled: true, or take h2 out of the line",
        );
    }
}

pub(crate) static H2_007: Rule = Rule {
    id: "H2-007",
    severity: Severity::Warning,
    mpms: THREADED,
    setting: "http2",
    summary: "mod_http2 is loaded and no Protocols line offers h2: its threads wait for nothing",
    source: "httpd 2.4 modules/http2/h2_conn.c, h2_conn_child_init",
    check: Check::View(threads_for_nothing),
    ..Rule::NEW
};

fn threads_for_nothing(view: &View<'_>, out: &mut Reporter<'_>) {
    let offered = |line: &&Line| line.directive == "Protocols" && line.words.iter().any(|word| is_new(word));
    if view.has(MODULE_ID) && !view.after.lines.iter().any(|line| offered(&line)) {
        out.about(NAME).emit(
            "mod_http2 is loaded, but no Protocols line offers h2: each process starts its threads for nothing",
            "set http2.enabled: true, or take the module out",
        );
    }
}

pub(crate) static H2_009: Rule = Rule {
    id: "H2-009",
    severity: Severity::Warning,
    setting: "Protocols",
    summary: "a name that is no protocol; httpd passes over it silently",
    source: "httpd 2.4 server/core.c, set_protocols",
    example: "Protocols http2 http/1.1",
    instead: "Protocols h2 http/1.1",
    check: Check::View(unknown_protocol),
    ..Rule::NEW
};

fn unknown_protocol(view: &View<'_>, out: &mut Reporter<'_>) {
    // The last one is mod_md's.
    const KNOWN: [&str; 4] = ["http/1.1", "h2", "h2c", "acme-tls/1"];
    for line in view.after.lines.iter().filter(|line| line.directive == "Protocols") {
        let unknown =
            line.words.iter().find(|word| !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(word)));
        if let Some(word) = unknown {
            out.on(view, "Protocols").value(word).emit(
                format!("Protocols{} names {word}, which is no protocol", view.at(Some(line))),
                "write h2, h2c or http/1.1",
            );
        }
    }
}

/// Tells whether a word of `Protocols` is HTTP/2's.
fn is_new(word: &str) -> bool {
    word.eq_ignore_ascii_case("h2") || word.eq_ignore_ascii_case("h2c")
}

/// Returns the words of the main server's `Protocols` lines: each adds to those before.
fn protocols<'a>(view: &View<'a>) -> Vec<&'a str> {
    let lines = view.context.after.lines.iter();
    let main = lines.filter(|line| line.directive == "Protocols" && line.scope == Scope::Main);
    main.flat_map(|line| line.words.iter().map(String::as_str)).collect()
}

/// The feature.
pub static HTTP2: Feature = Feature {
    name: NAME,
    doc: "HTTP/2 for clients that take it, before HTTP/1.1. If omitted, it is not managed.",
    fields: Http2::FIELDS,
    list: false,
    directives: Http2::DIRECTIVES,
    watched: &[
        Directive::new("ProtocolsHonorOrder", Group(NAME), Parser::Flag).in_vhosts().default(|_, _| "On"),
        directive("H2WindowSize", Parser::Raw),
        directive("H2StreamMaxMemSize", Parser::Raw),
    ],
    modules: &[&MODULE],
    // `Protocols` adds to the lines before it: that of the module's own file makes room.
    rules: &[&H2_005, &H2_006, &H2_007, &H2_009, &H2_010, &H2_011],
    writes: Writes::ModuleFile,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<Http2>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Http2>,
    look: |_| None,
    want,
    takes_over: feature::is_condition,
};

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<Http2>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    if asked.enabled == Some(true) && host.mpm == Mpm::Prefork {
        want.findings.push(H2_010.finding(
            ("http2.enabled", "true"),
            "prefork serves no HTTP/2: every client gets http/1.1 (AH10034)".to_owned(),
            "set mpm: event, with PHP in php-fpm; or leave http2 out".to_owned(),
        ));
    }
    if let (Some(least), Some(most)) = (asked.min_workers, asked.max_workers)
        && most < least
    {
        want.findings.push(H2_011.finding(
            ("http2.max_workers", &most.to_string()),
            format!(
                "http2.max_workers {most} is less than http2.min_workers {least}: every HTTP/2 request fails"
            ),
            format!("set http2.max_workers to {least} or more"),
        ));
    }
    if asked.enabled == Some(true) || asked.clear_text.is_some() {
        // The server's preference is the order.
        let clear_text = if asked.clear_text == Some(true) { Some("h2c") } else { None };
        let words = ["h2"].into_iter().chain(clear_text).chain(["http/1.1"]);
        want.set(&HTTP2, "enabled", words.map(str::to_owned).collect());
    }
    want.given_in(&HTTP2, group, |row| row.key != "enabled");
    want.guard(&HTTP2, MODULE_ID);
    want.module = asked.enabled;
}
