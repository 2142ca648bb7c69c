//! This broker's place among the others: it is registered in a session, and leads for no longer than that lives.

use super::*;
use crate::coordination::recipe::registration;

/// Until this session has ended, as far as is known here.
pub(super) async fn end_of(mut states: watch::Receiver<SessionState>, id: i64) {
    loop {
        match *states.borrow_and_update() {
            SessionState::Connected { session } if session == id => {}
            SessionState::Disconnected => {}
            SessionState::Connected { .. } | SessionState::Expired | SessionState::Closed => return,
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

impl Running {
    /// Until there is a session. Leaders stop when it is another one; while the one in which this broker is registered may live, they go
    /// on: no controller takes it for another incarnation, so none would tell it again what it leads.
    pub(super) async fn connected(&mut self) {
        let mut session = self.parts.coordinator.session();
        loop {
            let state = *session.borrow_and_update();
            match state {
                SessionState::Connected { session } => return self.keep_leading_in(Some(session)).await,
                SessionState::Disconnected => {}
                SessionState::Expired | SessionState::Closed => self.keep_leading_in(None).await,
            }
            if session.changed().await.is_err() {
                return;
            }
        }
    }

    /// Leaders stop unless this broker is registered in this session.
    pub(super) async fn keep_leading_in(&mut self, session: Option<i64>) {
        if self.registered.take_if(|registered| session != Some(*registered)).is_some() {
            self.fence().await;
        }
    }

    /// Leaders stop: another controller may have made others lead.
    async fn fence(&self) {
        if Bug::B12.is_back() {
            return;
        }
        ask(&self.parts.replicas, |reply| ReplicasCommand::Fence { only_shared: false, reply }).await;
    }

    /// Makes this broker known, under an epoch of its own.
    pub(super) async fn register(&mut self) -> Result<(), RecipeError> {
        let coordinator = Rc::clone(&self.parts.coordinator);
        let (local, earlier) = (self.parts.local, &self.parts.earlier_sessions);
        // The ensemble may hold it a while longer: nobody else could be elected so long.
        registration::end_earlier_sessions(&*coordinator, local, earlier).await?;
        let registered = registration::register(&*coordinator, local, &self.parts.registration, earlier).await;
        if matches!(registered, Err(RecipeError::BrokerIdTaken { .. })) {
            self.keep_leading_in(None).await;
        }
        let registered = registered?;
        self.registered = Some(registered.session);
        // When it ends before the coordinator says so, what it leaves behind is ours to remove.
        self.parts.earlier_sessions = vec![registered.session];
        self.parts.membership.registered(registered.epoch);
        event::BrokerRegistered { broker: local, epoch: registered.epoch }.emit();
        Ok(())
    }
}
