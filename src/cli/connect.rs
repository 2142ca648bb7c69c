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
    /// What a command's client is told before the settings that a person gives it: as [`ClientOptions::default`].
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let own = ClientOptions::default();
        let millis = |time: std::time::Duration| time.as_millis().to_string();
        [
            ("bootstrap.servers", self.bootstrap_server.to_string()),
            ("client.id", own.connection.client_id),
            ("socket.connection.setup.timeout.ms", millis(own.connection.connect_timeout)),
            // The system finds better ones than Kafka's defaults.
            ("send.buffer.bytes", "-1".to_owned()),
            ("receive.buffer.bytes", "-1".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }

    /// Runs one command's conversation with the cluster on this thread. Ctrl-C ends the process, as the system does it.
    pub(super) fn block_on<T, F>(&self, talk: impl FnOnce(Rc<Cluster>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let options = ClientOptions::default();
        Self::block_on_with(self.bootstrap_server.clone(), options, talk)
    }

    /// As [`Self::block_on`], with options of its own.
    pub(super) fn block_on_with<T, F>(
        bootstrap: Bootstrap,
        options: ClientOptions,
        talk: impl FnOnce(Rc<Cluster>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format_args!("cannot start: {error}")))?;
        let local = tokio::task::LocalSet::new();
        let cluster = Rc::new(Cluster::new(bootstrap, options, Rc::new(OsClock::start())));
        let done = local.block_on(&runtime, talk(cluster));
        // A read from a terminal may be waiting on a thread of the runtime, and would keep us until the next line.
        runtime.shutdown_background();
        done
    }
}
