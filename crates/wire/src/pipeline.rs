use crate::{IdReference, Reference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A user or a team.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineOwner {
    pub id: String,
    /// `user` or `team`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `GET /pipelines`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Pipeline {
    pub id: String,
    pub name: String,
    pub owner: Option<PipelineOwner>,
    pub generation: Reference,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /pipelines`; without an owner it is the caller's.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineCreate {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PipelineOwner>,
}

/// `PATCH /pipelines/:pipeline`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `POST /pipeline-transfers`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineTransferCreate {
    pub pipeline: IdReference,
    pub new_owner: PipelineOwner,
}

/// The answer to `POST /pipeline-transfers`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineTransfer {
    pub pipeline: IdReference,
    pub previous_owner: Option<PipelineOwner>,
    pub new_owner: Option<PipelineOwner>,
}

/// `GET /pipelines/:pipeline/pipeline-couplings`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineCoupling {
    pub id: String,
    pub app: IdReference,
    pub pipeline: Reference,
    /// `review`, `development`, `staging` or `production`.
    pub stage: String,
    pub created_at: String,
    pub updated_at: String,
}

/// `POST /pipeline-couplings`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineCouplingCreate {
    pub app: String,
    pub pipeline: String,
    pub stage: String,
}

/// `PATCH /pipeline-couplings/:coupling`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineCouplingUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// `GET /pipelines/:pipeline/pipeline-stack`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineStack {
    pub stack: Option<Reference>,
}

/// `POST /filters/apps`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct FilterApps {
    #[serde(default, rename = "in")]
    pub among: FilterIds,
}

/// Which apps.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct FilterIds {
    #[serde(default)]
    pub id: Vec<String>,
}

/// An app, and a release of it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PromotionSource {
    pub app: IdReference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<IdReference>,
}

/// One app of `POST /pipeline-promotions`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PromotionTo {
    pub app: IdReference,
}

/// `POST /pipeline-promotions`; without targets they are the apps of the next stage.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelinePromotionCreate {
    pub pipeline: IdReference,
    pub source: PromotionSource,
    #[serde(default)]
    pub targets: Vec<PromotionTo>,
}

/// `GET /pipeline-promotions/:promotion`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelinePromotion {
    pub id: String,
    pub pipeline: IdReference,
    pub source: PromotionSource,
    /// `pending` or `completed`: whatever came of its targets.
    pub status: String,
    pub created_at: String,
    pub updated_at: Option<String>,
}

/// `GET /pipeline-promotions/:promotion/promotion-targets`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelinePromotionTarget {
    pub id: String,
    pub app: IdReference,
    pub pipeline_promotion: IdReference,
    pub release: Option<IdReference>,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
    pub error_message: Option<String>,
}

/// `GET /pipelines/:pipeline/repo`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineRepo {
    pub id: u32,
    /// `owner/name` of one elsewhere, an app's name of one here.
    pub full_name: String,
    pub url: String,
    /// Whether it is that of an app of this server.
    pub internal: bool,
    /// The public key that opens it to the server, for URLs of SSH. Only told when it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// `PUT /pipelines/:pipeline/repo`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineRepoCreate {
    pub url: String,
}

/// `GET /pipelines/:pipeline/repo/branches/:branch`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineBranch {
    pub name: String,
    pub commit: BranchCommit,
}

/// Where a branch is.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BranchCommit {
    pub sha: String,
}

/// `GET /apps/:app/pipeline-diff`, one for each app of the next stage. Not in Heroku's API.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PipelineDiff {
    pub target: Reference,
    /// `identical`, `different` or `unknown`.
    pub status: String,
    pub source_commit: Option<String>,
    pub target_commit: Option<String>,
    /// Newest first, at most 200.
    pub commits: Vec<DiffCommit>,
    /// How many commits the target has that the app has not.
    pub behind: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DiffCommit {
    pub id: String,
    pub author: String,
    pub created_at: String,
    /// The first line.
    pub message: String,
}

/// `GET /review-apps/:review_app`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReviewApp {
    pub id: String,
    pub app: Option<IdReference>,
    pub app_setup: Option<IdReference>,
    pub branch: String,
    pub pipeline: IdReference,
    /// `pending`, `creating`, `created`, `deleting`, `deleted` or `errored`.
    pub status: String,
    pub creator: IdReference,
    pub wait_for_ci: bool,
    pub error_status: Option<String>,
    pub message: Option<String>,
    pub fork_repo: Option<ForkRepo>,
    pub pr_number: Option<u64>,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ForkRepo {
    pub id: Option<u64>,
}

/// `POST /review-apps`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReviewAppCreate {
    pub branch: String,
    pub pipeline: String,
    /// Its `url` is that of an archive, or `resolve`: the branch in the pipeline's repository.
    #[serde(default)]
    pub source_blob: crate::BuildSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr_number: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

/// `GET /pipelines/:pipeline/review-app-config`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReviewAppConfig {
    pub pipeline_id: String,
    pub repo: RepoId,
    pub automatic_review_apps: bool,
    pub destroy_stale_apps: bool,
    pub stale_days: u32,
    pub deploy_target: Option<DeployTarget>,
    pub wait_for_ci: bool,
    pub base_name: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RepoId {
    pub id: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeployTarget {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// `POST` and `PATCH /pipelines/:pipeline/review-app-config`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReviewAppConfigUpdate {
    /// The repository's full name, as clients repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_review_apps: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroy_stale_apps: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_ci: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_name: Option<String>,
}

/// `GET /app-setups/:setup`
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppSetup {
    pub id: String,
    pub app: Reference,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
    pub failure_message: Option<String>,
    pub build: Option<SetupBuild>,
    pub manifest_errors: Vec<String>,
    pub postdeploy: Option<Postdeploy>,
    pub resolved_success_url: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SetupBuild {
    pub id: String,
    pub status: String,
    pub output_stream_url: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Postdeploy {
    pub output: String,
    pub exit_code: i32,
}

/// `POST /app-setups`
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AppSetupCreate {
    #[serde(default)]
    pub app: crate::AppCreate,
    #[serde(default)]
    pub source_blob: crate::BuildSource,
    #[serde(default)]
    pub overrides: SetupOverrides,
}

/// What goes before app.json.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct SetupOverrides {
    #[serde(default)]
    pub buildpacks: Vec<OverrideBuildpack>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct OverrideBuildpack {
    pub url: String,
}
