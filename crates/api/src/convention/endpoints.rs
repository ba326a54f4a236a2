//! Endpoints: every route says who may call it, so that none can be forgotten.

use crate::state::ApiState;
use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use http::Method;
use std::collections::HashMap;
use windlass_core::access::Permission;

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No token: the URL carries its own secret, or nothing is told.
    Nobody,
    /// Any valid token: the answer is about its user, or the same for all.
    Anybody,
    /// A permission on the app that stands in the path as `{app}`.
    App(Permission),
    /// To be the server's owner: what concerns all apps or the machine.
    Owner,
    /// A valid token; what it may do depends on what the handler finds (an app in the body, a
    /// pipeline's apps), which asks `Platform::require`.
    Found,
    /// The handler sees to credentials itself, because they or its answers have another form: git,
    /// signed calls of other services, the registry.
    Itself,
}

/// See the app.
pub(crate) const VIEW: Needs = Needs::App(Permission::View);
/// Put code or config into force.
pub(crate) const DEPLOY: Needs = Needs::App(Permission::Deploy);
/// Change how it runs.
pub(crate) const OPERATE: Needs = Needs::App(Permission::Operate);
/// Decide who has access, and whether it goes on to exist.
pub(crate) const MANAGE: Needs = Needs::App(Permission::Manage);

/// One method of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub method: Method,
    /// As axum writes it: `/apps/{app}`.
    pub path: String,
    pub needs: Needs,
}

/// Routes with what each needs. There is no other way to add one.
#[derive(Default)]
pub(crate) struct Endpoints {
    router: Router<ApiState>,
    list: Vec<Endpoint>,
}

impl Endpoints {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn get<T: 'static>(
        self,
        path: &str,
        needs: Needs,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::GET, MethodFilter::GET, path, needs, handler)
    }

    pub(crate) fn post<T: 'static>(
        self,
        path: &str,
        needs: Needs,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::POST, MethodFilter::POST, path, needs, handler)
    }

    pub(crate) fn put<T: 'static>(
        self,
        path: &str,
        needs: Needs,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path, needs, handler)
    }

    pub(crate) fn patch<T: 'static>(
        self,
        path: &str,
        needs: Needs,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::PATCH, MethodFilter::PATCH, path, needs, handler)
    }

    pub(crate) fn delete<T: 'static>(
        self,
        path: &str,
        needs: Needs,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path, needs, handler)
    }

    fn add<T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &str,
        needs: Needs,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.router = self.router.route(path, on(filter, handler));
        self.list.push(Endpoint { method, path: path.to_owned(), needs });
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self
    }

    /// Returns the path under which a method can still be added: `None` if it is there, and with
    /// the names of parameters that the path's other methods have.
    pub(crate) fn free_path(&self, method: &str, path: &str) -> Option<String> {
        let same: Vec<_> =
            self.list.iter().filter(|known| is_same_path(&known.path, path)).collect();
        if same.iter().any(|known| known.method.as_str() == method) {
            return None;
        }
        Some(same.first().map_or_else(|| path.to_owned(), |known| known.path.clone()))
    }

    pub(crate) fn into_parts(self) -> (Router<ApiState>, Vec<Endpoint>) {
        (self.router, self.list)
    }
}

/// Whether two templates differ only in the names of their parameters.
fn is_same_path(one: &str, other: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (one.split('/').collect(), other.split('/').collect());
    let parameter = |part: &str| part.starts_with('{');
    one.len() == other.len()
        && one.iter().zip(&other).all(|(a, b)| a == b || (parameter(a) && parameter(b)))
}

/// What each method of each path needs.
pub(crate) struct NeedsTable(HashMap<(Method, String), Needs>);

impl NeedsTable {
    pub(crate) fn new(list: Vec<Endpoint>) -> Self {
        let entry = |endpoint: Endpoint| ((endpoint.method, endpoint.path), endpoint.needs);
        Self(list.into_iter().map(entry).collect())
    }

    /// Returns what a request needs; `None` if there is no such method here.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Needs> {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, path.to_owned())).copied()
    }
}
