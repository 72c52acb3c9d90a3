//! The features, one row each: the only file besides their own that names them.

use crate::feature::Feature;
use crate::features::{
    balancers, cache_disk, compression, evasive, http2, keepalive, logs, modsecurity, modules, slow_clients,
    status, tls,
};
use crate::httpd::core_directives::{Settings, WATCHED};
use crate::httpd::directives::{Directive, Table};

/// The features, in the order in which files and results show them.
pub static FEATURES: &[&Feature] = &[
    &keepalive::KEEPALIVE,
    &evasive::EVASIVE,
    &slow_clients::SLOW_CLIENTS,
    &status::STATUS,
    &http2::HTTP2,
    &compression::COMPRESSION,
    &tls::TLS,
    &cache_disk::CACHE_DISK,
    &logs::LOGS,
    &balancers::BALANCERS,
    &modsecurity::MODSECURITY,
    // Last: what the others need is known then.
    &modules::MODULES,
];

/// Every directive managed or watched, in the order in which files and results show them.
pub static TABLE: Table = Table::new(&ROWS);

static ROWS: [&Directive; COUNT] = rows();

const COUNT: usize = {
    let mut count = WATCHED.len() + in_lists(Settings::DIRECTIVES);
    let mut at = 0;
    while at < FEATURES.len() {
        count += in_lists(FEATURES[at].directives) + FEATURES[at].watched.len();
        at += 1;
    }
    count
};

const fn in_lists(lists: &[&[Directive]]) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < lists.len() {
        count += lists[at].len();
        at += 1;
    }
    count
}

const fn rows() -> [&'static Directive; COUNT] {
    const fn add(all: &mut [&'static Directive; COUNT], mut at: usize, list: &'static [Directive]) -> usize {
        let mut row = 0;
        while row < list.len() {
            all[at] = &list[row];
            at += 1;
            row += 1;
        }
        at
    }
    const fn add_lists(
        all: &mut [&'static Directive; COUNT],
        mut at: usize,
        lists: &'static [&'static [Directive]],
    ) -> usize {
        let mut list = 0;
        while list < lists.len() {
            at = add(all, at, lists[list]);
            list += 1;
        }
        at
    }
    let mut all = [&WATCHED[0]; COUNT];
    let mut at = add_lists(&mut all, 0, Settings::DIRECTIVES);
    let mut feature = 0;
    while feature < FEATURES.len() {
        at = add_lists(&mut all, at, FEATURES[feature].directives);
        at = add(&mut all, at, FEATURES[feature].watched);
        feature += 1;
    }
    add(&mut all, at, WATCHED);
    all
}
