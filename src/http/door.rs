//! Who comes in from outside: [`admit`] looks at each request before anything else does.
//!
//! In this order: is the name that it asks for one of ours (else a page elsewhere has pointed its own name at this
//! machine), does a page of ours send it (`Origin`), who is it (a token, or the session of the page), and does it ask no
//! more than one may. The body is not read before that.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use unity_supervisors::Kernel;

use super::connections::{Visit, network_of};
use super::failure;
use crate::error::{Code, CommandError};
use crate::rights::Who;
use crate::rights::tokens::{Tokens, Unknown};
use crate::settings::system::InForce;

/// The header by which the page says that it is the page: no other page can send it along.
pub(super) const PAGE: HeaderName = HeaderName::from_static("x-uk-page");
/// How many requests are answered at a time. A stream counts until it begins: then it is one of the listener's connections.
const REQUESTS_MAX: usize = 1_024;
/// How many requests one caller may send in a burst, and how many of those come back each second.
const BURST: f64 = 20_000.0;
const RATE: f64 = 10_000.0;
/// How often somebody may be nobody in a burst, and how many of those come back each second.
const WRONG_BURST: f64 = 20.0;
const WRONG_RATE: f64 = 1.0;
/// Of how many callers and addresses is counted.
const COUNTED_MAX: usize = 4_096;

/// What is open to everybody on this machine: whoever looks after processes has no token.
const OPEN_HERE: [&str; 4] = ["/livez", "/readyz", "/metrics", "/status"];
/// What is open to everybody: it tells nothing.
const OPEN: [&str; 3] = ["/", "/login", "/api/v1/openapi.json"];
/// What no limit holds up, for who may use it.
const URGENT: &str = "/api/v1/override";
const OPEN_BELOW: &str = "/page/";

/// One listener's way in.
#[derive(Debug)]
pub(super) struct Door {
    kernel: Kernel,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Whether it speaks TLS.
    pub(super) is_tls: bool,
    requests: Arc<Semaphore>,
    callers: Rates<Arc<str>>,
    wrong: Rates<IpAddr>,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) visit: Arc<Visit>,
}

#[cfg(test)]
impl Peer {
    /// One on this machine, that shares no room with others.
    pub(super) fn alone() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let connections = Arc::new(super::connections::Connections::default());
        let (visit, _) = connections.enter(address.ip()).unwrap();
        Self {
            address,
            visit: Arc::new(visit),
        }
    }
}

impl Door {
    pub(super) fn new(kernel: &Kernel, address: SocketAddr, is_tls: bool) -> Arc<Self> {
        Arc::new(Self {
            kernel: kernel.clone(),
            address,
            is_tls,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            callers: Rates::new(BURST, RATE),
            wrong: Rates::new(WRONG_BURST, WRONG_RATE),
        })
    }

    /// The cookie of the page. With the port: all ports of a machine share their cookies.
    pub(super) fn cookie(&self) -> String {
        format!("uk_session_{}", self.address.port())
    }

    /// Whether `host` is a name of this kernel, with or without a port.
    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            // Nobody's name is looked up on the way to digits, so nobody can have pointed it here.
            return address.is_loopback() || !self.address.ip().is_loopback();
        }
        let settings = self.kernel.shared::<InForce>().get();
        let hosts = settings.http.hosts.as_deref().unwrap_or_default();
        let named = hosts.split(',').map(str::trim);
        let own = host_name();
        named
            .chain(own.as_deref())
            .any(|own| !own.is_empty() && own.eq_ignore_ascii_case(name))
    }

    /// Counts a request of `who`.
    ///
    /// # Errors
    /// If they send too many, with when to go on.
    pub(super) fn count(&self, who: &Who) -> Result<(), CommandError> {
        let taken = self.callers.take(Arc::clone(&who.name));
        taken.map_err(too_often)
    }

    fn who(&self, headers: &HeaderMap) -> Result<(Arc<Who>, bool), Option<Unknown>> {
        let (tokens, now) = (self.kernel.shared::<Tokens>(), self.kernel.clock().wall());
        if let Some(shown) = headers.get(AUTHORIZATION) {
            let shown = shown
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix("Bearer "));
            let shown = shown.ok_or(Some(Unknown::Wrong))?;
            let who = tokens.who(shown.trim(), now);
            return who.map(|who| (who, false)).map_err(Some);
        }
        let name = self.cookie();
        let shown = cookies(headers).find(|(own, _)| *own == name).ok_or(None)?;
        let who = tokens.session(shown.1, now).map_err(Some)?;
        Ok((who, true))
    }
}

/// Lets a request in, with [`Who`] it is from, or says why not.
pub(super) async fn admit(
    State(door): State<Arc<Door>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let one = Arc::clone(&door.requests).try_acquire_owned();
    if one.is_err() && !is_urgent(&request) {
        let error = CommandError::new(
            Code::Unreachable,
            "the kernel answers as many requests as it can",
        )
        .hint("try again in a moment");
        return later(StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    if let Err(refused) = let_in(&door, &mut request) {
        return *refused;
    }
    next.run(request).await
}

/// Whether it is somebody who takes over by hand: that goes before everything else.
fn is_urgent(request: &Request<Body>) -> bool {
    request.uri().path() == URGENT
}

/// Finds out who it is, and puts that beside the request.
fn let_in(door: &Door, request: &mut Request<Body>) -> Result<(), Box<Response>> {
    let denied = |message: String, hint: &str| {
        Box::new(failure(
            &CommandError::new(Code::Denied, message).hint(hint),
        ))
    };
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|own| own.as_str()));
    let host = host.unwrap_or_default().to_owned();
    let is_one = headers.get_all(HOST).iter().count() <= 1;
    if !is_one || !door.is_ours(&host) {
        let message = format!(
            "`{}` is no name of this kernel",
            crate::screen::cut(&host, 80)
        );
        return Err(denied(
            message,
            "ask for it by its address, or write the name into `http.hosts`",
        ));
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let scheme = if door.is_tls { "https" } else { "http" };
        if origin.to_str().ok() != Some(&format!("{scheme}://{host}")) {
            return Err(denied(
                "another page sends this".to_owned(),
                "only the kernel's own page may",
            ));
        }
    }
    let path = request.uri().path();
    let peer = request.extensions().get::<Peer>();
    let is_here = peer.is_some_and(|peer| peer.address.ip().to_canonical().is_loopback());
    let is_open = OPEN.contains(&path)
        || path.starts_with(OPEN_BELOW)
        || (is_here && OPEN_HERE.contains(&path));
    let (who, is_page) = match door.who(headers) {
        Ok(found) => found,
        Err(_) if is_open => return Ok(()),
        Err(why) => return Err(Box::new(nobody(door, peer, why))),
    };
    if let Some(peer) = peer {
        peer.visit.is_of_somebody();
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_page && !is_read && !headers.contains_key(PAGE) {
        let hint = "only the kernel's own page may; programs use a token, `uk token create`";
        return Err(denied(format!("a session needs the header {PAGE}"), hint));
    }
    if let Err(error) = door.count(&who)
        && !is_urgent(request)
    {
        return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, &error)));
    }
    request.extensions_mut().insert(who);
    Ok(())
}

fn nobody(door: &Door, peer: Option<&Peer>, why: Option<Unknown>) -> Response {
    // Who shows nothing guesses nothing.
    if let (Some(peer), Some(_)) = (peer, why)
        && let Err(wait) = door.wrong.take(network_of(peer.address.ip()))
    {
        return later(StatusCode::TOO_MANY_REQUESTS, &too_often(wait));
    }
    let (message, hint) = match why {
        None => (
            "who is there?",
            "programs send `Authorization: Bearer TOKEN`, from `uk token create`; people use `uk open`",
        ),
        Some(Unknown::Wrong) => (
            "no token of this kernel is that",
            "`uk token list` says which there are; for the page, `uk open`",
        ),
        Some(Unknown::Expired) => (
            "that was good once and is no more",
            "`uk token create` makes another; for the page, `uk open`",
        ),
    };
    let error = CommandError::new(Code::Denied, message).hint(hint);
    let mut response = (StatusCode::UNAUTHORIZED, failure(&error)).into_response();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = HeaderValue::from_static("Bearer realm=\"unity-kernel\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn too_often(wait: Duration) -> CommandError {
    CommandError::new(Code::Denied, "too many requests")
        .hint(format!("try again in {} s", wait.as_secs() + 1))
}

fn later(status: StatusCode, error: &CommandError) -> Response {
    let mut response = failure(error);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The name without a port: `[::1]:8080` is `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') =>
        {
            name
        }
        _ => host,
    }
}

fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().map(str::to_owned)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let texts = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(';'))
        .filter_map(|one| one.trim().split_once('='))
}

/// How often somebody does something: a bucket for each that fills up with time.
#[derive(Debug)]
struct Rates<K> {
    most: f64,
    each_second: f64,
    buckets: Mutex<BTreeMap<K, (f64, Instant)>>,
}

impl<K: Ord> Rates<K> {
    fn new(most: f64, each_second: f64) -> Self {
        Self {
            most,
            each_second,
            buckets: Mutex::default(),
        }
    }

    /// Takes one; if there is none, says in how long there is.
    fn take(&self, key: K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= COUNTED_MAX {
            // Those that are full again have nothing to say.
            buckets.retain(|_, (left, at)| {
                *left + now.duration_since(*at).as_secs_f64() * self.each_second < self.most
            });
        }
        let full = (self.most, now);
        if buckets.len() >= COUNTED_MAX && !buckets.contains_key(&key) {
            return Err(Duration::from_secs(1));
        }
        let (left, at) = buckets.entry(key).or_insert(full);
        *left = (*left + now.duration_since(*at).as_secs_f64() * self.each_second).min(self.most);
        *at = now;
        if *left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - *left) / self.each_second));
        }
        *left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_part_of_a_name() {
        for (host, name) in [
            ("localhost:8080", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("10.0.0.1:1", "10.0.0.1"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_fills_up_with_time() {
        let rates = Rates::new(2.0, 1.0);
        assert!(rates.take("a").is_ok() && rates.take("a").is_ok());
        assert!(rates.take("a").is_err() && rates.take("b").is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rates.take("a").is_ok() && rates.take("a").is_err());
    }
}
