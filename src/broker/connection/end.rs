//! Why a connection ends, and who hears of it.

use super::TooSlow;
use crate::broker::handlers::Unanswerable;
use crate::broker::peer;
use crate::model::Moment;
use crate::net;
use crate::wire::HeaderError;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer closed it.
    #[error("closed by the peer")]
    Closed,
    /// The network failed.
    #[error("{0}")]
    Network(#[from] std::io::Error),
    /// What came is no request.
    #[error("{0}")]
    Frame(#[from] net::FrameError),
    /// A request whose header cannot be read or is not served.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// A request that cannot be answered.
    #[error("{0}")]
    Request(#[from] Unanswerable),
    /// A produce with `acks=0` failed: closing is the only way to tell.
    #[error("a produce with acks=0 failed: {0}")]
    SilentProduce(crate::model::ErrorCode),
    /// Nothing came for `connections.max.idle.ms`.
    #[error("idle for too long")]
    Idle,
    /// The rest of a request did not come when the memory for it was needed.
    #[error("{0}")]
    TooSlow(#[from] TooSlow),
    /// The broker stops.
    #[error("the broker stops")]
    Stopped,
}

impl End {
    /// What the operator should know: a peer that broke the protocol.
    pub(super) fn tell(&self, peer: std::net::SocketAddr, now: Moment) {
        let api = match self {
            Self::Frame(_) => "frame",
            Self::Header(_) => "header",
            Self::Request(_) => "request",
            Self::Closed
            | Self::Network(_)
            | Self::SilentProduce(_)
            | Self::Idle
            | Self::TooSlow(_)
            | Self::Stopped => return,
        };
        peer::bad_request(peer, api, self.to_string(), now);
    }

    /// A word for the metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed by the peer",
            Self::Network(_) => "network",
            Self::Frame(_) => "frame",
            Self::Header(_) => "header",
            Self::Request(_) => "request",
            Self::SilentProduce(_) => "acks=0 failed",
            Self::Idle => "idle",
            Self::TooSlow(_) => "too slow",
            Self::Stopped => "stopping",
        }
    }
}
