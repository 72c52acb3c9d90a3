//! Answers compressed on the fly: mod_brotli, mod_deflate, and which of them a client gets.
//!
//! The first filter that is named for a type wins, in reading order. On Debian the lines of mod_deflate's own file are
//! read before any drop-in, so that brotli's lines stand in the file of its module, which sorts before.

use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::httpd::numbers;
use crate::httpd::read::startup::Line;
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View};

/// The name of this feature's parameters and block.
pub const NAME: &str = "compression";

const BROTLI_ID: &str = "brotli_module";
const DEFLATE_ID: &str = "deflate_module";
const FILTER_ID: &str = "filter_module";

/// What is compressed where nothing else is said: text in its forms.
const TYPES: [&str; 11] = [
    "text/html",
    "text/plain",
    "text/css",
    "text/xml",
    "text/javascript",
    "application/javascript",
    "application/json",
    "application/xml",
    "application/rss+xml",
    "application/wasm",
    "image/svg+xml",
];

/// The beginnings of types that are compressed already.
const COMPRESSED: [&str; 9] = [
    "image/",
    "video/",
    "audio/",
    "font/woff",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-7z",
    "application/pdf",
];

fn is_brotli(identifier: &str) -> bool {
    identifier == BROTLI_ID
}

fn is_deflate(identifier: &str) -> bool {
    identifier == DEFLATE_ID
}

crate::parameters! {
    /// Compression of answers. It is written whole: what is left out is as its default says.
    pub struct Compression {
        /// Whether answers are compressed: `true` loads the modules that are needed, `false` takes out what this program
        /// put in. If omitted, the modules are not changed.
        enabled: bool;
        /// `br`, `gzip` or both; the first that a client takes is used. Default: `br`, `gzip`.
        algorithms: Vec<String>;
        /// The types that are compressed. Default: text in its usual forms.
        types: Vec<String>;
        /// 1 to 9. `DeflateCompressionLevel`. If omitted, it is not changed.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 9)))]
        gzip_level: i64 => [
            Directive::new("DeflateCompressionLevel", Group(NAME), Parser::Atoi)
                .in_vhosts().module(is_deflate).default(|_, _| "6"),
        ];
        /// 0 to 11; above 6 is not for compression on the fly. `BrotliCompressionQuality`. If omitted, it is not
        /// changed.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 11)))]
        br_quality: i64 => [
            Directive::new("BrotliCompressionQuality", Group(NAME), Parser::Atoi)
                .in_vhosts().module(is_brotli).default(|_, _| "5"),
        ];
    }
}

static FILTER: Module = Module::stock("filter", |identifier| identifier == FILTER_ID);
static DEFLATE: Module = Module { needs: &[&FILTER], ..Module::stock("deflate", is_deflate) };
static BROTLI: Module = Module {
    package: |layout| if layout.name == "alpine" { "apache2-brotli" } else { layout.package },
    needs: &[&FILTER],
    ..Module::stock("brotli", is_brotli)
};

/// Tells whether compressing a type again saves nothing.
fn is_compressed(kind: &str) -> bool {
    kind != "image/svg+xml" && COMPRESSED.iter().any(|start| kind.starts_with(start))
}

/// Returns the lines that compress by type, each with its filters.
fn by_type<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Line, Vec<&'a str>)> {
    view.served("AddOutputFilterByType").map(|line| (line, line.first().split(';').collect()))
}

fn names(filters: &[&str], filter: &str) -> Option<usize> {
    filters.iter().position(|name| name.eq_ignore_ascii_case(filter))
}

pub(crate) static CMP_001: Rule = Rule {
    id: "CMP-001",
    severity: Severity::Error,
    setting: "compression.algorithms",
    summary: "brotli is named for a type after gzip; no client gets brotli",
    source: "httpd 2.4 modules/filters/mod_filter.c: the first filter named wins",
    check: Check::View(never_brotli),
    example: "AddOutputFilterByType DEFLATE;BROTLI_COMPRESS text/html",
    instead: "AddOutputFilterByType BROTLI_COMPRESS;DEFLATE text/html",
    ..Rule::NEW
};

fn never_brotli(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(BROTLI_ID) || !view.has(DEFLATE_ID) {
        return;
    }
    let lines: Vec<(&Line, Vec<&str>)> = by_type(view).collect();
    for (at, (line, filters)) in lines.iter().enumerate() {
        let Some(brotli) = names(filters, "BROTLI_COMPRESS") else { continue };
        let same_place = |other: &Line| other.server == line.server && other.sections == line.sections;
        let earlier = |kind: &String| {
            let before =
                lines[..at].iter().filter(|(other, _)| same_place(other) && other.words[1..].contains(kind));
            // The first line that names the type decides, whatever comes later.
            before.map(|(other, filters)| (*other, filters)).next()
        };
        let in_this = names(filters, "DEFLATE").filter(|gzip| *gzip < brotli).map(|_| *line);
        let first = line.words.iter().skip(1).find_map(|kind| {
            let (other, filters) = earlier(kind)?;
            let gzip = names(filters, "DEFLATE")?;
            (names(filters, "BROTLI_COMPRESS").is_none_or(|brotli| gzip < brotli)).then_some((kind, other))
        });
        if let Some(other) = in_this.or(first.map(|(_, other)| other)) {
            let kind = first.map_or("its types", |(kind, _)| kind.as_str());
            out.of(view, NAME, "AddOutputFilterByType").value(line.first()).emit(
                format!(
                    "BROTLI_COMPRESS at {} is read after DEFLATE at {} for {kind}: no client gets brotli",
                    view.place(line),
                    view.place(other)
                ),
                "write BROTLI_COMPRESS;DEFLATE in one line that is read first, or set compression.enabled: true",
            );
        }
    }
}

pub(crate) static CMP_002: Rule = Rule {
    id: "CMP-002",
    severity: Severity::Warning,
    setting: "compression.types",
    summary: "a type that is compressed already",
    source: "httpd 2.4 modules/filters/mod_deflate.c",
    check: Check::View(twice_compressed),
    example: "AddOutputFilterByType DEFLATE image/png",
    instead: "AddOutputFilterByType DEFLATE image/svg+xml",
    ..Rule::NEW
};

fn twice_compressed(view: &View<'_>, out: &mut Reporter<'_>) {
    // What this task writes is judged where it is written.
    if view.params.groups.has(NAME) {
        return;
    }
    for (line, filters) in by_type(view) {
        let compresses = names(&filters, "DEFLATE").or(names(&filters, "BROTLI_COMPRESS")).is_some();
        let kinds: Vec<&str> =
            line.words.iter().skip(1).map(String::as_str).filter(|kind| is_compressed(kind)).collect();
        if compresses && !kinds.is_empty() {
            out.of(view, NAME, "AddOutputFilterByType").value(kinds.join(" ")).emit(
                format!(
                    "{} at {}: compressed already, compressing again costs time and saves nothing",
                    kinds.join(", "),
                    view.place(line)
                ),
                "take these types out of the line",
            );
        }
    }
}

pub(crate) static CMP_004: Rule = Rule {
    id: "CMP-004",
    severity: Severity::Info,
    setting: "compression",
    summary: "pages made by an application are compressed over TLS: their length tells about secrets in them",
    source: "BREACH, CVE-2013-3587",
    check: Check::View(length_tells),
    ..Rule::NEW
};

fn length_tells(view: &View<'_>, out: &mut Reporter<'_>) {
    let tls = view.served("SSLEngine").any(|line| line.first().eq_ignore_ascii_case("on"));
    let made = view.served("ProxyPass").next().is_some()
        || view.served("SetHandler").chain(view.served("AddHandler")).chain(view.served("AddType")).any(
            |line| {
                let handler = line.first().to_ascii_lowercase();
                handler.starts_with("proxy:") || handler.contains("php")
            },
        );
    let page = by_type(view).find(|(line, filters)| {
        let compresses = names(filters, "DEFLATE").or(names(filters, "BROTLI_COMPRESS")).is_some();
        compresses && line.words.iter().skip(1).any(|kind| kind == "text/html")
    });
    if let Some((line, _)) = page.filter(|_| tls && made && view.remarks(Group(NAME))) {
        out.of(view, NAME, "AddOutputFilterByType").value("text/html").emit(
            format!(
                "pages of an application are compressed over TLS ({}): whoever can make requests in a visitor's name \
                 and sees lengths learns secrets that stand beside what the request said (BREACH)",
                view.place(line)
            ),
            "see that the application masks its tokens, or leave text/html out for it",
        );
    }
}

pub(crate) static CMP_005: Rule = Rule {
    id: "CMP-005",
    severity: Severity::Warning,
    setting: "compression.br_quality, compression.gzip_level",
    summary: "a level that takes many times the processor's time of the default on every answer",
    source: "brotli and zlib; measured",
    check: Check::View(costly_level),
    example: "BrotliCompressionQuality 11",
    instead: "BrotliCompressionQuality 5",
    ..Rule::NEW
};

fn costly_level(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.served("CacheEnable").next().is_some() {
        return;
    }
    for (directive, id, most) in
        [("BrotliCompressionQuality", BROTLI_ID, 6), ("DeflateCompressionLevel", DEFLATE_ID, 8)]
    {
        let value = view.standing(directive).map(|text| numbers::atoi(text).value);
        if let Some(value) = value.filter(|value| *value > most && view.has(id)) {
            out.on(view, directive).value(value).emit(
                format!(
                    "{directive} {value}{} takes many times the processor's time of the default on every answer",
                    view.at(view.line(directive))
                ),
                format!("write {most} or less, or cache what is compressed"),
            );
        }
    }
}

pub(crate) static CMP_006: Rule = Rule {
    id: "CMP-006",
    severity: Severity::Error,
    setting: "SetOutputFilter",
    summary: "a filter whose module is not loaded; answers go out unchanged, with a message for each",
    source: "httpd 2.4 server/util_filter.c; AH00082",
    check: Check::View(filter_without_module),
    ..Rule::NEW
};

fn filter_without_module(view: &View<'_>, out: &mut Reporter<'_>) {
    const FILTERS: [(&str, &str); 8] = [
        ("DEFLATE", DEFLATE_ID),
        ("INFLATE", DEFLATE_ID),
        ("BROTLI_COMPRESS", BROTLI_ID),
        ("INCLUDES", "include_module"),
        ("SUBSTITUTE", "substitute_module"),
        ("RATE_LIMIT", "ratelimit_module"),
        ("proxy-html", "proxy_html_module"),
        ("CACHE", "cache_module"),
    ];
    let lines = ["SetOutputFilter", "AddOutputFilter", "AddOutputFilterByType", "SetInputFilter"];
    for line in lines.into_iter().flat_map(|directive| view.served(directive)) {
        let missing = line.first().split(';').find_map(|filter| {
            let (name, module) = FILTERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(filter))?;
            (!view.has(module)).then_some((*name, module.trim_end_matches("_module")))
        });
        if let Some((name, module)) = missing {
            out.of(view, NAME, line.directive.clone()).value(name).code("AH00082").emit(
                format!(
                    "{} at {} names {name}, but mod_{module} is not loaded",
                    line.directive,
                    view.place(line)
                ),
                format!("load mod_{module}, or take the filter out of the line"),
            );
        }
    }
}

pub(crate) static CMP_007: Rule = Rule {
    id: "CMP-007",
    severity: Severity::Error,
    setting: "compression.algorithms",
    summary: "is neither br nor gzip",
    source: "httpd 2.4 modules/filters/mod_brotli.c, mod_deflate.c",
    ..Rule::NEW
};

/// The feature.
pub static COMPRESSION: Feature = Feature {
    name: NAME,
    doc: "Compression of answers by brotli and gzip. If omitted, it is not managed.",
    fields: Compression::FIELDS,
    list: false,
    directives: Compression::DIRECTIVES,
    watched: &[],
    modules: &[&BROTLI, &DEFLATE, &FILTER],
    rules: &[&CMP_001, &CMP_002, &CMP_004, &CMP_005, &CMP_006, &CMP_007],
    writes: Writes::ModuleFile,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<Compression>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Compression>,
    look: |_| None,
    want,
    takes_over: feature::is_condition,
};

fn want(group: &dyn crate::parameters::Group, _: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<Compression>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    let algorithms = asked.algorithms.clone().unwrap_or_else(|| vec!["br".to_owned(), "gzip".to_owned()]);
    let filters: Vec<&str> = algorithms
        .iter()
        .filter_map(|name| match name.as_str() {
            "br" => Some("BROTLI_COMPRESS"),
            "gzip" => Some("DEFLATE"),
            _ => None,
        })
        .collect();
    if filters.is_empty() || filters.len() != algorithms.len() {
        want.findings.push(CMP_007.finding(
            ("compression.algorithms", &algorithms.join(", ")),
            format!("compression.algorithms must be br, gzip or both, not {:?}", algorithms.join(", ")),
            "write [br, gzip]".to_owned(),
        ));
        return;
    }
    let types = asked.types.clone().unwrap_or_else(|| TYPES.map(str::to_owned).to_vec());
    for kind in types.iter().filter(|kind| is_compressed(kind)) {
        want.findings.push(CMP_002.finding(
            ("compression.types", kind),
            format!("{kind} is compressed already: compressing it again costs time and saves nothing"),
            format!("take {kind} out of compression.types"),
        ));
    }
    let (br, gzip) = (filters.contains(&"BROTLI_COMPRESS"), filters.contains(&"DEFLATE"));
    want.given_in(&COMPRESSION, group, |row| {
        (row.key == "br_quality" && br) || (row.key == "gzip_level" && gzip)
    });
    for setting in &mut want.settings {
        let id = if setting.directive.starts_with("Brotli") { BROTLI_ID } else { DEFLATE_ID };
        setting.guard = Some(id.to_owned());
    }
    let words = std::iter::once(filters.join(";")).chain(types);
    let mut items = vec![Item::line("AddOutputFilterByType", words)];
    for id in [(br, BROTLI_ID), (gzip, DEFLATE_ID), (true, FILTER_ID)]
        .into_iter()
        .filter_map(|(on, id)| on.then_some(id))
    {
        // A filter whose module is gone would keep httpd from starting.
        items = vec![Item::Section("IfModule", id.to_owned(), items)];
    }
    want.items = items;
    want.in_drop_in = !br;
    if br {
        want.module = asked.enabled;
    }
    if asked.enabled == Some(true) && gzip {
        want.also.push(&DEFLATE);
    }
}
