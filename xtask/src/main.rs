//! The project's own commands: `cargo xtask demo`, `cargo xtask test` and what they are made of.

fn main() {}
