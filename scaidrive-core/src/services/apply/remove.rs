//! Deletes: into the trash, never further; of a folder only with what the device knows of, if it tells what it does.

use super::worker::{Effect, Order, Worker};
use crate::model::ConflictType;
use crate::model::conflict::Verdict;
use crate::model::{Error, Result};
use crate::services::access::{self, Right};
use crate::services::trash;

impl Worker<'_, '_> {
    /// Puts an item in the trash; one that is there already stays there.
    pub(super) async fn delete(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        let found = match self.target(order.wanted).await {
            // Gone for good since.
            Err(Error::NotFound) if self.terms.settles => return Ok(None),
            found => found?,
        };
        let gone = |change| Effect { version: None, ..Effect::on(&found, change) };
        if found.trashed_at().is_some() {
            return Ok(Some(gone(None)));
        }
        found.check(self.tx.caller, Right::Delete)?;
        self.desk.flush(self.tx).await?;
        access::check_below(self.tx.rows, self.tx.caller, &found, Right::Delete).await?;
        let current = found.node().file.as_ref().map(|facts| facts.version_id);
        let edited_at = match (order.wanted.base, current) {
            (Some(base), Some(current)) => (base != current).then_some(found.node().modified_at),
            (_, None) => self.unseen_below(&found).await?,
            (None, Some(_)) => None,
        };
        if edited_at.is_some() {
            match self.meet_at(order, ConflictType::DeleteEdit, Some(&found), edited_at) {
                Verdict::Wait => return self.wait(order, None),
                Verdict::Server | Verdict::Beside => return Ok(None),
                Verdict::Client => {}
            }
        }
        let change = trash::put(self.tx, &found).await?;
        self.desk.replaced(found.node(), None);
        Ok(Some(gone(Some(change))))
    }
}
