//! The members of one group, and what they can all speak.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::api::{JoinedMember, Protocol, owned, timeout};
use crate::wire::Str;

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member<T> {
    pub(super) instance_id: Option<Str>,
    pub(super) client_id: Str,
    pub(super) client_host: Str,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// What it can speak, the best first; each name once.
    protocols: Vec<Protocol>,
    /// What it is to read in this generation; empty until the leader has said.
    pub(super) assignment: Bytes,
    /// It has never completed a join, so nothing proves that its client is still there while it waits.
    pub(super) is_new: bool,
    join: Option<T>,
    pub(super) sync: Option<T>,
}

/// What of a member can change when it joins again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
}

impl Terms {
    /// Copies, with each protocol's name once.
    pub(super) fn new(session_timeout_ms: i32, rebalance_timeout_ms: i32, protocols: &[Protocol]) -> Self {
        let mut kept = Vec::<Protocol>::with_capacity(protocols.len());
        for Protocol { name, metadata } in protocols {
            if kept.iter().all(|before| before.name != *name) {
                kept.push(Protocol { name: owned(name), metadata: Bytes::copy_from_slice(metadata) });
            }
        }
        Self { session_timeout_ms, rebalance_timeout_ms, protocols: kept }
    }
}

impl<T> Member<T> {
    pub(super) fn new(instance_id: Option<Str>, client_id: Str, client_host: Str, terms: Terms) -> Self {
        Self {
            instance_id,
            client_id,
            client_host,
            session_timeout_ms: terms.session_timeout_ms,
            rebalance_timeout_ms: terms.rebalance_timeout_ms,
            protocols: terms.protocols,
            assignment: Bytes::new(),
            is_new: true,
            join: None,
            sync: None,
        }
    }

    pub(super) const fn is_awaiting_join(&self) -> bool {
        self.join.is_some()
    }

    /// A member that waits for an answer need not send heartbeats, unless it is new.
    pub(super) const fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    pub(super) fn session_timeout(&self) -> Duration {
        timeout(self.session_timeout_ms)
    }

    pub(super) fn matches(&self, terms: &Terms) -> bool {
        self.protocols == terms.protocols
    }

    /// What it can speak, the best first.
    pub(super) fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// What it said about itself in a protocol; empty when it does not speak it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let spoken = self.protocols.iter().find(|spoken| spoken.name == *protocol);
        spoken.map_or_else(Bytes::new, |spoken| spoken.metadata.clone())
    }
}

/// The members of a group, by id.
#[derive(Debug)]
pub(super) struct Members<T> {
    by_id: BTreeMap<Str, Member<T>>,
    /// Ids of static members by their names.
    statics: BTreeMap<Str, Str>,
    /// How many members speak each protocol.
    supported: BTreeMap<Str, usize>,
    /// How many members wait for the answer to a join.
    awaiting_join: usize,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), statics: BTreeMap::new(), supported: BTreeMap::new(), awaiting_join: 0 }
    }
}

impl<T> Members<T> {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) const fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member<T>> {
        self.by_id.get(id)
    }

    /// For its assignment, its waiting sync and its being new; what is counted here has its own methods.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Member<T>> {
        self.by_id.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Str, &Member<T>)> {
        self.by_id.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Str, &mut Member<T>)> {
        self.by_id.iter_mut()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &Str> {
        self.by_id.keys()
    }

    pub(super) fn static_id(&self, instance_id: &str) -> Option<&Str> {
        self.statics.get(instance_id)
    }

    pub(super) fn insert(&mut self, id: Str, member: Member<T>) {
        if let Some(instance_id) = &member.instance_id {
            self.statics.insert(instance_id.clone(), id.clone());
        }
        self.count(&member.protocols);
        self.awaiting_join += usize::from(member.is_awaiting_join());
        let before = self.by_id.insert(id, member);
        assert!(before.is_none(), "a member was added twice");
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member<T>> {
        let member = self.by_id.remove(id)?;
        if let Some(instance_id) = &member.instance_id {
            self.statics.remove(instance_id);
        }
        self.uncount(&member.protocols);
        self.awaiting_join -= usize::from(member.is_awaiting_join());
        Some(member)
    }

    /// Gives a member another id, and everything else stays.
    pub(super) fn rename(&mut self, old: &str, new: Str) {
        if let Some(member) = self.remove(old) {
            self.insert(new, member);
        }
    }

    /// Takes what the member says now, and gives what it said before.
    pub(super) fn update(&mut self, id: &str, terms: Terms) -> Option<Terms> {
        let mut member = self.remove(id)?;
        let before = Terms {
            session_timeout_ms: std::mem::replace(&mut member.session_timeout_ms, terms.session_timeout_ms),
            rebalance_timeout_ms: std::mem::replace(&mut member.rebalance_timeout_ms, terms.rebalance_timeout_ms),
            protocols: std::mem::replace(&mut member.protocols, terms.protocols),
        };
        self.insert(Str::from(id), member);
        Some(before)
    }

    /// The member waits for an answer; gives the one that it waited for before. It must be there.
    pub(super) fn await_join(&mut self, id: &str, ticket: T) -> Option<T> {
        let member = self.by_id.get_mut(id)?;
        let before = member.join.replace(ticket);
        self.awaiting_join += usize::from(before.is_none());
        before
    }

    /// The answer that the member waits for.
    pub(super) fn take_join(&mut self, id: &str) -> Option<T> {
        let ticket = self.by_id.get_mut(id)?.join.take()?;
        self.awaiting_join -= 1;
        Some(ticket)
    }

    /// The longest of all.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.by_id.values().map(|member| timeout(member.rebalance_timeout_ms)).max().unwrap_or_default()
    }

    /// Whether somebody who speaks these can talk to all members.
    pub(super) fn support_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| self.speakers(&protocol.name) == self.by_id.len())
    }

    /// The protocol that most members like best, of those that all speak; the first by name of several.
    pub(super) fn select_protocol(&self) -> Option<Str> {
        let mut votes = BTreeMap::<&Str, usize>::new();
        for member in self.by_id.values() {
            let favourite = member.protocols.iter().find(|spoken| self.speakers(&spoken.name) == self.by_id.len());
            if let Some(favourite) = favourite {
                *votes.entry(&favourite.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// All of them as the leader hears of them.
    pub(super) fn joined(&self, protocol: &str) -> Vec<JoinedMember> {
        let members = self.by_id.iter().map(|(id, member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }

    fn speakers(&self, protocol: &Str) -> usize {
        self.supported.get(protocol).copied().unwrap_or(0)
    }

    fn count(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }

    pub(super) fn check(&self) {
        assert!(self.awaiting_join <= self.by_id.len(), "more joins wait than there are members");
        assert!(self.statics.len() <= self.by_id.len(), "more static members than members");
    }

    /// What [`Self::check`] has no time for at every step.
    #[cfg(test)]
    pub(super) fn check_whole(&self) {
        let awaiting = self.by_id.values().filter(|member| member.is_awaiting_join()).count();
        assert_eq!(awaiting, self.awaiting_join, "waiting joins are miscounted");
        let statics = self.by_id.values().filter(|member| member.instance_id.is_some()).count();
        assert_eq!(statics, self.statics.len(), "two members have one instance id");
        assert!(self.statics.values().all(|id| self.by_id.contains_key(id)), "an instance id names nobody");
        for (name, count) in &self.supported {
            let speakers = self.by_id.values().filter(|member| member.protocols.iter().any(|it| it.name == *name));
            assert_eq!(speakers.count(), *count, "speakers of {name} are miscounted");
        }
    }
}
