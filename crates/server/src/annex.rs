//! More routes on the HTTP port: how another crate joins the server.
//!
//! An annex opens once the engine runs and before anybody is let in, so it can make what it needs (a namespace, its
//! own state) and refuse the start. Its routes share the port and the shutdown of the server: it ends its long
//! answers when `service.shutdown` is cancelled, and what it runs in the background goes through
//! `service.background`, which is waited for before the store closes.

use crate::Service;
use crate::config::Settings;
use axum::Router;
use futures_util::future::BoxFuture;
use std::error::Error;
use std::sync::Arc;

/// An annex that is still closed.
pub struct Annex {
    pub(crate) name: &'static str,
    pub(crate) following: Vec<engine::Following>,
    pub(crate) open: Box<dyn FnOnce(Arc<Service>, Settings) -> BoxFuture<'static, Opened> + Send>,
}

/// The routes of an annex, or why it does not open.
pub type Opened = Result<Router, Box<dyn Error + Send + Sync>>;

impl Annex {
    pub fn new<F>(name: &'static str, open: impl FnOnce(Arc<Service>, Settings) -> F + Send + 'static) -> Annex
    where
        F: Future<Output = Opened> + Send + 'static,
    {
        let open = move |service, settings| -> BoxFuture<'static, Opened> { Box::pin(open(service, settings)) };
        Annex { name, following: Vec::new(), open: Box::new(open) }
    }

    /// Has certain steps told, from the engine's first on. The annex acts on them once it is open.
    pub fn following(mut self, following: engine::Following) -> Annex {
        self.following.push(following);
        self
    }
}
