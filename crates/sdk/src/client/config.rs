//! Configuration from the environment and from a file, by the rules that all official SDKs share.
//!
//! Variables win over the file. The file is that of `TEMPORAL_CONFIG_FILE`, else `temporalio/temporal.toml` in the
//! user's configuration directory; the profile in it that of `TEMPORAL_PROFILE`, else `default`.

use super::ClientError;
use std::collections::HashMap;
use std::path::Path;
use temporalio_client::ConnectionOptions;
use temporalio_common::envconfig::{
    ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
};

/// Reads a profile. Without a file and a profile of the caller's choice, what is not there is not missed.
pub(super) fn load(
    file: Option<&Path>,
    profile: Option<&str>,
    variables: Option<&HashMap<String, String>>,
) -> Result<ClientConfigProfile, ClientError> {
    let source = match file {
        None => None,
        Some(path) => {
            let unreadable = |why| ClientError::Config(format!("configuration file {}: {why}", path.display()));
            let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
            Some(DataSource::Data(bytes))
        }
    };
    let options = LoadClientConfigProfileOptions::builder()
        .maybe_config_source(source)
        .maybe_config_file_profile(profile.map(str::to_owned))
        .build();
    load_client_config_profile(options, variables).map_err(|error| {
        let file = file.map(|path| format!("configuration file {}: ", path.display())).unwrap_or_default();
        ClientError::Config(format!("{file}{error}"))
    })
}

/// What a profile says of the connection.
pub(super) fn connection(profile: ClientConfigProfile) -> Result<ConnectionOptions, ClientError> {
    if profile.tls.as_ref().is_some_and(|tls| tls.disabled != Some(true) && tls.disable_host_verification) {
        return Err(ClientError::Config(
            "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION (tls.disable_host_verification) is not supported: name the \
             server's certificate authority instead (tls.server_ca_cert_path)"
                .to_owned(),
        ));
    }
    let profile = with_certificates(with_tls_for_https(profile)?)?;
    let address = profile.address.clone();
    ConnectionOptions::try_from(profile).map_err(|error| {
        let address = address.map(|address| format!("address {address:?}: ")).unwrap_or_default();
        ClientError::Config(format!("{address}{error}"))
    })
}

/// An address that begins with `https` asks for TLS by that alone.
fn with_tls_for_https(mut profile: ClientConfigProfile) -> Result<ClientConfigProfile, ClientError> {
    let Some(address) = profile.address.as_ref().filter(|address| address.starts_with("https://")) else {
        return Ok(profile);
    };
    if profile.tls.get_or_insert_default().disabled == Some(true) {
        return Err(ClientError::Config(format!("address {address:?}: it asks for TLS, which tls.disabled forbids")));
    }
    Ok(profile)
}

/// What PEM has in it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const KEY: &str = " PRIVATE KEY-----";

/// The certificates and the key that the profile names, read here, where it is known which of them cannot be.
fn with_certificates(mut profile: ClientConfigProfile) -> Result<ClientConfigProfile, ClientError> {
    let Some(tls) = profile.tls.as_mut().filter(|tls| tls.disabled != Some(true)) else { return Ok(profile) };
    for (name, source, what, mark) in [
        ("tls.server_ca_cert", &mut tls.server_ca_cert, "certificate", CERTIFICATE),
        ("tls.client_cert", &mut tls.client_cert, "certificate", CERTIFICATE),
        ("tls.client_key", &mut tls.client_key, "private key", KEY),
    ] {
        let (named, data) = match source.take() {
            None => continue,
            Some(DataSource::Path(path)) => {
                let named = format!("{name}_path {path:?}");
                let data = std::fs::read(path).map_err(|error| ClientError::Config(format!("{named}: {error}")))?;
                (named, data)
            }
            Some(DataSource::Data(data)) => (format!("{name}_data"), data),
            Some(other) => {
                *source = Some(other);
                continue;
            }
        };
        if !data.windows(mark.len()).any(|part| part == mark.as_bytes()) {
            return Err(ClientError::Config(format!("{named}: there is no {what} in it (PEM)")));
        }
        *source = Some(DataSource::Data(data));
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn variables_say_where_and_as_whom() {
        let variables = variables(&[
            ("TEMPORAL_ADDRESS", "orders.internal:7233"),
            ("TEMPORAL_NAMESPACE", "orders"),
            ("TEMPORAL_API_KEY", "secret"),
            ("TEMPORAL_GRPC_META_TENANT_ID", "7"),
        ]);
        let empty = file("");
        let profile = load(Some(empty.path()), None, Some(&variables)).unwrap();
        assert_eq!(profile.namespace.as_deref(), Some("orders"));
        let connection = connection(profile).unwrap();
        assert_eq!(connection.target.as_str(), "https://orders.internal:7233/");
        assert_eq!(connection.api_key.as_deref(), Some("secret"));
        assert_eq!(connection.headers.unwrap()["tenant-id"], "7");
    }

    #[test]
    fn variables_win_over_the_file_and_choose_its_profile() {
        let file =
            file("[profile.default]\naddress = \"a:1\"\n[profile.staging]\naddress = \"b:2\"\nnamespace = \"n\"\n");
        let chosen = variables(&[("TEMPORAL_PROFILE", "staging"), ("TEMPORAL_NAMESPACE", "m")]);
        let profile = load(Some(file.path()), None, Some(&chosen)).unwrap();
        assert_eq!((profile.address.as_deref(), profile.namespace.as_deref()), (Some("b:2"), Some("m")));
    }

    #[test]
    fn what_the_caller_names_must_exist() {
        let none = HashMap::new();
        let missing = load(Some(Path::new("/nowhere/temporal.toml")), None, Some(&none)).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/temporal.toml"), "{missing}");
        let file = file("[profile.default]\naddress = \"a:1\"\n");
        let missing = load(Some(file.path()), Some("production"), Some(&none)).unwrap_err().to_string();
        assert!(missing.contains("production"), "{missing}");
    }

    #[test]
    fn a_bad_address_is_named() {
        let profile = ClientConfigProfile::builder().address("://bad").build();
        let refused = connection(profile).unwrap_err().to_string();
        assert!(refused.contains(r#"address "://bad""#), "{refused}");
    }

    #[test]
    fn an_address_may_ask_for_tls() {
        let profile = ClientConfigProfile::builder().address("https://orders.internal:7233").build();
        let chosen = connection(profile).unwrap();
        assert!(chosen.tls_options.is_some());
        let empty = file("");
        let forbidden = variables(&[("TEMPORAL_TLS", "false"), ("TEMPORAL_ADDRESS", "https://orders.internal")]);
        let refused = connection(load(Some(empty.path()), None, Some(&forbidden)).unwrap()).unwrap_err().to_string();
        assert!(refused.contains(r#"address "https://orders.internal": it asks for TLS"#), "{refused}");
    }

    #[test]
    fn certificates_that_cannot_be_read_are_named() {
        let (empty, text) = (file(""), file("nothing of the kind"));
        let text = text.path().to_str().unwrap();
        for (variable, value, expected) in [
            (
                "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
                "no/such.pem",
                r#"tls.server_ca_cert_path "no/such.pem": No such file"#,
            ),
            ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", text, "there is no certificate in it (PEM)"),
            ("TEMPORAL_TLS_CLIENT_KEY_DATA", CERTIFICATE, "tls.client_key_data: there is no private key in it (PEM)"),
            ("TEMPORAL_TLS_CLIENT_CERT_DATA", CERTIFICATE, "Both client certificate and client key"),
        ] {
            let profile = load(Some(empty.path()), None, Some(&variables(&[(variable, value)]))).unwrap();
            let refused = connection(profile).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn trusting_everybody_is_refused_aloud() {
        let chosen = variables(&[("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")]);
        let empty = file("");
        let refused = connection(load(Some(empty.path()), None, Some(&chosen)).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("tls.server_ca_cert_path"), "{refused}");
    }
}
