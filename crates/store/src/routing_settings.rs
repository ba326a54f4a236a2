//! What people chose for the requests of apps.

use crate::{Store, StoreError, json, parsed, to_json};
use rusqlite::{Connection, params};
use windlass_core::ids::AppId;
use windlass_core::names::Hostname;
use windlass_core::routing_settings::{PathMount, RoutingSettings};

type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// Returns an app's settings; the defaults if nobody chose any.
    pub fn routing_settings(&self, app: AppId) -> Result<RoutingSettings> {
        read(&self.connection(), app)
    }

    /// Changes an app's settings in one transaction and returns what they are afterwards. An error
    /// of `change` leaves them as they were.
    pub fn update_routing_settings<E: From<StoreError>>(
        &self,
        app: AppId,
        now: u64,
        change: impl FnOnce(&mut RoutingSettings) -> Result<(), E>,
    ) -> Result<RoutingSettings, E> {
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(StoreError::from)?;
        let mut settings = read(&transaction, app)?;
        change(&mut settings)?;
        write(&transaction, app, &settings, now)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(settings)
    }

    /// Returns the paths that each app has on hosts of others.
    pub fn path_mounts(&self) -> Result<Vec<(AppId, Vec<PathMount>)>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT app, json_extract(settings, '$.paths') AS paths FROM routing_settings
             WHERE json_extract(settings, '$.paths') IS NOT NULL ORDER BY app",
        )?;
        let rows = statement.query_map([], |row| Ok((parsed(row, "app")?, json(row, "paths")?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the app that has a custom domain.
    pub fn app_of_domain(&self, hostname: &Hostname) -> Result<Option<AppId>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT app FROM domains WHERE hostname = ?1")?;
        let mut rows = statement.query_map([hostname.as_str()], |row| parsed(row, "app"))?;
        Ok(rows.next().transpose()?)
    }
}

fn read(connection: &Connection, app: AppId) -> Result<RoutingSettings> {
    let mut statement =
        connection.prepare_cached("SELECT settings FROM routing_settings WHERE app = ?1")?;
    let mut rows = statement.query_map([app.to_string()], |row| json(row, "settings"))?;
    Ok(rows.next().transpose()?.unwrap_or_default())
}

fn write(connection: &Connection, app: AppId, settings: &RoutingSettings, now: u64) -> Result<()> {
    if settings.is_default() {
        connection.execute("DELETE FROM routing_settings WHERE app = ?1", [app.to_string()])?;
        return Ok(());
    }
    connection.execute(
        "INSERT INTO routing_settings (app, settings, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (app) DO UPDATE SET settings = ?2, updated_at = ?3",
        params![app.to_string(), to_json(settings)?, now as i64],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::StoreError;
    use crate::tests::{app, store};
    use windlass_core::routing_settings::{Page, RoutingSettings};

    #[test]
    fn settings_are_kept_until_they_are_the_defaults_again() {
        let (_directory, store, user) = store();
        let (one, two) = (app(&store, &user, "one"), app(&store, &user, "two"));
        let change = |app, change: &dyn Fn(&mut RoutingSettings)| {
            let change = |settings: &mut RoutingSettings| {
                change(settings);
                Ok::<(), StoreError>(())
            };
            store.update_routing_settings(app, 5, change).unwrap()
        };
        assert!(store.routing_settings(one.id).unwrap().is_default());
        let settings = change(one.id, &|settings| {
            settings.set("path", Some("two.example.com/api,two.example.com/x")).unwrap();
            settings.pages.error = Some(Page::new("<h1>Sorry</h1>").unwrap());
        });
        assert!(!settings.pages.is_empty());
        change(two.id, &|settings| settings.set("https", Some("redirect")).unwrap());
        let refused = |settings: &mut RoutingSettings| {
            settings.set("sticky", Some("on")).unwrap();
            Err(StoreError::Taken("it".into()))
        };
        assert!(store.update_routing_settings(one.id, 6, refused).is_err());
        assert_eq!(store.routing_settings(one.id).unwrap(), settings);
        assert_eq!(store.path_mounts().unwrap(), [(one.id, settings.paths.clone())]);
        change(one.id, &|settings| *settings = RoutingSettings::default());
        assert!(store.routing_settings(one.id).unwrap().is_default());
        assert!(store.path_mounts().unwrap().is_empty());
        store.delete_app(two.id).unwrap();
        assert!(store.routing_settings(two.id).unwrap().is_default());
    }
}
