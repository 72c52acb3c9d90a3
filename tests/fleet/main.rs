//! The preview of a fleet from cached facts, by the program itself: every form of cache, bad input, groups, results.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::needless_pass_by_value)]

mod bad_input;
mod forms;
mod own_facts;
mod page;
mod report;
mod support;
