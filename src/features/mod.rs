//! What each group of parameters writes: one file a feature.

pub mod blocks;
