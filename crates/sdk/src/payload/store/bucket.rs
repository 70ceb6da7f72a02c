//! Buckets of S3, Google Cloud Storage and Azure, opened as the variables of the environment say.
//!
//! Invariants
//! - A service that cannot be reached is an error after [`PATIENCE`] and one more attempt to connect, well within the
//!   ten seconds that a workflow task has. What is tried again after that, the server tries again.
//! - A refusal is an error at once.
//! - Bytes travel in the clear only to an endpoint that is written with `http://`.

use std::{env, str::FromStr, time::Duration};

use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use super::{Error, Store};
#[cfg(feature = "gcs")]
use crate::payload::reference::GCS_DRIVER;

#[cfg(test)]
mod tests;

/// No retry is planned later than this after the first attempt.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long one attempt to connect may take, unless a variable says otherwise.
const CONNECT: (ClientConfigKey, &str) = (ClientConfigKey::ConnectTimeout, "3 seconds");

/// Variables of an environment, by name.
type Variables = [(String, String)];

impl Store {
    /// An S3 bucket, configured by the usual variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, and
    /// `AWS_ENDPOINT_URL_S3` for other services with this protocol. Without keys, those of the machine or container are
    /// asked for. Profiles in files are not read.
    ///
    /// Objects and references are those of the S3 drivers of the official SDKs.
    #[cfg(feature = "s3")]
    pub fn s3(bucket: impl Into<String>) -> Result<Self, Error> {
        Self::s3_of(bucket.into(), &variables())
    }

    /// A Google Cloud Storage bucket, configured by the usual variables: `GOOGLE_APPLICATION_CREDENTIALS`, or
    /// `STORAGE_EMULATOR_HOST` for an emulator, which is not shown any credentials. Without either, those of the machine
    /// are asked for.
    ///
    /// Objects and references are those of the GCS drivers of the official SDKs.
    #[cfg(feature = "gcs")]
    pub fn gcs(bucket: impl Into<String>) -> Result<Self, Error> {
        Self::gcs_of(bucket.into(), &variables())
    }

    /// An Azure Blob Storage container, configured by the usual variables: `AZURE_STORAGE_ACCOUNT_NAME` with
    /// `AZURE_STORAGE_ACCOUNT_KEY` or `AZURE_STORAGE_SAS_TOKEN`, and `AZURE_STORAGE_ENDPOINT` if it is not that of the
    /// account. Without a key or token, the machine's are asked for. Connection strings are not read.
    #[cfg(feature = "azure")]
    pub fn azure(container: impl Into<String>) -> Result<Self, Error> {
        Self::azure_of(container.into(), &variables())
    }

    #[cfg(feature = "s3")]
    fn s3_of(bucket: String, variables: &Variables) -> Result<Self, Error> {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

        install_tls();
        let builder = AmazonS3Builder::new().with_retry(retry()).with_config(Key::Client(CONNECT.0), CONNECT.1);
        let builder =
            settings(variables, "AWS_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
        let endpoint = builder.get_config_value(&Key::S3Endpoint).or(builder.get_config_value(&Key::Endpoint));
        let builder = if in_the_clear(endpoint) { builder.with_allow_http(true) } else { builder };
        let objects = builder.with_bucket_name(&bucket).build();
        let objects = objects.map_err(|source| unusable("S3 bucket", &bucket, source))?;
        Ok(Self::new("aws.s3driver", objects).bucket(bucket))
    }

    #[cfg(feature = "gcs")]
    fn gcs_of(bucket: String, variables: &Variables) -> Result<Self, Error> {
        use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key};

        install_tls();
        let builder =
            GoogleCloudStorageBuilder::new().with_retry(retry()).with_config(Key::Client(CONNECT.0), CONNECT.1);
        let builder =
            settings(variables, "GOOGLE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
        let emulator = variables.iter().find(|(name, _)| name == "STORAGE_EMULATOR_HOST");
        let builder = match emulator {
            Some((_, host)) => at_emulator(builder, host),
            None => builder,
        };
        let objects = builder.with_bucket_name(&bucket).build();
        let objects = objects.map_err(|source| unusable("GCS bucket", &bucket, source))?;
        Ok(Self::new(GCS_DRIVER, objects).bucket(bucket))
    }

    #[cfg(feature = "azure")]
    fn azure_of(container: String, variables: &Variables) -> Result<Self, Error> {
        use object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};

        install_tls();
        let builder = MicrosoftAzureBuilder::new().with_retry(retry()).with_config(Key::Client(CONNECT.0), CONNECT.1);
        // The one name without the prefix: where App Service and Functions give out the identity of the machine.
        let identity = settings(variables, "IDENTITY_ENDPOINT");
        let builder = identity
            .chain(settings(variables, "AZURE_"))
            .fold(builder, |builder, (key, value)| builder.with_config(key, value));
        let endpoint = builder.get_config_value(&Key::Endpoint);
        let builder = if in_the_clear(endpoint) { builder.with_allow_http(true) } else { builder };
        let objects = builder.with_container_name(&container).build();
        let objects = objects.map_err(|source| unusable("Azure container", &container, source))?;
        Ok(Self::new("tradewind.azure", objects).bucket(container))
    }
}

/// The variables of this process. Those that are not text configure nothing here.
fn variables() -> Vec<(String, String)> {
    env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// What the variables with this prefix set. Others with the prefix belong to other programs.
fn settings<'a, Key: FromStr>(variables: &'a Variables, prefix: &'a str) -> impl Iterator<Item = (Key, &'a str)> {
    variables.iter().filter(move |(name, _)| name.starts_with(prefix)).filter_map(|(name, value)| {
        let key = name.to_ascii_lowercase().parse().ok()?;
        Some((key, value.as_str()))
    })
}

/// Emulators take any credentials, and should not be shown real ones.
#[cfg(feature = "gcs")]
fn at_emulator(
    builder: object_store::gcp::GoogleCloudStorageBuilder,
    host: &str,
) -> object_store::gcp::GoogleCloudStorageBuilder {
    let nobody = object_store::gcp::GcpCredential { bearer: String::new() };
    let scheme = if host.contains("://") { "" } else { "http://" };
    builder
        .with_base_url(&format!("{scheme}{}", host.trim_end_matches('/')))
        .with_credentials(std::sync::Arc::new(object_store::StaticCredentialProvider::new(nobody)))
}

#[cfg(any(feature = "s3", feature = "azure"))]
fn in_the_clear(endpoint: Option<String>) -> bool {
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(1), ..BackoffConfig::default() };
    RetryConfig { backoff, retry_timeout: PATIENCE, ..RetryConfig::default() }
}

fn unusable(kind: &str, name: &str, source: object_store::Error) -> Error {
    Error::Unusable { store: format!("{kind} {name}"), source: Box::new(source) }
}

/// The HTTP client takes the process's TLS provider; one that is already there is fine.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
