//! Segments in which messages of the formats before 2 lie still, as a Kafka that is older than 0.11 left them.

use super::*;
use crate::storage::disk::Access;
use crate::wire::record::legacy::{DownConverter, LegacyMagic, Target, message_set};
use crate::wire::record::{BatchHeader, DecompressionLimit};

/// Offsets 0 to 2 alone, 3 to 5 compressed into one, and 6 in the new format.
fn laid_out() -> (SimDisk, usize) {
    let record = |time| NewRecord { timestamp: Timestamp(time), key: Some(b"k"), value: Some(b"v"), headers: &[] };
    let records = [record(1_000), record(2_000), record(3_000)];
    let mut bytes = message_set(LegacyMagic::V0, Codec::None, Offset(0), &records).unwrap();
    bytes.extend(message_set(LegacyMagic::V1, Codec::Gzip, Offset(3), &records).unwrap());
    let mut builder = BatchBuilder::new(Codec::None).at(Offset(6), LeaderEpoch(0));
    builder.append(&record(4_000)).unwrap();
    bytes.extend(builder.build().unwrap());
    let disk = disk();
    let file = disk.open(&file("00000000000000000000.log"), Access::Create).unwrap();
    file.write_all_at(0, &[std::io::IoSlice::new(&bytes)]).unwrap();
    (disk, bytes.len())
}

fn found(log: &Log, offset: i64) -> (Vec<u8>, Slice) {
    let request =
        ReadRequest { offset: Offset(offset), upper_bound: Offset(7), bytes_max: 1 << 20, at_least_one_batch: true };
    let Read::Batches(slice) = log.view().read(&request, Wait::Allowed).unwrap() else { panic!("nothing at {offset}") };
    let mut bytes = vec![0; slice.len];
    slice.file.read_at(slice.position, &mut bytes).unwrap();
    (bytes, slice)
}

#[test]
fn they_are_recovered_read_as_they_are_and_converted() {
    let (disk, len) = laid_out();
    let log = open(&disk);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(7)));
    let (all, slice) = found(&log, 0);
    assert_eq!((all.len(), slice.next_offset), (len, Offset(7)), "nothing is lost");
    // Inside the compressed message: it is found whole.
    for offset in [3, 4, 5] {
        let (bytes, _) = found(&log, offset);
        assert!(bytes.len() < len && bytes[16] == 1, "from {offset}");
        let target = Target {
            magic: LegacyMagic::V0,
            offset: Offset(offset),
            bytes_max: 1 << 20,
            decompression: DecompressionLimit { bytes_max: 1 << 20 },
        };
        let mut converter = DownConverter::new(target);
        converter.convert(&bytes).unwrap();
        assert_eq!(converter.next_offset(), Offset(7));
        assert_eq!(converter.finish().1, 4, "three that were compressed, and one of the new format");
    }
    let (last, _) = found(&log, 6);
    assert_eq!(BatchHeader::decode(&last).unwrap().base_offset, Offset(6));
}

#[test]
fn damage_in_them_is_found_and_the_log_goes_on_behind_them() {
    let (disk, _) = laid_out();
    let file = disk.open(&file("00000000000000000000.log"), Access::Write).unwrap();
    file.write_all_at(20, &[std::io::IoSlice::new(&[0xff])]).unwrap();
    let damaged = open_with(&disk, options(config()));
    let ends_at_0 = damaged.map_or(true, |(log, _)| log.log_end_offset() == Offset(0));
    assert!(ends_at_0, "a wrong CRC above the recovery point is no message");
    let (disk, _) = laid_out();
    let mut log = open(&disk);
    let sent = Sent::default();
    let appended = append(&mut log, &sent);
    assert_eq!(appended.base_offset, Offset(7));
}
