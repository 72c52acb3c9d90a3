//! Measures real servers on this machine: loads of connections, and what the server holds meanwhile.

pub mod change;
pub mod load;
pub mod page;
pub mod server;
pub mod web;
