//! Answers only requests whose `Host` header names this machine: an address, or `localhost`.
//!
//! A web page that makes its own name resolve to this machine sends that name, and is refused. A page that has a
//! browser ask this machine by its right name is refused too, because the browser says on whose behalf it asks.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;

pub(super) async fn only_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let sentence = if !host.is_some_and(is_this_machine) {
        "this API answers only requests whose Host is an IP address or localhost; use such an address"
    } else if is_for_another_site(request.headers()) {
        "this API answers no requests of web pages from elsewhere"
    } else {
        return next.run(request).await;
    };
    ApiError::new(StatusCode::FORBIDDEN, sentence).into_response()
}

/// Whether a browser asks on behalf of a page that this API does not serve.
fn is_for_another_site(headers: &HeaderMap) -> bool {
    let of_elsewhere = |origin: &HeaderValue| {
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        !host.is_some_and(is_this_machine)
    };
    headers.get(header::ORIGIN).is_some_and(of_elsewhere)
        || headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

fn is_this_machine(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || host.parse::<SocketAddr>().is_ok()
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_from_elsewhere_gets_nothing_through_a_browser() {
        let asks = |name: &'static str, value: &'static str| {
            is_for_another_site(&HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]))
        };
        for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            assert!(asks(name, value), "{name}: {value}");
        }
        for (name, value) in [("origin", "http://127.0.0.1:7420"), ("sec-fetch-site", "none"), ("accept", "*/*")] {
            assert!(!asks(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn addresses_and_localhost_are_this_machine_and_names_are_not() {
        for host in ["127.0.0.1", "127.0.0.1:80", "localhost", "LocalHost:4180", "[::1]", "[::1]:99", "10.0.0.3:1"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil:1", "", ":80"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
