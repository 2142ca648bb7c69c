//! What every command that talks to a cluster shares: where it is, and a runtime to talk on.

use std::future::Future;
use std::rc::Rc;

use clap::Args;

use super::failure::Failure;
use crate::client::{Bootstrap, ClientOptions, Cluster};
use crate::telemetry::OsClock;

/// Where the cluster is.
#[derive(Args, Clone, Debug)]
pub(super) struct Connect {
    /// Brokers to ask first, as HOST:PORT with commas between them
    #[arg(
        long,
        short = 'b',
        visible_alias = "bootstrap-servers",
        value_name = "HOST:PORT,…",
        default_value = "127.0.0.1:9092",
        env = "DOHLE_BOOTSTRAP_SERVER",
        global = true
    )]
    bootstrap_server: Bootstrap,
}

impl Connect {
    /// Runs one command's conversation with the cluster on this thread. Ctrl-C ends the process, as the system does it.
    pub(super) fn block_on<T, F>(&self, talk: impl FnOnce(Rc<Cluster>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format_args!("cannot start: {error}")))?;
        let local = tokio::task::LocalSet::new();
        let cluster =
            Rc::new(Cluster::new(self.bootstrap_server.clone(), ClientOptions::default(), Rc::new(OsClock::start())));
        let done = local.block_on(&runtime, talk(cluster));
        // A read from a terminal may be waiting on a thread of the runtime, and would keep us until the next line.
        runtime.shutdown_background();
        done
    }
}
