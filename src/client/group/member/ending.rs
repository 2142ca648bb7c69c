//! How being a member ends: by leaving, by losing everything, by an error.

use super::{Asked, Effect, Member, Next, Phase};
use crate::client::error::ClientError;
use crate::model::{ErrorCode, Moment};
use crate::wire::Str;

impl Member {
    /// Others may read what this member reads.
    pub(super) fn lose(&mut self, effects: &mut Vec<Effect>) {
        let lost = std::mem::take(&mut self.owned).into_iter().collect::<Vec<_>>();
        if !lost.is_empty() {
            effects.push(Effect::Lost(lost));
        }
        self.id = Str::default();
        self.generation = -1;
        self.told = (Vec::new(), -1);
        self.abandon_commits(effects);
    }

    pub(super) fn abandon_commits(&mut self, effects: &mut Vec<Effect>) {
        self.commits.abandon(|| not_now(&self.settings.group), effects);
    }

    /// Nobody asked for records for too long: others are to read them.
    pub(super) fn go_away(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let farewell = Asked::Leave(self.leave_request());
        let static_member = self.settings.instance.is_some();
        self.lose(effects);
        self.phase = Phase::Away;
        if static_member {
            self.next = Next::At(now);
        } else {
            self.next = Next::Answer;
            effects.push(Effect::Ask(farewell));
        }
    }

    pub(super) fn leave(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let waits_for_others = matches!(self.phase, Phase::Joining | Phase::Syncing { .. }) && !self.id.is_empty();
        if matches!(self.phase, Phase::Over | Phase::Leaving { .. }) {
            return;
        }
        if self.phase == Phase::Away {
            return self.end(effects);
        }
        let revoked = std::mem::take(&mut self.owned).into_iter().collect::<Vec<_>>();
        if !revoked.is_empty() {
            effects.push(Effect::Revoked(revoked));
        }
        self.phase = Phase::Leaving { asked: false };
        match self.next {
            Next::At(_) if self.id.is_empty() => self.end(effects),
            Next::Answer if !waits_for_others => {}
            Next::At(_) | Next::Answer => self.next = Next::At(now),
        }
    }

    pub(super) fn broken(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Group { group: self.settings.group.to_string(), reason: reason.to_string() }
    }

    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) {
        self.abandon_commits(effects);
        self.phase = Phase::Over;
        effects.push(Effect::Left);
    }

    pub(super) fn fail(&mut self, error: ClientError, effects: &mut Vec<Effect>) {
        self.lose(effects);
        self.phase = Phase::Over;
        effects.push(Effect::Failed(error));
    }
}

/// Why a commit is in vain.
pub(super) fn not_now(group: &str) -> ClientError {
    ClientError::Refused {
        what: format!("group '{group}' does not take a commit"),
        code: ErrorCode::RebalanceInProgress,
        message: Some("this member is not in the generation that it read in".to_owned()),
    }
}
