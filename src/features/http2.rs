//! HTTP/2: mod_http2 and the order of the protocols.

use crate::feature::{self, Feature, Host, Module, Want, Writes};
use crate::httpd::Mpm;
use crate::httpd::directives::{Directive, Group, Parser};
use crate::report::Severity;
use crate::rules::Rule;

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
    /// HTTP/2. A number that is left out stays as it stands; one that is taken out of the task again gives back what
    /// stood before.
    pub struct Http2 {
        /// Whether clients are offered HTTP/2: `true` loads mod_http2 and writes `Protocols`, `false` takes out what this
        /// program put in. Left out, both stay as they stand.
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

/// The feature.
pub static HTTP2: Feature = Feature {
    name: NAME,
    doc: "HTTP/2 for clients that take it, before HTTP/1.1. Left out, what stands stays.",
    fields: Http2::FIELDS,
    directives: Http2::DIRECTIVES,
    watched: &[directive("H2WindowSize", Parser::Raw), directive("H2StreamMaxMemSize", Parser::Raw)],
    modules: &[&MODULE],
    // `Protocols` adds to the lines before it: that of the module's own file makes room.
    rules: &[&H2_010, &H2_011],
    writes: Writes::ModuleFile,
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
