//! Whether the other end of a socket is still there.

use std::time::Duration;

use tokio::time::Instant;

/// How often the client is asked.
const EVERY: Duration = Duration::from_secs(30);

/// How long a client may say nothing, not even that it is there.
const LONGEST_SILENCE: Duration = Duration::from_secs(90);

/// When the client was heard last, and when it is asked next.
pub(super) struct Heartbeat {
    heard: Instant,
    asks: Instant,
}

/// What is to be done when a beat is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Ask the client whether it is there.
    Ask,
    /// It has been silent for too long.
    Lost,
}

impl Heartbeat {
    /// Returns the heartbeat of a socket that was just opened.
    pub(super) fn begin(now: Instant) -> Self {
        Self { heard: now, asks: now + EVERY }
    }

    /// Notes that the client said something, whatever it was.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Returns when something is to be done next.
    pub(super) fn next(&self) -> Instant {
        self.asks.min(self.heard + LONGEST_SILENCE)
    }

    /// Returns what is to be done, at the time that [`next`](Self::next) said or later.
    pub(super) fn beat(&mut self, now: Instant) -> Beat {
        if now >= self.heard + LONGEST_SILENCE {
            return Beat::Lost;
        }
        self.asks = now + EVERY;
        Beat::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_asked_every_thirty_seconds_and_lost_after_ninety_of_silence() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut heartbeat = Heartbeat::begin(start);
        for secs in [30, 60] {
            assert_eq!(heartbeat.next(), at(secs));
            assert_eq!(heartbeat.beat(at(secs)), Beat::Ask);
        }
        heartbeat.heard(at(61));
        for secs in [90, 120, 150] {
            assert_eq!(heartbeat.next(), at(secs));
            assert_eq!(heartbeat.beat(at(secs)), Beat::Ask, "{secs}");
        }
        assert_eq!(heartbeat.next(), at(151), "ninety seconds after it was heard");
        assert_eq!(heartbeat.beat(at(151)), Beat::Lost);
    }
}
