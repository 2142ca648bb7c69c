//! The records block of a batch, compressed and decompressed.
//!
//! *Invariant*: [`decompress`] never holds more output than its limit, and never reserves what a length field claims
//! before the bytes that can fill it were seen. The decoders' own windows are extra: at most 8 MiB for lz4, and for zstd
//! what its format allows (128 MiB of address space, of which only what was decoded is ever touched).
//! *Does not know*: batches, records.
//!
//! Source: Kafka 3.9 `clients/…/common/compress`; KIP-390 for the levels.

use std::io::{self, Read, Write};

use super::Codec;

/// How to compress: a codec and how hard it shall try.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Its level, in the codec's own scale; `None` is Kafka's default. Values out of range are brought into it. Snappy has
    /// no levels, and lz4 is written at its fastest whatever the level says.
    pub level: Option<i32>,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self { codec, level: None }
    }
}

/// How much a compressed block may grow to: the caller's share of the memory set aside for decompression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecompressionLimit {
    /// Most bytes of output, inclusive.
    pub bytes_max: usize,
}

/// Why a block could not be compressed or decompressed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompressionError {
    /// It holds, or claims to hold, more than the limit.
    #[error("the records take more than {bytes_max} bytes when decompressed")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It is not what the codec writes.
    #[error("the records are no valid {codec}: {reason}")]
    Malformed {
        /// The codec that the batch names.
        codec: Codec,
        /// What the decoder says.
        reason: String,
    },
    /// The encoder failed.
    #[error("the records could not be compressed: {0}")]
    Encoder(String),
}

/// Uncompressed bytes in one block of xerial's snappy framing, as snappy-java writes it.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;

/// Marks xerial's framing: the magic, then its version and the oldest version that can read it, both 1.
const XERIAL_HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// The part of [`XERIAL_HEADER`] by which a reader tells it from raw snappy.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";

/// First bytes of an LZ4 frame. The legacy frame format, which has another magic, is not Kafka's.
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Output is made room for in steps of what is there already, from this on: doubling, without a first guess that a peer steers.
const GROWTH_BYTES_MIN: usize = 16 * 1024;

impl Codec {
    /// Bytes that one byte of this codec can stand for at most, rounded up: a claim beyond it lies.
    pub(super) const fn expansion_max(self) -> usize {
        match self {
            Self::None => 1,
            // A deflate match of 258 bytes takes two bits.
            Self::Gzip => 1_032,
            // A copy of 64 bytes takes three.
            Self::Snappy => 22,
            // Every further byte of a match's length adds 255.
            Self::Lz4 => 256,
            // A block of one repeated byte holds 128 KiB and takes four.
            Self::Zstd => 32 * 1024,
        }
    }
}

/// Appends `records`, compressed, to `out`.
///
/// # Errors
/// [`CompressionError::Encoder`] when the codec refuses; memory is the only reason known.
pub fn compress(compression: Compression, records: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let level = compression.level;
    match compression.codec {
        Codec::None => out.extend_from_slice(records),
        Codec::Gzip => {
            let level = level.map_or_else(flate2::Compression::default, |level| {
                flate2::Compression::new(level.clamp(1, 9).unsigned_abs())
            });
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            encoder.write_all(records).and_then(|()| encoder.try_finish()).map_err(encoder_failed)?;
        }
        Codec::Snappy => compress_snappy(records, out)?,
        Codec::Lz4 => {
            // Kafka's reader takes independent blocks only; 64 KiB is what its writer uses.
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, out);
            encoder.write_all(records).map_err(encoder_failed)?;
            encoder.finish().map_err(|error| CompressionError::Encoder(error.to_string()))?;
        }
        Codec::Zstd => {
            let levels = zstd::compression_level_range();
            let level =
                level.map_or(zstd::DEFAULT_COMPRESSION_LEVEL, |level| level.clamp(*levels.start(), *levels.end()));
            let mut encoder = zstd::stream::write::Encoder::new(out, level).map_err(encoder_failed)?;
            // A known size lets readers reserve a window no larger than the records.
            let len = u64::try_from(records.len()).unwrap_or(u64::MAX);
            encoder.set_pledged_src_size(Some(len)).map_err(encoder_failed)?;
            encoder.write_all(records).map_err(encoder_failed)?;
            encoder.finish().map_err(encoder_failed)?;
        }
    }
    Ok(())
}

/// Appends what `block` holds to `out`, as long as that is at most `limit`.
///
/// # Errors
/// [`CompressionError::TooLarge`] and [`CompressionError::Malformed`]. `out` then has grown by at most the limit.
pub fn decompress(
    codec: Codec,
    block: &[u8],
    limit: DecompressionLimit,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let mut sink = Sink { start: out.len(), out, limit };
    match codec {
        Codec::None => sink.push(block),
        Codec::Gzip => sink.fill(codec, flate2::bufread::MultiGzDecoder::new(block)),
        Codec::Snappy => decompress_snappy(block, &mut sink),
        Codec::Lz4 if block.starts_with(&LZ4_MAGIC) => sink.fill(codec, lz4_flex::frame::FrameDecoder::new(block)),
        Codec::Lz4 => Err(malformed(codec, "no lz4 frame")),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(block).map_err(|error| malformed(codec, error))?;
            sink.fill(codec, decoder)
        }
    }
}

/// The same for an LZ4 frame of magic 0, whatever its header's checksum says: its writers took the checksum over the wrong
/// bytes (KIP-57).
///
/// # Errors
/// As [`decompress`].
pub(super) fn decompress_lz4_of_magic_0(
    block: &[u8],
    limit: DecompressionLimit,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let Some(at) = lz4_checksum_at(block) else { return Err(malformed(Codec::Lz4, "no lz4 frame")) };
    let (header, behind) = block.split_at_checked(at).unwrap_or_default();
    let right = [lz4_checksum(header.get(LZ4_MAGIC.len()..).unwrap_or_default())];
    let frame = header.chain(&right[..]).chain(behind.get(1..).unwrap_or_default());
    Sink { start: out.len(), out, limit }.fill(Codec::Lz4, lz4_flex::frame::FrameDecoder::new(frame))
}

/// Gives an LZ4 frame the header checksum that readers of magic 0 demand: over the frame's magic too (KIP-57).
pub(super) fn break_lz4_checksum(frame: &mut [u8]) {
    let Some(at) = lz4_checksum_at(frame) else { return };
    let wrong = lz4_checksum(frame.get(..at).unwrap_or_default());
    if let Some(place) = frame.get_mut(at) {
        *place = wrong;
    }
}

/// Where the checksum of an LZ4 frame's header stands; `None` when it is no such frame.
fn lz4_checksum_at(frame: &[u8]) -> Option<usize> {
    const CONTENT_SIZE: u8 = 0x08;
    const DICTIONARY: u8 = 0x01;
    let flags = *frame.strip_prefix(&LZ4_MAGIC)?.first()?;
    let size = if flags & CONTENT_SIZE == 0 { 0 } else { 8 };
    let dictionary = if flags & DICTIONARY == 0 { 0 } else { 4 };
    // The magic, flags, block sizes, and what the flags announce.
    Some(LZ4_MAGIC.len() + 2 + size + dictionary).filter(|at| *at < frame.len())
}

/// The second byte of the hash.
fn lz4_checksum(bytes: &[u8]) -> u8 {
    let [_, second, ..] = twox_hash::XxHash32::oneshot(0, bytes).to_le_bytes();
    second
}

/// Output that is bounded, and grows only as bytes arrive.
struct Sink<'o> {
    out: &'o mut Vec<u8>,
    /// Where this block's output starts in `out`.
    start: usize,
    limit: DecompressionLimit,
}

impl Sink<'_> {
    /// Bytes that may still be written.
    fn room(&self) -> usize {
        let used = self.out.len().saturating_sub(self.start);
        self.limit.bytes_max.saturating_sub(used)
    }

    const fn too_large(&self) -> CompressionError {
        CompressionError::TooLarge { bytes_max: self.limit.bytes_max }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), CompressionError> {
        if self.room() < bytes.len() {
            return Err(self.too_large());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Room for `len` bytes, zeroed, of which the caller has seen that the input can fill it.
    fn extend_by(&mut self, len: usize) -> Result<&mut [u8], CompressionError> {
        if self.room() < len {
            return Err(self.too_large());
        }
        let before = self.out.len();
        self.out.resize(before.saturating_add(len), 0);
        Ok(self.out.get_mut(before..).unwrap_or_default())
    }

    /// Takes all that `reader` gives.
    fn fill(&mut self, codec: Codec, mut reader: impl Read) -> Result<(), CompressionError> {
        loop {
            let room = self.room();
            if room == 0 {
                let more = read(&mut reader, &mut [0]).map_err(|error| malformed(codec, error))?;
                return if more == 0 { Ok(()) } else { Err(self.too_large()) };
            }
            let spare = self.out.capacity() - self.out.len();
            let step = if spare == 0 { self.out.len().max(GROWTH_BYTES_MIN) } else { spare }.min(room);
            let before = self.out.len();
            self.out.reserve_exact(step);
            self.out.resize(before + step, 0);
            let result = read(&mut reader, self.out.get_mut(before..).unwrap_or_default());
            self.out.truncate(before + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(malformed(codec, error)),
            }
        }
    }
}

/// Fills `buffer` until it is full or the input ends.
fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest)? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

fn compress_snappy(records: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    out.extend_from_slice(XERIAL_HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(SNAPPY_BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).map_err(|error| CompressionError::Encoder(error.to_string()))?;
        let len = u32::try_from(compressed.len()).map_err(|error| CompressionError::Encoder(error.to_string()))?;
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    Ok(())
}

/// Reads xerial's framing, in which streams may follow each other, and raw snappy as what does not start with its magic.
/// Both occur: Java and librdkafka write the first, some Go clients the second.
fn decompress_snappy(block: &[u8], sink: &mut Sink<'_>) -> Result<(), CompressionError> {
    let cut_short = || malformed(Codec::Snappy, "cut short");
    if !block.starts_with(XERIAL_MAGIC) {
        return decompress_snappy_block(block, sink);
    }
    let mut rest = block;
    while !rest.is_empty() {
        if rest.starts_with(XERIAL_MAGIC) {
            // Its two version fields say nothing of use: there has only been version 1.
            rest = rest.get(XERIAL_HEADER.len()..).ok_or_else(cut_short)?;
            continue;
        }
        let (len, behind) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| cut_short())?;
        let (compressed, behind) = behind.split_at_checked(len).ok_or_else(cut_short)?;
        decompress_snappy_block(compressed, sink)?;
        rest = behind;
    }
    Ok(())
}

fn decompress_snappy_block(compressed: &[u8], sink: &mut Sink<'_>) -> Result<(), CompressionError> {
    let claimed = snap::raw::decompress_len(compressed).map_err(|error| malformed(Codec::Snappy, error))?;
    if sink.room() < claimed {
        return Err(sink.too_large());
    }
    if compressed.len().saturating_mul(Codec::Snappy.expansion_max()) < claimed {
        return Err(malformed(Codec::Snappy, format_args!("{} bytes cannot hold {claimed}", compressed.len())));
    }
    let start = sink.out.len();
    let room = sink.extend_by(claimed)?;
    match snap::raw::Decoder::new().decompress(compressed, room) {
        Ok(_) => Ok(()),
        Err(error) => {
            sink.out.truncate(start);
            Err(malformed(Codec::Snappy, error))
        }
    }
}

fn malformed(codec: Codec, reason: impl ToString) -> CompressionError {
    CompressionError::Malformed { codec, reason: reason.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
fn encoder_failed(error: io::Error) -> CompressionError {
    CompressionError::Encoder(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    fn packed(compression: Compression, records: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(compression, records, &mut out).expect("compressed");
        out
    }

    fn unpacked(codec: Codec, block: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
        let mut out = b"before".to_vec();
        decompress(codec, block, DecompressionLimit { bytes_max }, &mut out)?;
        assert!(out.starts_with(b"before"), "it appends");
        Ok(out.split_off(6))
    }

    fn text(len: usize) -> Vec<u8> {
        (0_u32..)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 7).to_be_bytes()[..3].to_vec())
            .take(len)
            .collect()
    }

    #[test]
    fn every_codec_and_level_gives_back_what_it_got_up_to_the_limit() {
        for len in [0, 1, 100, SNAPPY_BLOCK_BYTES, SNAPPY_BLOCK_BYTES + 1, 200_000] {
            let records = text(len);
            for codec in CODECS {
                for level in [None, Some(i32::MIN), Some(1), Some(9), Some(i32::MAX)] {
                    if level == Some(i32::MAX) && 100_000 < len {
                        continue; // The hardest levels of zstd take seconds here.
                    }
                    let block = packed(Compression { codec, level }, &records);
                    assert_eq!(unpacked(codec, &block, len).as_deref(), Ok(&records[..]), "{codec:?} {level:?} {len}");
                    if let Some(less) = len.checked_sub(1) {
                        let refused = unpacked(codec, &block, less);
                        assert_eq!(refused, Err(CompressionError::TooLarge { bytes_max: less }), "{codec:?} {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let bomb = packed(codec.into(), &zeros);
            let mut out = Vec::new();
            let result = decompress(codec, &bomb, DecompressionLimit { bytes_max: 1 << 20 }, &mut out);
            assert_eq!(result, Err(CompressionError::TooLarge { bytes_max: 1 << 20 }), "{codec:?}");
            assert!(out.capacity() <= 2 << 20, "{codec:?} reserved {} bytes", out.capacity());
        }
    }

    #[test]
    fn snappy_that_claims_much_reserves_nothing() {
        let mut claim = vec![0xff, 0xff, 0xff, 0xff, 0x0f]; // 2³²−1 bytes
        claim.extend_from_slice(&[0; 20]);
        let mut framed = XERIAL_HEADER.to_vec();
        framed.extend_from_slice(&25_u32.to_be_bytes());
        framed.extend_from_slice(&claim);
        for block in [claim, framed] {
            for bytes_max in [1 << 20, usize::MAX] {
                let mut out = Vec::new();
                let error = decompress(Codec::Snappy, &block, DecompressionLimit { bytes_max }, &mut out);
                assert!(error.is_err());
                assert_eq!(out.capacity(), 0, "room was reserved for a lie");
            }
        }
    }

    #[test]
    fn snappy_is_read_raw_and_in_streams_that_follow_each_other() {
        let records = text(1_000);
        let raw = snap::raw::Encoder::new().compress_vec(&records).expect("compressed");
        assert_eq!(unpacked(Codec::Snappy, &raw, 1_000).as_deref(), Ok(&records[..]));
        let mut twice = packed(Codec::Snappy.into(), &records[..400]);
        twice.extend(packed(Codec::Snappy.into(), &records[400..]));
        assert_eq!(unpacked(Codec::Snappy, &twice, 1_000).as_deref(), Ok(&records[..]));
    }

    #[test]
    fn garbage_and_cut_or_changed_blocks_end_in_an_error_or_other_bytes_but_within_the_limit() {
        let records = text(5_000);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            assert!(unpacked(codec, b"this is not compressed at all", 1 << 20).is_err(), "{codec:?}");
            let block = packed(codec.into(), &records);
            for cut in 0..block.len() {
                let read = unpacked(codec, &block[..cut], 1 << 20);
                assert!(
                    read.map_or(true, |read| read.len() < 5_000 || cut + 8 > block.len()),
                    "{codec:?} cut at {cut}"
                );
            }
            for bit in (0..block.len() * 8).step_by(3) {
                let mut changed = block.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let mut out = Vec::new();
                let _ = decompress(codec, &changed, DecompressionLimit { bytes_max: 1 << 16 }, &mut out);
                assert!(out.len() <= 1 << 16);
            }
        }
    }
}
