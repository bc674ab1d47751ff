//! Answers only requests that name this machine, and none of web pages.
//!
//! A web page that makes its own name resolve to this machine sends that name as the `Host`, and is refused. A page
//! that has a browser ask this machine by its right name is refused too, because the browser says on whose behalf it
//! asks: in `Origin` whenever the request could change something, and in `Sec-Fetch-Site`. This API serves no pages.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Extension,
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::serve::{Refused, Visit};

pub(super) async fn only_this_machine(
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&request, visit.local()) {
        Some(refused) => visit.refuse(refused).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(request: &Request, local: IpAddr) -> Option<Refused> {
    let Some(host) = only_host(request.headers()).filter(|host| is_this_machine(host, local)) else {
        return Some(Refused::Host);
    };
    // A request to a proxy names its target a second time.
    let target = request.uri().authority();
    if target.is_some_and(|target| !is_this_machine(target.as_str(), local)) {
        return Some(Refused::Host);
    }
    is_for_a_page(request.headers(), host).then_some(Refused::Origin)
}

/// The value of the one `Host` header.
fn only_host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// Whether a browser asks on behalf of a page that does not come from this very host and port.
fn is_for_a_page(headers: &HeaderMap, host: &str) -> bool {
    let is_of_here = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host));
    headers.get_all(header::ORIGIN).into_iter().any(|origin| !origin.to_str().is_ok_and(is_of_here))
        || headers.get_all("sec-fetch-site").into_iter().any(|site| site != "same-origin" && site != "none")
}

/// Whether a host, with or without a port, is `localhost`, a loopback address, or the address of this machine at which
/// the request arrived.
fn is_this_machine(host: &str, local: IpAddr) -> bool {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let in_brackets = || host.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || host.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = name.parse().ok().or_else(in_brackets).or_else(with_port);
    address.is_some_and(|address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address == local
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const LOCAL: &str = "10.0.0.3";

    fn refused(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<Refused> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        refusal(&request.body(Body::empty()).unwrap(), LOCAL.parse().unwrap())
    }

    #[test]
    fn a_page_from_elsewhere_gets_nothing_through_a_browser() {
        const HERE: (&str, &str) = ("host", "127.0.0.1:7420");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            for origin in [
                "https://evil.example",
                "null",
                "http://203.0.113.9",
                "http://127.0.0.1:8080",
                "http://localhost:7420",
                "http://10.0.0.3:7420",
            ] {
                assert_eq!(refused(method, "/", &[HERE, ("origin", origin)]), Some(Refused::Origin), "{origin}");
            }
            assert_eq!(refused(method, "/", &[HERE, ("origin", "http://127.0.0.1:7420")]), None);
            let twice = [HERE, ("origin", "http://127.0.0.1:7420"), ("origin", "https://evil.example")];
            assert_eq!(refused(method, "/", &twice), Some(Refused::Origin));
            for (site, is_refused) in
                [("cross-site", true), ("same-site", true), ("same-origin", false), ("none", false)]
            {
                assert_eq!(refused(method, "/", &[HERE, ("sec-fetch-site", site)]).is_some(), is_refused, "{site}");
            }
        }
    }

    #[test]
    fn only_localhost_and_the_own_addresses_are_this_machine() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:80",
            "127.3.2.1",
            "localhost",
            "LocalHost:4180",
            "[::1]",
            "[::1]:99",
            "10.0.0.3:1",
            "[::ffff:10.0.0.3]:1",
        ] {
            assert_eq!(refused("GET", "/", &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost.evil:1",
            "",
            ":80",
            "10.0.0.4:1",
            "203.0.113.9",
            "[2001:db8::1]:80",
            "0.0.0.0:80",
        ] {
            assert_eq!(refused("GET", "/", &[("host", host)]), Some(Refused::Host), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host_and_no_other_target() {
        assert_eq!(refused("GET", "/", &[]), Some(Refused::Host));
        assert_eq!(refused("GET", "/", &[("host", "localhost"), ("host", "evil.example")]), Some(Refused::Host));
        assert_eq!(refused("GET", "http://evil.example/", &[("host", "localhost")]), Some(Refused::Host));
        assert_eq!(refused("GET", "http://localhost/", &[("host", "localhost")]), None);
    }
}
