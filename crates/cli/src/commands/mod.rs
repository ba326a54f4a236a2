//! The commands. Names with a colon are the canonical ones; aliases are Heroku's.

mod access;
mod addons;
mod apps;
mod authorizations;
mod browser_login;
mod buildpacks;
mod builds;
mod certs;
mod certs_auto;
mod checks;
mod completions;
mod config;
mod connect;
mod container;
mod contexts;
mod create;
mod cron;
mod deploy;
mod deploys;
mod destroy;
mod dispatch;
mod dns;
mod domain_routing;
mod domains;
mod drains;
mod engine;
mod exec;
mod features;
mod git;
mod git_source;
mod image;
mod info;
mod keys;
mod limits;
mod login;
mod logout;
mod logs;
mod maintenance;
mod man;
mod network;
mod open;
mod passkeys;
mod pipelines;
mod pipelines_change;
mod pipelines_repo;
mod promote;
mod ps;
mod reference;
mod registry;
mod releases;
mod rename;
mod review_apps;
mod rollback;
mod routing;
mod run;
mod sections;
mod slugs;
mod snapshots;
mod stack;
mod teams;
mod trust;
mod trust_on_first_use;
mod two_factor;
mod users;
mod version;
mod volumes;
mod webhooks;
mod whoami;

pub use reference::tables as reference_tables;
pub(crate) use sections::{SECTIONS, Section};

pub(crate) use dispatch::dispatch;

use crate::client::encoded;

/// Every command of the client.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Log in to a server
    #[command(name = "login", alias = "auth:login")]
    Login(login::Login),
    /// Forget the login to a server
    #[command(name = "logout", alias = "auth:logout")]
    Logout(logout::Logout),
    /// Show who you are logged in as
    #[command(name = "whoami", alias = "auth:whoami")]
    Whoami(whoami::Whoami),
    #[command(flatten)]
    Contexts(contexts::ContextsCommand),
    /// Stand for the server on localhost, for Heroku's CLI
    #[command(name = "connect")]
    Connect(connect::Connect),

    /// Create an app
    #[command(name = "create", visible_alias = "apps:create")]
    Create(create::Create),
    /// List your apps
    #[command(name = "apps", aliases = ["apps:list", "list"])]
    Apps(apps::Apps),
    /// Show an app
    #[command(name = "info", visible_alias = "apps:info")]
    Info(info::Info),
    /// Delete an app with all that belongs to it
    #[command(name = "destroy", visible_alias = "apps:destroy", alias = "apps:delete")]
    Destroy(destroy::Destroy),
    /// Give an app another name
    #[command(name = "rename", visible_alias = "apps:rename")]
    Rename(rename::Rename),
    /// Open an app in the browser, or print its URL
    #[command(name = "open", alias = "apps:open")]
    Open(open::Open),
    /// Point this repository's git remote at an app
    #[command(name = "git:remote")]
    GitRemote(git::Remote),
    /// Answer git's question for credentials
    #[command(name = "git:credentials", hide = true)]
    GitCredentials(git::Credentials),
    #[command(flatten)]
    GitSource(git_source::GitSourceCommand),

    /// Show an app's config vars
    #[command(name = "config")]
    Config(config::Show),
    /// Set config vars and restart the app
    #[command(name = "config:set", alias = "config:add")]
    ConfigSet(config::Set),
    /// Print the value of one config var
    #[command(name = "config:get")]
    ConfigGet(config::Get),
    /// Remove config vars and restart the app
    #[command(name = "config:unset", alias = "config:remove")]
    ConfigUnset(config::Unset),

    /// List an app's processes
    #[command(name = "ps", alias = "dyno")]
    Ps(ps::List),
    /// Show or change how many processes of each type run
    #[command(name = "ps:scale", aliases = ["scale", "dyno:scale"])]
    PsScale(ps::Scale),
    /// Restart all processes, one type or one process
    #[command(name = "ps:restart", aliases = ["restart", "dyno:restart"])]
    PsRestart(ps::Restart),
    /// Stop one process or one type, or the app as a whole
    #[command(name = "ps:stop", aliases = ["ps:kill", "stop", "kill", "dyno:stop", "dyno:kill"])]
    PsStop(ps::Stop),
    #[command(flatten)]
    Checks(checks::ChecksCommand),
    #[command(flatten)]
    Limits(limits::LimitsCommand),
    #[command(flatten)]
    Deploys(deploys::DeploysCommand),
    #[command(flatten)]
    Cron(cron::CronCommand),
    #[command(flatten)]
    Pipelines(pipelines::PipelinesCommand),
    #[command(flatten)]
    ReviewApps(review_apps::ReviewAppsCommand),
    /// Run a command in a new process of the app
    #[command(name = "run")]
    Run(run::Run),
    /// Run a command in a new process and leave it running
    #[command(name = "run:detached")]
    RunDetached(run::RunDetached),
    #[command(flatten)]
    Exec(exec::ExecCommands),
    /// Show or follow an app's logs
    #[command(name = "logs", alias = "log")]
    Logs(logs::Logs),

    #[command(flatten)]
    Drains(drains::DrainsCommand),
    #[command(flatten)]
    Webhooks(webhooks::WebhooksCommand),
    #[command(flatten)]
    Features(features::FeaturesCommand),
    /// List an app's add-ons
    #[command(name = "addons")]
    Addons(addons::Addons),

    /// List an app's releases
    #[command(name = "releases")]
    Releases(releases::List),
    /// Show one release
    #[command(name = "releases:info")]
    ReleasesInfo(releases::Info),
    /// Go back to an earlier release
    #[command(name = "rollback", visible_alias = "releases:rollback")]
    Rollback(rollback::Rollback),
    /// Show what the release command of a release said
    #[command(name = "releases:output")]
    ReleasesOutput(releases::Output),
    /// Deploy a folder or an archive, without git
    #[command(name = "deploy", visible_alias = "builds:create")]
    Deploy(deploy::Deploy),
    /// List the buildpacks that an app's builds use
    #[command(name = "buildpacks")]
    Buildpacks(buildpacks::Show),
    /// Set an app's buildpack
    #[command(name = "buildpacks:set")]
    BuildpacksSet(buildpacks::Set),
    /// Add a buildpack to those of an app
    #[command(name = "buildpacks:add")]
    BuildpacksAdd(buildpacks::Add),
    /// Remove one of an app's buildpacks
    #[command(name = "buildpacks:remove")]
    BuildpacksRemove(buildpacks::Remove),
    /// Remove all of an app's buildpacks: they are detected again
    #[command(name = "buildpacks:clear")]
    BuildpacksClear(buildpacks::Clear),
    /// List an app's builds
    #[command(name = "builds")]
    Builds(builds::Builds),
    /// Show what a build said
    #[command(name = "builds:output")]
    BuildsOutput(builds::BuildsOutput),
    /// Stop a build
    #[command(name = "builds:cancel")]
    BuildsCancel(builds::BuildsCancel),
    /// Empty an app's build cache
    #[command(name = "builds:cache:purge")]
    BuildsCachePurge(builds::BuildsCachePurge),

    #[command(flatten)]
    Slugs(slugs::SlugsCommand),
    #[command(flatten)]
    Stack(stack::StackCommand),
    #[command(flatten)]
    Container(container::ContainerCommand),
    /// Deploy an image from a registry
    #[command(name = "image:deploy")]
    ImageDeploy(image::Deploy),
    /// Deploy an image from an archive (docker save, OCI)
    #[command(name = "image:load")]
    ImageLoad(image::Load),
    /// Write the image of the current release as an archive
    #[command(name = "image:save")]
    ImageSave(image::Save),
    /// List the registries that the server is logged in to
    #[command(name = "registries", alias = "registry:list")]
    Registries(registry::List),
    /// Log the server in to a registry
    #[command(name = "registry:login")]
    RegistryLogin(registry::Login),
    /// Forget the server's login to a registry
    #[command(name = "registry:logout")]
    RegistryLogout(registry::Logout),

    /// List an app's volumes
    #[command(name = "volumes")]
    Volumes(volumes::List),
    /// Create a volume and mount it
    #[command(name = "volumes:create", alias = "volumes:add")]
    VolumesCreate(volumes::Create),
    /// Make a volume larger
    #[command(name = "volumes:resize", alias = "volumes:extend")]
    VolumesResize(volumes::Resize),
    /// Give a volume back to its app's processes
    #[command(name = "volumes:mount")]
    VolumesMount(volumes::Named),
    /// Take a volume from its app's processes
    #[command(name = "volumes:unmount")]
    VolumesUnmount(volumes::Named),
    /// Give an app a volume whose app was destroyed
    #[command(name = "volumes:attach")]
    VolumesAttach(volumes::Attach),
    /// Delete a volume with all that is in it
    #[command(name = "volumes:destroy", alias = "volumes:delete")]
    VolumesDestroy(volumes::Destroy),
    /// Keep a copy of a volume as it is now
    #[command(name = "volumes:snapshot")]
    VolumesSnapshot(snapshots::Take),
    /// List the snapshots of a volume
    #[command(name = "volumes:snapshots")]
    VolumesSnapshots(snapshots::List),
    /// Delete a snapshot
    #[command(name = "volumes:snapshots:destroy")]
    VolumesSnapshotsDestroy(snapshots::Remove),
    /// Go back to a snapshot, or to an archive
    #[command(name = "volumes:restore")]
    VolumesRestore(snapshots::Restore),
    /// Write what is in a volume as a tar archive
    #[command(name = "volumes:backup")]
    VolumesBackup(snapshots::Backup),

    /// List an app's domains
    #[command(name = "domains")]
    Domains(domains::List),
    /// Serve an app under one more domain
    #[command(name = "domains:add")]
    DomainsAdd(domains::Add),
    /// Stop serving an app under a domain
    #[command(name = "domains:remove")]
    DomainsRemove(domains::Remove),
    #[command(flatten)]
    DomainRouting(domain_routing::DomainRoutingCommand),
    #[command(flatten)]
    Routing(routing::RoutingCommand),
    #[command(flatten)]
    Certs(certs::CertsCommand),
    #[command(flatten)]
    CertsAuto(certs_auto::CertsAutoCommand),
    /// Have this computer trust the certificates that the server makes itself
    #[command(name = "trust")]
    Trust(trust::Trust),
    #[command(flatten)]
    Dns(dns::DnsCommand),
    /// Tell whether an app is in maintenance mode
    #[command(name = "maintenance")]
    Maintenance(maintenance::Show),
    /// Put an app into maintenance mode
    #[command(name = "maintenance:on")]
    MaintenanceOn(maintenance::On),
    /// Take an app out of maintenance mode
    #[command(name = "maintenance:off")]
    MaintenanceOff(maintenance::Off),

    /// Show an app's names on the private network, and its links
    #[command(name = "network")]
    Network(network::Show),
    /// Let an app and another reach each other
    #[command(name = "network:link")]
    NetworkLink(network::Link),
    /// End a link between two apps
    #[command(name = "network:unlink")]
    NetworkUnlink(network::Unlink),

    /// List your SSH keys
    #[command(name = "keys")]
    Keys(keys::List),
    /// Add an SSH public key
    #[command(name = "keys:add")]
    KeysAdd(keys::Add),
    /// Remove an SSH key
    #[command(name = "keys:remove")]
    KeysRemove(keys::Remove),
    #[command(flatten)]
    Authorizations(authorizations::AuthorizationsCommand),
    #[command(flatten)]
    TwoFactor(two_factor::TwoFactorCommand),
    #[command(flatten)]
    Passkeys(passkeys::PasskeysCommand),
    #[command(flatten)]
    Access(access::AccessCommand),
    #[command(flatten)]
    Teams(teams::TeamsCommand),
    #[command(flatten)]
    Users(users::UsersCommand),

    /// Print completions for a shell
    #[command(name = "completions", alias = "autocomplete")]
    Completions(completions::Completions),
    /// Print a manual page, or write all of them
    #[command(name = "man")]
    Man(man::Man),
    /// Print the tables of the reference of commands
    #[command(name = "cli:reference", hide = true)]
    Reference(reference::Reference),
    /// Print the client's version
    #[command(name = "version")]
    Version(version::Version),
}

/// `/apps/<app>` and what follows.
fn app_path(app: &str, rest: &str) -> String {
    format!("/apps/{}{rest}", encoded(app))
}
