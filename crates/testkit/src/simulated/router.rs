//! The simulated router: applies tables in memory and looks at each for what must never be.

use super::driver::SimulatedDriver;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_core::challenges::Challenges;
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::route::{
    AppRoute, Availability, RouteCertificate, RouterCommand, RouterPort, RouterReply, RouterStatus,
    RouterUnavailable,
};

/// A router in memory. Outlives the platform that it is given to, as the real one does.
pub struct SimulatedRouter {
    driver: Arc<SimulatedDriver>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    table: BTreeMap<AppId, AppRoute>,
    /// Apps whose targets must not run out.
    served: BTreeSet<AppId>,
    drained: Vec<InstanceId>,
    violations: Vec<String>,
    challenges: Challenges,
    certificates: Vec<RouteCertificate>,
    refuses_certificates: bool,
    is_away: bool,
}

impl SimulatedRouter {
    #[must_use]
    pub fn new(driver: Arc<SimulatedDriver>) -> Arc<Self> {
        Arc::new(Self { driver, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the route of an app, if it has one.
    #[must_use]
    pub fn route(&self, app: AppId) -> Option<AppRoute> {
        self.state().table.get(&app).cloned()
    }

    /// Returns the names of the app's targets, sorted.
    #[must_use]
    pub fn targets(&self, app: AppId) -> Vec<String> {
        let route = self.route(app);
        let mut names: Vec<String> =
            route.into_iter().flat_map(|route| route.targets).map(|target| target.name).collect();
        names.sort();
        names
    }

    #[must_use]
    pub fn availability(&self, app: AppId) -> Option<Availability> {
        self.route(app).map(|route| route.availability)
    }

    /// From now on (or no more) a table in which the app has no target is a violation.
    pub fn must_stay_served(&self, app: AppId, must: bool) {
        let mut state = self.state();
        if must {
            state.served.insert(app);
        } else {
            state.served.remove(&app);
        }
    }

    /// Makes the router refuse every command, or take them again.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
    }

    /// Returns the instances that were drained, in order.
    #[must_use]
    pub fn drained(&self) -> Vec<InstanceId> {
        self.state().drained.clone()
    }

    /// Returns the certificates in force.
    #[must_use]
    pub fn certificates(&self) -> Vec<RouteCertificate> {
        self.state().certificates.clone()
    }

    /// Makes the router refuse certificates, or take them again.
    pub fn refuse_certificates(&self, refuse: bool) {
        self.state().refuses_certificates = refuse;
    }

    /// Returns what is answered to certificate authorities.
    #[must_use]
    pub fn challenges(&self) -> Challenges {
        self.state().challenges.clone()
    }

    /// Returns what was seen that must never be.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    fn apply(&self, state: &mut State, table: BTreeMap<AppId, AppRoute>) {
        let known: BTreeSet<InstanceId> = targets(&state.table).collect();
        for id in targets(&table).filter(|id| !known.contains(id)) {
            // An instance that has just ended is a race that nobody can win.
            let runs = self.driver.running().iter().any(|instance| instance.spec.id == id);
            if runs && !self.driver.listens(&id) {
                state
                    .violations
                    .push(format!("{id} was put in the table before its port was open"));
            }
        }
        let mut hosts = BTreeMap::new();
        for route in table.values() {
            for host in &route.hosts {
                if let Some(other) = hosts.insert(host.clone(), route.app_name.clone()) {
                    state
                        .violations
                        .push(format!("{other} and {} share the host {host}", route.app_name));
                }
            }
            if (route.availability == Availability::Serving) == route.targets.is_empty()
                && route.availability != Availability::Maintenance
            {
                let count = route.targets.len();
                state.violations.push(format!(
                    "{} is {:?} with {count} targets",
                    route.app_name, route.availability
                ));
            }
        }
        for app in &state.served {
            if table.get(app).is_none_or(|route| route.targets.is_empty()) {
                state.violations.push(format!("app {app} was left without a target"));
            }
        }
        state.table = table;
    }
}

fn targets(table: &BTreeMap<AppId, AppRoute>) -> impl Iterator<Item = InstanceId> + '_ {
    table.values().flat_map(|route| &route.targets).map(|target| target.instance.clone())
}

#[async_trait]
impl RouterPort for SimulatedRouter {
    async fn send(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable> {
        // As over a socket, the caller does not go on at once.
        tokio::task::yield_now().await;
        let what = match &command {
            RouterCommand::Sync { .. } => "sync",
            RouterCommand::Upsert { .. } => "upsert",
            RouterCommand::Remove { .. } => "remove",
            RouterCommand::Drain { .. } => "drain",
            _ => return self.answer(command),
        };
        self.driver.faults.around(what, async { self.answer(command) }).await
    }
}

impl SimulatedRouter {
    fn answer(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable> {
        let mut state = self.state();
        if state.is_away {
            return Err(RouterUnavailable("the simulated router is away".to_owned()));
        }
        let mut table = state.table.clone();
        match command {
            RouterCommand::Sync { routes } => {
                table = routes.into_iter().map(|route| (route.app, route)).collect();
            }
            RouterCommand::Upsert { route } => {
                table.insert(route.app, route);
            }
            RouterCommand::Remove { app } => {
                table.remove(&app);
                state.served.remove(&app);
            }
            RouterCommand::Certificates { certificates } => {
                if state.refuses_certificates {
                    let message = "the simulated router refuses certificates".to_owned();
                    return Ok(RouterReply::Failed { message });
                }
                state.certificates = certificates;
                return Ok(RouterReply::Applied);
            }
            RouterCommand::Challenges { challenges } => {
                state.challenges = challenges;
                return Ok(RouterReply::Applied);
            }
            RouterCommand::Drain { instance, .. } => {
                if targets(&table).any(|id| id == instance) {
                    state
                        .violations
                        .push(format!("{instance} was drained while it was in the table"));
                }
                if !self.driver.running().iter().any(|running| running.spec.id == instance) {
                    return Ok(RouterReply::Drained { in_flight: 0 });
                }
                state.drained.push(instance);
                return Ok(RouterReply::Drained { in_flight: 0 });
            }
            RouterCommand::Metrics => {
                let text = format!("windlass_router_apps {}\n", table.len());
                return Ok(RouterReply::Metrics { text });
            }
            RouterCommand::Status => {
                return Ok(RouterReply::Status(RouterStatus {
                    pid: std::process::id(),
                    http: ([127, 0, 0, 1], 80).into(),
                    https: None,
                    listen: Default::default(),
                    dns: None,
                    zone: None,
                    apps: table.len(),
                    requests: 0,
                    in_flight: 0,
                }));
            }
            RouterCommand::HandOver { .. } | RouterCommand::TakenOver | RouterCommand::Stop => {
                let what = "the simulated router is not replaced by another";
                return Err(RouterUnavailable(what.to_owned()));
            }
        }
        self.apply(&mut state, table);
        Ok(RouterReply::Applied)
    }
}
