//! Where a health probe goes: [`TcpTarget`] and [`HttpTarget`], checked when the settings are read.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const HTTP_PORT: u16 = 80;

/// Why a text is no target of a probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not `http://…`.
    #[error("`{0}` is not an address that begins with `http://`")]
    NotHttp(String),
    /// `https://…`.
    #[error("`{0}`: a health probe does not speak TLS; use `http://`, `tcp` or `exec`")]
    Tls(String),
    /// A user name or password.
    #[error("`{0}`: a health probe sends no user name or password")]
    Credentials(String),
    /// No host.
    #[error("`{0}` names no host")]
    NoHost(String),
    /// The port is missing or is no port.
    #[error("`{0}` must end in a port from 1 to 65535, such as `127.0.0.1:9000`")]
    Port(String),
    /// A character that cannot be sent.
    #[error("`{0}` contains a space or another character that must be percent-encoded")]
    Character(String),
}

/// `host:port`; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TcpTarget {
    text: String,
    host: String,
    port: u16,
}

impl TcpTarget {
    /// The host to connect to, an IPv6 address without its brackets, and the port.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl fmt::Display for TcpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for TcpTarget {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        refuse_characters(&text, &text)?;
        let (host, port) = host_and_port(&text, &text, None)?;
        Ok(Self { host, port, text })
    }
}

impl From<TcpTarget> for String {
    fn from(target: TcpTarget) -> Self {
        target.text
    }
}

/// `http://host[:port][/path]`; the port is 80 unless given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpTarget {
    text: String,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl HttpTarget {
    /// The host to connect to, an IPv6 address without its brackets, and the port.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What the `Host` header says.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for HttpTarget {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(match text.strip_prefix("https://") {
                Some(_) => TargetError::Tls(text),
                None => TargetError::NotHttp(text),
            });
        };
        refuse_characters(rest, &text)?;
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(TargetError::Credentials(text));
        }
        let (host, port) = host_and_port(authority, &text, Some(HTTP_PORT))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: authority.to_owned(),
            host,
            port,
            path: format!("{slash}{path}"),
            text,
        })
    }
}

impl From<HttpTarget> for String {
    fn from(target: HttpTarget) -> Self {
        target.text
    }
}

/// Splits `authority`, which is part of `text`.
fn host_and_port(
    authority: &str,
    text: &str,
    default_port: Option<u16>,
) -> Result<(String, u16), TargetError> {
    let bad_port = || TargetError::Port(text.to_owned());
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(bad_port)?)),
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(TargetError::NoHost(text.to_owned()));
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0),
        None => default_port,
    };
    Ok((host.to_owned(), port.ok_or_else(bad_port)?))
}

/// Refuses what could not stand in a request line, or could end it early.
fn refuse_characters(part: &str, text: &str) -> Result<(), TargetError> {
    if part.chars().all(|character| character.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(TargetError::Character(text.to_owned()))
    }
}

impl JsonSchema for TcpTarget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TcpTarget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^\\S+:[0-9]+$", "examples": ["127.0.0.1:9000"] })
    }
}

impl JsonSchema for HttpTarget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpTarget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^http://\\S+$",
            "examples": ["http://127.0.0.1:9000/ok"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_target_is_split_into_its_parts() {
        for (text, host, port, authority, path) in [
            (
                "http://127.0.0.1:9000/ok",
                "127.0.0.1",
                9000,
                "127.0.0.1:9000",
                "/ok",
            ),
            ("http://localhost", "localhost", 80, "localhost", "/"),
            ("http://[::1]:81/a?b=c#d", "::1", 81, "[::1]:81", "/a?b=c"),
            ("http://[::1]", "::1", 80, "[::1]", "/"),
            ("http://host?x=/y", "host", 80, "host", "/?x=/y"),
        ] {
            let target = HttpTarget::try_from(text.to_owned()).unwrap();

            assert_eq!(target.host_and_port(), (host, port), "{text}");
            assert_eq!(
                (target.authority(), target.path()),
                (authority, path),
                "{text}"
            );
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn a_bad_target_is_refused_with_a_reason() {
        let http = |text: &str| HttpTarget::try_from(text.to_owned()).unwrap_err();
        let tcp = |text: &str| TcpTarget::try_from(text.to_owned()).unwrap_err();

        assert!(matches!(http("https://a"), TargetError::Tls(_)));
        assert!(matches!(http("127.0.0.1:9000"), TargetError::NotHttp(_)));
        assert!(matches!(
            http("http://me:secret@a"),
            TargetError::Credentials(_)
        ));
        assert!(matches!(http("http://:80/"), TargetError::NoHost(_)));
        assert!(matches!(http("http://a:port/"), TargetError::Port(_)));
        assert!(matches!(http("http://a/ b"), TargetError::Character(_)));
        assert!(matches!(
            http("http://a/\r\nHost: b"),
            TargetError::Character(_)
        ));
        assert!(matches!(tcp("127.0.0.1"), TargetError::Port(_)));
        assert!(matches!(tcp("127.0.0.1:0"), TargetError::Port(_)));
        assert!(matches!(tcp("127.0.0.1:65536"), TargetError::Port(_)));
        assert!(matches!(tcp(":9"), TargetError::NoHost(_)));
    }
}
