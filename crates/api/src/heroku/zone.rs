//! The zone that this server answers for. Not Heroku's: it has one of its own.

use crate::convention::{ApiError, ApiResult, Caller, Control};
use axum::Json;
use windlass_wire::{DnsCheck, DnsRecord, DnsZone};

pub(super) async fn info(caller: Caller, Control(platform): Control) -> ApiResult<Json<DnsZone>> {
    let zone = platform.zone(&caller.user)?.ok_or_else(|| ApiError::not_found("zone"))?;
    let records = zone.parent_records().into_iter().map(|record| DnsRecord {
        name: record.name,
        kind: record.kind.to_owned(),
        value: record.value,
    });
    Ok(Json(DnsZone {
        name: zone.name.clone(),
        name_server: zone.name_server(),
        listen: zone.listen.to_string(),
        addresses: zone.addresses.iter().map(ToString::to_string).collect(),
        parent_records: records.collect(),
    }))
}

/// Looks at the zone as the world sees it.
pub(super) async fn check(
    caller: Caller,
    Control(platform): Control,
) -> ApiResult<Json<Vec<DnsCheck>>> {
    let checks = platform.check_zone(&caller.user).await?.into_iter();
    let shaped = checks.map(|check| DnsCheck {
        name: check.name.to_owned(),
        ok: check.problem.is_none(),
        detail: check.problem.unwrap_or(check.found),
    });
    Ok(Json(shaped.collect()))
}
