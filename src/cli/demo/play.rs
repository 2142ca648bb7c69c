//! The demo from its beginning to its end: what is made, what happens when, and what is taken away again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use super::Arguments;
use super::archive::Archive;
use super::board::{Board, Phase};
use super::feed::{Fed, feed};
use super::group::{Group, Results};
use super::lines::Style;
use super::results::{Totals, Words};
use super::screen::{Screen, Wish};
use super::source::Source;
use super::stage::Stage;
use super::verdict::GroupVerdict;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, notice};
use crate::cli::stop::Stop;
use crate::client::Cluster;
use crate::client::admin::{NewTopic, create_topic, delete_topic};
use crate::client::config::ProducerConfig;
use crate::client::consumer::{Isolation, Place, find_offset};
use crate::client::group::admin::delete_group;
use crate::client::producer::Producer;
use crate::model::{ErrorCode, Moment, PartitionIndex};
use crate::storage::disk::Disk as _;
use crate::storage::disk::os::OsDisk;
use crate::wire::Str;

/// How often the screen is drawn, and how often a line is written.
const FRAME: Duration = Duration::from_millis(100);
const LINE: Duration = Duration::from_secs(1);
/// How often brokers are asked who leads.
const LOOK: Duration = Duration::from_secs(1);
/// Replicas that are enough to show that a broker may die.
const REPLICAS: usize = 3;
/// How long searches are counted together: made-up news last some ten seconds, those of a log hours.
const WINDOW_MS: i64 = 5_000;
const LOG_WINDOW_MS: i64 = 3_600_000;
/// How long it goes on where nobody sees it.
const DURATION: Duration = Duration::from_secs(30);
/// No group counts anything for so long: it is given up. Longer than sessions, elections and the groups' moves together take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long members may take to leave.
const FAREWELL: Duration = Duration::from_secs(10);

pub(super) async fn play(arguments: &Arguments, cluster: Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
    let clock = Rc::clone(cluster.clock());
    let seed = arguments.seed.unwrap_or_else(|| u64::from(cluster.chance()) ^ clock.timestamp().0.unsigned_abs());
    let source = Source::open(arguments.input.as_deref(), seed)?;
    let topic = format!("dohle-demo-{:08x}", cluster.chance() ^ std::process::id());
    let dir = folder(arguments.output.as_deref(), &topic)?;
    make_topic(arguments, &cluster, &topic).await?;
    let done = on_stage(arguments, &cluster, &topic, &dir, source, output).await;
    if arguments.keep {
        notice(format_args!("Topic {topic} and the groups {topic}-… stay; the files are in {}.", dir.display()));
    } else {
        take_away(&cluster, &topic).await;
        if arguments.output.is_none()
            && let Err(error) = OsDisk.remove_dir_all(&dir)
        {
            notice(format_args!("{} is left: {error}", dir.display()));
        }
    }
    done
}

/// A folder that is empty, so that nothing in it is taken for results.
fn folder(wanted: Option<&Path>, topic: &str) -> Result<PathBuf, Failure> {
    let dir = wanted.map_or_else(|| std::env::temp_dir().join(topic), Path::to_owned);
    let entries = OsDisk.create_dir_all(&dir).and_then(|()| OsDisk.list(&dir));
    match entries {
        Ok(entries) if entries.is_empty() => Ok(dir),
        Ok(_) => Err(Failure::new(format_args!("{} is not empty", dir.display()))
            .hint("--output names a new or an empty folder: what lies there would be taken for this run's results.")),
        Err(error) => Err(Failure::new(format_args!("cannot write to {}: {error}", dir.display()))),
    }
}

async fn make_topic(arguments: &Arguments, cluster: &Cluster, topic: &str) -> Result<(), Failure> {
    let brokers = cluster.retry(async || cluster.describe(Some(&[]), false).await).await?.brokers.len();
    let replicas = arguments.replication_factor.or_else(|| i16::try_from(brokers.clamp(1, REPLICAS)).ok());
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: Some(arguments.partitions),
        replication_factor: replicas,
        configs: Vec::new(),
    };
    create_topic(cluster, &new, false).await?;
    Ok(())
}

/// Deletes the topic and the groups. A member that was killed last is in its group until its session ends.
async fn take_away(cluster: &Cluster, topic: &str) {
    let last = cluster.clock().moment().after(FAREWELL);
    for name in ["pages", "words", "files"] {
        let group = format!("{topic}-{name}");
        loop {
            match cluster.retry(async || delete_group(cluster, &group).await).await {
                Ok(()) => break,
                // Nobody ever joined it.
                Err(error) if error.is_refusal(ErrorCode::GroupIdNotFound) => break,
                Err(error) if error.is_refusal(ErrorCode::NonEmptyGroup) && cluster.clock().moment() < last => {
                    tokio::time::sleep(FRAME).await;
                }
                Err(error) => {
                    notice(format_args!("Group {group} is left: {error}"));
                    break;
                }
            }
        }
    }
    match delete_topic(cluster, topic).await {
        Ok(()) => {}
        Err(error) if error.is_refusal(ErrorCode::RequestTimedOut) => {
            notice(format_args!("Topic {topic} will be gone when all brokers that hold some of it are back."));
        }
        Err(error) => notice(format_args!("Topic {topic} is left: {error}")),
    }
}

async fn on_stage(
    arguments: &Arguments,
    cluster: &Rc<Cluster>,
    topic: &str,
    dir: &Path,
    source: Source,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let window_ms = if arguments.input.is_some() { LOG_WINDOW_MS } else { WINDOW_MS };
    let groups = vec![
        Group::new("pages", topic, Results::Pages(Totals::new())),
        Group::new("words", topic, Results::Words(Words::new(window_ms))),
        Group::new("files", topic, Results::Files(Archive::new(Arc::new(OsDisk), dir.to_owned()))),
    ];
    let settings = arguments.connect.settings();
    let partitions = usize::try_from(arguments.partitions).unwrap_or(0);
    let clock = Rc::clone(cluster.clock());
    let stage = Rc::new(Stage::new(clock, topic.to_owned(), partitions, groups, settings.clone()));
    let config = ProducerConfig::new(settings.into_iter().chain([("linger.ms".to_owned(), "20".to_owned())]));
    let producer = Producer::with(Rc::clone(cluster), &config.map_err(Failure::new)?);
    let enough = Rc::new(Cell::new(false));
    let feeding = feed(Rc::clone(&stage), producer, source, arguments.rate, Rc::clone(&enough));
    let looking = tokio::task::spawn_local(look(Rc::clone(&stage), Rc::clone(cluster)));
    let style = if arguments.json { Style::Json } else { Style::Text };
    let on_screen = !arguments.json && !arguments.plain && std::io::stdout().is_terminal();
    let screen = if on_screen { Some(Screen::open().map_err(no_terminal)?) } else { None };
    let mut play = Play {
        arguments,
        wanted: vec![usize::try_from(arguments.members).unwrap_or(1); 3],
        cluster: Rc::clone(cluster),
        feeding: tokio::task::spawn_local(feeding),
        enough,
        screen,
        style,
        chosen: 0,
        phase: Phase::Flowing,
        told: 0,
        line_at: Moment::default(),
        add_at: Moment::default(),
        kill_at: arguments.kill_every.map(|every| stage.clock.moment().after(Duration::from_secs(every.into()))),
        kills: 0,
        progress: (0, stage.clock.moment()),
        stage,
    };
    let played = play.run(&mut stop, output).await;
    looking.abort();
    // The terminal is put back before anything else is said.
    play.screen = None;
    let fed = played?;
    play.tell_end(&fed, output)?;
    let verdicts = play.verdicts()?;
    style.verdict(&verdicts, output)?;
    output.flush()?;
    if verdicts.iter().all(|verdict| verdict.holds) { Ok(()) } else { Err(Failure::Damaged) }
}

fn no_terminal(error: std::io::Error) -> Failure {
    Failure::new(format_args!("cannot draw on this terminal: {error}")).hint("With --plain it writes lines instead.")
}

/// Looks who leads, for as long as it is let.
async fn look(stage: Rc<Stage>, cluster: Rc<Cluster>) {
    let topic = Str::from(stage.topic.as_str());
    let mut known = BTreeMap::<usize, i32>::new();
    loop {
        // While nobody answers, what was heard last is shown.
        if let Ok(metadata) = cluster.describe(Some(std::slice::from_ref(&topic)), false).await
            && let Some(Ok(found)) = metadata.topics.get(&topic)
        {
            let leaders = found.leaders.iter().map(|leader| leader.map(|broker| broker.0)).collect::<Vec<_>>();
            for (partition, leader) in leaders.iter().enumerate() {
                let Some(leader) = *leader else { continue };
                if let Some(before) = known.insert(partition, leader).filter(|before| *before != leader) {
                    stage.say(format!("partition {partition} is led by broker {leader}, no more by {before}"));
                }
            }
            *stage.leaders.borrow_mut() = leaders;
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Play<'a> {
    arguments: &'a Arguments,
    stage: Rc<Stage>,
    cluster: Rc<Cluster>,
    feeding: JoinHandle<Result<Fed, Failure>>,
    /// No more views are to be sent.
    enough: Rc<Cell<bool>>,
    screen: Option<Screen>,
    style: Style,
    /// Which group the keys mean.
    chosen: usize,
    phase: Phase,
    /// How many members each group is to have.
    wanted: Vec<usize>,
    /// News that were written as lines.
    told: u64,
    line_at: Moment,
    add_at: Moment,
    kill_at: Option<Moment>,
    kills: usize,
    /// How much was counted, and since when.
    progress: (u64, Moment),
}

impl Play<'_> {
    async fn run(&mut self, stop: &mut Stop, output: &mut Output) -> Result<Fed, Failure> {
        let fed = self.flow(stop, output).await?;
        self.phase = Phase::Draining;
        let mut behind = true;
        while behind && self.has_patience() {
            // What is in the log is to be counted, whatever was heard of it.
            behind = !(self.ends_are_known().await && self.nobody_is_behind());
            if behind && self.pause(stop, output).await? {
                break;
            }
        }
        self.phase = Phase::Ending;
        self.stage.dismiss_all();
        let end = self.stage.clock.moment().after(FAREWELL);
        while !self.stage.nobody_is_left() && self.stage.clock.moment() < end {
            self.pause(stop, output).await?;
        }
        if self.screen.is_none() {
            self.tell_news(output)?;
            self.style.board(&Board::of(&self.stage, self.phase), output)?;
        }
        Ok(fed)
    }

    /// Until the views end, the time is up or somebody wants it.
    async fn flow(&mut self, stop: &mut Stop, output: &mut Output) -> Result<Fed, Failure> {
        let quiet = self.screen.is_none() && self.arguments.input.is_none();
        let duration = self.arguments.duration.map(|seconds| Duration::from_secs(seconds.into()));
        let duration = duration.or(quiet.then_some(DURATION));
        loop {
            if self.feeding.is_finished() {
                let fed = (&mut self.feeding).await;
                return fed.map_err(|error| Failure::new(format_args!("the views ended: {error}")))?;
            }
            if duration.is_some_and(|duration| duration <= self.stage.age()) {
                self.enough.set(true);
            }
            if self.pause(stop, output).await? {
                self.enough.set(true);
            }
        }
    }

    /// Shows how things are, does what is due, and waits a little. Whether somebody wants an end.
    async fn pause(&mut self, stop: &mut Stop, output: &mut Output) -> Result<bool, Failure> {
        let now = self.stage.clock.moment();
        self.stage.tick();
        self.keep_members(now)?;
        self.kill_when_due(now);
        let wants_end = self.show(now, output)?;
        tokio::select! {
            () = stop.wanted() => Ok(true),
            () = tokio::time::sleep(FRAME) => Ok(wants_end),
        }
    }

    /// Starts a member in place of one that is gone, one of each group a second.
    fn keep_members(&mut self, now: Moment) -> Result<(), Failure> {
        if self.phase == Phase::Ending || now < self.add_at {
            return Ok(());
        }
        let begins = self.add_at == Moment::default();
        self.add_at = now.after(LINE);
        for (index, wanted) in self.wanted.iter().copied().enumerate() {
            // Without members nothing of what is left would be counted.
            let wanted = if self.phase == Phase::Draining { wanted.max(1) } else { wanted };
            let running = self.stage.groups.borrow().get(index).map_or(0, Group::running);
            let missing = wanted.saturating_sub(running);
            for _ in 0..if begins { missing } else { missing.min(1) } {
                self.stage.add_member(index)?;
            }
        }
        Ok(())
    }

    fn kill_when_due(&mut self, now: Moment) {
        let Some(at) = self.kill_at.filter(|at| *at <= now && self.phase == Phase::Flowing) else { return };
        self.stage.kill_member(self.kills % self.wanted.len());
        self.kills += 1;
        self.kill_at = self.arguments.kill_every.map(|every| at.after(Duration::from_secs(every.into())));
    }

    fn show(&mut self, now: Moment, output: &mut Output) -> Result<bool, Failure> {
        let due = self.line_at <= now;
        if due {
            self.line_at = now.after(LINE);
        }
        let Some(screen) = &mut self.screen else {
            if due {
                self.tell_news(output)?;
                self.style.board(&Board::of(&self.stage, self.phase), output)?;
            }
            return Ok(false);
        };
        let title = match &self.arguments.input {
            Some(path) => format!("page views of {}", path.display()),
            None => "page views that are made up, with the skew of real ones".to_owned(),
        };
        let board = Board::of(&self.stage, self.phase);
        screen.show(&board, &self.stage.news_from(0), self.chosen, &title).map_err(no_terminal)?;
        let wish = screen.wish(self.chosen, self.wanted.len()).map_err(no_terminal)?;
        match wish {
            None => {}
            Some(Wish::Quit) => return Ok(true),
            Some(Wish::Choose(group)) => self.chosen = group,
            Some(Wish::Add) => {
                if let Some(wanted) = self.wanted.get_mut(self.chosen) {
                    *wanted += 1;
                }
                self.stage.add_member(self.chosen)?;
            }
            Some(Wish::Kill) => {
                if let Some(wanted) = self.wanted.get_mut(self.chosen) {
                    *wanted = wanted.saturating_sub(1);
                }
                self.stage.kill_member(self.chosen);
            }
        }
        Ok(false)
    }

    fn tell_news(&mut self, output: &mut Output) -> Result<(), Failure> {
        for news in self.stage.news_from(self.told) {
            self.style.news(&news, output)?;
            self.told = news.number + 1;
        }
        Ok(())
    }

    /// Asks where the partitions end. Whether all said so.
    async fn ends_are_known(&self) -> bool {
        let topic = self.stage.topic.as_str();
        for partition in 0..self.arguments.partitions {
            let index = PartitionIndex(partition);
            let end = find_offset(&self.cluster, topic, index, Place::Latest, Isolation::ReadUncommitted);
            match tokio::time::timeout(LINE, end).await {
                Ok(Ok(end)) => {
                    let mut ends = self.stage.ends.borrow_mut();
                    let known = ends.entry(partition).or_default();
                    *known = (*known).max(end.0);
                }
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        true
    }

    fn nobody_is_behind(&self) -> bool {
        let ends = self.stage.ends.borrow();
        let groups = self.stage.groups.borrow();
        let at_end = |group: &Group| ends.iter().all(|(partition, end)| *end <= group.ledger.next(*partition));
        groups.iter().all(at_end) && self.stage.all_counted()
    }

    fn has_patience(&mut self) -> bool {
        let (now, counted) = (self.stage.clock.moment(), self.stage.counted());
        if self.phase != Phase::Draining || self.progress.0 != counted {
            self.progress = (counted, now);
        }
        now.since(self.progress.1) < PATIENCE
    }

    fn tell_end(&self, fed: &Fed, output: &mut Output) -> Result<(), Failure> {
        let sent = self.stage.sent.borrow();
        let groups = self.stage.groups.borrow();
        let late = groups.iter().map(|group| group.refused).sum::<u64>();
        let strangers = groups.iter().map(|group| group.strangers).max().unwrap_or(0);
        let (views, acknowledged, unconfirmed) = (sent.issued, sent.acknowledged.count(), sent.unconfirmed());
        let members = groups.iter().map(|group| u64::from(group.members_ever)).sum::<u64>();
        let seconds = self.stage.age().as_secs_f64();
        if self.style == Style::Json {
            return output.json(&json!({
                "kind": "end", "seconds": seconds, "topic": self.stage.topic, "views": views, "acknowledged": acknowledged,
                "unconfirmed": unconfirmed, "members": members, "late": late, "strangers": strangers, "log": fed.log,
            }));
        }
        output.line(format_args!(
            "{views} views in {seconds:.1} s, {acknowledged} acknowledged, read by {members} members in three groups."
        ))?;
        if 0 < unconfirmed {
            output.line(format_args!("{unconfirmed} were not acknowledged: they may be counted or not."))?;
        }
        if let Some(log) = fed.log {
            let (other, unreadable) = (log.other, log.unreadable);
            output.line(format_args!(
                "The log had {} views, {other} requests that showed no page, {unreadable} lines in another format.",
                log.views
            ))?;
        }
        if 0 < late {
            output.line(format_args!("{late} times a member that had lost its partition was refused."))?;
        }
        if 0 < strangers {
            output.line(format_args!("{strangers} records were no views of this run, and passed over."))?;
        }
        Ok(())
    }

    fn verdicts(&self) -> Result<Vec<GroupVerdict>, Failure> {
        let sent = self.stage.sent.borrow();
        let verdicts = self.stage.groups.borrow().iter().map(|group| group.verdict(&sent)).collect::<Result<_, _>>();
        verdicts.map_err(|error| Failure::new(format_args!("cannot read the files back: {error}")))
    }
}
