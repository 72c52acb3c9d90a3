//! What all sites with TLS share: resumption of sessions, stapling, the lowest version. Certificates and cipher suites
//! are not written.

mod reports;

use crate::feature::{self, Feature, Host, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser, Takes};
use crate::report::Severity;
use crate::rules::Rule;
use crate::units::Bytes;

/// The name of this feature's parameters and block.
pub const NAME: &str = "tls";

const MODULE_ID: &str = "ssl_module";

/// What the cache of sessions takes for some thousands of clients.
const CACHE: u64 = 4 << 20;

fn is_ssl(identifier: &str) -> bool {
    identifier == MODULE_ID
}

const fn directive(name: &'static str, parser: Parser) -> Directive {
    Directive::new(name, Group(NAME), parser).module(is_ssl)
}

crate::parameters! {
    /// TLS, as far as all sites share it. A key that is omitted is not changed; one that is removed from the task again
    /// restores the earlier value.
    pub struct Tls {
        /// `false` takes out what this program put in.
        enabled: bool;
        /// The cache of sessions: `auto` (4 MiB), a size such as `2M`, or `off`. `SSLSessionCache`.
        session_cache: String => [
            directive("SSLSessionCache", Parser::Text).default(|_, _| "none").takes(Takes::RestartToEnd),
        ];
        /// Seconds for which a session can be resumed. `SSLSessionCacheTimeout`.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
        session_timeout: i64 => [
            directive("SSLSessionCacheTimeout", Parser::Atoi).in_vhosts().default(|_, _| "300"),
        ];
        /// Whether clients keep their sessions themselves: they resume without any cache. `SSLSessionTickets`.
        tickets: bool => [directive("SSLSessionTickets", Parser::Flag).in_vhosts().default(|_, _| "On")];
        /// Whether the answer of the certificate's issuer is sent along. `SSLUseStapling`, `SSLStaplingCache`.
        stapling: bool => [
            directive("SSLUseStapling", Parser::Flag).in_vhosts().default(|_, _| "Off"),
            directive("SSLStaplingCache", Parser::Text).takes(Takes::RestartToEnd),
        ];
        /// Seconds to wait for that answer. `SSLStaplingResponderTimeout`; httpd's default is 10.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 60)))]
        stapling_timeout: i64 => [
            directive("SSLStaplingResponderTimeout", Parser::Atoi).in_vhosts().default(|_, _| "10"),
        ];
        /// The lowest version: `1.2` or `1.3`. `SSLProtocol`.
        protocols: String => [directive("SSLProtocol", Parser::Raw).in_vhosts()];
    }
}

pub(crate) static TLS_013: Rule = Rule {
    id: "TLS-013",
    severity: Severity::Error,
    setting: "tls",
    summary: "a value that is no size of a cache, or no version",
    source: "httpd 2.4 modules/ssl/ssl_engine_config.c",
    ..Rule::NEW
};

/// The feature.
pub static TLS: Feature = Feature {
    name: NAME,
    doc: "What all sites with TLS share: sessions, stapling, the lowest version. If omitted, it is not managed.",
    fields: Tls::FIELDS,
    list: false,
    directives: Tls::DIRECTIVES,
    watched: &[],
    modules: &[],
    rules: &[
        &reports::TLS_006,
        &reports::TLS_007,
        &reports::TLS_008,
        &reports::TLS_009,
        &reports::TLS_010,
        &reports::TLS_011,
        &TLS_013,
    ],
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<Tls>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Tls>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

/// Returns where the shared memory of a cache is made: each family's runtime directory.
fn cache(host: &Host<'_>, name: &str, size: u64) -> String {
    let dir = match host.place.site.layout.name {
        "debian" => "${APACHE_RUN_DIR}",
        "redhat" => "/run/httpd",
        "alpine" | "suse" | "gentoo" => "/run",
        _ => "/var/run",
    };
    format!("shmcb:{dir}/{name}({size})")
}

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<Tls>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    let mut refuse = |key: &str, value: &str, message: String, hint: &str| {
        let setting = format!("tls.{key}");
        want.findings.push(TLS_013.finding((&setting, value), message, hint.to_owned()));
    };
    let session_cache = asked.session_cache.as_deref().map(|text| match text {
        "auto" => cache(host, "ssl_scache", CACHE),
        "off" => "none".to_owned(),
        size => {
            let bytes = Bytes::parse(size).filter(|size| (8192..4_294_967_295).contains(&size.0));
            if bytes.is_none() {
                let message =
                    format!("tls.session_cache {size:?} is not auto, off or a size from 8192 bytes to 4 GiB");
                refuse("session_cache", size, message, "write a size such as 4M");
            }
            cache(host, "ssl_scache", bytes.map_or(CACHE, |bytes| bytes.0))
        }
    });
    let protocols = asked.protocols.as_deref().map(|lowest| match lowest {
        "1.2" => vec!["-all".to_owned(), "+TLSv1.2".to_owned(), "+TLSv1.3".to_owned()],
        "1.3" => vec!["-all".to_owned(), "+TLSv1.3".to_owned()],
        other => {
            let message = format!("tls.protocols {other:?} is not 1.2 or 1.3, the versions that are safe");
            refuse("protocols", other, message, "write \"1.2\"");
            Vec::new()
        }
    });
    if let Some(text) = session_cache {
        want.set(&TLS, "session_cache", vec![text]);
    }
    want.given_in(&TLS, group, |row| {
        matches!(row.key, "session_timeout" | "tickets" | "stapling_timeout") || row.name == "SSLUseStapling"
    });
    if asked.stapling == Some(true) {
        want.set_row(&TLS, "SSLStaplingCache", vec![cache(host, "ssl_stapling", 256 << 10)]);
    }
    if let Some(words) = protocols.filter(|words| !words.is_empty()) {
        want.set(&TLS, "protocols", words);
    }
    want.guard(&TLS, MODULE_ID);
}
