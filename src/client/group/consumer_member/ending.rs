//! How being a member ends: by leaving, by losing everything, by an error.

use super::{ConsumerMember, Next, Phase, Plan};
use crate::client::error::ClientError;
use crate::client::group::member::{Asked, Effect};
use crate::model::{ErrorCode, Moment};

impl ConsumerMember {
    /// Others may read what this member reads.
    pub(super) fn lose(&mut self, effects: &mut Vec<Effect>) {
        let lost = std::mem::take(&mut self.owned).into_keys().collect::<Vec<_>>();
        if !lost.is_empty() {
            effects.push(Effect::Lost(lost));
        }
        self.epoch = 0;
        (self.said, self.saying) = (None, None);
        self.target.clear();
        self.names.clear();
        self.abandon_commits(effects);
    }

    fn abandon_commits(&mut self, effects: &mut Vec<Effect>) {
        self.commits.abandon(|| not_now(&self.settings.group), effects);
    }

    /// Nobody asked for records for too long: others are to read them.
    pub(super) fn go_away(&mut self, effects: &mut Vec<Effect>) {
        let farewell = Asked::Beat(self.leave_request());
        self.lose(effects);
        self.phase = Phase::Away;
        self.next = Next::Answer(Plan::Leave);
        effects.push(Effect::Ask(farewell));
    }

    pub(super) fn leave(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match (&self.phase, self.next) {
            (Phase::Over | Phase::Leaving { .. }, _) => return,
            (Phase::Away, _) | (Phase::Joining, Next::At(_)) => return self.end(effects),
            (Phase::Joining, Next::Answer(_)) | (Phase::Reading | Phase::GivingBack { .. }, _) => {}
        }
        let revoked = std::mem::take(&mut self.owned).into_keys().collect::<Vec<_>>();
        if !revoked.is_empty() {
            effects.push(Effect::Revoked(revoked));
        }
        self.phase = Phase::Leaving { until: now.after(self.settings.patience) };
        if matches!(self.next, Next::At(_)) {
            self.next = Next::At(now);
        }
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
        code: ErrorCode::UnknownMemberId,
        message: Some("this member is not in the group now".to_owned()),
    }
}
