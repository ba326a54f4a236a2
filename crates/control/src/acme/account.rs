//! The account at the authority: made once, kept sealed in the store.

use super::AcmeSettings;
use super::client::Client;
use super::order::Failed;
use crate::Platform;
use crate::platform::now_ms;
use crate::records::AcmeAccount;
use instant_acme::{Account, AccountCredentials, NewAccount};

impl Platform {
    /// Returns the account, made at the authority if there is none yet.
    pub(super) async fn acme_account(
        &self,
        settings: &AcmeSettings,
        client: &Client,
    ) -> Result<Account, Failed> {
        // One at a time: two at once would make two accounts.
        let _turn = self.acme().account_turn.lock().await;
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let contact = format!("mailto:{}", settings.email);
        if let Some(kept) = self.store().acme_account(&settings.directory)? {
            let credentials: AccountCredentials =
                serde_json::from_str(&kept.credentials).map_err(|error| {
                    Failed::unavailable(format!(
                        "the account kept for {} cannot be read: {error}",
                        settings.directory
                    ))
                })?;
            let account = builder
                .from_credentials(credentials)
                .await
                .map_err(|error| Failed::of(&error, client))?;
            if kept.email != settings.email {
                account
                    .update_contacts(&[&contact])
                    .await
                    .map_err(|error| Failed::of(&error, client))?;
                let kept = AcmeAccount { email: settings.email.clone(), ..kept };
                self.store().save_acme_account(&kept)?;
            }
            return Ok(account);
        }
        let wanted = NewAccount {
            contact: &[&contact],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder
            .create(&wanted, settings.directory.clone(), None)
            .await
            .map_err(|error| Failed::of(&error, client))?;
        let credentials = serde_json::to_string(&credentials)
            .map_err(|error| Failed::unavailable(error.to_string()))?;
        self.store().save_acme_account(&AcmeAccount {
            directory: settings.directory.clone(),
            email: settings.email.clone(),
            credentials,
            created_at: now_ms(),
        })?;
        tracing::info!(account = account.id(), "made an account at the certificate authority");
        Ok(account)
    }
}
