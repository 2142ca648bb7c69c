//! `dohle demo`: Kafka's first two uses, page views that are counted as they happen and loaded into files, on any broker.
//!
//! Views are written to a topic, keyed by visitor. Three groups of members read all of them, each sharing the partitions among its
//! members: one counts the views of each page, one finds search words that rise, one loads everything into files by partition and
//! hour. Members come and go meanwhile. In the end every view's number is looked for in what each group made of it ([`verdict`]).
//!
//! Members read at least once; what they make of it counts once, since results are stored together with the offset up to which they
//! count ([`ledger`]). For two groups they are in this process's memory, which stands for a database; for the third the files are
//! all there is.
//!
//! *Invariant*: nothing but the native client ([`crate::client`]) talks to the brokers.

use std::path::PathBuf;

use clap::Args;

use super::connect::Connect;
use super::failure::Failure;
use super::output::Output;

mod access_log;
mod archive;
mod board;
mod calendar;
mod draw;
mod feed;
mod group;
mod ledger;
mod lines;
mod member;
mod meter;
mod numbers;
mod play;
mod results;
mod screen;
mod source;
mod stage;
mod verdict;
mod views;

/// Watch page views being counted by groups of members, and check that each is counted once
#[derive(Args, Debug)]
#[command(
    after_help = "The views are made up, with the skew of real ones, unless --input names an access log in combined format.
Three groups read them: 'pages' counts views per page, 'words' finds search words that rise, 'files' loads all into files
by partition and hour. On a terminal keys add and kill members; a killed one does not say good-bye.
At the end every view is looked for in each group's results. Exit code 1 when one is missing or was counted twice.

Examples:
  dohle demo
  dohle demo --duration 60 --kill-every 15 --plain
  dohle demo --bootstrap-server kafka1:9092,kafka2:9092 --replication-factor 3
  dohle demo --input /var/log/nginx/access.log --rate 5000 --output views --keep"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// An access log in combined format, instead of views that are made up
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// End after so many seconds [default: 30; on a terminal, and with --input, not by itself]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    duration: Option<u32>,
    /// Views a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Partitions of the topic
    #[arg(long, short, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=1000))]
    partitions: i32,
    /// Replicas of each partition [default: 3, or as many as there are brokers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Members of each group at the beginning
    #[arg(long, short, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    members: u32,
    /// Kill a member every so many seconds, of one group after the other, and start another in its place
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    kill_every: Option<u32>,
    /// A new or empty folder for the files, which stay [default: one beside other temporary files, removed at the end]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Leave the topic, the groups and the files where they are at the end
    #[arg(long)]
    keep: bool,
    /// The same views again as with the same number
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Lines instead of the screen, also on a terminal
    #[arg(long)]
    plain: bool,
    /// One JSON object per line instead of text: kind is board, news, end or verdict
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    arguments.connect.block_on(async |cluster| play::play(arguments, cluster, output).await)
}
