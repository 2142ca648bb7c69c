//! Writes views to the topic at a rate, and notes what becomes of each.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::source::{LogCounts, Source};
use super::stage::Stage;
use super::views::View;
use crate::cli::failure::Failure;
use crate::client::producer::{Delivered, Delivery, ProduceError, Producer};
use crate::model::{Offset, Timestamp};
use crate::wire::record::NewRecord;

/// How often it looks how many views are due.
const STEP: Duration = Duration::from_millis(20);
/// Views without a report, at most: then it waits, however many are due.
const UNREPORTED_MAX: usize = 50_000;

/// How the feeding of views ends.
pub(super) struct Fed {
    /// Of a log, what its lines were.
    pub(super) log: Option<LogCounts>,
}

/// Sends until the source ends or somebody stops it; then waits for every report.
pub(super) async fn feed(
    stage: Rc<Stage>,
    producer: Producer,
    mut source: Source,
    rate: u32,
    stop: Rc<Cell<bool>>,
) -> Result<Fed, Failure> {
    let mut reports = FuturesUnordered::new();
    let began = stage.clock.moment();
    let mut sent = 0_u64;
    'sending: while !stop.get() {
        let due = stage.clock.moment().since(began).as_secs_f64() * f64::from(rate);
        while as_f64(sent) < due && reports.len() < UNREPORTED_MAX {
            let Some(view) = source.next(stage.clock.timestamp()).await? else { break 'sending };
            if stop.get() {
                break 'sending;
            }
            stage.sent.borrow_mut().issue(&view);
            let delivery = send(&producer, &stage.topic, &view, stage.clock.timestamp()).await;
            sent += 1;
            match delivery {
                Ok(delivery) => reports.push(async move { (view, delivery.await) }),
                Err(error) => note(&stage, view, Err(error))?,
            }
        }
        let step = tokio::time::sleep(STEP);
        tokio::pin!(step);
        loop {
            tokio::select! {
                () = &mut step => break,
                Some((view, report)) = reports.next() => note(&stage, view, report)?,
            }
        }
    }
    // Its result is that of the reports, which are looked at one by one.
    let _ = producer.flush().await;
    while let Some((view, report)) = reports.next().await {
        note(&stage, view, report)?;
    }
    Ok(Fed { log: source.log_counts() })
}

async fn send(producer: &Producer, topic: &str, view: &View, now: Timestamp) -> Result<Delivery, ProduceError> {
    let value = view.to_bytes();
    let record = NewRecord { timestamp: now, key: Some(view.visitor.as_bytes()), value: Some(&value), headers: &[] };
    producer.send(topic, None, &record).await
}

fn note(stage: &Stage, view: View, report: Result<Delivered, ProduceError>) -> Result<(), Failure> {
    match report {
        Ok(Delivered { partition, offset }) => {
            stage.sent.borrow_mut().acknowledge(&view);
            if offset != Offset::NONE {
                let mut ends = stage.ends.borrow_mut();
                let end = ends.entry(partition.0).or_default();
                *end = (*end).max(offset.0.saturating_add(1));
            }
            Ok(())
        }
        Err(error) if error.is_fatal() => Err(Failure::new(format_args!("views cannot be written any more: {error}"))),
        Err(error) => {
            stage.say(format!("view {} is not acknowledged: {error}", view.number));
            stage.sent.borrow_mut().give_up(view);
            Ok(())
        }
    }
}

/// Counts of views, as numbers to compare with: exact up to 2^32.
fn as_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
