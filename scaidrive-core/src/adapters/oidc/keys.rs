//! Public keys that tokens are signed with; each one pins the algorithm it may verify.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::Value;

/// A key and the one algorithm it verifies.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    check: DecodingKey,
}

/// The keys of a provider, those that we have a use for.
#[derive(Default)]
pub(super) struct KeySet(Vec<Key>);

/// Whether a set has the key of a token.
pub(super) enum Lookup {
    /// It has, and this is what the token says; nothing if the signature does not hold.
    Found(Option<Value>),
    /// It has not: a newer set may.
    Unknown,
}

impl KeySet {
    /// Reads a JWKS; keys for other purposes are passed over. Nothing if none is left: no provider has no key.
    pub(super) fn parse(document: &Value) -> Option<Self> {
        let keys: Vec<Key> = document["keys"].as_array()?.iter().filter_map(key).collect();
        if keys.is_empty() { None } else { Some(Self(keys)) }
    }

    /// Returns what a token says, if its signature is by one of these keys.
    pub(super) fn open(&self, token: &str, header: &Header) -> Lookup {
        let Some(key) = self.find(header) else { return Lookup::Unknown };
        let mut rules = Validation::new(key.algorithm);
        // The signature alone is checked here; what the token says is judged against our own clock and rules.
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        Lookup::Found(jsonwebtoken::decode(token, &key.check, &rules).ok().map(|data| data.claims))
    }

    /// Finds the key by its id. Without an id, the one key that fits the algorithm, if there is but one.
    fn find(&self, header: &Header) -> Option<&Key> {
        if let Some(id) = &header.kid {
            return self.0.iter().find(|key| key.id.as_ref() == Some(id));
        }
        let mut fitting = self.0.iter().filter(|key| key.algorithm == header.alg);
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

fn key(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let algorithm = algorithm(&jwk)?;
    let for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|held| *held == PublicKeyUse::Signature)
            && jwk.common.key_operations.as_ref().is_none_or(|held| held.contains(&KeyOperations::Verify));
    let check = DecodingKey::from_jwk(&jwk).ok().filter(|_| for_signatures)?;
    Some(Key { id: jwk.common.key_id, algorithm, check })
}

/// Returns the algorithm that a key's type and curve leave, unless it says that it is for another.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|told| told == name).then_some(algorithm)
}
