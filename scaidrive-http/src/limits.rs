//! Rate limits: whose requests count against what, and what the answer says of it.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use scaidrive_core::model::{Caller, Error, Sha256Hash};
use scaidrive_core::ports::{Allowance, Bucket, Take};

use crate::app::App;
use crate::errors::Failure;

/// Units a minute for one address, counted for requests that name no valid caller: an office behind one address is
/// not locked out by its own work.
const ADDRESS_LIMIT: u32 = 6000;

/// What a token that is not valid costs its address.
const BAD_TOKEN: u32 = 10;

/// Bytes of sync transfers that cost a unit.
const BYTES_PER_UNIT: u64 = 4 << 20;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Returns the client's address: the peer's, or what proxies that are trusted say of it, the last of them first.
pub(crate) fn client_address(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let told = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<Option<IpAddr>> =
        told.flat_map(|line| line.split(',')).map(|hop| hop.trim().parse().ok()).collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        // What cannot be read was not written by a proxy that is trusted.
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    client
}

fn address_bucket(address: IpAddr) -> Bucket {
    // Whoever has one IPv6 address has the other 2^64 of its network, too.
    let key = match address {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            address
                .to_ipv4_mapped()
                .map_or_else(|| Ipv6Addr::from_bits(network).to_string(), |v4| v4.to_string())
        }
        IpAddr::V4(address) => address.to_string(),
    };
    Bucket { dimension: "address", key, limit: ADDRESS_LIMIT }
}

/// Counts; a limiter that fails lets everything through, and is counted itself.
async fn take(app: &App, buckets: &[Bucket], cost: u32) -> Result<Option<Allowance>, Failure> {
    match app.drive.limiter.take(buckets, cost).await {
        Ok(Take::Granted(allowance)) => Ok(Some(allowance)),
        Ok(Take::Refused { allowance, retry_after_secs }) => {
            app.metrics.limited(allowance.dimension);
            let retry_after = Duration::from_secs(retry_after_secs.into());
            let error =
                Error::RateLimited { dimension: allowance.dimension, limit: allowance.limit, retry_after };
            Err(Failure::from(error).with_allowance(allowance))
        }
        Err(error) => {
            tracing::warn!(%error, "the rate limiter failed; the request goes on");
            app.metrics.limiter_failed();
            Ok(None)
        }
    }
}

/// Counts a request that anybody may make against its address.
pub(crate) async fn count_public(app: &App, address: IpAddr, cost: u8) -> Result<Option<Allowance>, Failure> {
    if cost == 0 { Ok(None) } else { take(app, &[address_bucket(address)], cost.into()).await }
}

/// Says of an answer to nobody known how the limit of its address stands.
pub(crate) async fn tell_address(app: &App, address: IpAddr, headers: &mut HeaderMap) {
    if let Ok(Take::Granted(allowance)) = app.drive.limiter.take(&[address_bucket(address)], 0).await {
        write(headers, allowance);
    }
}

/// Tells whether an answer says already how a limit stands.
pub(crate) fn is_told(headers: &HeaderMap) -> bool {
    headers.contains_key(LIMIT)
}

/// Refuses an address that has sent too many bad tokens lately.
pub(crate) async fn check_address(app: &App, address: IpAddr) -> Result<(), Failure> {
    let bucket = [address_bucket(address)];
    match app.drive.limiter.take(&bucket, 0).await {
        Ok(Take::Granted(left)) if left.remaining < BAD_TOKEN => {
            take(app, &bucket, BAD_TOKEN).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Counts a bad token against its address.
pub(crate) async fn count_bad_token(app: &App, address: IpAddr) {
    // The request is refused already.
    drop(take(app, &[address_bucket(address)], BAD_TOKEN).await);
}

/// Returns the units that so many bytes cost beside the request itself: one for every 4 MiB, but never more than half
/// of what a caller may ask for in a minute, so that a large file can be had at all.
pub(crate) fn units_of_bytes(caller: &Caller, bytes: u64) -> u32 {
    let limits = caller.rate_limits;
    let most = limits.token.min(limits.user).min(limits.tenant) / 2;
    u32::try_from(bytes / BYTES_PER_UNIT).unwrap_or(u32::MAX).min(most)
}

/// Counts a caller's request against token, user and tenant.
pub(crate) async fn count(
    app: &App,
    caller: &Caller,
    token: &str,
    cost: u32,
) -> Result<Option<Allowance>, Failure> {
    if cost == 0 {
        return Ok(None);
    }
    let limits = caller.rate_limits;
    let buckets = [
        Bucket { dimension: "token", key: Sha256Hash::of(token.as_bytes()).to_string(), limit: limits.token },
        Bucket { dimension: "user", key: format!("{}:{}", caller.tenant, caller.user), limit: limits.user },
        Bucket { dimension: "tenant", key: caller.tenant.to_string(), limit: limits.tenant },
    ];
    take(app, &buckets, cost).await
}

/// Says how the tightest limit stands.
pub(crate) fn write(headers: &mut HeaderMap, allowance: Allowance) {
    headers.insert(LIMIT, HeaderValue::from(allowance.limit));
    headers.insert(REMAINING, HeaderValue::from(allowance.remaining));
    headers.insert(RESET, HeaderValue::from(allowance.reset.as_secs()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, told: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", told.parse().unwrap());
            client_address(&trusted, peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(client("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(client("10.1.1.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(client("10.1.1.1", "203.0.113.9, 198.51.100.7, 10.2.2.2"), "198.51.100.7");
        assert_eq!(client("10.1.1.1", "junk, 10.2.2.2"), "10.2.2.2");
        assert_eq!(client("10.1.1.1", ""), "10.1.1.1");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let key = |text: &str| address_bucket(text.parse().unwrap()).key;
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
