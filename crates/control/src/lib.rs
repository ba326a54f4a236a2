//! The control plane: receive, build, release, run, route, observe.
