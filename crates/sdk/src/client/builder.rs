//! Where to connect, as whom, and how values travel.

use super::config;
use super::{Client, ClientError};
use crate::ambient;
use crate::payload::Converter;
use crate::telemetry::{Metrics, Traces};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use temporalio_client::{ClientOptions, ConnectionOptions, GrpcCompression, Url};
use temporalio_common::envconfig::{ClientConfigProfile, ClientConfigTLS, DataSource};

/// How long [`Builder::connect`] tries, unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is being described.
///
/// # Examples
///
/// ```no_run
/// use tradewind::payload::{Converter, Zlib};
/// use tradewind::prelude::*;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder()
///     .address("orders.internal:7233")
///     .namespace("orders")
///     .payloads(Converter::new().compress(Zlib::default()))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "call connect()"]
pub struct Builder {
    profile: ClientConfigProfile,
    identity: Option<String>,
    converter: Converter,
    connect_timeout: Duration,
    compressed: Option<bool>,
    metrics: Option<Metrics>,
    traces: Option<Traces>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::of(ClientConfigProfile::default())
    }
}

impl Builder {
    fn of(profile: ClientConfigProfile) -> Self {
        Builder {
            profile,
            identity: None,
            converter: Converter::new(),
            connect_timeout: CONNECT_TIMEOUT,
            compressed: None,
            metrics: None,
            traces: None,
        }
    }

    /// What the environment and the configuration file say, as the official SDKs and the official command line read
    /// them: see [`Client::from_env`].
    pub fn from_env() -> Result<Builder, ClientError> {
        config::load(None, None, None).map(Self::of)
    }

    /// As [`from_env`](Self::from_env), but with this profile of the configuration file, which must exist.
    pub fn from_profile(name: &str) -> Result<Builder, ClientError> {
        config::load(None, Some(name), None).map(Self::of)
    }

    /// As [`from_env`](Self::from_env), but with this configuration file, which must exist.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Builder, ClientError> {
        config::load(Some(path.as_ref()), None, None).map(Self::of)
    }

    /// The server, such as `localhost:7233`, which is also what it is if nothing is said. `https://…` means TLS.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.profile.address = Some(address.into());
        self
    }

    /// The namespace; `default` if nothing is said.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.profile.namespace = Some(namespace.into());
        self
    }

    /// A key that is sent with every request. With a key TLS is on, unless `http://` in the address says otherwise.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.profile.api_key = Some(key.into());
        self
    }

    /// Encrypts the connection, with the certificate authorities of this machine.
    pub fn tls(mut self) -> Self {
        self.tls_mut();
        self
    }

    /// Encrypts the connection, and trusts these certificates (PEM) alone.
    pub fn tls_server_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls_mut().server_ca_cert = Some(DataSource::Data(pem.into()));
        self
    }

    /// Encrypts the connection, and shows this certificate (PEM) to the server.
    pub fn tls_client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let tls = self.tls_mut();
        tls.client_cert = Some(DataSource::Data(certificate.into()));
        tls.client_key = Some(DataSource::Data(key.into()));
        self
    }

    /// Encrypts the connection, and expects this name in the server's certificate instead of that of the address.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls_mut().server_name = Some(name.into());
        self
    }

    fn tls_mut(&mut self) -> &mut ClientConfigTLS {
        let tls = self.profile.tls.get_or_insert_default();
        tls.disabled = Some(false);
        tls
    }

    /// A header of every request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.profile.grpc_meta.insert(name.into().to_lowercase(), value.into());
        self
    }

    /// Who this is, for whoever looks at a history. Process and host, if nothing is said.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// How values become payloads. Workers built with the client use the same.
    pub fn payloads(mut self, converter: impl Into<Converter>) -> Self {
        self.converter = converter.into();
        self
    }

    /// How long to try to connect; ten seconds if nothing is said.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Whether requests are compressed on the wire. If nothing is said they are, unless the server is on this machine:
    /// between its processes compressing costs a worker an eighth of its CPU and saves nothing.
    pub fn compressed_requests(mut self, compressed: bool) -> Self {
        self.compressed = Some(compressed);
        self
    }

    /// Records metrics of this client and of the workers built with it.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Traces what this client and the workers built with it do: see [`telemetry::traces`](crate::telemetry::traces).
    pub fn traces(mut self, traces: Traces) -> Self {
        self.traces = Some(traces);
        self
    }

    /// Connects, and makes sure that somebody answers.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let mut connection = config::connection(self.profile.clone())?;
        connection.connect_timeout = Some(self.connect_timeout);
        connection.grpc_compression = match self.compressed.unwrap_or(!is_local(&connection.target)) {
            true => GrpcCompression::Gzip,
            false => GrpcCompression::None,
        };
        self.connect_over(connection).await
    }

    /// Connects over a connection that somebody else described. What this says of the connection is left aside.
    pub(crate) async fn connect_over(self, mut connection: ConnectionOptions) -> Result<Client, ClientError> {
        connection.metrics_meter = self.metrics.as_ref().and_then(Metrics::of_requests);
        connection.identity = self.identity.unwrap_or_else(ambient::identity);
        let namespace = self.profile.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let (converter, pipeline) = self.converter.into_parts();
        let options = ClientOptions::new(namespace).data_converter(converter);
        let options = match self.traces {
            Some(traces) => options.plugin(traces.build()).build(),
            None => options.build(),
        };
        Client::with_options(connection, options, pipeline, self.metrics).await
    }
}

/// Whether it is an address of this machine, and says so.
fn is_local(target: &Url) -> bool {
    let host = target.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (target, local) in [
            ("http://localhost:7233", true),
            ("http://127.0.0.1:7233", true),
            ("https://127.8.8.8", true),
            ("http://[::1]:7233", true),
            ("http://10.0.0.1:7233", false),
            ("https://localhost.example.com:7233", false),
            ("http://[::2]:7233", false),
        ] {
            assert_eq!(is_local(&target.parse().unwrap()), local, "{target}");
        }
    }
}
