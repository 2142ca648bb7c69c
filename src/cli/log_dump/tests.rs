//! Against a log that Kafka 3.9.1 wrote, whole and damaged.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use super::*;

#[derive(Clone, Default)]
struct Screen(Rc<RefCell<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is printed, and whether the command finds damage.
fn dump(paths: &[PathBuf]) -> (String, bool) {
    let screen = Screen::default();
    let mut output = Output::to(Box::new(screen.clone()));
    let arguments = Arguments { files: paths.to_vec(), records: true, quiet: false };
    let damaged = match run(&arguments, &mut output) {
        Ok(()) => false,
        Err(Failure::Damaged) => true,
        Err(other) => panic!("{:?}", other.message()),
    };
    output.flush().expect("a screen takes everything");
    let text = String::from_utf8(screen.0.borrow().clone()).expect("text");
    (text, damaged)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/fixtures").join(name)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    files_of(dir).expect("a folder")
}

/// The fixture's partition folder in a folder of its own, with one file changed.
fn changed(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let copy = tempfile::tempdir().expect("a folder");
    for path in files(&fixture("clean/fixture-0")) {
        let bytes = read_file(&OsDisk, &path, 1 << 30).expect("a fixture");
        let name = path.file_name().expect("a file");
        crate::storage::disk::replace_file(&OsDisk, &copy.path().join(name), &bytes).expect("room");
    }
    let path = copy.path().join(file);
    let mut bytes = read_file(&OsDisk, &path, 1 << 30).expect("a fixture");
    change(&mut bytes);
    crate::storage::disk::replace_file(&OsDisk, &path, &bytes).expect("room");
    (copy, path)
}

const SEGMENT: &str = "00000000000000000000.log";

#[test]
fn what_kafka_wrote_and_closed_is_whole() {
    let (text, damaged) = dump(&[fixture("clean"), fixture("clean/fixture-0")]);
    assert!(!damaged, "{text}");
    for part in ["topic id ", "producers", "leader epochs", "next offset 77", "aborted transactions", "marker Abort"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_flipped_bit_in_a_batch_is_found() {
    let (_copy, path) = changed(SEGMENT, |bytes| bytes[70] ^= 1);
    let (text, damaged) = dump(&[path]);
    assert!(damaged && text.contains("DAMAGED: batch at position 0: CRC"), "{text}");
}

#[test]
fn a_torn_tail_is_found_and_what_stands_before_it_is_shown() {
    let (_copy, path) = changed(SEGMENT, |bytes| bytes.truncate(bytes.len() - 1));
    let (text, damaged) = dump(&[path]);
    assert!(damaged && text.contains("the batch is cut short"), "{text}");
    assert!(text.contains("offsets 0..="), "{text}");
    let (_copy, path) = changed(SEGMENT, |bytes| bytes.extend([0; 100]));
    let (text, damaged) = dump(&[path]);
    assert!(damaged && text.contains("only zeros"), "{text}");
}

#[test]
fn an_index_that_points_elsewhere_is_found() {
    // Of the segment's indexes, whose entries end with a position and begin with a timestamp.
    for (file, at, part) in [
        ("00000000000000000000.index", 7, "position"),
        ("00000000000000000000.timeindex", 7, "the largest up to there"),
    ] {
        let (_copy, path) = changed(file, |bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
        });
        let (text, damaged) = dump(std::slice::from_ref(&path));
        let empty = read_file(&OsDisk, &path, 1 << 20).expect("an index").is_empty();
        assert!(empty || (damaged && text.contains(part)), "{file}: {text}");
        assert!(!empty, "the fixture's {file} has no entries: this test shows nothing");
    }
}

#[test]
fn a_damaged_snapshot_is_found() {
    let (_copy, path) = changed("00000000000000000034.snapshot", |bytes| bytes[12] ^= 1);
    let (text, damaged) = dump(&[path]);
    assert!(damaged && text.contains("CRC"), "{text}");
}
