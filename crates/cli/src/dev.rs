//! `tradewind dev`: the server as it is also run in production, with its data in the current directory.

use crate::{auth, run};
use anyhow::Context;
use server::Settings;
use server::config::set;
use std::net::IpAddr;
use std::path::PathBuf;
use toml::{Table, Value};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port of the gRPC API [default: 7233]
    #[arg(long)]
    port: Option<u16>,
    /// Port for health, metrics and the page [default: 8233]
    #[arg(long)]
    http_port: Option<u16>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    ip: Option<IpAddr>,
    /// Where everything durable is kept [default: ./.tradewind]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// A namespace to have beside `default`; may be repeated
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
    /// A search attribute to have in these namespaces; may be repeated
    #[arg(long, value_name = "NAME=TYPE", value_parser = key_and_value)]
    search_attribute: Vec<(String, String)>,
    #[command(flatten)]
    auth: auth::Args,
    /// A configuration file; `tradewind config` prints one to start from
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// error, warn, info, debug, trace or off [default: info]
    #[arg(long)]
    log_level: Option<String>,
    /// pretty or json [default: pretty]
    #[arg(long)]
    log_format: Option<String>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        run::until_signal(self.settings()?, &[])
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let mut flags = Table::new();
        if let Some(port) = self.port {
            set(&mut flags, "listen.port", i64::from(port));
        }
        if let Some(port) = self.http_port {
            set(&mut flags, "listen.http_port", i64::from(port));
        }
        if let Some(ip) = self.ip {
            set(&mut flags, "listen.ip", ip.to_string());
        }
        if let Some(directory) = self.data_dir {
            let directory = directory.into_os_string().into_string();
            let directory = directory.map_err(|raw| anyhow::anyhow!("the data directory {raw:?} is not UTF-8"))?;
            set(&mut flags, "storage.directory", directory);
        }
        if let Some(level) = self.log_level {
            set(&mut flags, "log.level", level);
        }
        if let Some(format) = self.log_format {
            set(&mut flags, "log.format", format);
        }
        set_search_attributes(&mut flags, self.search_attribute);
        let mut settings = Settings::load(self.config.as_deref(), flags).context("bad configuration")?;
        add_namespaces(&mut settings, self.namespace);
        self.auth.apply(&mut settings);
        Ok(settings)
    }
}

pub(crate) fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form KEY=VALUE"))?;
    if key.is_empty() {
        return Err(format!("{text:?} has no key"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

pub(crate) fn set_search_attributes(flags: &mut Table, attributes: Vec<(String, String)>) {
    if attributes.is_empty() {
        return;
    }
    // Not through `set`: a name may contain a dot.
    let table = attributes.into_iter().map(|(name, kind)| (name, Value::String(kind))).collect();
    flags.insert("search_attributes".into(), Value::Table(table));
}

/// Namespaces named by flags come on top of those that the configuration names.
pub(crate) fn add_namespaces(settings: &mut Settings, names: Vec<String>) {
    for name in names {
        if !settings.namespaces.contains(&name) {
            settings.namespaces.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn flags_become_settings() {
        let settings = settings(&[
            "--port",
            "1",
            "--http-port",
            "2",
            "--data-dir",
            "d",
            "--namespace",
            "orders",
            "--namespace",
            "default",
            "--search-attribute",
            "Customer.Id=Keyword",
        ])
        .unwrap();

        assert_eq!((settings.listen.port, settings.listen.http_port), (1, 2));
        assert_eq!(settings.storage.directory, PathBuf::from("d"));
        assert_eq!(settings.namespaces, ["default", "orders"]);
        assert_eq!(settings.search_attributes["Customer.Id"], "Keyword");
    }

    #[test]
    fn api_keys_come_on_top_of_those_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("my.toml");
        std::fs::write(&file, "[auth]\napi_keys = [\"one\"]\n").unwrap();

        let settings =
            settings(&["--config", file.to_str().unwrap(), "--api-key", "two", "--api-key", "ci three"]).unwrap();
        assert_eq!(settings.auth.api_keys, ["one", "two", "ci three"].map(Into::into));
        assert!(!settings.auth.insecure_no_auth);
    }

    #[test]
    fn without_flags_everything_is_as_in_the_default_file() {
        assert_eq!(settings(&[]).unwrap(), Settings::default());
    }

    #[test]
    fn a_bad_log_format_is_refused() {
        let error = format!("{:#}", settings(&["--log-format", "xml"]).unwrap_err());
        assert!(error.contains("xml") && error.contains("pretty"), "{error}");
    }

    fn settings(flags: &[&str]) -> anyhow::Result<Settings> {
        let flags = std::iter::once("dev").chain(flags.iter().copied());
        Alone::try_parse_from(flags)?.args.settings()
    }
}
