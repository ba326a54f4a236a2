use super::*;
use std::path::PathBuf;
use windlass_core::route::{Availability, PrivateNames};

/// A router that notes what it is sent, and fails the first changes: in force, but not saved.
struct Failing {
    failures: Mutex<u32>,
    sent: Mutex<Vec<RouterCommand>>,
}

#[async_trait::async_trait]
impl RouterPort for Failing {
    async fn send(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable> {
        self.sent.lock().unwrap().push(command);
        let mut failures = self.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(RouterReply::Applied);
        }
        *failures -= 1;
        Ok(RouterReply::Failed { message: "the disk is full".to_owned() })
    }
}

fn route(availability: Availability, app: AppId) -> AppRoute {
    AppRoute {
        app,
        app_name: "bibly".parse().unwrap(),
        hosts: vec!["bibly.localhost".to_owned()],
        availability,
        targets: vec![],
        canary: None,
        log_file: Some(PathBuf::from("log")),
        private: PrivateNames::default(),
        settings: None,
    }
}

#[tokio::test]
async fn after_a_change_that_failed_even_the_old_route_is_sent_again() {
    let app = AppId::random();
    let (old, new) = (route(Availability::Starting, app), route(Availability::Serving, app));
    let router = Arc::new(Failing { failures: Mutex::new(0), sent: Mutex::default() });
    let routes = Routes::new(Arc::clone(&router) as Arc<dyn RouterPort>);
    assert!(routes.upsert(old.clone()).await.unwrap());
    assert!(!routes.upsert(old.clone()).await.unwrap(), "it is known");

    *router.failures.lock().unwrap() = 2;
    routes.upsert(new.clone()).await.unwrap_err();
    // The router serves by the new route now: to go back it must be told.
    routes.upsert(old.clone()).await.unwrap_err();
    assert!(routes.upsert(old.clone()).await.unwrap());
    assert!(!routes.upsert(old.clone()).await.unwrap(), "it is known");
    let upsert = |route: &AppRoute| RouterCommand::Upsert { route: route.clone() };
    let expected = [&old, &new, &old, &old].map(upsert);
    assert_eq!(*router.sent.lock().unwrap(), expected);

    routes.sync().await.unwrap();
    assert_eq!(
        router.sent.lock().unwrap().last(),
        Some(&RouterCommand::Sync { routes: vec![old] })
    );
}
