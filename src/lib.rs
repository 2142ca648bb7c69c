#![doc = include_str!("ARCHITECTURE.md")]

// In reading order: each module uses only those above it (see the import matrix in `layering`).
pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod coordination;
pub mod machine;
pub mod model;
pub mod net;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod storage;
pub mod telemetry;
pub mod wire;

#[cfg(test)]
mod layering;
