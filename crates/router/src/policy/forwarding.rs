//! The path that the app gets.

use windlass_core::routing_settings::PathMount;

/// Takes the longest prefix off that covers the path; returns the path with its query, and the
/// prefix.
pub(super) fn strip(
    mounts: &[PathMount],
    host: &str,
    path_and_query: &str,
) -> Option<(String, String)> {
    let covers = |mount: &&PathMount| mount.host.as_str() == host && mount.covers(path_and_query);
    let mount = mounts.iter().filter(covers).max_by_key(|mount| mount.prefix.len())?;
    let rest = &path_and_query[mount.prefix.len()..];
    let path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    Some((path, mount.prefix.clone()))
}
