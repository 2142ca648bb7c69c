//! DescribeCluster: which brokers there are, and which is the controller (KIP-700).

use super::metadata::CLUSTER_OPERATIONS;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::model::ErrorCode;
use crate::wire::message::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use crate::wire::{RequestHeader, Str};

/// Endpoint types (KIP-919). Controllers have no endpoints of their own with ZooKeeper.
const BROKERS: i8 = 1;
/// See [`BROKERS`].
const CONTROLLERS: i8 = 2;

pub(super) async fn handle(
    env: &Env,
    peer: &mut Peer,
    _: &RequestHeader,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refuse = |error_code, reason: String| DescribeClusterResponse {
        error_code,
        error_message: Some(reason.into()),
        ..Default::default()
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let reason =
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return refuse(ErrorCode::MismatchedEndpointType, reason.to_owned());
        }
        other => return refuse(ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
    }
    let image = env.metadata.load();
    let brokers = image.brokers.iter().filter_map(|(id, broker)| {
        let (host, port) = broker.address(&peer.listener)?;
        Some(DescribeClusterBroker {
            broker_id: id.0,
            host: host.as_str().into(),
            port: i32::from(*port),
            rack: broker.rack.as_deref().map(Str::from),
        })
    });
    DescribeClusterResponse {
        cluster_id: Str::from(&*image.cluster_id),
        controller_id: image.controller.0,
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}
