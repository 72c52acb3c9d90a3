//! What a child takes and how long it lives: the factor of event, recycling, stacks and free memory.

use super::sizes::shown;
use super::{Check, Reporter, Rule, View, rule};
use crate::httpd::directives::Group;
use crate::httpd::normalise::STACK_MIN;
use crate::httpd::numbers;
use crate::report::Severity;
use crate::units::Bytes;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &ARWF_001, &ARWF_002, &ARWF_003, &ARWF_004, &MCPC_001, &MCPC_002, &MCPC_003, &MCPC_004, &MCPC_005,
    &STACK_001, &STACK_002, &STACK_003, &STACK_004, &MEM_001, &MEM_002, &MEM_003,
];

/// A thread's stack larger than this is taken for a slip, in bytes.
const LARGE_STACK: i64 = 1 << 30;

/// The factor of event above which no host has connections to spend, per idle worker.
const LARGE_FACTOR: f64 = 1000.0;

/// Fewer connections a child than this keep httpd forking.
const FEW_CONNECTIONS: i32 = 100;

const FACTOR: &str = "AsyncRequestWorkerFactor";

pub(crate) static ARWF_001: Rule = Rule {
    id: "ARWF-001",
    severity: Severity::Error,
    mpms: rule::EVENT,
    setting: "AsyncRequestWorkerFactor",
    summary: "not a positive number; httpd refuses it",
    source: "httpd 2.4 server/mpm/event/event.c, set_worker_factor",
    why: "The factor says how many idle connections count as one worker. httpd refuses 0 and what is no number, and \
         does not start.",
    remedy: "Set a whole number from 1 on; 2 is the default.",
    example: "AsyncRequestWorkerFactor 0",
    instead: "AsyncRequestWorkerFactor 2",
    check: Check::View(factor_not_positive),
    ..Rule::NEW
};

fn factor_not_positive(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = view.text(FACTOR) else { return };
    if numbers::strtod(text).is_none_or(|value| value <= 0.0) {
        out.on(view, FACTOR).fatal().value(text).code("AH00526").emit(
            format!("{FACTOR} {text} is not a positive number: httpd does not start"),
            format!("set {} to a whole number from 1; httpd's default is 2", view.name(FACTOR)),
        );
    }
}

pub(crate) static ARWF_002: Rule = Rule {
    id: "ARWF-002",
    severity: Severity::Error,
    mpms: rule::EVENT,
    setting: "AsyncRequestWorkerFactor",
    summary: "a fraction, since 2.4.30; httpd drops it, and what is below 1 becomes 1",
    source: "httpd 2.4 server/mpm/event/event.c, set_worker_factor",
    why: "Since 2.4.30 httpd keeps the whole part only, so 1.5 is 1.",
    remedy: "Set a whole number.",
    example: "AsyncRequestWorkerFactor 1.5",
    instead: "AsyncRequestWorkerFactor 2",
    check: Check::View(factor_with_fraction),
    ..Rule::NEW
};

fn factor_with_fraction(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = view.text(FACTOR) else { return };
    let new = view.version >= crate::httpd::Version::v24(30);
    if new
        && numbers::strtod(text).is_some_and(|value| value > 0.0 && value.is_finite() && value.fract() != 0.0)
    {
        out.on(view, FACTOR).value(text).effective(view.used(FACTOR)).emit(
            format!("{FACTOR} {text} has a fraction, which httpd drops: {} counts", view.used(FACTOR)),
            format!("set {} to a whole number from 1", view.name(FACTOR)),
        );
    }
}

pub(crate) static ARWF_003: Rule = Rule {
    id: "ARWF-003",
    severity: Severity::Error,
    mpms: rule::EVENT,
    setting: "AsyncRequestWorkerFactor",
    summary: "above 1000, infinite or not a number; httpd's counting overflows and nobody may be served",
    source: "httpd 2.4 server/mpm/event/event.c, set_worker_factor and connections_above_limit",
    why: "httpd multiplies the factor with the idle workers in 32 bits. The product of a very large one is negative, \
         and every connection is turned away.",
    remedy: "Set a whole number up to 1000.",
    example: "AsyncRequestWorkerFactor 2000",
    instead: "AsyncRequestWorkerFactor 20",
    check: Check::View(factor_too_large),
    ..Rule::NEW
};

fn factor_too_large(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = view.text(FACTOR) else { return };
    if numbers::strtod(text).is_some_and(|value| value.is_nan() || value > LARGE_FACTOR) {
        out.on(view, FACTOR).value(text).effective(view.used(FACTOR)).emit(
            format!("{FACTOR} {text} is too large for httpd's arithmetic; with 10^9 no request is served"),
            format!("set {} to a whole number from 1 to 1000; httpd's default is 2", view.name(FACTOR)),
        );
    }
}

pub(crate) static ARWF_004: Rule = Rule {
    id: "ARWF-004",
    severity: Severity::Error,
    mpms: rule::WORKER_PREFORK,
    setting: "AsyncRequestWorkerFactor",
    summary: "set under worker or prefork, which do not know it; httpd refuses it",
    source: "httpd 2.4 server/mpm/event/event.c, event_cmds; AH00526",
    check: Check::View(factor_without_event),
    ..Rule::NEW
};

fn factor_without_event(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(text) = view.text(FACTOR) {
        out.on(view, FACTOR).fatal().value(text).code("AH00526").emit(
            format!("{FACTOR} is a directive of the event MPM; under {} httpd does not start", view.mpm),
            format!("leave {} out, or set mpm to event", view.name(FACTOR)),
        );
    }
}

const RECYCLE: &str = "MaxConnectionsPerChild";

/// Returns the connections a child serves, where the directive is written.
fn recycle(view: &View<'_>) -> Option<i32> {
    view.text(RECYCLE).map(|text| numbers::atoi(text).value)
}

pub(crate) static MCPC_001: Rule = Rule {
    id: "MCPC-001",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "MaxConnectionsPerChild",
    summary: "read as a negative number; every child ends at once and nobody is served, though httpd's own \
         test passes",
    source: "httpd 2.4 server/mpm/event/event.c, check_infinite_requests; server/mpm/worker/worker.c",
    why: "A process has served enough when its count reaches 0. A negative one has been there before it starts: each \
         ends at once, and a new one does the same.",
    remedy: "Write 0 for \"no limit\".",
    example: "MaxConnectionsPerChild -1",
    instead: "MaxConnectionsPerChild 0",
    check: Check::View(negative_recycling_ends_children),
    ..Rule::NEW
};

fn negative_recycling_ends_children(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(value) = recycle(view).filter(|value| *value < 0) {
        out.on(view, RECYCLE).fatal().value(shown(view, RECYCLE)).effective(value).emit(
            format!("{RECYCLE} {value}: every child ends as soon as it has started, and nobody is served"),
            format!("set {} to 0 for no limit, or to 1000 and more", view.name(RECYCLE)),
        );
    }
}

pub(crate) static MCPC_002: Rule = Rule {
    id: "MCPC-002",
    severity: Severity::Warning,
    mpms: rule::PREFORK,
    setting: "MaxConnectionsPerChild",
    summary: "read as a negative number; no limit",
    source: "httpd 2.4 server/mpm/prefork/prefork.c, child_main",
    check: Check::View(negative_recycling_under_prefork),
    ..Rule::NEW
};

fn negative_recycling_under_prefork(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(value) = recycle(view).filter(|value| *value < 0) {
        out.on(view, RECYCLE).value(shown(view, RECYCLE)).effective("0").emit(
            format!("{RECYCLE} {value} is no limit under prefork, and an outage under event and worker"),
            format!("set {} to 0", view.name(RECYCLE)),
        );
    }
}

pub(crate) static MCPC_003: Rule = Rule {
    id: "MCPC-003",
    severity: Severity::Info,
    setting: "MaxConnectionsPerChild",
    summary: "0 beside mod_evasive 1.10, whose tables never shrink",
    source: "mod_evasive 1.10.1 mod_evasive20.c, ntt_insert",
    check: Check::View(no_recycling_beside_evasive),
    ..Rule::NEW
};

fn no_recycling_beside_evasive(view: &View<'_>, out: &mut Reporter<'_>) {
    let leaky = view.has("evasive20_module") || view.has("evasive24_module");
    if leaky
        && view.used(RECYCLE) == "0"
        && (view.remarks(Group::MPM) || view.remarks(crate::features::evasive::GROUP))
    {
        out.on(view, RECYCLE).value(shown(view, RECYCLE)).emit(
            format!(
                "{RECYCLE} is 0: children are never replaced, and mod_evasive 1.10's tables never shrink"
            ),
            format!("set {} to 10000 or so", view.name(RECYCLE)),
        );
    }
}

pub(crate) static MCPC_004: Rule = Rule {
    id: "MCPC-004",
    severity: Severity::Warning,
    setting: "MaxConnectionsPerChild",
    summary: "1 to 100; httpd forks all the time, and mod_evasive forgets with each child",
    source: "httpd 2.4 docs/manual/mod/mpm_common, MaxConnectionsPerChild",
    why: "Starting a process costs more than most requests. One that serves so few is replaced all the time, and \
         what a module has counted in it, such as mod_evasive, is gone.",
    remedy: "Set it to some thousands, or to 0.",
    example: "MaxConnectionsPerChild 50",
    instead: "MaxConnectionsPerChild 10000",
    check: Check::View(recycled_too_often),
    ..Rule::NEW
};

fn recycled_too_often(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(value) = recycle(view).filter(|value| (1..=FEW_CONNECTIONS).contains(value)) {
        out.on(view, RECYCLE).value(value).emit(
            format!("{RECYCLE} {value} replaces a child after {value} connections: httpd forks all the time"),
            format!("set {} to 1000 or more, or 0 for no limit", view.name(RECYCLE)),
        );
    }
}

pub(crate) static MCPC_005: Rule = Rule {
    id: "MCPC-005",
    severity: Severity::Info,
    setting: "MaxConnectionsPerChild",
    summary: "counts connections, not requests",
    source: "httpd 2.4 docs/manual/mod/mpm_common, MaxConnectionsPerChild",
    check: Check::View(counts_connections),
    ..Rule::NEW
};

fn counts_connections(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(value) = recycle(view).filter(|value| *value > 0 && view.remarks(Group::MPM)) {
        out.on(view, RECYCLE).value(value).emit(
            format!(
                "{RECYCLE} {value} counts connections; further requests on a kept connection do not count"
            ),
            "ignore this unless requests were intended",
        );
    }
}

const STACK: &str = "ThreadStackSize";

/// Returns the stack asked for in bytes, where the directive is written and readable.
fn stack(view: &View<'_>) -> Option<i64> {
    view.text(STACK)
        .map(|text| numbers::strtol(text, 10))
        .filter(|read| !read.overflow)
        .map(|read| read.value)
}

pub(crate) static STACK_001: Rule = Rule {
    id: "STACK-001",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadStackSize",
    summary: "1 to 16383 bytes; every child warns and uses the system's default",
    source: "httpd 2.4 server/mpm/*/*.c, start_threads; AH02436",
    why: "The system's least is 16384 bytes. It refuses a smaller stack, and each thread gets the default with a \
         warning.",
    remedy: "Leave it out, or set 65536 or more and try the slowest pages.",
    example: "ThreadStackSize 8192",
    instead: "ThreadStackSize 1048576",
    check: Check::View(stack_too_small),
    ..Rule::NEW
};

fn stack_too_small(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(bytes) = stack(view).filter(|bytes| (1..STACK_MIN).contains(bytes)) {
        out.on(view, STACK).value(shown(view, STACK)).effective("0").code("AH02436").emit(
            format!("{STACK} {bytes} is below the {STACK_MIN} bytes a thread needs: every child ignores it"),
            format!("set {} to {STACK_MIN} or more, or 0 for the system's default", view.name(STACK)),
        );
    }
}

pub(crate) static STACK_002: Rule = Rule {
    id: "STACK-002",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadStackSize",
    summary: "more than 1 GiB or the memory; threads cannot start and httpd ends",
    source: "httpd 2.4 server/mpm/*/*.c, start_threads; AH00480, AH02324",
    why: "Each thread reserves its stack. Where that cannot be had, the process ends, and httpd with it.",
    remedy: "Leave it out for the system's default, usually 8 MiB.",
    example: "ThreadStackSize 2147483648",
    instead: "ThreadStackSize 1048576",
    check: Check::View(stack_too_large),
    ..Rule::NEW
};

fn stack_too_large(view: &View<'_>, out: &mut Reporter<'_>) {
    let memory = view.machine.memory.as_ref().and_then(|memory| i64::try_from(memory.value.0).ok());
    let most = memory.map_or(LARGE_STACK, |memory| memory.min(LARGE_STACK));
    if let Some(bytes) = stack(view).filter(|bytes| *bytes > most) {
        out.on(view, STACK).fatal().value(bytes).code("AH00480").emit(
            format!(
                "{STACK} {} for each of {} threads a process cannot be had: httpd ends when a thread cannot start",
                Bytes(u64::try_from(bytes).unwrap_or(0)),
                view.normal.sizes.threads
            ),
            format!("set {} to 0 for the system's default, or to 1048576", view.name(STACK)),
        );
    }
}

pub(crate) static STACK_003: Rule = Rule {
    id: "STACK-003",
    severity: Severity::Info,
    mpms: rule::PREFORK,
    setting: "ThreadStackSize",
    summary: "no effect under prefork",
    source: "httpd 2.4 server/mpm/prefork/prefork.c",
    check: Check::View(stack_under_prefork),
    ..Rule::NEW
};

fn stack_under_prefork(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(text) = view.text(STACK).filter(|text| *text != "0") {
        out.on(view, STACK).value(text).effective("0").emit(
            format!("{STACK} {text} has no effect under prefork, which has no threads"),
            format!("leave {} out", view.name(STACK)),
        );
    }
}

pub(crate) static STACK_004: Rule = Rule {
    id: "STACK-004",
    severity: Severity::Error,
    setting: "ThreadStackSize",
    summary: "negative or beyond 64 bits; httpd refuses it",
    source: "httpd 2.4 server/mpm_common.c, ap_mpm_set_thread_stacksize",
    why: "httpd refuses the line and does not start.",
    remedy: "Leave it out, or set bytes.",
    example: "ThreadStackSize -1",
    instead: "ThreadStackSize 1048576",
    check: Check::View(stack_refused),
    ..Rule::NEW
};

fn stack_refused(view: &View<'_>, out: &mut Reporter<'_>) {
    refused(view, out, STACK, "0 for the system's default, or 16384 and more");
}

pub(crate) static MEM_003: Rule = Rule {
    id: "MEM-003",
    severity: Severity::Error,
    setting: "MaxMemFree",
    summary: "negative or beyond 64 bits; httpd refuses it",
    source: "httpd 2.4 server/mpm_common.c, ap_mpm_set_max_mem_free",
    why: "httpd refuses the line and does not start.",
    remedy: "Set KiB; 2048 is the default.",
    example: "MaxMemFree -1",
    instead: "MaxMemFree 2048",
    check: Check::View(max_mem_free_refused),
    ..Rule::NEW
};

fn max_mem_free_refused(view: &View<'_>, out: &mut Reporter<'_>) {
    refused(view, out, "MaxMemFree", "KiB from 0, below 4194304");
}

/// A number that `strtol` finds negative or too large, which httpd refuses.
fn refused(view: &View<'_>, out: &mut Reporter<'_>, directive: &'static str, allowed: &str) {
    let Some(text) = view.text(directive) else { return };
    let read = numbers::strtol(text, 10);
    if read.value < 0 || read.overflow {
        out.on(view, directive).fatal().value(text).code("AH00526").emit(
            format!("{directive} {text} is below zero or too large: httpd does not start"),
            format!("set {} to {allowed}", view.name(directive)),
        );
    }
}

const FREE: &str = "MaxMemFree";

pub(crate) static MEM_001: Rule = Rule {
    id: "MEM-001",
    severity: Severity::Error,
    setting: "MaxMemFree",
    summary: "4194304 KiB or more; httpd keeps the bytes in 32 bits",
    source: "httpd 2.4 server/mpm_common.c, ap_mpm_set_max_mem_free",
    why: "The directive is in KiB and httpd keeps bytes in 32 bits: 4194304 is 0, which is no limit.",
    remedy: "Set KiB below 4194304; 2048 is the default.",
    example: "MaxMemFree 4194304",
    instead: "MaxMemFree 2048",
    check: Check::View(max_mem_free_beyond_32_bits),
    ..Rule::NEW
};

fn max_mem_free_beyond_32_bits(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = view.text(FREE) else { return };
    let read = numbers::strtol(text, 10);
    if !read.overflow && read.value >= 1 << 22 {
        out.on(view, FREE).value(text).effective(view.used(FREE)).emit(
            format!("{FREE} {text} KiB overflows httpd's 32-bit field: {} KiB is used", view.used(FREE)),
            format!("set {} below 4194304, or 0 for no limit", view.name(FREE)),
        );
    }
}

pub(crate) static MEM_002: Rule = Rule {
    id: "MEM-002",
    severity: Severity::Error,
    setting: "MaxMemFree",
    summary: "not a number, which is read as 0, no limit (a plain 0 is an info)",
    source: "httpd 2.4 server/mpm_common.c, ap_mpm_set_max_mem_free",
    why: "A word is read as 0: httpd never gives memory back to the system.",
    remedy: "Set KiB; 2048 is the default.",
    example: "MaxMemFree lots",
    instead: "MaxMemFree 2048",
    check: Check::View(max_mem_free_not_a_number),
    ..Rule::NEW
};

fn max_mem_free_not_a_number(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = view.text(FREE) else { return };
    let read = numbers::strtol(text, 10);
    if !read.digits {
        out.on(view, FREE).value(text).effective("0").emit(
            format!("{FREE} {text} is not a number: httpd reads 0, which is no limit"),
            format!("set {} to KiB, such as 2048", view.name(FREE)),
        );
    } else if read.value == 0 && view.remarks(Group::MPM) {
        out.on(view, FREE).value(text).at_most(Severity::Info).emit(
            format!("{FREE} 0 lets every allocator keep all memory it ever needed"),
            format!("leave {} out for httpd's 2048 KiB", view.name(FREE)),
        );
    }
}
