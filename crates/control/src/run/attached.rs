//! Commands that somebody is attached to end when they may not operate the app any more.

use crate::access::until_lost;
use crate::platform::now_ms;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use bytes::Bytes;
use tokio::sync::mpsc;
use windlass_core::access::Permission;
use windlass_core::driver::{Attached, AttachedOutput};
use windlass_core::ids::{AppId, TokenId, UserId};
use windlass_core::instance::ExitStatus;

/// As after a terminal has hung up (SIGHUP).
const EXIT_CODE: i32 = 129;

/// For whom a command runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub user: UserId,
    /// The token that must be good all the time, if one must.
    pub token: Option<TokenId>,
    pub app: AppId,
}

impl Platform {
    /// Refuses whoever has lost the token or the app.
    pub(super) fn require_holder(&self, holder: Holder) -> Result<(User, App)> {
        let user = self.user(holder.user)?;
        if let Some(wanted) = holder.token
            && !self.authorizations(&user)?.iter().any(|token| token.id == wanted)
        {
            return Err(PlatformError::Unauthorized);
        }
        let app = self.app_to(&user, &holder.app.to_string(), Permission::Operate)?;
        Ok((user, app))
    }

    /// Passes the output on as long as the holder may operate the app, also when nobody reads it;
    /// then says why it ends, and ends the command as if its client had gone away.
    pub(super) fn while_held(&self, holder: Holder, attached: Attached) -> Attached {
        let (sender, output) = mpsc::channel(16);
        let Attached { instance, output: mut source, input } = attached;
        let platform = self.downgrade();
        tokio::spawn(async move {
            let pass_on = async {
                while let Some(item) = source.recv().await {
                    if sender.send(item).await.is_err() {
                        return;
                    }
                }
            };
            // While the platform is being stopped nobody loses anything.
            let lost = until_lost(|| {
                Platform::upgrade(&platform)
                    .and_then(|platform| platform.require_holder(holder).err())
            });
            let error = tokio::select! {
                () = pass_on => return,
                () = sender.closed() => return,
                error = lost => error,
            };
            tracing::info!(user = %holder.user, app = %holder.app, %error, "an attached command is ended");
            let line = "\r\n!    This is ended: you may not operate the app any more.\r\n";
            let _ = sender.try_send(AttachedOutput::Stderr(Bytes::from_static(line.as_bytes())));
            let reason = Some("its user lost the app".to_owned());
            let status = ExitStatus::of_code(EXIT_CODE, reason, now_ms());
            let _ = sender.try_send(AttachedOutput::Exited(status));
        });
        Attached { instance, output, input }
    }
}
