//! What a bench run found, for people and for programs.

use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Latencies in nanoseconds, kept to three significant digits up to this; longer ones count as this long.
const LATENCY_NANOS_MAX: u64 = 600 * 1_000_000_000;

/// A histogram of times.
pub(super) struct Latencies(Histogram<u64>);

/// The usual percentiles, in microseconds.
#[derive(Clone, Copy, Serialize, Debug, PartialEq)]
pub(super) struct Percentiles {
    samples: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    p99_99: f64,
    max: f64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let mut histogram = Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).unwrap_or_else(|_| {
            unreachable!("bounds 1 and {LATENCY_NANOS_MAX} with 3 digits are legal for HdrHistogram")
        });
        histogram.auto(false);
        Self(histogram)
    }

    pub(super) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LATENCY_NANOS_MAX).max(1));
    }

    /// `None` when nothing was measured.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| micros(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Percentiles {
            samples: self.0.len(),
            mean: self.0.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: micros(self.0.max()),
        })
    }
}

/// CPU time of this process so far, user and system of all threads.
pub(super) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What was counted between the first request and the last answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Requests answered without an error (with acks=0: written).
    pub(super) requests: u64,
    /// Bytes of record batches in them.
    pub(super) bytes: u64,
    /// Records in those.
    pub(super) records: u64,
    /// Wall time.
    pub(super) elapsed: Duration,
    /// CPU time of this process.
    pub(super) cpu: Duration,
    /// Requests that had no answer when the run gave up waiting.
    pub(super) unanswered: u64,
}

/// A run's figures.
#[derive(Serialize, Debug)]
pub(super) struct Report {
    bench: &'static str,
    topic: String,
    connections: usize,
    requests: u64,
    unanswered: u64,
    records: u64,
    bytes: u64,
    seconds: f64,
    requests_per_second: f64,
    records_per_second: f64,
    bytes_per_second: f64,
    client_cpu_seconds: f64,
    client_cpu_seconds_per_gb: Option<f64>,
    client_cpu_micros_per_request: Option<f64>,
    /// From the (intended) moment of sending to the answer, in microseconds.
    latency_micros: Option<Percentiles>,
    /// How late the load generator itself was, in microseconds: part of the latency above.
    send_delay_micros: Option<Percentiles>,
}

impl Report {
    pub(super) fn new(bench: &'static str, topic: &str, connections: usize, counted: &Counted) -> Self {
        let seconds = counted.elapsed.as_secs_f64();
        let rate = |count: u64| if seconds == 0.0 { 0.0 } else { count as f64 / seconds };
        let cpu = counted.cpu.as_secs_f64();
        let per = |count: u64, scale: f64| (0 < count).then(|| cpu * scale / count as f64);
        Self {
            bench,
            topic: topic.to_owned(),
            connections,
            requests: counted.requests,
            unanswered: counted.unanswered,
            records: counted.records,
            bytes: counted.bytes,
            seconds,
            requests_per_second: rate(counted.requests),
            records_per_second: rate(counted.records),
            bytes_per_second: rate(counted.bytes),
            client_cpu_seconds: cpu,
            client_cpu_seconds_per_gb: per(counted.bytes, 1e9),
            client_cpu_micros_per_request: per(counted.requests, 1e6),
            latency_micros: None,
            send_delay_micros: None,
        }
    }

    pub(super) fn latencies(mut self, answers: &Latencies) -> Self {
        self.latency_micros = answers.percentiles();
        self
    }

    pub(super) fn send_delays(mut self, delays: &Latencies) -> Self {
        self.send_delay_micros = delays.percentiles();
        self
    }

    /// Prints the table, or one line of JSON.
    pub(super) fn print(&self, output: &mut Output, json: bool) -> Result<(), Failure> {
        if json { output.json(self) } else { output.table(&["measure", "value"], &self.rows()) }?;
        output.flush()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
        row("bench", format!("{} on topic {}, {} connections", self.bench, self.topic, self.connections));
        row("time", format!("{:.2} s", self.seconds));
        row("requests", format!("{} ({:.0}/s)", self.requests, self.requests_per_second));
        if 0 < self.unanswered {
            row("unanswered", format!("{} requests", self.unanswered));
        }
        row("records", format!("{} ({:.0}/s)", self.records, self.records_per_second));
        row("bytes", format!("{} ({:.1} MB/s)", self.bytes, self.bytes_per_second / 1e6));
        row("client CPU", format!("{:.3} s", self.client_cpu_seconds));
        if let Some(per_gb) = self.client_cpu_seconds_per_gb {
            row("client CPU per GB", format!("{per_gb:.3} s"));
        }
        if let Some(per_request) = self.client_cpu_micros_per_request {
            row("client CPU per request", format!("{per_request:.2} µs"));
        }
        if let Some(latency) = &self.latency_micros {
            row("latency", latency.text());
        }
        if let Some(delay) = &self.send_delay_micros {
            row("sent late by", delay.text());
        }
        rows
    }
}

impl Percentiles {
    pub(super) fn text(&self) -> String {
        format!(
            "p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  p99.99 {:.0}  max {:.0} µs",
            self.p50, self.p90, self.p99, self.p99_9, self.p99_99, self.max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentiles(), None);
        for micros in 1..=1000 {
            latencies.record(Duration::from_micros(micros));
        }
        let found = latencies.percentiles().expect("a thousand samples");
        assert_eq!(found.samples, 1000);
        assert!((found.p50 - 500.0).abs() < 2.0, "{found:?}");
        assert!((found.max - 1000.0).abs() < 2.0, "{found:?}");
    }

    #[test]
    fn an_empty_run_has_rates_of_zero_and_no_ratios() {
        let report = Report::new("produce", "t", 1, &Counted::default());
        assert_eq!(report.bytes_per_second, 0.0);
        assert_eq!(report.client_cpu_seconds_per_gb, None);
    }
}
