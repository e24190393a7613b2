//! The page: the files below `src/page/`, embedded in the program, and the routes that serve them.
//!
//! It promises that the page needs nothing but this kernel: no network, no build step, and no script or style but its own
//! files, which the policy sent with each of them says to the browser. What the page shows comes from the routes of the
//! commands. Nothing is compressed: all of it is less than [`BYTES_MAX`] and goes over the loopback.
//!
//! Decided here: a list of files that a test compares with the folder, instead of a crate that embeds a folder. It would
//! change with files that are too many to list.

use std::fmt::Write;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// How large all files of the page may be together, in bytes.
pub const BYTES_MAX: usize = 150_000;

/// Only the page's own files, nothing inline, and nobody may put a frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// One file of the page.
struct File {
    url: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $kind:ident) => {
        File {
            url: concat!("/page/", $path),
            kind: $kind,
            bytes: include_bytes!(concat!("page/", $path)),
        }
    };
}

/// All files, as the browser asks for them.
static FILES: &[File] = &[
    File {
        url: "/",
        ..file!("index.html", HTML)
    },
    file!("style.css", STYLE),
    file!("icon.svg", IMAGE),
    file!("vendor/preact-htm.js", SCRIPT),
    file!("app/acts.js", SCRIPT),
    file!("app/advice.js", SCRIPT),
    file!("app/audit.js", SCRIPT),
    file!("app/bits.js", SCRIPT),
    file!("app/changes.js", SCRIPT),
    file!("app/deeds.js", SCRIPT),
    file!("app/events.js", SCRIPT),
    file!("app/forest.js", SCRIPT),
    file!("app/health.js", SCRIPT),
    file!("app/history.js", SCRIPT),
    file!("app/home.js", SCRIPT),
    file!("app/icons.js", SCRIPT),
    file!("app/judge.js", SCRIPT),
    file!("app/kernel.js", SCRIPT),
    file!("app/letters.js", SCRIPT),
    file!("app/logs.js", SCRIPT),
    file!("app/main.js", SCRIPT),
    file!("app/part.js", SCRIPT),
    file!("app/schema.js", SCRIPT),
    file!("app/send.js", SCRIPT),
    file!("app/settings.js", SCRIPT),
    file!("app/streams.js", SCRIPT),
    file!("app/tree.js", SCRIPT),
    file!("app/words.js", SCRIPT),
];

/// The routes of the page: `/` and what lies below `/page/`. Anybody may read them; they hold nothing of this kernel.
pub fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = tag(file.bytes);
        router.route(
            file.url,
            get(move |headers: HeaderMap| {
                let response = answer(file, &tag, &headers);
                async move { response }
            }),
        )
    })
}

/// The file, or that it has not changed since the browser last read it.
fn answer(file: &File, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|its| its.trim() == tag));
    let common = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.kind)];
    (common, kind, Bytes::from_static(file.bytes)).into_response()
}

/// A name for exactly these bytes.
fn tag(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let mut tag = String::from("\"");
    for byte in hash.iter().take(16) {
        // Writing to a text cannot fail.
        write!(tag, "{byte:02x}").unwrap_or_default();
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower_service::Service;

    async fn get(url: &str, known: Option<&str>) -> Response {
        let mut request = Request::get(url);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        routes()
            .call(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    fn head(response: &Response, name: header::HeaderName) -> &str {
        response.headers()[name].to_str().unwrap()
    }

    fn text(file: &File) -> &'static str {
        std::str::from_utf8(file.bytes).unwrap()
    }

    /// What stands in quotes after each `mark`.
    fn quoted<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
        let after = text.split(mark).skip(1);
        after.filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn all_that_the_page_names_is_there() {
        let urls: BTreeSet<&str> = FILES.iter().map(|file| file.url).collect();
        let index = text(&FILES[0]);
        let named = quoted(index, "src=\"").chain(quoted(index, "href=\""));
        for url in named {
            assert!(urls.contains(url), "index.html names {url}");
        }
        let scripts = FILES.iter().filter(|file| file.kind == SCRIPT);
        for file in scripts.filter(|file| !file.url.contains("/vendor/")) {
            for import in quoted(text(file), " from \"") {
                let url = match import.strip_prefix("../") {
                    Some(rest) => format!("/page/{rest}"),
                    None => import.replacen("./", "/page/app/", 1),
                };
                // What is imported for its types alone is never asked for.
                let is_there = urls.contains(url.as_str()) || import == "./types.js";
                assert!(is_there, "{} imports {import}", file.url);
            }
        }
    }

    #[test]
    fn each_file_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/app");
        let names = std::fs::read_dir(folder).unwrap();
        for name in names.map(|entry| entry.unwrap().file_name()) {
            let url = format!("/page/app/{}", name.to_str().unwrap());
            let is_there = FILES.iter().any(|file| file.url == url);
            assert!(is_there || url.ends_with("/types.js"), "{url}");
        }
    }

    #[test]
    fn the_page_is_small_and_has_nothing_inline() {
        let all: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(all < BYTES_MAX, "{all} bytes");

        let index = text(&FILES[0]);
        assert!(!index.contains("<style") && !index.contains("style="));
        assert!(!index.contains("<script>") && !index.contains(" on"));
        let sheets = FILES.iter().filter(|file| file.kind == STYLE);
        for file in sheets {
            assert!(!text(file).contains("url("), "{} loads more", file.url);
        }
    }

    #[test]
    fn the_vendored_file_is_the_one_whose_hash_its_header_has() {
        let file = FILES.iter().find(|file| file.url.contains("/vendor/"));
        let (header, code) = text(file.unwrap()).split_once("*/\n").unwrap();
        let hash = Sha256::digest(code.as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(header.contains(&hash), "the code has {hash}");
    }

    #[tokio::test]
    async fn every_file_is_served_with_its_kind_and_the_policy() {
        for file in FILES {
            let response = get(file.url, None).await;

            assert_eq!(response.status(), StatusCode::OK, "{}", file.url);
            assert_eq!(head(&response, header::CONTENT_TYPE), file.kind);
            assert_eq!(head(&response, header::CONTENT_SECURITY_POLICY), POLICY);
            assert_eq!(head(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
            let body = to_bytes(response.into_body(), BYTES_MAX).await.unwrap();
            assert_eq!(body, file.bytes, "{}", file.url);
        }
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let first = get("/", None).await;
        let tag = head(&first, header::ETAG).to_owned();

        for known in [tag.clone(), format!("\"other\", {tag}")] {
            let again = get("/", Some(&known)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(head(&again, header::ETAG), tag);
        }
        assert_eq!(get("/", Some("\"other\"")).await.status(), StatusCode::OK);
        let missing = get("/page/app/none.js", None).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }
}
