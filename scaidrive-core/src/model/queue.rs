//! Queues of background work.

use super::text_enum;

text_enum! {
    /// What background work waits in: of what is due, the higher queue's goes first.
    pub enum Queue {
        /// Somebody waits for it.
        High = "high",
        /// It should not wait behind housekeeping.
        Medium = "medium",
        /// Housekeeping.
        Low = "low",
    }
}

text_enum! {
    /// What a job is doing.
    pub enum JobState {
        /// It waits for its time, or for its next attempt, or runs.
        Waiting = "waiting",
        /// It failed too often, and waits for somebody to look at it.
        Dead = "dead",
    }
}
