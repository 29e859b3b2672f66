//! Pages for people: they load nothing from anywhere else.

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

/// Only the page's own script and style run, and it may ask this node alone.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Shows height, difficulty, hash rate and the newest blocks.
pub async fn home() -> Response {
    page(include_str!("home.html"))
}

/// Shows the OpenAPI document.
pub async fn docs() -> Response {
    page(include_str!("docs.html"))
}

fn page(text: &'static str) -> Response {
    let mut response = Html(text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
