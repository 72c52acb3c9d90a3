//! Answers compressed on the fly: mod_brotli, mod_deflate, and which of them a client gets.
//!
//! The first filter that is named for a type wins, in reading order. On Debian the lines of mod_deflate's own file are
//! read before any drop-in, so that brotli's lines stand in the file of its module, which sorts before.

use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::report::Severity;
use crate::rules::Rule;

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
        /// put in. Left out, the modules stay as they stand.
        enabled: bool;
        /// `br`, `gzip` or both; the first that a client takes is used. Default: `br`, `gzip`.
        algorithms: Vec<String>;
        /// The types that are compressed. Default: text in its usual forms.
        types: Vec<String>;
        /// 1 to 9. `DeflateCompressionLevel`. Left out, it stays as it stands.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 9)))]
        gzip_level: i64 => [
            Directive::new("DeflateCompressionLevel", Group(NAME), Parser::Atoi)
                .in_vhosts().module(is_deflate).default(|_, _| "6"),
        ];
        /// 0 to 11; above 6 is not for compression on the fly. `BrotliCompressionQuality`. Left out, it stays as it
        /// stands.
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

pub(crate) static CMP_002: Rule = Rule {
    id: "CMP-002",
    severity: Severity::Warning,
    setting: "compression.types",
    summary: "a type that is compressed already",
    source: "httpd 2.4 modules/filters/mod_deflate.c",
    ..Rule::NEW
};

pub(crate) static CMP_005: Rule = Rule {
    id: "CMP-005",
    severity: Severity::Warning,
    setting: "compression.br_quality, compression.gzip_level",
    summary: "a level that takes many times the time",
    source: "brotli and zlib; measured",
    ..Rule::NEW
};

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
    doc: "Compression of answers by brotli and gzip. Left out, what stands stays.",
    fields: Compression::FIELDS,
    directives: Compression::DIRECTIVES,
    watched: &[],
    modules: &[&BROTLI, &DEFLATE, &FILTER],
    rules: &[&CMP_002, &CMP_005, &CMP_007],
    writes: Writes::ModuleFile,
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
    for kind in types.iter().filter(|kind| *kind != "image/svg+xml") {
        if COMPRESSED.iter().any(|start| kind.starts_with(start)) {
            want.findings.push(CMP_002.finding(
                ("compression.types", kind),
                format!("{kind} is compressed already: compressing it again costs time and saves nothing"),
                format!("take {kind} out of compression.types"),
            ));
        }
    }
    for (key, value, most) in [("br_quality", asked.br_quality, 6), ("gzip_level", asked.gzip_level, 8)] {
        if let Some(value) = value.filter(|value| *value > most) {
            want.findings.push(CMP_005.finding((&format!("compression.{key}"), &value.to_string()),
                format!("compression.{key} {value} takes many times the processor's time of the default on every answer"),
                format!("set compression.{key} to {most} or less, or cache what is compressed"),
            ));
        }
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
