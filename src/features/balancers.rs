//! Groups of backends that requests are shared out to: mod_proxy, its balancers and its health checks.
//!
//! A path is mapped in a `<Location>` and never by a `ProxyPass` of the main server: that one comes before every virtual
//! host's own and cannot be taken back there.

mod reports;
mod values;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::Directive;
use crate::parameters::{Field, Group as Parameters, Kind, Typed};
use values::{expected, judge_values, milliseconds, refusal};

/// The name of this feature's parameters and block.
pub const NAME: &str = "balancers";

const MODULE_ID: &str = "proxy_balancer_module";

/// The characters of the longest name that `ProxyHCExpr` takes, and the route of a member.
const LONGEST_ROUTE: usize = 63;

crate::parameters! {
    /// One backend.
    pub struct Member {
        /// Its address: `http://10.0.0.11:8080`, or `https://`, whose certificate is verified.
        url: String;
        /// The name by which a session finds it again: letters, digits, `-` and `_`. Default: `m1`, `m2`, …
        route: String;
        /// Its share beside the others, 1 to 100. Default: 1.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
        weight: i64;
        /// Whether it is used only while all others fail. Default: no.
        standby: bool;
    }
}

crate::parameters! {
    /// Sessions that stay with one member.
    pub struct Sticky {
        /// The cookie that names the member. Default: `ROUTEID`.
        cookie: String;
        /// Whether another member takes a session over where its own fails. Default: yes.
        failover: bool;
    }
}

crate::parameters! {
    /// The connections of each process to each member.
    pub struct Pool {
        /// The most of them. Default: as many as `backend_limit` allows, else as many as a process has threads.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
        max: i64;
        /// How long a request waits for one of them: `500ms`, `2s`. Default: `500ms`.
        acquire: String;
        /// Seconds after which one that is not used is closed. Default: 60.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
        ttl: i64;
    }
}

crate::parameters! {
    /// Asking each member from time to time whether it works.
    pub struct Health {
        /// How it is asked: `GET`, `HEAD`, `OPTIONS` or `TCP`. Default: `GET`.
        method: String;
        /// The path that is asked for. Default: `/health`.
        uri: String;
        /// Seconds between two questions. Default: 5.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
        interval: i64;
        /// Wrong answers after which it is not used any more. Default: 2.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
        fails: i64;
        /// Right answers after which it is used again. Default: 2.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
        passes: i64;
        /// The right answers: classes and codes such as `2xx,3xx` or `200`. Default: `2xx,3xx`.
        expect: String;
    }
}

crate::parameters! {
    /// A path whose requests go to the balancer, in every virtual host.
    pub struct Map {
        /// Its beginning: `/app`. With `/`, the paths of ACME challenges and of `/server-status` stay here.
        path: String;
    }
}

crate::parameters! {
    /// One balancer.
    pub struct Balancer {
        /// Its name: `balancer://NAME`. Letters, digits, `-` and `_`.
        name: String;
        /// The backends.
        members: Vec<Member>;
        /// How requests are shared out: `byrequests`, `bytraffic` or `bybusyness`. Default: `byrequests`.
        method: String;
        /// Sessions that stay with one member. If omitted, they do not.
        sticky: Sticky;
        /// The connections of each process to each member.
        pool: Pool;
        /// Connections that one member can take from the whole server, such as `max_children` of php-fpm. If omitted, it
        /// is not checked.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        backend_limit: i64;
        /// Seconds to wait for an answer. Default: 30.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
        timeout: i64;
        /// How long to wait for a connection: `2s`, `500ms`. Default: `2s`.
        connect_timeout: String;
        /// Seconds for which a member that failed is not used. Default: 10.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 86_400)))]
        retry: i64;
        /// Codes of answers after which a member is not used either. Default: 503.
        fail_on_status: Vec<String>;
        /// Whether a member that does not answer in time is not used either. Default: no.
        fail_on_timeout: bool;
        /// Asking each member whether it works. If omitted, none is asked.
        health: Health;
        /// The paths whose requests go to it. If omitted, only the balancer is there, for the sites' own lines.
        map: Vec<Map>;
        /// Whether members get the name that the client asked for. Default: yes.
        preserve_host: bool;
        /// Whether members are told in `X-Forwarded-Proto` how the client asked. Default: yes.
        forwarded_proto: bool;
    }
}

macro_rules! lists {
    ($($name:ident),+) => { $(
        impl Typed for Vec<$name> {
            const KIND: Kind = Kind::Dicts($name::FIELDS);

            fn words(&self) -> Vec<String> {
                self.iter().map(|one| format!("{one:?}")).collect()
            }
        }
    )+ };
}

lists!(Member, Map);

/// All balancers.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Balancers(pub Vec<Balancer>);

impl Balancers {
    /// The keys of one of them.
    pub const FIELDS: &'static [Field] = Balancer::FIELDS;
}

impl Parameters for Balancers {
    fn given(&self) -> Vec<(&'static str, Vec<String>)> {
        vec![(NAME, self.0.iter().map(|one| format!("{one:?}")).collect())]
    }
}

static PROXY: Module = Module::stock("proxy", |id| id == "proxy_module");
static HTTP: Module =
    Module { needs: &[&PROXY], ..Module::stock("proxy_http", |id| id == "proxy_http_module") };
static MEMORY: Module = Module::stock("slotmem_shm", |id| id == "slotmem_shm_module");
static BALANCER: Module =
    Module { needs: &[&PROXY, &MEMORY], ..Module::stock("proxy_balancer", |id| id == MODULE_ID) };
static BY_REQUESTS: Module = Module::stock("lbmethod_byrequests", |id| id == "lbmethod_byrequests_module");
static BY_TRAFFIC: Module = Module::stock("lbmethod_bytraffic", |id| id == "lbmethod_bytraffic_module");
static BY_BUSYNESS: Module = Module::stock("lbmethod_bybusyness", |id| id == "lbmethod_bybusyness_module");
static HCHECK: Module =
    Module { needs: &[&PROXY], ..Module::stock("proxy_hcheck", |id| id == "proxy_hcheck_module") };
static HEADERS: Module = Module::stock("headers", |id| id == "headers_module");
static SSL: Module = Module { package: ssl_package, ..Module::stock("ssl", |id| id == "ssl_module") };

fn ssl_package(layout: &crate::distro::Layout) -> &'static str {
    match layout.name {
        "redhat" => "mod_ssl",
        "alpine" => "apache2-ssl",
        _ => layout.package,
    }
}

/// The directives are none of those whose values are followed: they belong to sections.
const DIRECTIVES: &[&[Directive]] = &[];

/// The feature.
pub static BALANCERS: Feature = Feature {
    name: NAME,
    doc: "Balancers: groups of backends with health checks, pools, sticky sessions and fail-over. A list; an empty one takes \
          out what this program put in. If omitted, it is not managed.",
    fields: Balancers::FIELDS,
    list: true,
    directives: DIRECTIVES,
    watched: &[],
    modules: &[
        &BALANCER,
        &HTTP,
        &PROXY,
        &MEMORY,
        &BY_REQUESTS,
        &BY_TRAFFIC,
        &BY_BUSYNESS,
        &HCHECK,
        &HEADERS,
        &SSL,
    ],
    rules: reports::RULES,
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: |value| Ok(Arc::new(serde_json::from_value::<Balancers>(value)?)),
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Balancers>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

fn want(group: &dyn Parameters, host: &Host<'_>, want: &mut Want) {
    let Some(Balancers(all)) = (group as &dyn std::any::Any).downcast_ref::<Balancers>() else { return };
    if all.is_empty() {
        want.gone = true;
        return;
    }
    let mut items = Vec::new();
    for (index, asked) in all.iter().enumerate() {
        let before = want.findings.len();
        judge_values(asked, index, &mut want.findings);
        let name = asked.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let same =
            |other: &Balancer| other.name.as_deref().is_some_and(|other| other.eq_ignore_ascii_case(&name));
        if all[..index].iter().any(same) {
            want.findings.push(refusal(
                index,
                "name",
                &name,
                "is the name of another one",
                "give each its own",
            ));
        }
        if want.findings.len() > before {
            continue;
        }
        items.extend(rendered(asked, index, host));
        let method = match asked.method.as_deref().unwrap_or("byrequests") {
            "bytraffic" => &BY_TRAFFIC,
            "bybusyness" => &BY_BUSYNESS,
            _ => &BY_REQUESTS,
        };
        let mut also = vec![&HTTP, method];
        if asked.health.is_some() {
            also.push(&HCHECK);
        }
        if asked.sticky.is_some() || asked.forwarded_proto != Some(false) {
            also.push(&HEADERS);
        }
        if members(asked).any(|member| url(member).starts_with("https:")) {
            also.push(&SSL);
        }
        for module in also {
            if !want.also.iter().any(|known| known.name == module.name) {
                want.also.push(module);
            }
        }
    }
    want.items = vec![Item::Section("IfModule", MODULE_ID.to_owned(), items)];
    want.module = Some(true);
}

fn members(asked: &Balancer) -> impl Iterator<Item = &Member> {
    asked.members.iter().flatten()
}

fn url(member: &Member) -> &str {
    member.url.as_deref().unwrap_or_default()
}

/// Returns the lines of one balancer.
fn rendered(asked: &Balancer, index: usize, host: &Host<'_>) -> Vec<Item> {
    let name = asked.name.as_deref().unwrap_or_default();
    let address = format!("balancer://{name}");
    let mut items = Vec::new();
    // At most 15 characters.
    let check = format!("at_{}", index + 1);
    let expect = asked.health.as_ref().map(|health| health.expect.as_deref().unwrap_or("2xx,3xx"));
    let tcp = asked.health.as_ref().is_some_and(|health| health.method.as_deref() == Some("TCP"));
    if let Some(pattern) = expect.filter(|_| !tcp).and_then(expected) {
        let expression = format!("%{{REQUEST_STATUS}} =~ /{pattern}/");
        let line = Item::line("ProxyHCExpr", [check.clone(), expression]);
        items.push(Item::Section("IfModule", "proxy_hcheck_module".to_owned(), vec![line]));
    }

    let mut section = Vec::new();
    if members(asked).any(|member| url(member).starts_with("https:")) {
        let mut lines = vec![
            Item::line("SSLProxyEngine", ["On"]),
            Item::line("SSLProxyVerify", ["require"]),
            Item::line("SSLProxyCheckPeerName", ["On"]),
        ];
        if let Some(bundle) = bundle(host) {
            lines.push(Item::line("SSLProxyCACertificateFile", [bundle]));
        }
        section.push(Item::Section("IfModule", "ssl_module".to_owned(), lines));
    }
    let max = reports::pool(asked, host.sizes);
    for (number, member) in members(asked).enumerate() {
        section.push(Item::Line("BalancerMember", member_words(asked, (number, member), max, &check)));
    }
    let mut set = vec![format!("lbmethod={}", asked.method.as_deref().unwrap_or("byrequests"))];
    if let Some(sticky) = &asked.sticky {
        set.push(format!("stickysession={}", sticky.cookie.as_deref().unwrap_or("ROUTEID")));
        if sticky.failover == Some(false) {
            set.push("nofailover=On".to_owned());
        }
    }
    let codes = asked.fail_on_status.clone().unwrap_or_else(|| vec!["503".to_owned()]);
    if !codes.is_empty() {
        set.push(format!("failonstatus={}", codes.join(",")));
    }
    if asked.fail_on_timeout == Some(true) {
        set.push("failontimeout=On".to_owned());
    }
    section.push(Item::Line("ProxySet", set));
    items.push(Item::Section("Proxy", address.clone(), section));

    let maps: Vec<String> =
        asked.map.iter().flatten().filter_map(|map| map.path.as_deref()).map(with_slash).collect();
    if let Some(sticky) = &asked.sticky {
        let cookie = sticky.cookie.as_deref().unwrap_or("ROUTEID");
        let path = match maps.as_slice() {
            [only] if only.len() > 1 => only.trim_end_matches('/'),
            _ => "/",
        };
        let value = format!("{cookie}=.%{{BALANCER_WORKER_ROUTE}}e; path={path}; HttpOnly; SameSite=Lax");
        // The variable is set for every balancer; each sets its own cookie alone.
        let when =
            format!("expr=-n reqenv('BALANCER_ROUTE_CHANGED') && reqenv('BALANCER_NAME') == '{address}'");
        let line = Item::line("Header", ["add".to_owned(), "Set-Cookie".to_owned(), value, when]);
        items.push(Item::Section("IfModule", "headers_module".to_owned(), vec![line]));
    }
    for path in &maps {
        items.extend(mapped(asked, path, &address));
    }
    items
}

/// Returns a path with a slash at its end: both sides of a mapping have one.
fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

/// Returns the lines that hand a path to a balancer.
fn mapped(asked: &Balancer, path: &str, address: &str) -> Vec<Item> {
    let mut lines = Vec::new();
    if asked.preserve_host != Some(false) {
        lines.push(Item::line("ProxyPreserveHost", ["On"]));
    }
    if asked.forwarded_proto != Some(false) {
        let line = Item::line("RequestHeader", ["set", "X-Forwarded-Proto", "expr=%{REQUEST_SCHEME}"]);
        lines.push(Item::Section("IfModule", "headers_module".to_owned(), vec![line]));
    }
    lines.push(Item::line("ProxyPass", [format!("{address}/")]));
    lines.push(Item::line("ProxyPassReverse", [format!("{address}/")]));
    let mut items = vec![Item::Section("Location", path.to_owned(), lines)];
    if path == "/" {
        for own in ["/.well-known/acme-challenge/", "/server-status"] {
            items.push(Item::Section("Location", own.to_owned(), vec![Item::line("ProxyPass", ["!"])]));
        }
    }
    items
}

/// Returns the words of one member.
fn member_words(
    asked: &Balancer,
    (number, member): (usize, &Member),
    max: Option<i64>,
    check: &str,
) -> Vec<String> {
    let mut words = vec![url(member).to_owned()];
    if asked.sticky.is_some() {
        words.push(format!("route={}", route(number, member)));
    }
    if let Some(weight) = member.weight.filter(|weight| *weight != 1) {
        words.push(format!("loadfactor={weight}"));
    }
    if member.standby == Some(true) {
        words.push("status=+H".to_owned());
    }
    words.push(format!("retry={}", asked.retry.unwrap_or(10)));
    if let Some(max) = max {
        words.push(format!("max={max}"));
    }
    let pool = asked.pool.clone().unwrap_or_default();
    let acquire = pool.acquire.as_deref().and_then(milliseconds).unwrap_or(500);
    words.push(format!("acquire={acquire}"));
    words.push(format!("ttl={}", pool.ttl.unwrap_or(60)));
    words.push(format!("timeout={}", asked.timeout.unwrap_or(30)));
    let connect = asked.connect_timeout.as_deref().and_then(milliseconds).unwrap_or(2000);
    words.push(match connect % 1000 {
        0 => format!("connectiontimeout={}", connect / 1000),
        _ => format!("connectiontimeout={connect}ms"),
    });
    if let Some(health) = &asked.health {
        let method = health.method.as_deref().unwrap_or("GET");
        words.push(format!("hcmethod={method}"));
        if method != "TCP" {
            words.push(format!("hcuri={}", health.uri.as_deref().unwrap_or("/health")));
        }
        words.push(format!("hcinterval={}", health.interval.unwrap_or(5)));
        words.push(format!("hcfails={}", health.fails.unwrap_or(2)));
        words.push(format!("hcpasses={}", health.passes.unwrap_or(2)));
        if method != "TCP" {
            words.push(format!("hcexpr={check}"));
        }
    }
    words
}

fn route(number: usize, member: &Member) -> String {
    member.route.clone().unwrap_or_else(|| {
        let mut name = String::from("m");
        let _ = write!(name, "{}", number + 1);
        name
    })
}

/// Returns the certificates of authorities that a family trusts, where they are there.
fn bundle(host: &Host<'_>) -> Option<&'static str> {
    let all =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
    all.into_iter().find(|path| host.place.files.is_file(Path::new(path)))
}
