//! The real broker under a seed: its actors and its storage, in one process, on a disk that tears and loses writes, with a
//! clock that only passes when nobody has anything to do, over a network that breaks, with a coordinator that goes away.
//!
//! A run ([`run::run`]) is several lives of one broker on one disk ([`crate::storage::disk::sim`]). Clients ([`producer`],
//! [`consumer`], [`admin`], [`passing`]) outlive it; the [`nemesis`] breaks things; the [`oracle`] hears what the clients were told, and
//! judges it after every restart. Each life has a runtime of its own that is dropped whole when the life ends, as a process is.
//!
//! [`cluster`] runs three to five brokers in the same way, in some runs with [`groups`] of members.
//!
//! *Invariant*: the same seed gives the same [`trace`]. So nothing here or in the broker may depend on threads, on the
//! system's clock, on the order of a hash, or on `select!` without `biased`.
//! *Does not know*: how the broker does what it does: it is judged by what it tells its clients.

pub mod admin;
pub mod client;
pub mod cluster;
pub mod consumer;
pub mod disk;
pub mod groups;
pub mod life;
pub mod nemesis;
pub mod network;
pub mod oracle;
pub mod passing;
pub mod ports;
pub mod power;
pub mod producer;
pub mod run;
pub mod trace;

/// How much of what can happen is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// What every seed survives.
    Usual,
    /// Groups of members too, and faults that leave no time between them or take several steps.
    Wide,
}

#[cfg(test)]
mod tests;
