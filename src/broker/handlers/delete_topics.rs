//! DeleteTopics, by name or by id. Answered when the names are free again.

use super::{ask_admin, is_controller, not_controller, patience};
use crate::broker::admin::AdminCommand;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::{ErrorCode, TopicId, TopicName};
use crate::wire::message::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = |name: Str| DeleteTopicState { name: Some(name), topic_id: TopicId::ZERO };
    let wanted =
        if 6 <= header.version { request.topics } else { request.topic_names.into_iter().map(by_name).collect() };
    let mut responses = wanted.into_iter().map(|topic| resolve(env, topic)).collect::<Vec<_>>();
    let deletable = responses.iter_mut().filter(|response| !response.error_code.is_error()).collect::<Vec<_>>();
    let names = deletable.iter().filter_map(|response| TopicName::new(response.name.as_deref()?).ok()).collect();
    let patience = patience(request.timeout_ms);
    let command = |reply| AdminCommand::DeleteTopics { names, patience, reply };
    let answers = ask_admin(env, deletable.len(), command).await;
    for (response, answer) in deletable.into_iter().zip(answers) {
        if let Err((error_code, message)) = answer {
            response.error_code = error_code;
            response.error_message = Some(message.into());
        }
    }
    DeleteTopicsResponse { responses, ..Default::default() }
}

/// The topic that is meant, or why it cannot be deleted.
fn resolve(env: &Env, wanted: DeleteTopicState) -> DeletableTopicResult {
    let image = env.metadata.load();
    let refuse = |error_code: ErrorCode, message: &str| DeletableTopicResult {
        name: wanted.name.clone(),
        topic_id: wanted.topic_id,
        error_code,
        error_message: Some(message.into()),
    };
    if !is_controller(env) {
        let (code, message) = not_controller();
        return refuse(code, &message);
    }
    if !env.settings.broker().topics.delete {
        return refuse(ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled (delete.topic.enable).");
    }
    match &wanted.name {
        Some(_) if !wanted.topic_id.is_zero() => {
            refuse(ErrorCode::InvalidRequest, "A topic is named by its name or by its id, not by both.")
        }
        Some(name) => match image.topics.get(name.as_str()) {
            Some(topic) => DeletableTopicResult { name: Some(name.clone()), topic_id: topic.id, ..Default::default() },
            None => refuse(ErrorCode::UnknownTopicOrPartition, "This broker knows no such topic."),
        },
        None => match image.topic_by_id(wanted.topic_id) {
            Some((name, topic)) => {
                DeletableTopicResult { name: Some(name.as_str().into()), topic_id: topic.id, ..Default::default() }
            }
            None => refuse(ErrorCode::UnknownTopicId, "This broker knows no topic of this id."),
        },
    }
}
