//! Settings: one commented file, embedded in the binary, and what may override it.
//!
//! Layers, each winning over the one before: the built-in defaults, the user's file, dynamic-config
//! values in the reference's notation ([`dynamic`]), command-line flags. Layers are TOML tables that are
//! merged and read once, so there is one definition of every key and of its type.
//!
//! Invariants
//! - [`DEFAULT`] and the `Default` implementations say the same; a test holds them together.
//! - A key that does not exist is refused by name, wherever it comes from.

pub mod dynamic;

use crate::auth::ApiKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};
use tradewind_core::limits::Limits;
use tradewind_core::search_attributes;

/// The default configuration file, comments and all.
pub const DEFAULT: &str = include_str!("config/default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub namespaces: Vec<String>,
    pub listen: Listen,
    pub auth: Auth,
    pub storage: Storage,
    pub engine: EngineSettings,
    pub log: Log,
    pub transport: Transport,
    /// Name to type, for the namespaces above.
    pub search_attributes: BTreeMap<String, String>,
    pub mistral: Mistral,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            namespaces: vec!["default".into()],
            listen: Listen::default(),
            auth: Auth::default(),
            storage: Storage::default(),
            engine: EngineSettings::default(),
            log: Log::default(),
            transport: Transport::default(),
            search_attributes: BTreeMap::new(),
            mistral: Mistral::default(),
            limits: Limits::default(),
        }
    }
}

/// How much of the machine the engine takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Loops that own slots; one for each core if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loops: Option<usize>,
    /// Runs that each loop keeps in memory.
    pub runs_cached_per_loop: usize,
}

impl Default for EngineSettings {
    fn default() -> EngineSettings {
        EngineSettings { loops: None, runs_cached_per_loop: engine::Settings::default().runs_cached_per_loop }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    pub ip: IpAddr,
    pub port: u16,
    pub http_port: u16,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 7233, http_port: 8233 }
    }
}

/// Who may come in; read by [`crate::auth::Keys::load`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub api_keys: Vec<ApiKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_keys_file: Option<PathBuf>,
    pub insecure_no_auth: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    pub directory: PathBuf,
    pub in_memory: bool,
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub flush_every: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub ordered_wait: Duration,
    pub readers: usize,
}

impl Default for Storage {
    fn default() -> Storage {
        Storage {
            directory: "./.tradewind".into(),
            in_memory: false,
            flush_every: None,
            ordered_wait: Duration::from_millis(5),
            readers: 4,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Log {
        Log { level: "info".into(), format: LogFormat::Pretty }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Pretty,
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transport {
    pub concurrent_streams_max: u32,
    #[serde(with = "humantime_serde")]
    pub keepalive_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for Transport {
    fn default() -> Transport {
        Transport {
            concurrent_streams_max: 4096,
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// The Mistral Workflows API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mistral {
    pub enabled: bool,
    pub namespace: String,
    /// What workers are told to use for gRPC; by default the host under which they reached the HTTP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_url: Option<String>,
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    #[serde(with = "humantime_serde")]
    pub event_retention: Duration,
    #[serde(with = "humantime_serde")]
    pub telemetry_retention: Duration,
    #[serde(with = "humantime_serde")]
    pub liveness_window: Duration,
}

impl Default for Mistral {
    fn default() -> Mistral {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Mistral {
            enabled: true,
            namespace: "mistral-workflows".into(),
            scheduler_url: None,
            retention: days(30),
            event_retention: days(30),
            telemetry_retention: days(7),
            liveness_window: Duration::from_secs(50),
        }
    }
}

/// Why settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{origin}: {reason}")]
    Bad { origin: String, reason: String },
}

impl Settings {
    /// Reads `file` over the defaults and `overrides` over both.
    pub fn load(file: Option<&Path>, overrides: Table) -> Result<Settings, Error> {
        let mut merged = Table::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            merged = parse(&text, &path.display().to_string())?;
        }
        merge(&mut merged, overrides);
        let settings: Settings = merged.try_into().map_err(|error: toml::de::Error| Error::Bad {
            origin: "command line".into(),
            reason: error.to_string(),
        })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        let bad = |key: &str, reason: String| Error::Bad { origin: key.to_owned(), reason };
        for (name, kind) in &self.search_attributes {
            if search_attributes::type_named(kind).is_none() {
                return Err(bad(
                    &format!("search_attributes.{name}"),
                    format!("{kind:?} is not a type of search attributes"),
                ));
            }
            if search_attributes::is_reserved(name) {
                return Err(bad(&format!("search_attributes.{name}"), "the name is reserved by the system".into()));
            }
        }
        if self.namespaces.iter().any(String::is_empty) {
            return Err(bad("namespaces", "a namespace needs a name".into()));
        }
        if self.mistral.namespace.is_empty() {
            return Err(bad("mistral.namespace", "a namespace needs a name".into()));
        }
        if self.mistral.retention < self.limits.namespace_retention_min {
            let least = humantime_serde::re::humantime::format_duration(self.limits.namespace_retention_min);
            return Err(bad("mistral.retention", format!("at least {least} is needed")));
        }
        if self.storage.readers == 0 {
            return Err(bad("storage.readers", "at least one is needed".into()));
        }
        Ok(())
    }
}

/// The text as a table, checked alone so that an error points at the line.
fn parse(text: &str, origin: &str) -> Result<Table, Error> {
    let bad = |error: toml::de::Error| Error::Bad { origin: origin.to_owned(), reason: reason(&error, text) };
    toml::from_str::<Settings>(text).map_err(bad)?;
    toml::from_str(text).map_err(bad)
}

/// What is wrong and where. The parser quotes the line, which must not happen where API keys are.
fn reason(error: &toml::de::Error, text: &str) -> String {
    let Some(span) = error.span() else { return error.to_string() };
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let before = &text[..line_start(span.start)];
    let table = before.lines().map(str::trim).rfind(|line| line.starts_with('['));
    let line = text[line_start(span.start)..].lines().next().unwrap_or_default();
    let shows_keys = table.is_some_and(|table| table.starts_with("[auth")) || line.contains("auth");
    if shows_keys {
        return format!("line {}: something in [auth] is not as it should be", before.lines().count() + 1);
    }
    error.to_string()
}

/// Lays `over` on `under`: tables are merged, everything else is replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Puts a value at a dotted path, for layers that are built key by key.
pub fn set(table: &mut Table, path: &str, value: impl Into<Value>) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value.into());
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().expect("paths of settings do not go through values"), rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_what_the_code_says() {
        let read: Settings = toml::from_str(DEFAULT).expect("the default file parses");
        assert_eq!(read, Settings::default());

        // Every key is in the file, so that whoever reads it has seen them all.
        let file: Table = toml::from_str(DEFAULT).expect("the default file parses");
        let code = Table::try_from(Settings::default()).expect("settings are a table");
        assert_eq!(keys(&file), keys(&code));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse("[limits]\nblob_size_max = 7\n", "my.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("my.toml: ") && error.contains("blob_size_max") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("my.toml");
        std::fs::write(&path, "[listen]\nport = 1\nhttp_port = 2\n").unwrap();
        let mut flags = Table::new();
        set(&mut flags, "listen.port", 3);

        let settings = Settings::load(Some(&path), flags).unwrap();
        assert_eq!(settings.listen, Listen { port: 3, http_port: 2, ..Listen::default() });
    }

    #[test]
    fn closed_runs_of_the_mistral_api_are_kept_for_a_while_at_least() {
        let mut flags = Table::new();
        set(&mut flags, "mistral.retention", "1min");

        let error = Settings::load(None, flags).unwrap_err().to_string();
        assert_eq!(error, "mistral.retention: at least 1h is needed");
    }

    #[test]
    fn a_mistake_among_the_api_keys_is_shown_without_them() {
        for text in [
            "[auth]\napi_keys = \"s3cret\"\n",
            "[auth]\napi_keys = [\"s3cret]\n",
            "[auth]\n\napi_key = [\"s3cret\"]\n",
            "[auth]\napi_keys = [\n  \"s3cret\",\n  7,\n]\n",
            "auth = { api_keys = \"s3cret\" }\n",
            "auth.api_keys = [s3cret]\n",
        ] {
            let error = parse(text, "my.toml").unwrap_err().to_string();
            assert!(error.starts_with("my.toml: line ") && !error.contains("s3cret"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_search_attribute_of_no_known_type_is_refused() {
        let mut flags = Table::new();
        set(&mut flags, "search_attributes.Color", "Paint");

        let error = Settings::load(None, flags).unwrap_err().to_string();
        assert_eq!(error, "search_attributes.Color: \"Paint\" is not a type of search attributes");
    }

    fn keys(table: &Table) -> Vec<String> {
        fn walk(prefix: &str, table: &Table, keys: &mut Vec<String>) {
            for (key, value) in table {
                let path = format!("{prefix}{key}");
                match value {
                    Value::Table(inner) if !inner.is_empty() => walk(&format!("{path}."), inner, keys),
                    _ => keys.push(path),
                }
            }
        }
        let mut keys = Vec::new();
        walk("", table, &mut keys);
        keys.sort();
        keys
    }
}
