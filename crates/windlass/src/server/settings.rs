//! From the configuration to the settings of the control plane.

use crate::config::Config;
use crate::router_process::RouterAddresses;
use std::net::SocketAddr;
use std::path::PathBuf;
use windlass_control::Settings;

/// Returns what the control plane has to know, with the addresses at which this server answers.
pub(super) fn settings(
    config: &Config,
    run_directory: PathBuf,
    router: RouterAddresses,
    api: SocketAddr,
) -> Settings {
    Settings {
        data_directory: config.data_directory.clone(),
        run_directory,
        domain: config.domain.clone(),
        routing: config.routing_defaults.clone(),
        public: config.public.settings(router.zone, router.https.is_some()),
        outgoing: config.outgoing.clone(),
        router_port: config.router_public_port.unwrap_or(router.http.port()),
        https_port: router.https.map(|https| config.tls.https_public_port.unwrap_or(https.port())),
        private_certificates: config.tls.private_certificates,
        api_url: config
            .api_url
            .clone()
            .unwrap_or_else(|| format!("http://localhost:{}", api.port())),
        api_certificate: config.api_tls.certificate(),
        exec_tunnel_host: config.exec_tunnel_host(),
        boot_timeout: config.boot_timeout,
        drain_timeout: config.drain_timeout,
        stop_grace: config.stop_grace,
        run_timeout: config.run_timeout,
        release_timeout: config.release_timeout,
        build: windlass_control::BuildSettings {
            concurrent: config.build_concurrent,
            timeout: config.build_timeout,
            memory_bytes: config.build_memory,
            cpu_millis: config.build_cpu,
            spared_processors: config.build_spared_processors,
            processes: config.build_processes,
            disk_bytes: config.build_disk,
            image_bytes: config.build_image,
            environment: config.build_environment.clone(),
            cache_max_age: config.build_cache_max_age,
            cache_max_bytes: config.build_cache_max_size,
        },
        instance: windlass_control::InstanceSettings {
            memory_bytes: config.instance_memory,
            cpu_millis: config.instance_cpu,
            processes: config.instance_processes,
            disk_bytes: config.instance_disk,
        },
        disk_reserve_bytes: config.disk_reserve,
        requests_per_hour: config.requests_per_hour,
        releases_kept: config.releases_kept,
    }
}
