//! What each group of parameters writes: one file a feature.

pub mod blocks;
pub mod evasive;
pub mod keepalive;
pub mod mpm;
pub mod slow_clients;
