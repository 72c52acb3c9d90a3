//! What is said of the balancers that a task asks for. Those of a host without any task are judged in
//! `src/rules/balancers.rs`.

use super::{Balancer, Balancers};
use crate::httpd::normalise::Sizes;
use crate::report::Severity;
pub(super) use crate::rules::balancers::BAL_004;
use crate::rules::{Check, Reporter, Rule, View};

/// The rules of this feature, in the order of the result.
pub(super) const RULES: &[&Rule] = &[&BAL_005, &BAL_017, &BAL_019];

/// Returns the most connections of a process to a member: what is asked for, or what the member can take, at least 1.
pub(super) fn pool(asked: &Balancer, sizes: &dyn Fn() -> Sizes) -> Option<i64> {
    asked.pool.as_ref().and_then(|pool| pool.max).or_else(|| {
        let (limit, sizes) = (asked.backend_limit?, sizes());
        Some((limit / sizes.processes.max(1)).clamp(1, sizes.threads.max(1)))
    })
}

pub(crate) static BAL_005: Rule = Rule {
    id: "BAL-005",
    severity: Severity::Error,
    setting: "balancers.backend_limit",
    summary: "all processes together open more connections to a member than it can take",
    source: "httpd 2.4 modules/proxy/proxy_util.c: max counts for each process and member",
    after_change: true,
    check: Check::View(more_than_backend_takes),
    ..Rule::NEW
};

fn more_than_backend_takes(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(Balancers(all)) = view.params.groups.get::<Balancers>() else { return };
    let sizes = view.normal.sizes;
    let processes = sizes.processes;
    for (index, asked) in all.iter().enumerate() {
        let Some(limit) = asked.backend_limit else { continue };
        let max = pool(asked, &|| sizes).unwrap_or(sizes.threads);
        let most = processes.saturating_mul(max);
        if most > limit {
            out.about(format!("balancers[{index}].backend_limit")).value(limit).emit(
                format!(
                    "{processes} processes with {max} connections each open up to {most} to each member, which can take \
                     {limit}"
                ),
                if limit < processes {
                    format!(
                        "let a member take {processes} or more, or have fewer processes with more threads each: raise \
                         threads_per_child or lower max_request_workers"
                    )
                } else {
                    format!("set pool.max to {}, or leave it out", limit / processes)
                },
            );
        }
    }
}

pub(crate) static BAL_017: Rule = Rule {
    id: "BAL-017",
    severity: Severity::Warning,
    setting: "balancers.map",
    summary: "another line of the main server hands the same path to another backend; it comes first",
    source: "httpd 2.4 modules/proxy/mod_proxy.c, proxy_trans: the lists of ProxyPass are walked before <Location>",
    after_change: true,
    check: Check::View(mapped_elsewhere),
    ..Rule::NEW
};

fn mapped_elsewhere(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(Balancers(all)) = view.params.groups.get::<Balancers>() else { return };
    for (index, asked) in all.iter().enumerate() {
        for map in asked.map.iter().flatten().filter_map(|map| map.path.as_deref()) {
            let own = super::with_slash(map);
            let covers = |line: &&crate::httpd::read::startup::Line| {
                let prefix = super::with_slash(line.first());
                let goes_out = line.words.get(1).is_some_and(|target| target != "!");
                line.server.is_none()
                    && line.sections.is_empty()
                    && goes_out
                    && (own.starts_with(&prefix) || prefix.starts_with(&own))
            };
            if let Some(line) = view.served("ProxyPass").find(covers) {
                out.about(format!("balancers[{index}].map")).value(map).emit(
                    format!(
                        "ProxyPass {} at {} comes before <Location {own}>: what it covers does not reach the balancer",
                        line.words.join(" "),
                        view.place(line)
                    ),
                    "take that line out, or map another path",
                );
            }
        }
    }
}

pub(crate) static BAL_019: Rule = Rule {
    id: "BAL-019",
    severity: Severity::Error,
    setting: "balancers",
    summary: "a name, an address, a duration, a path or a code that httpd does not take, or takes for another",
    source: "httpd 2.4 modules/proxy/mod_proxy.c, set_worker_param, set_balancer_param; mod_proxy_hcheck.c",
    ..Rule::NEW
};
