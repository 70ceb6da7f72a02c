//! `tradewind server start-dev`: the flags of the official CLI, for scripts and test suites that start a
//! server themselves.
//!
//! What has a counterpart here is translated, what has none is accepted with a note. Unlike `dev` it
//! keeps its data in memory unless `--db-filename` names a place, as the official one does.

use crate::dev::{add_namespaces, key_and_value, set_search_attributes};
use crate::{auth, run};
use anyhow::Context;
use server::Settings;
use server::config::dynamic::{self, Outcome};
use server::config::set;
use std::net::IpAddr;
use toml::Table;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    ip: IpAddr,
    /// Port of the gRPC API
    #[arg(long, short, default_value_t = 7233)]
    port: u16,
    /// Port for health, metrics and the page; 0 or unset with --headless: any free one [default: port + 1000]
    #[arg(long)]
    http_port: Option<u16>,
    /// The same port under the official name; wins over --http-port
    #[arg(long)]
    ui_port: Option<u16>,
    /// Accepted for compatibility: metrics are on the HTTP port
    #[arg(long, hide = true)]
    metrics_port: Option<u16>,
    /// Accepted for compatibility: everything listens on --ip
    #[arg(long, hide = true)]
    ui_ip: Option<String>,
    /// Do not claim a well-known port for the page
    #[arg(long)]
    headless: bool,
    /// Keep data in this directory instead of in memory
    #[arg(long, short = 'f', value_name = "DIRECTORY")]
    db_filename: Option<String>,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    sqlite_pragma: Vec<String>,
    /// A namespace to have beside `default`; may be repeated
    #[arg(long, short, value_name = "NAME")]
    namespace: Vec<String>,
    /// A search attribute to have in these namespaces; may be repeated
    #[arg(long, value_name = "NAME=TYPE", value_parser = key_and_value)]
    search_attribute: Vec<(String, String)>,
    /// A setting in the reference server's notation; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    dynamic_config_value: Vec<(String, String)>,
    #[command(flatten)]
    auth: auth::Args,
    /// debug, info, warn, error or never
    #[arg(long, default_value = "warn")]
    log_level: String,
    /// text, pretty or json
    #[arg(long, default_value = "text")]
    log_format: String,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    log_config: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (settings, notes) = self.settings()?;
        run::until_signal(settings, &notes)
    }

    /// The settings, and what the user should know about flags that did nothing.
    fn settings(self) -> anyhow::Result<(Settings, Vec<String>)> {
        let mut flags = Table::new();
        let notes = translate_dynamic_config(&mut flags, &self.dynamic_config_value)?;
        set(&mut flags, "listen.ip", self.ip.to_string());
        set(&mut flags, "listen.port", i64::from(self.port));
        set(&mut flags, "listen.http_port", i64::from(self.http_port()));
        match self.db_filename {
            Some(directory) => set(&mut flags, "storage.directory", directory),
            None => set(&mut flags, "storage.in_memory", true),
        }
        let level = if self.log_level == "never" { "off".into() } else { self.log_level };
        set(&mut flags, "log.level", level);
        set(&mut flags, "log.format", if self.log_format == "json" { "json" } else { "pretty" });
        set_search_attributes(&mut flags, self.search_attribute);
        let mut settings = Settings::load(None, flags).context("bad flags")?;
        add_namespaces(&mut settings, self.namespace);
        self.auth.apply(&mut settings);
        Ok((settings, notes))
    }

    fn http_port(&self) -> u16 {
        let free = 0;
        let beside = if self.headless || self.port == 0 { free } else { self.port.checked_add(1_000).unwrap_or(free) };
        self.ui_port.or(self.http_port).unwrap_or(beside)
    }
}

fn translate_dynamic_config(flags: &mut Table, values: &[(String, String)]) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    for (key, value) in values {
        match dynamic::translate(flags, key, value) {
            Outcome::Set { .. } | Outcome::AlreadySo => {}
            Outcome::Unknown => notes.push(format!("--dynamic-config-value {key}={value} has no effect here")),
            Outcome::Bad { reason } => anyhow::bail!("--dynamic-config-value {key}: {reason}"),
        }
    }
    Ok(notes)
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
    fn the_flags_of_test_suites_are_understood() {
        let (settings, notes) = settings(&[
            "--ip",
            "127.0.0.1",
            "--port",
            "7300",
            "--namespace",
            "default",
            "--search-attribute",
            "CustomIntField=Int",
            "--dynamic-config-value",
            "limit.historyCount.suggestContinueAsNew=50",
            "--dynamic-config-value",
            "system.enableEagerWorkflowStart=true",
            "--dynamic-config-value",
            "nexusoperation.enableStandalone=true",
            "--log-level",
            "never",
            "--log-format",
            "pretty",
            "--headless",
        ])
        .unwrap();

        assert!(settings.storage.in_memory);
        assert_eq!(settings.listen.port, 7300);
        assert_eq!(settings.listen.http_port, 0);
        assert_eq!(settings.limits.history_events_suggest_continue_as_new, 50);
        assert_eq!(settings.log.level, "off");
        assert_eq!(notes, ["--dynamic-config-value nexusoperation.enableStandalone=true has no effect here"]);
    }

    #[test]
    fn the_page_is_a_thousand_ports_up_unless_told_otherwise() {
        let port = |flags| settings(flags).unwrap().0.listen.http_port;
        assert_eq!(port(&["--port", "7300"]), 8300);
        assert_eq!(port(&["--ui-port", "9000"]), 9000);
        assert_eq!(port(&["--port", "65000"]), 0);
    }

    #[test]
    fn a_value_that_is_no_number_is_refused_with_its_key() {
        let error = settings(&["--dynamic-config-value", "limit.blobSize.error=big"]).unwrap_err();
        assert_eq!(error.to_string(), r#"--dynamic-config-value limit.blobSize.error: "big" is not a whole number"#);
    }

    fn settings(flags: &[&str]) -> anyhow::Result<(Settings, Vec<String>)> {
        let flags = std::iter::once("start-dev").chain(flags.iter().copied());
        Alone::try_parse_from(flags)?.args.settings()
    }
}
