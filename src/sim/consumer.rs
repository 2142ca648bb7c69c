//! Reading: consumers that go on where they were, over crashes, and the audit that reads everything after one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::OptionFuture;

use super::client::{Client, Trouble};
use super::life::{Life, RECOVERY_PATIENCE};
use super::oracle::{Audit, Keeps, Place, Span, Violation};
use crate::model::ErrorCode;
use crate::wire::Payload;
use crate::wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use crate::wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::message::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::record::{Batches, DecompressionLimit, verify_crc};

/// The last version that only leaders answer (KIP-392): who answers says that it leads.
const FETCH: i16 = 10;
const LIST_OFFSETS: i16 = 7;
const METADATA: i16 = 9;

/// ListOffsets of the end and of the beginning.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// No batch of ours is larger.
const LIMIT: DecompressionLimit = DecompressionLimit { bytes_max: 1 << 20 };

/// Bytes that a member of a group reads at once.
const READ_BYTES: i32 = 20_000;

/// Where a consumer stands in each of its partitions.
pub type Positions = Rc<RefCell<BTreeMap<Place, i64>>>;

/// Leader epochs of partitions.
type Epochs = BTreeMap<Place, i32>;

/// Offsets and values.
type Records = Vec<(i64, Vec<u8>)>;

/// Reads everything as it comes, until the life ends.
pub async fn run(life: Rc<Life>, name: &'static str, positions: Positions) {
    loop {
        let place = positions.borrow().keys().next().cloned();
        let mut client = life.connect(name, place.as_ref()).await;
        let epochs = match life.oracle.borrow().is_replicated() {
            true => Some(leader_epochs(&mut client, &positions)),
            false => None,
        };
        let epochs = OptionFuture::from(epochs).await.unwrap_or_else(|| Ok(BTreeMap::new()));
        let is_old = |(place, epoch): (&Place, &i32)| *epoch < life.oracle.borrow().newest_epoch(place);
        let trouble = match epochs {
            // As clients do: what a broker says that knows less of the cluster is not listened to.
            Ok(epochs) if epochs.iter().any(is_old) => Trouble::Disconnected,
            Ok(epochs) => {
                let Err(trouble) = read(&life, &mut client, &positions, &epochs).await;
                trouble
            }
            Err(trouble) => trouble,
        };
        life.trouble(&trouble);
        life.pause(200).await;
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the protocol has a hundred codes; two or three mean something here"
)]
async fn read(
    life: &Life,
    client: &mut Client,
    positions: &Positions,
    epochs: &Epochs,
) -> Result<std::convert::Infallible, Trouble> {
    let mut served = false;
    loop {
        // Once it was served under an epoch, the broker has to refuse what is asked under an earlier one.
        let too_old = served && !epochs.is_empty() && life.percent(10);
        let wanted = positions.borrow().iter().map(|(place, position)| (place.clone(), *position)).collect::<Vec<_>>();
        let bytes_max = if life.percent(30) { 1 } else { 1_000 + i32::try_from(life.below(50_000)).unwrap_or(0) };
        let was_full = life.disk_is_full.get();
        let mut request = fetch_request(&wanted, bytes_max, 200);
        let asked_under =
            |place: &Place| epochs.get(place).map_or(-1, |epoch| epoch.saturating_sub(i32::from(too_old)));
        for topic in &mut request.topics {
            for partition in &mut topic.partitions {
                let place = Place { topic: topic.topic.as_str().to_owned(), partition: partition.partition };
                partition.current_leader_epoch = asked_under(&place);
            }
        }
        let asked = life.now();
        let answers = fetch(client, &request).await?;
        let when = life.since(asked);
        for (place, answer) in answers {
            let Some((_, position)) = wanted.iter().find(|(wanted, _)| *wanted == place) else { continue };
            match answer.error_code {
                ErrorCode::None => {
                    let known = life.oracle.borrow().violations().len();
                    if let Some(&epoch) = epochs.get(&place).filter(|_| 0 <= asked_under(&place)) {
                        let mut oracle = life.oracle.borrow_mut();
                        oracle.unfenced(&place, asked_under(&place), epoch);
                        oracle.leads(&place, epoch, client.broker);
                        oracle.high_watermark_under(&place, epoch, answer.high_watermark, when);
                    }
                    served = true;
                    take(life, (&place, *position), &answer, when, positions)?;
                    for violation in life.oracle.borrow().violations().iter().skip(known) {
                        life.trace.note(format_args!("violation: {violation}, said broker {}", client.broker));
                    }
                }
                ErrorCode::FencedLeaderEpoch if too_old => {}
                ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch | ErrorCode::UnknownLeaderEpoch
                    if !epochs.is_empty() =>
                {
                    return Err(Trouble::Disconnected);
                }
                ErrorCode::OffsetOutOfRange => begin_again(life, client, &place, *position, positions).await?,
                error => {
                    let still_full = was_full && life.disk_is_full.get();
                    // One that failed cannot be opened again before there is room.
                    let faulted = life.faulted.borrow().contains(&place) || life.flush_failure(&place).is_some();
                    if still_full && error == ErrorCode::KafkaStorageError && !faulted {
                        let what = format!("{place} is not read while the disk is full: {error}");
                        life.violation(Violation::Other(what));
                    }
                    life.pause(100).await;
                }
            }
        }
        if life.percent(50) {
            life.pause(100).await;
        }
    }
}

/// Under which epochs partitions are led, as the broker at the other end knows.
async fn leader_epochs(client: &mut Client, positions: &Positions) -> Result<Epochs, Trouble> {
    let places = positions.borrow().keys().cloned().collect::<Vec<_>>();
    let named = |place: &Place| MetadataRequestTopic { name: Some(place.topic.as_str().into()), ..Default::default() };
    let topics = Some(places.iter().map(named).collect());
    let answer = client.call(METADATA, &MetadataRequest { topics, ..Default::default() }).await?;
    let epochs = answer.topics.iter().flat_map(|topic| {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        topic.partitions.iter().map(move |partition| {
            (Place { topic: name.to_owned(), partition: partition.partition_index }, partition.leader_epoch)
        })
    });
    Ok(epochs.filter(|(place, _)| places.contains(place)).collect())
}

fn take(
    life: &Life,
    (place, position): (&Place, i64),
    answer: &PartitionData,
    when: Span,
    positions: &Positions,
) -> Result<(), Trouble> {
    let records = records(place, position, &answer.records)?;
    life.flush_failure(place);
    let mut oracle = life.oracle.borrow_mut();
    oracle.log_starts(place, answer.log_start_offset, when);
    let fetched = Audit { start: position, high_watermark: answer.high_watermark, records: &records, when };
    oracle.fetched(place, &fetched);
    if let Some((last, _)) = records.last() {
        positions.borrow_mut().insert(place.clone(), last.saturating_add(1));
    }
    Ok(())
}

/// The position is not there (any more): on from the beginning of what is there.
async fn begin_again(
    life: &Life,
    client: &mut Client,
    place: &Place,
    position: i64,
    positions: &Positions,
) -> Result<(), Trouble> {
    let Ok(start) = list_offset(client, place, EARLIEST).await? else { return Ok(()) };
    let oracle = life.oracle.borrow();
    let promise = oracle.places().find(|(known, _)| *known == place).map(|(_, promise)| promise);
    let removed = promise.is_none_or(|promise| promise.keeps != Keeps::All && position < start);
    let explained = removed || oracle.may_shrink(place);
    drop(oracle);
    if !explained {
        life.violation(Violation::Other(format!("{place}: {position} is out of range, the log starts at {start}")));
    }
    positions.borrow_mut().insert(place.clone(), start);
    Ok(())
}

/// Reads every partition that the oracle knows from its start to its high watermark, and lets the oracle judge. Nothing
/// else may be sent meanwhile.
pub async fn audit(life: &Life) {
    let places = life.oracle.borrow().places().map(|(place, _)| place.clone()).collect::<Vec<_>>();
    for place in places {
        let mut refusal = None;
        let asked = life.now();
        match tokio::time::timeout(RECOVERY_PATIENCE, audited(life, &place, &mut refusal)).await {
            Ok((start, high_watermark, records)) => {
                life.trace.note(format_args!("audit {place}: {start} to {high_watermark}"));
                let audit = Audit { start, high_watermark, records: &records, when: life.since(asked) };
                life.oracle.borrow_mut().audit(&place, &audit);
            }
            Err(_) => {
                let what = format!("{place} cannot be read after a restart: {refusal:?}");
                life.violation(Violation::Other(what));
            }
        }
    }
}

async fn audited(life: &Life, place: &Place, refusal: &mut Option<ErrorCode>) -> (i64, i64, Records) {
    loop {
        let mut client = life.connect("auditor", Some(place)).await;
        loop {
            match read_whole(&mut client, place).await {
                Ok(Tried::Read(start, high_watermark, records)) => return (start, high_watermark, records),
                Ok(Tried::Refused(error)) => {
                    *refusal = Some(error);
                    if error == ErrorCode::NotLeaderOrFollower {
                        // Another one leads by now.
                        life.pause(200).await;
                        break;
                    }
                }
                Err(trouble) => {
                    life.trouble(&trouble);
                    break;
                }
            }
            life.pause(200).await;
        }
    }
}

/// What an attempt to read a partition came to.
enum Tried {
    /// Start, high watermark, all between.
    Read(i64, i64, Records),
    /// Not now.
    Refused(ErrorCode),
}

async fn read_whole(client: &mut Client, place: &Place) -> Result<Tried, Trouble> {
    let start = match list_offset(client, place, EARLIEST).await? {
        Ok(start) => start,
        Err(error) => return Ok(Tried::Refused(error)),
    };
    let end = match list_offset(client, place, LATEST).await? {
        Ok(end) => end,
        Err(error) => return Ok(Tried::Refused(error)),
    };
    let mut found = Records::new();
    let mut position = start;
    while position < end {
        let request = fetch_request(&[(place.clone(), position)], 1 << 20, 0);
        let Some((_, answer)) = fetch(client, &request).await?.into_iter().next() else {
            return Err(Trouble::Unreadable("a fetch without an answer".to_owned()));
        };
        if answer.error_code.is_error() {
            return Ok(Tried::Refused(answer.error_code));
        }
        let records = records(place, position, &answer.records)?;
        let Some((last, _)) = records.last() else {
            return Err(Trouble::Unreadable(format!("{place}: nothing at {position}, and the end is {end}")));
        };
        position = last.saturating_add(1);
        found.extend(records);
    }
    Ok(Tried::Read(start, end, found))
}

fn fetch_request(wanted: &[(Place, i64)], bytes_max: i32, wait_ms: i32) -> FetchRequest {
    let mut request = FetchRequest { max_wait_ms: wait_ms, min_bytes: 1, max_bytes: 4 << 20, ..Default::default() };
    for (place, position) in wanted {
        let partition = FetchPartition {
            partition: place.partition,
            fetch_offset: *position,
            partition_max_bytes: bytes_max,
            ..Default::default()
        };
        match request.topics.iter_mut().find(|topic| topic.topic.as_str() == place.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => request.topics.push(FetchTopic {
                topic: place.topic.as_str().into(),
                partitions: vec![partition],
                ..Default::default()
            }),
        }
    }
    request
}

/// Reads a little from a partition's leader; where to go on.
///
/// # Errors
/// [`Trouble`]; also when it is refused.
pub async fn read_from(client: &mut Client, place: &Place, position: i64) -> Result<i64, Trouble> {
    let request = fetch_request(&[(place.clone(), position)], READ_BYTES, 100);
    let Some((_, answer)) = fetch(client, &request).await?.into_iter().next() else {
        return Err(Trouble::Unreadable("a fetch without an answer".to_owned()));
    };
    if answer.error_code.is_error() {
        return Err(Trouble::Disconnected);
    }
    let records = records(place, position, &answer.records)?;
    Ok(records.last().map_or(position, |(last, _)| last.saturating_add(1)))
}

async fn fetch(client: &mut Client, request: &FetchRequest) -> Result<Vec<(Place, PartitionData)>, Trouble> {
    let response = client.call(FETCH, request).await?;
    let answers = response.responses.into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic.partitions.into_iter().map(move |partition| {
            (Place { topic: name.as_str().to_owned(), partition: partition.partition_index }, partition)
        })
    });
    Ok(answers.collect())
}

async fn list_offset(client: &mut Client, place: &Place, timestamp: i64) -> Result<Result<i64, ErrorCode>, Trouble> {
    let partition = ListOffsetsPartition { partition_index: place.partition, timestamp, ..Default::default() };
    let topic = ListOffsetsTopic { name: place.topic.as_str().into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let response = client.call(LIST_OFFSETS, &request).await?;
    let answer = response.topics.first().and_then(|topic| topic.partitions.first());
    let answer = answer.ok_or_else(|| Trouble::Unreadable("no offset".to_owned()))?;
    Ok(if answer.error_code.is_error() { Err(answer.error_code) } else { Ok(answer.offset) })
}

/// The records of an answer from `position` on.
fn records(place: &Place, position: i64, payload: &Payload) -> Result<Records, Trouble> {
    let Payload::Bytes(bytes) = payload else { return Ok(Records::new()) };
    let bad = |what: String| Trouble::Unreadable(format!("{place} from {position}: {what}"));
    let (mut found, mut scratch) = (Records::new(), Vec::new());
    for batch in Batches::new(bytes) {
        let (header, batch) = batch.map_err(|error| bad(error.to_string()))?;
        verify_crc(&header, batch).map_err(|error| bad(error.to_string()))?;
        let records = header.read_records(batch, LIMIT, &mut scratch).map_err(|error| bad(error.to_string()))?;
        for record in records {
            let record = record.map_err(|error| bad(error.to_string()))?;
            let offset = header.offset_of(&record).0;
            if position <= offset {
                found.push((offset, record.value.unwrap_or_default().to_vec()));
            }
        }
    }
    Ok(found)
}
