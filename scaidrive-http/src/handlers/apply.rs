//! Batches of devices, and the conflicts that they met.

use std::fmt;

use scaidrive_core::model::{Caller, Conflict, ConflictId, DeviceId, Error, ShareId, Strategy};
use scaidrive_core::ports::metadata::ConflictQuery;
use scaidrive_core::services::apply::{self, Batch, IncomingChange, MOST_CHANGES, conflicts};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

/// The largest batch: a thousand changes with the chunks of large files among them.
const MAX_BATCH: usize = 16 << 20;

const STRATEGIES: &str = "KEEP_BOTH, LAST_WRITER_WINS, CLIENT_WINS, SERVER_WINS";

#[derive(Debug, Deserialize)]
struct BatchBody {
    device_id: DeviceId,
    share_id: ShareId,
    conflict_resolution: Option<Strategy>,
    #[serde(default)]
    atomic: bool,
    #[serde(default)]
    create_parents: bool,
    /// How far the device has read the feed.
    cursor: Option<i64>,
    #[serde(deserialize_with = "few")]
    changes: Vec<IncomingChange>,
}

/// Reads as many changes as there may be, and none beyond.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IncomingChange>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<IncomingChange>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST_CHANGES} changes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut changes: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while all.len() < MOST_CHANGES {
                let Some(change) = changes.next_element()? else { return Ok(all) };
                all.push(change);
            }
            match changes.next_element::<IgnoredAny>()? {
                None => Ok(all),
                Some(_) => Err(A::Error::custom(format!("at most {MOST_CHANGES} changes"))),
            }
        }
    }

    deserializer.deserialize_seq(Few)
}

pub(crate) async fn apply(caller: Caller, request: Request) -> Answer {
    let app = request.app.clone();
    let body: BatchBody = request.json_within(MAX_BATCH).await?;
    let batch = Batch {
        device: body.device_id,
        share: body.share_id,
        strategy: body.conflict_resolution.unwrap_or(Strategy::KeepBoth),
        is_atomic: body.atomic,
        creates_parents: body.create_parents,
        seen: body.cursor,
        changes: body.changes,
    };
    let outcome = apply::apply(&app.drive, &caller, batch).await?;
    for conflict in &outcome.new_conflicts {
        app.metrics.sync.conflict(body.share_id, *conflict);
    }
    let refused = |refused: apply::Refused| {
        let mut told: Value = Failure::from(refused.error).of_a_part();
        told["client_change_id"] = json!(refused.client_change_id);
        told
    };
    reply::ok(&json!({
        "applied": outcome.applied,
        "conflicts": outcome.conflicts,
        "errors": outcome.errors.into_iter().map(refused).collect::<Vec<_>>(),
        "cursor": outcome.cursor,
    }))
}

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    // Ids are opaque: of one that cannot exist there is as much as of one that does not.
    let share = query.text("share_id").map(str::parse).transpose().map_err(|_| Error::NotFound)?;
    let Ok(device) = query.text("device_id").map(str::parse).transpose() else {
        return reply::ok(&Vec::<Conflict>::new());
    };
    let wanted = ConflictQuery {
        device,
        share,
        include_resolved: query.flag("include_resolved")?,
        after: query.word("after", "the ids of conflicts")?,
        limit: query.number("limit", 1..=conflicts::PAGE)?.unwrap_or(conflicts::PAGE),
    };
    reply::ok(&conflicts::list(&request.app.drive, &caller, wanted).await?)
}

pub(crate) async fn resolve(caller: Caller, request: Request) -> Answer {
    let id = request.id::<ConflictId>("id")?;
    request.query.required("resolution")?;
    let strategy: Option<Strategy> = request.query.word("resolution", STRATEGIES)?;
    let strategy = strategy.ok_or_else(|| Failure::missing("query", &["resolution"]))?;
    let settled = conflicts::resolve(&request.app.drive, &caller, id, strategy).await;
    reply::ok(&settled.map_err(|error| Failure::from(error).in_query())?)
}
