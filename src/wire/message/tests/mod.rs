//! Every message in every version: against itself, against two releases of `kafka-protocol`, against what Kafka wrote,
//! against hostile bytes.

mod differential;
mod golden;
mod hostile;
mod itself;

use bytes::Bytes;

use crate::wire::arbitrary::Random;
use crate::wire::schema::dialect;
use crate::wire::{Encoder, Message, Request};

/// Something to be done with every API.
pub(super) trait Visitor {
    fn visit<R: Request>(&mut self);
}

/// Something to be done with every message in every version.
trait MessageVisitor {
    fn visit<M: Message>(&mut self, name: &str, version: i16);
}

impl<V: MessageVisitor> Visitor for V {
    fn visit<R: Request>(&mut self) {
        for version in R::VERSIONS {
            MessageVisitor::visit::<R>(self, &format!("{}Request v{version}", R::KEY), version);
            MessageVisitor::visit::<R::Response>(self, &format!("{}Response v{version}", R::KEY), version);
        }
    }
}

/// Some value that `version` can carry; the same for the same seed.
fn arbitrary<M: Message>(version: i16, seed: u64) -> M {
    M::arbitrary(&mut Random::new(seed), dialect::<M>(version))
}

fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut out = Encoder::new();
    message.encode(&mut out, version).expect("a value that the version can carry");
    out.finish().contiguous().expect("no payload of ours is external")
}
