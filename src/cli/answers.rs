//! `dohle answers`: what the client's pure functions say to questions from a file, so that a test may ask Kafka's own the same
//! without a network.
//!
//! Questions are lines: `assignor NAME`, then `topic NAME COUNT` and `member ID INSTANCE|- HEX` as often as needed, then `end`;
//! or `key PARTITIONS HEX`. Each is answered with a line for each member and `end`, or with a partition's number.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;

use super::failure::Failure;
use super::output::Output;
use crate::client::config::AssignorName;
use crate::client::group::assignor::{Subscriber, assign};
use crate::client::producer::Partitioner;
use crate::wire::Str;

/// Answer questions for tests
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the questions are
    file: PathBuf,
}

#[derive(Default)]
struct Question {
    assignor: Option<AssignorName>,
    counts: BTreeMap<Str, i32>,
    members: Vec<Subscriber>,
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::new(format_args!("cannot read {}: {error}", arguments.file.display())))?;
    let mut question = Question::default();
    for line in text.lines() {
        answer(line, &mut question, output)
            .transpose()?
            .ok_or_else(|| Failure::new(format_args!("'{line}' is no part of a question")))?;
    }
    output.flush()
}

/// Takes a line in. `None` when it means nothing.
fn answer(line: &str, question: &mut Question, output: &mut Output) -> Option<Result<(), Failure>> {
    let words = line.split(' ').collect::<Vec<_>>();
    match words.as_slice() {
        ["assignor", name] => {
            *question = Question { assignor: Some(AssignorName::parse(name)?), ..Question::default() };
        }
        ["topic", name, count] => drop(question.counts.insert(Str::from(*name), count.parse().ok()?)),
        ["member", id, instance, metadata] => {
            let instance = Some(*instance).filter(|instance| *instance != "-").map(Str::from);
            question.members.push(Subscriber::new(Str::from(*id), instance, &from_hex(metadata)?).ok()?);
        }
        ["end"] => {
            let Question { assignor, counts, members } = std::mem::take(question);
            for (id, assigned) in assign(assignor?, members, &counts) {
                let mut said = id.to_string();
                for (topic, partitions) in assigned {
                    let mut partitions = partitions;
                    partitions.sort_unstable();
                    said.push(' ');
                    said.push_str(&topic);
                    said.extend(partitions.iter().map(|partition| format!(":{partition}")));
                }
                if let Err(failure) = output.line(format_args!("{said}")) {
                    return Some(Err(failure));
                }
            }
            return Some(output.line(format_args!("end")));
        }
        ["key", partitions, key] => {
            let partition = Partitioner::of_key(&from_hex(key)?, partitions.parse().ok()?);
            return Some(output.line(format_args!("{partition}")));
        }
        _ => return None,
    }
    Some(Ok(()))
}

fn from_hex(text: &str) -> Option<Bytes> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
