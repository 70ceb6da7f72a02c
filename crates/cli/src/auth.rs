//! The flags that say who may come in.

use server::Settings;
use server::auth::ApiKey;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// An API key that callers have to send, as KEY or "NAME KEY"; may be repeated. The environment keeps it out of
    /// the list of processes
    #[arg(long, value_name = "KEY", env = "TRADEWIND_API_KEY", hide_env_values = true)]
    api_key: Vec<ApiKey>,
    /// Listen on any address without an API key
    #[arg(long)]
    insecure_no_auth: bool,
}

impl Args {
    /// Keys come on top of those that the configuration names.
    pub(crate) fn apply(self, settings: &mut Settings) {
        settings.auth.api_keys.extend(self.api_key);
        settings.auth.insecure_no_auth |= self.insecure_no_auth;
    }
}
