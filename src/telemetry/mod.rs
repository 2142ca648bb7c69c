//! One struct per event: the log line and the metric together.

mod clock;

pub use clock::OsClock;
