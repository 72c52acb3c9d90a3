//! What each group of parameters writes: one file a feature.

pub mod balancers;
pub mod blocks;
pub mod cache_disk;
pub mod compression;
pub mod evasive;
pub mod http2;
pub mod keepalive;
pub mod logs;
pub mod modsecurity;
pub mod modules;
pub mod mpm;
pub mod slow_clients;
pub mod status;
pub mod tls;
