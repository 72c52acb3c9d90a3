//! argv to one of two fronts, print, exit code.

fn main() {}
