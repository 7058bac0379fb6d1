//! The few pages that people see in a browser: no script, no style, nothing from anywhere else.

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::reply::{self, Body};

/// Nothing may be loaded, framed, sent or based elsewhere. (No `sandbox`: it would also keep the page from moving on.)
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Returns a page that sends the browser on to an address on the same computer.
pub(crate) fn forward(target: &str) -> Response<Body> {
    let target = escaped(target);
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={target}\">");
    let text = format!(
        "<p>Your client goes on by itself; you can close this page.</p><p><a href=\"{target}\">Go on now</a></p>"
    );
    page(StatusCode::OK, "You are signed in", &head, &text)
}

/// Returns a page that says why something did not work.
pub(crate) fn problem(status: StatusCode, title: &str, why: &str) -> Response<Body> {
    page(status, title, "", &format!("<p>{}</p>", escaped(why)))
}

/// Puts a page together; `head` and `text` are HTML.
fn page(status: StatusCode, title: &str, head: &str, text: &str) -> Response<Body> {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{head}<title>{title}</title></head>\
         <body><h1>{title}</h1>{text}</body></html>\n"
    );
    let mut response = reply::bytes(status, "text/html; charset=utf-8", html);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Returns a text that HTML takes for a text, in and outside of quotes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, letter| {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(letter),
        }
        html
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(escaped("<a href=\"x\" b='y'>&"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
    }
}
