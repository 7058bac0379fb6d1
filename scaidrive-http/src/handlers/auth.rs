//! Signing in at the identity provider.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HOST, HeaderValue};
use scaidrive_core::ports::Grant;
use scaidrive_core::services::sign_in;
use serde_json::json;

use crate::errors::Failure;
use crate::pages;
use crate::query::Query;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn config(request: Request) -> Answer {
    let entry = sign_in::entry(&request.app.drive).await?;
    let base = format!("{}/api/v1/auth", base(&request));
    reply::ok(&json!({
        "authorize_url": entry.authorize_url,
        "token_url": format!("{base}/token"),
        "client_id": entry.client_id,
        "desktop_callback_url": format!("{base}/callback"),
    }))
}

/// Returns the address that people use: the one that is set, else the one that this request was sent to.
fn base(request: &Request) -> String {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = || format!("http://{}", host.unwrap_or("localhost"));
    request.app.config.public_url.clone().unwrap_or_else(asked)
}

pub(crate) async fn callback(request: Request) -> Answer {
    Ok(match callback_target(&request.query) {
        Ok(target) => pages::forward(&target),
        Err(why) => pages::problem(StatusCode::BAD_REQUEST, "You are not signed in", &why),
    })
}

/// Returns where a desktop client waits for its code, or why it cannot be told.
fn callback_target(query: &Query) -> Result<String, String> {
    if let Some(error) = query.text("error") {
        let why = query.text("error_description").unwrap_or("The identity provider gave no reason.");
        return Err(format!("{why} ({error})"));
    }
    let code = query.text("code").ok_or("The identity provider sent no code. Begin again in your client.")?;
    let state = query.text("state").unwrap_or_default();
    let (original, port) = split_state(state)
        .ok_or("The state does not say which program on this computer waits. Begin again in your client.")?;
    let mut fields = form_urlencoded::Serializer::new(String::new());
    let fields = fields.append_pair("code", code).append_pair("state", original).finish();
    Ok(format!("http://localhost:{port}/callback?{fields}"))
}

/// Reads `{original}|port={1..65535}`.
fn split_state(state: &str) -> Option<(&str, u16)> {
    let (original, port) = state.rsplit_once("|port=")?;
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_number && *port > 0)?;
    Some((original, port))
}

pub(crate) async fn token(request: Request) -> Answer {
    let (app, info) = (request.app.clone(), request.info.clone());
    let tokens = sign_in::exchange(&app.drive, &grant(&request.form().await?)?, info).await?;
    let mut response = reply::json_value(StatusCode::OK, &tokens);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Reads what tokens are asked for. Anything else would be asked in our own name, for nobody.
fn grant(form: &Query) -> Result<Grant, Failure> {
    const KINDS: &str = "must be authorization_code or refresh_token";
    match form.text("grant_type") {
        Some("authorization_code") => {
            let [code, redirect_uri, verifier] = fields(form, ["code", "redirect_uri", "code_verifier"])?;
            Ok(Grant::Code { code, redirect_uri, verifier })
        }
        Some("refresh_token") => {
            let [token] = fields(form, ["refresh_token"])?;
            Ok(Grant::Refresh(token))
        }
        Some(other) => Err(scaidrive_core::model::Error::invalid("grant_type", KINDS, other).into()),
        None => Err(Failure::missing("body", &["grant_type"])),
    }
}

/// Returns fields of a form that must all be there.
fn fields<const N: usize>(form: &Query, names: [&str; N]) -> Result<[String; N], Failure> {
    let missing: Vec<&str> = names.into_iter().filter(|name| form.text(name).is_none()).collect();
    if missing.is_empty() {
        Ok(names.map(|name| form.text(name).unwrap_or_default().to_owned()))
    } else {
        Err(Failure::missing("body", &missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(query: &str) -> Result<String, String> {
        callback_target(&Query::parse(Some(query)))
    }

    #[test]
    fn a_code_goes_to_the_port_in_the_state_and_nowhere_else() {
        assert_eq!(
            target("code=a%26b&state=x%7Cy%7Cport%3D8123").unwrap(),
            "http://localhost:8123/callback?code=a%26b&state=x%7Cy"
        );
        assert_eq!(
            target("code=1&state=%7Cport%3D65535").unwrap(),
            "http://localhost:65535/callback?code=1&state="
        );
        for state in [
            "",
            "abc",
            "|port=",
            "|port=0",
            "|port=65536",
            "|port=-1",
            "|port=+80",
            "|port=80@evil.example",
            "|port=80/..",
            "|port= 80",
            "|port=٨٠",
            "|PORT=80",
            "port=80",
        ] {
            let state: String = form_urlencoded::byte_serialize(state.as_bytes()).collect();
            assert!(target(&format!("code=1&state={state}")).is_err(), "{state}");
        }
        assert!(target("state=x%7Cport%3D80").is_err(), "without a code");
    }

    #[test]
    fn what_the_provider_has_against_it_is_told() {
        let told =
            target("error=access_denied&error_description=No+%3Cb%3E&state=x%7Cport%3D80").unwrap_err();
        assert_eq!(told, "No <b> (access_denied)");
    }

    #[test]
    fn grants_of_other_kinds_are_not_asked_for() {
        for (form, is_good) in [
            ("grant_type=refresh_token&refresh_token=a", true),
            ("grant_type=authorization_code&code=a&redirect_uri=b&code_verifier=c", true),
            ("grant_type=authorization_code&code=a&redirect_uri=b", false),
            ("grant_type=refresh_token&refresh_token=", false),
            ("grant_type=client_credentials", false),
            ("grant_type=password&username=a&password=b", false),
            ("", false),
        ] {
            assert_eq!(grant(&Query::of_form(form.as_bytes())).is_ok(), is_good, "{form}");
        }
    }
}
