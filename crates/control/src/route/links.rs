//! Links between apps on the private network: in the store, in the driver's firewall and in what
//! names answer.

use crate::platform::now_ms;
use crate::records::{App, NetworkLink, User};
use crate::{Platform, PlatformError, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use windlass_core::ids::NetworkLinkId;

/// Keeps what the driver was told in step with the store.
#[derive(Default)]
pub(crate) struct LinkSync {
    /// Held from reading the store to the driver's answer, so that the last told is the newest.
    turn: tokio::sync::Mutex<()>,
    /// The driver could not be told; housekeeping tries again.
    is_pending: AtomicBool,
}

/// A link as one of its two apps sees it.
#[derive(Clone, Debug)]
pub struct LinkView {
    pub id: NetworkLinkId,
    pub linked_app: App,
    pub created_at: u64,
}

impl Platform {
    /// Returns the apps that `app` is linked with, oldest link first.
    pub fn network_links(&self, app: &App) -> Result<Vec<LinkView>> {
        let links = self.store().network_links(app.id)?.into_iter();
        let views = links.map(|link| self.link_view(app, &link));
        views.filter_map(Result::transpose).collect()
    }

    /// Returns `None` when the other app has just been destroyed.
    fn link_view(&self, app: &App, link: &NetworkLink) -> Result<Option<LinkView>> {
        let linked_app = self.store().app(link.other_than(app.id))?;
        let (id, created_at) = (link.id, link.created_at);
        Ok(linked_app.map(|linked_app| LinkView { id, linked_app, created_at }))
    }

    /// Lets instances of two apps of this user reach each other, and see each other's names.
    /// Returns when that is in force.
    pub async fn link_apps(&self, user: &User, app: &App, other: &str) -> Result<LinkView> {
        let other = self.app(user, other)?;
        if other.id == app.id {
            return Err(PlatformError::Invalid(format!(
                "Instances of {} reach each other already; name another app to link it with.",
                app.name
            )));
        }
        let links = self.store().network_links(app.id)?;
        if links.iter().any(|link| link.other_than(app.id) == other.id) {
            let message = format!("{} is linked with {} already.", app.name, other.name);
            return Err(PlatformError::Invalid(message));
        }
        let id = NetworkLinkId::random();
        let link = NetworkLink { id, apps: (app.id, other.id), created_at: now_ms() };
        self.store().insert_network_link(&link)?;
        if let Err(error) = self.sync_links().await {
            self.store().delete_network_link(link.id)?;
            return Err(error);
        }
        for (one, other) in [(app, &other), (&other, app)] {
            self.refresh(one).await?;
            let message = format!("Linked with {} by user {}", other.name, user.email);
            self.logs().append(one.id, "app[api]", &message);
        }
        Ok(LinkView { id: link.id, linked_app: other, created_at: link.created_at })
    }

    /// Ends a link, named by its id or by the other app's id or name. What goes over it is cut.
    pub async fn unlink_apps(&self, user: &User, app: &App, wanted: &str) -> Result<LinkView> {
        let is_wanted = |view: &LinkView| {
            let other = &view.linked_app;
            view.id.to_string() == wanted
                || other.id.to_string() == wanted
                || other.name.as_str() == wanted
        };
        let found = self.network_links(app)?.into_iter().find(is_wanted);
        let view = found.ok_or(PlatformError::NotFound { resource: "network link" })?;
        self.store().delete_network_link(view.id)?;
        // Even if the driver cannot be told now, nobody is given the names any more.
        let told = self.sync_links().await;
        for (one, other) in [(app, &view.linked_app), (&view.linked_app, app)] {
            self.refresh(one).await?;
            let message = format!("Unlinked from {} by user {}", other.name, user.email);
            self.logs().append(one.id, "app[api]", &message);
        }
        told.map(|()| view)
    }

    /// Tells the driver what the store says; in force when it returns.
    async fn sync_links(&self) -> Result<()> {
        let sync = self.link_sync();
        let _turn = sync.turn.lock().await;
        let told = self.driver().set_links(&self.store().links()?).await;
        sync.is_pending.store(told.is_err(), Ordering::Relaxed);
        Ok(told?)
    }

    /// The same where the caller goes on without it: until then instances reach nobody new.
    pub(crate) async fn sync_links_or_later(&self) {
        if let Err(error) = self.sync_links().await {
            tracing::error!(%error, "the private network is not up to date; trying again");
        }
    }

    pub(crate) async fn sync_links_if_pending(&self) {
        if self.link_sync().is_pending.load(Ordering::Relaxed) {
            self.sync_links_or_later().await;
        }
    }
}
