//! The broker's decisions, as deterministic state machines: `step(now, event, &mut effects)` and `next_deadline()` (law 1).
//!
//! *Invariant*: total functions of state, time and event.
//! *Does not know*: async, files, clocks, randomness, logging.
#![warn(missing_docs)]

pub mod assignment;
pub mod controller;
pub mod fetch_session;
pub mod follower;
pub mod group;
pub mod homing;
pub mod isr_change;
pub mod log_dir_move;
pub mod partition;
pub mod quota;
pub mod restart;
