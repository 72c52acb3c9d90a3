//! Persistent connections of the main server.

use crate::feature::{self, Feature, Host, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};

/// The name of this feature's parameters and block.
pub const NAME: &str = "keepalive";

/// The group of its directives.
pub const GROUP: Group = Group(NAME);

const fn directive(name: &'static str, parser: Parser) -> Directive {
    Directive::new(name, GROUP, parser).in_vhosts()
}

crate::parameters! {
    // Defaults: `include/httpd.h`.
    /// Persistent connections of the main server. A key that is omitted is not changed; one that is removed from the task
    /// again restores the earlier value.
    pub struct KeepAlive {
        /// Whether a connection may carry more than one request. `KeepAlive`. If omitted, it is not changed.
        enabled: bool => [directive("KeepAlive", Parser::Flag).default(|_, _| "On")];
        /// How long an idle connection waits for the next request: `5`, `5s`, `500ms`. `KeepAliveTimeout`. If omitted, it
        /// is not changed.
        timeout: String => [directive("KeepAliveTimeout", Parser::Duration).default(|_, _| "5")];
        /// Requests a connection may carry; 0 is no limit. `MaxKeepAliveRequests`. If omitted, it is not changed.
        max_requests: i64 => [directive("MaxKeepAliveRequests", Parser::Atoi).default(|_, _| "100")];
    }
}

/// The feature.
pub static KEEPALIVE: Feature = Feature {
    name: NAME,
    doc: "Persistent connections of the main server. If omitted, it is not managed.",
    fields: KeepAlive::FIELDS,
    list: false,
    directives: KeepAlive::DIRECTIVES,
    watched: &[],
    modules: &[],
    rules: &[],
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<KeepAlive>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<KeepAlive>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

fn want(group: &dyn crate::parameters::Group, _: &Host<'_>, want: &mut Want) {
    want.given(&KEEPALIVE, group);
}
