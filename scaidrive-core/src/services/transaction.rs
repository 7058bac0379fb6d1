//! Small transactions that are no mutation: touches, steps of the collector, claims of jobs.
//!
//! They tell nobody and charge nothing, and running one twice does no harm: so a commit whose outcome a broken
//! connection hid is simply run again.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::Drive;
use crate::model::{Error, Result};
use crate::ports::{Outcome, WriteUnit, Writes};

/// How often a commit of unknown outcome is run again.
const ATTEMPTS: u32 = 5;

/// A transaction with an answer; it may run several times.
#[async_trait]
pub(crate) trait Transaction: Send + Sync + 'static {
    /// What the caller gets.
    type Answer: Send + 'static;

    /// Does the work, and says whether it stays.
    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Self::Answer)>;

    /// Tells whether the commit may be lost in a power cut without harm.
    fn may_be_lost(&self) -> bool {
        false
    }
}

/// Runs a transaction and returns its answer.
pub(crate) async fn transact<T: Transaction>(drive: &Drive, transaction: T) -> Result<T::Answer> {
    let unit = Arc::new(Answering { transaction, answer: Mutex::new(None) });
    let mut attempt = 1;
    loop {
        match drive.meta.write(Arc::clone(&unit) as Arc<dyn WriteUnit>).await {
            Ok(()) => break,
            Err(Error::CommitUnknown { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(Error::CommitUnknown { .. }) => return Err(Error::away("the database")),
            Err(error) => return Err(error),
        }
    }
    let answer = unit.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    answer.ok_or_else(|| Error::internal("a committed transaction left no answer"))
}

struct Answering<T: Transaction> {
    transaction: T,
    answer: Mutex<Option<T::Answer>>,
}

#[async_trait]
impl<T: Transaction> WriteUnit for Answering<T> {
    async fn run(&self, rows: &mut dyn Writes) -> Result<Outcome> {
        let (outcome, answer) = self.transaction.run(rows).await?;
        *self.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(answer);
        Ok(outcome)
    }

    fn may_be_lost(&self) -> bool {
        self.transaction.may_be_lost()
    }
}
