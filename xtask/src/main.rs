//! The project's own commands: `cargo xtask demo`, `cargo xtask test` and what they are made of.

mod ansible_docs;
mod generate;

fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(".");
    generate::schemas(root)?;
    generate::rules(root)?;
    ansible_docs::write(root)
}
