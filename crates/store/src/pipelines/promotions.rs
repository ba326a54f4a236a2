//! Promotions: what was promoted, and what became of it in each target.

use crate::{Result, Status, Store, parsed, parsed_optional};
use rusqlite::{OptionalExtension, Row, params};
use windlass_core::ids::{AppId, PipelineId, PromotionId, PromotionTargetId, ReleaseId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    pub id: PromotionId,
    pub pipeline: PipelineId,
    pub source_app: AppId,
    pub source_release: ReleaseId,
    pub created_at: u64,
    pub updated_at: u64,
}

/// What a promotion does to one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotionTarget {
    pub id: PromotionTargetId,
    pub promotion: PromotionId,
    pub app: AppId,
    /// Once there is one.
    pub release: Option<ReleaseId>,
    pub status: Status,
    /// Why it failed, when it did.
    pub error: Option<String>,
}

fn promotion(row: &Row<'_>) -> rusqlite::Result<Promotion> {
    Ok(Promotion {
        id: parsed(row, "id")?,
        pipeline: parsed(row, "pipeline")?,
        source_app: parsed(row, "source_app")?,
        source_release: parsed(row, "source_release")?,
        created_at: row.get::<_, i64>("created_at")? as u64,
        updated_at: row.get::<_, i64>("updated_at")? as u64,
    })
}

fn target(row: &Row<'_>) -> rusqlite::Result<PromotionTarget> {
    Ok(PromotionTarget {
        id: parsed(row, "id")?,
        promotion: parsed(row, "promotion")?,
        app: parsed(row, "app")?,
        release: parsed_optional(row, "release")?,
        status: Status::from_column(&row.get::<_, String>("status")?),
        error: row.get("error")?,
    })
}

impl Store {
    /// Stores a promotion with its targets.
    pub fn insert_promotion(
        &self,
        promotion: &Promotion,
        targets: &[PromotionTarget],
    ) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO promotions (id, pipeline, source_app, source_release, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                promotion.id.to_string(),
                promotion.pipeline.to_string(),
                promotion.source_app.to_string(),
                promotion.source_release.to_string(),
                promotion.created_at as i64,
                promotion.updated_at as i64
            ],
        )?;
        for target in targets {
            transaction.execute(
                "INSERT INTO promotion_targets (id, promotion, app, status) VALUES (?1, ?2, ?3, ?4)",
                params![
                    target.id.to_string(),
                    target.promotion.to_string(),
                    target.app.to_string(),
                    target.status.as_str()
                ],
            )?;
        }
        Ok(transaction.commit()?)
    }

    pub fn promotion(&self, id: PromotionId) -> Result<Option<Promotion>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM promotions WHERE id = ?1")?;
        Ok(statement.query_row([id.to_string()], promotion).optional()?)
    }

    /// Returns the targets in the order in which they were named.
    pub fn promotion_targets(&self, id: PromotionId) -> Result<Vec<PromotionTarget>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM promotion_targets WHERE promotion = ?1 ORDER BY rowid",
        )?;
        let rows = statement.query_map([id.to_string()], target)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Stores how far a target has come.
    pub fn update_promotion_target(&self, target: &PromotionTarget, now: u64) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "UPDATE promotion_targets SET release = ?2, status = ?3, error = ?4 WHERE id = ?1",
            params![
                target.id.to_string(),
                target.release.map(|release| release.to_string()),
                target.status.as_str(),
                target.error
            ],
        )?;
        transaction.execute(
            "UPDATE promotions SET updated_at = ?2 WHERE id = ?1",
            params![target.promotion.to_string(), now as i64],
        )?;
        Ok(transaction.commit()?)
    }

    /// Settles targets that a stopped server left pending: by their release where that is current
    /// or has been, else as failed. Returns how many.
    pub fn settle_promotions(&self, reason: &str) -> Result<usize> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let went = transaction.execute(
            "UPDATE promotion_targets SET status = 'succeeded' WHERE status = 'pending' AND EXISTS
                (SELECT 1 FROM releases WHERE releases.id = promotion_targets.release
                    AND releases.status = 'succeeded')",
            [],
        )?;
        let failed = transaction.execute(
            "UPDATE promotion_targets SET status = 'failed', error = ?1 WHERE status = 'pending'",
            [reason],
        )?;
        transaction.commit()?;
        Ok(went + failed)
    }
}
