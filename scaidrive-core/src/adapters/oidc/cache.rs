//! The provider's keys, kept: an outage of the provider must not lock out users whose tokens verify.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::Header;
use serde_json::Value;

use super::fetch::{Fetcher, unusable};
use super::keys::{KeySet, Lookup};
use crate::model::{Error, Result, Timestamp};
use crate::ports::Clock;

/// Keys are good for so long.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// Between two fetches that an unknown key id asks for, or after one that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a request whose key is known waits for newer keys before the old ones do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where keys are found.
#[derive(Clone, Debug)]
pub(super) enum KeyPlaces {
    /// There and nowhere else.
    At(String),
    /// At the first of these that has them: an address, or what the discovery document at one names.
    Found {
        /// Of the keys themselves.
        keys: String,
        /// Of the discovery document.
        discovery: String,
    },
}

/// The keys, and when they were fetched.
#[derive(Clone)]
pub(super) struct KeyCache(Arc<Inner>);

struct Inner {
    fetcher: Fetcher,
    places: KeyPlaces,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// Held while keys are fetched: who waits for it finds what the other one brought.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    fetched_at: Timestamp,
    /// The last fetch, whatever it came to.
    tried_at: Option<Timestamp>,
    /// The last fetch that an unknown key id asked for, and how many had ended by then.
    wanted: Option<(Timestamp, u64)>,
    /// How many fetches ended.
    tries: u64,
    /// The address that had keys.
    worked: Option<String>,
}

impl KeyCache {
    /// Returns an empty cache.
    pub(super) fn new(fetcher: Fetcher, places: KeyPlaces, clock: Arc<dyn Clock>) -> Self {
        let (held, flight) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { fetcher, places, clock, held, flight }))
    }

    /// Returns what a token says if its signature holds; an error only if there never were keys.
    pub(super) async fn open(&self, token: &str, header: &Header) -> Result<Option<Value>> {
        let held = self.current(header, token).await?;
        if let Lookup::Found(claims) = held.open(token, header) {
            return Ok(claims);
        }
        if !self.0.may_look_again() {
            return Ok(None);
        }
        self.refresh().await;
        match self.0.held().keys.map(|keys| keys.open(token, header)) {
            Some(Lookup::Found(claims)) => Ok(claims),
            _ => Ok(None),
        }
    }

    /// Tells whether there are keys, now or after a try.
    pub(super) async fn has_keys(&self) -> bool {
        if self.0.held().keys.is_none() && self.0.may_try() {
            self.refresh().await;
        }
        self.0.held().keys.is_some()
    }

    /// Returns keys no older than they may be, or the old ones if no newer can be had.
    async fn current(&self, header: &Header, token: &str) -> Result<Arc<KeySet>> {
        let held = self.0.held();
        let now = self.0.clock.now();
        if let Some(keys) = &held.keys
            && (now.since(held.fetched_at) < FRESH || !self.0.may_try())
        {
            return Ok(Arc::clone(keys));
        }
        let known =
            held.keys.as_ref().is_some_and(|keys| matches!(keys.open(token, header), Lookup::Found(_)));
        if known {
            // The fetch goes on behind it; whoever has a good token does not wait for an outage.
            drop(tokio::time::timeout(PATIENCE, self.refresh()).await);
        } else if self.0.may_try() {
            self.refresh().await;
        }
        self.0.held().keys.ok_or_else(|| Error::unavailable("the identity provider's keys", PAUSE))
    }

    /// Fetches keys, or waits for the fetch that is under way. It ends even if nobody waits any more.
    async fn refresh(&self) {
        let (inner, seen) = (Arc::clone(&self.0), self.0.held().tries);
        let fetch = tokio::spawn(async move {
            let _flight = inner.flight.lock().await;
            if inner.held().tries == seen {
                inner.fetch().await;
            }
        });
        // Nothing in there panics; if it does, there are no newer keys.
        drop(fetch.await);
    }
}

impl Inner {
    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_over(&self, last: Option<Timestamp>) -> bool {
        last.is_none_or(|last| self.clock.now().since(last) >= PAUSE)
    }

    fn may_try(&self) -> bool {
        self.is_over(self.held().tried_at)
    }

    /// Tells whether an unknown key id may ask for newer keys, or wait for those that another one asked for.
    fn may_look_again(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = held.tries;
        if self.is_over(held.wanted.map(|(at, _)| at)) {
            held.wanted = Some((self.clock.now(), tries));
        }
        held.wanted.is_some_and(|(_, seen)| seen == tries)
    }

    async fn fetch(&self) {
        let found = self.find().await;
        let now = self.clock.now();
        self.change(|held| {
            held.tries += 1;
            held.tried_at = Some(now);
            match found {
                Ok((keys, worked)) => {
                    held.keys = Some(Arc::new(keys));
                    held.fetched_at = now;
                    held.worked = Some(worked);
                }
                Err(error) => {
                    let kept = held.keys.is_some();
                    tracing::warn!(%error, kept, "the identity provider's keys cannot be fetched");
                }
            }
        });
    }

    /// Returns keys and the address that had them: the one that worked last before all others.
    async fn find(&self) -> Result<(KeySet, String)> {
        if let Some(url) = self.held().worked
            && let Ok(keys) = self.keys_at(&url).await
        {
            return Ok((keys, url));
        }
        match &self.places {
            KeyPlaces::At(url) => Ok((self.keys_at(url).await?, url.clone())),
            KeyPlaces::Found { keys: url, discovery } => match self.keys_at(url).await {
                Ok(keys) => Ok((keys, url.clone())),
                // Nobody there at all: the other document is on the same server.
                Err(error @ Error::Upstream { timed_out: true, .. }) => Err(error),
                Err(_) => {
                    let document = self.fetcher.json(discovery).await?;
                    let url = super::endpoint(&document, "jwks_uri", discovery)?;
                    Ok((self.keys_at(&url).await?, url))
                }
            },
        }
    }

    async fn keys_at(&self, url: &str) -> Result<KeySet> {
        let document = self.fetcher.json(url).await?;
        KeySet::parse(&document).ok_or_else(unusable)
    }
}
