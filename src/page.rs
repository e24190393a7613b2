//! The page: the files below `src/page/`, embedded in the program, and the routes that serve them.
//!
//! It promises that the page needs nothing but this kernel: no network, no build step, and no script or style but its own
//! files, which the policy sent with each of them says to the browser. What the page shows comes from the routes of the
//! commands. Nothing is compressed: all that is sent is less than [`BYTES_MAX`] and goes over the loopback. The page's own
//! scripts are sent without the lines that are for who writes them: comments and the types in them.
//!
//! Decided here: a list of files that a test compares with the folder, instead of a crate that embeds a folder. It would
//! change with files that are too many to list. Only whole lines are left out, which needs no reader of JavaScript; that none
//! of them is more than a comment is what the tests have one for. Minified scripts would be smaller, and nobody could read
//! in the browser what runs there.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// How large all that is sent of the page may be together, in bytes.
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

/// Whether the browser is sent a file without its comments: what others wrote is sent as it is, with their licence.
fn is_own_script(file: &File) -> bool {
    file.kind == SCRIPT && !file.url.contains("/vendor/")
}

/// What the browser is sent of each of [`FILES`].
static SENT: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let sent = FILES
        .iter()
        .map(|file| match std::str::from_utf8(file.bytes) {
            Ok(text) if is_own_script(file) => Bytes::from(without_comments(text)),
            _ => Bytes::from_static(file.bytes),
        });
    sent.collect()
});

/// A script without the lines that are nothing but `// …`, and without the blocks of lines that begin with `/**`. What
/// stands in a line with code stays.
fn without_comments(script: &str) -> String {
    let mut kept = String::with_capacity(script.len());
    let mut is_in_block = false;
    for line in script.split_inclusive('\n') {
        let text = line.trim();
        if is_in_block {
            is_in_block = !text.ends_with("*/");
            continue;
        }
        match text.strip_prefix("/**").map(|rest| rest.split_once("*/")) {
            Some(Some((_, ""))) => {}
            Some(None) => is_in_block = true,
            None if text.starts_with("//") => {}
            _ => kept.push_str(line),
        }
    }
    kept
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
    file!("app/map.js", SCRIPT),
    file!("app/nodes.js", SCRIPT),
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
    let all = FILES.iter().zip(&*SENT);
    all.fold(Router::new(), |router, (file, sent)| {
        let tag = tag(sent);
        router.route(
            file.url,
            get(move |headers: HeaderMap| {
                let response = answer(file.kind, sent, &tag, &headers);
                async move { response }
            }),
        )
    })
}

/// The file, or that it has not changed since the browser last read it.
fn answer(kind: &'static str, sent: &Bytes, tag: &str, headers: &HeaderMap) -> Response {
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
    let kind = [(header::CONTENT_TYPE, kind)];
    (common, kind, sent.clone()).into_response()
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
        let all: usize = SENT.iter().map(Bytes::len).sum();
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
        for (file, sent) in FILES.iter().zip(&*SENT) {
            let response = get(file.url, None).await;

            assert_eq!(response.status(), StatusCode::OK, "{}", file.url);
            assert_eq!(head(&response, header::CONTENT_TYPE), file.kind);
            assert_eq!(head(&response, header::CONTENT_SECURITY_POLICY), POLICY);
            assert_eq!(head(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
            let body = to_bytes(response.into_body(), BYTES_MAX).await.unwrap();
            assert_eq!(body, sent, "{}", file.url);
        }
    }

    /// A script for who compares: its code with no comments and no white space but that in texts. It knows of JavaScript
    /// what the page's scripts use, and fails on what it does not end well with.
    struct Code<'a> {
        rest: &'a str,
        read: String,
        /// The braces that are open: `$` for one in a template, after which that goes on.
        open: Vec<char>,
    }

    impl<'a> Code<'a> {
        fn of(script: &'a str) -> String {
            let mut code = Self {
                rest: script,
                read: String::new(),
                open: Vec::new(),
            };
            while let Some(next) = code.rest.chars().next() {
                code.step(next);
            }
            assert_eq!(code.open, [] as [char; 0], "it ends within something");
            code.read
        }

        fn step(&mut self, next: char) {
            match next {
                '/' if self.rest.starts_with("//") => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                '/' if self.rest.starts_with("/*") => {
                    let (_, rest) = self.rest[2..].split_once("*/").unwrap();
                    self.rest = rest;
                }
                '/' if self.is_before_value() => self.regex(),
                '"' | '\'' => {
                    self.take(1);
                    self.text(next);
                }
                '`' => {
                    self.take(1);
                    self.template();
                }
                '{' => {
                    self.open.push('{');
                    self.take(1);
                }
                '}' => {
                    let opened = self.open.pop();
                    self.take(1);
                    if opened.expect("a brace is open") == '$' {
                        self.template();
                    }
                }
                _ if next.is_whitespace() => self.rest = &self.rest[next.len_utf8()..],
                _ => self.take(next.len_utf8()),
            }
        }

        fn take(&mut self, bytes: usize) {
            let (taken, rest) = self.rest.split_at(bytes);
            self.read.push_str(taken);
            self.rest = rest;
        }

        /// Takes one character, or two of which the first is a backslash.
        fn take_one(&mut self) -> char {
            let mut chars = self.rest.chars();
            let first = chars.next().expect("it ends somewhere");
            let second = chars.next().filter(|_| first == '\\');
            self.take(first.len_utf8() + second.map_or(0, char::len_utf8));
            first
        }

        fn text(&mut self, quote: char) {
            loop {
                let taken = self.take_one();
                assert_ne!(taken, '\n', "a text ends in its line: {}", self.read);
                if taken == quote {
                    return;
                }
            }
        }

        fn template(&mut self) {
            while !self.rest.starts_with("${") {
                if self.take_one() == '`' {
                    return;
                }
            }
            self.open.push('$');
            self.take(2);
        }

        /// Whether a slash begins something here, and does not divide.
        fn is_before_value(&self) -> bool {
            let last = self.read.chars().next_back();
            last.is_none_or(|last| "(,=:[!&|?{};>+".contains(last)) || self.read.ends_with("return")
        }

        fn regex(&mut self) {
            self.take(1);
            let mut is_in_class = false;
            loop {
                match self.take_one() {
                    '[' => is_in_class = true,
                    ']' => is_in_class = false,
                    '/' if !is_in_class => return,
                    taken => assert_ne!(taken, '\n', "a pattern ends in its line"),
                }
            }
        }
    }

    #[test]
    fn what_is_left_out_is_comments_alone() {
        let own = FILES.iter().zip(&*SENT);
        for (file, sent) in own.filter(|(file, _)| is_own_script(file)) {
            let sent = std::str::from_utf8(sent).unwrap();
            assert!(sent.len() < file.bytes.len(), "{}", file.url);
            assert_eq!(Code::of(sent), Code::of(text(file)), "{}", file.url);
        }
    }

    #[test]
    fn lines_of_comments_are_left_out_and_all_others_stay() {
        let script = "// One.\nlet a = 1; // two\n/** @type {x} */\n  /**\n   * three\n   */\nlet b = /** @type {y} */ (a);\n\
                      /** four */ let c = 2;\n";

        let kept = without_comments(script);

        let expected = "let a = 1; // two\nlet b = /** @type {y} */ (a);\n/** four */ let c = 2;\n";
        assert_eq!(kept, expected);
        assert_eq!(Code::of(&kept), "leta=1;letb=(a);letc=2;");
    }

    #[test]
    fn a_line_of_a_template_that_looks_like_a_comment_would_be_noticed() {
        for script in [
            "let a = `\n// no comment\n`;",
            "f(`${`${b}\n/** nor this */\n`}`);",
        ] {
            assert_ne!(Code::of(&without_comments(script)), Code::of(script));
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
