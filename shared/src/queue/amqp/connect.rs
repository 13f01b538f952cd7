//! One way to a broker, for publishing and consuming: its URL, and whom to trust when that begins with `amqps://`.

use deadpool::managed::{self, Metrics, RecycleResult};
use lapin::tcp::OwnedTLSConfig;
use lapin::{Connection, ConnectionProperties};

/// Where the broker is. Holds its password: never shown.
#[derive(Clone)]
pub(super) struct Endpoint {
    url: String,
    /// Certificates of an authority of one's own (PEM), beside the public ones.
    authority: Option<String>,
}

impl Endpoint {
    pub(super) fn new(url: String, authority: Option<String>) -> Self {
        Self { url, authority }
    }

    /// # Errors
    /// The broker's; of `amqps://` also that its certificate is not trusted, or not its host's.
    pub(super) async fn connect(&self, name: &str) -> lapin::Result<Connection> {
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authority.clone() };
        let runtime = async_rs::Runtime::tokio_current();
        Connection::connect_with_config(&self.url, properties(name), tls, runtime).await
    }
}

fn properties(name: &str) -> ConnectionProperties {
    ConnectionProperties::default().with_connection_name(name.into())
}

/// Makes the pool's connections. deadpool's own manager does, unless there is an authority of one's own: that it cannot be told.
pub(super) struct Connections {
    endpoint: Endpoint,
    name: &'static str,
    plain: deadpool_lapin::Manager,
}

impl Connections {
    pub(super) fn new(endpoint: Endpoint, name: &'static str) -> Self {
        let plain = deadpool_lapin::Manager::new(endpoint.url.clone(), move || properties(name), async_rs::Runtime::tokio_current());
        Self { endpoint, name, plain }
    }
}

impl managed::Manager for Connections {
    type Type = Connection;
    type Error = lapin::Error;

    async fn create(&self) -> lapin::Result<Connection> {
        if self.endpoint.authority.is_some() { self.endpoint.connect(self.name).await } else { self.plain.create().await }
    }

    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<lapin::Error> {
        self.plain.recycle(connection, metrics).await
    }
}
