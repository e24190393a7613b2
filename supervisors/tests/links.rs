//! Links, monitors and groups of actors that are not siblings (DESIGN, section 4), through the public surface.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "links/groups.rs"]
mod groups;
#[path = "links/link.rs"]
mod link;
#[path = "links/monitor.rs"]
mod monitor;
#[path = "links/support.rs"]
mod support;
