//! The reader of httpd's configuration on any bytes: `cargo xtask test --long` runs it for a minute.

#![no_main]

#[path = "../../tests/support/any_input.rs"]
mod any_input;

libfuzzer_sys::fuzz_target!(|input: &[u8]| any_input::read_and_check(input));
