//! Only requests that name this machine by an address or as `localhost` are answered. A page from elsewhere that makes its
//! own name resolve to this machine sends that name, and gets nothing.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;

pub(super) async fn only_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_this_machine) {
        return next.run(request).await;
    }
    let sentence = "this API answers only requests whose Host is an IP address or localhost; use such an address";
    ApiError::new(StatusCode::FORBIDDEN, sentence).into_response()
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
    fn addresses_and_localhost_are_this_machine_and_names_are_not() {
        for host in ["127.0.0.1", "127.0.0.1:80", "localhost", "LocalHost:4180", "[::1]", "[::1]:99", "10.0.0.3:1"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil:1", "", ":80"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
