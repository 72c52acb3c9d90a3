//! The project's own commands: `cargo xtask demo`, `cargo xtask test` and what they are made of.

mod generate;

fn main() -> std::io::Result<()> {
    generate::schemas(std::path::Path::new("."))
}
