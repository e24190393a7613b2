//! Settings: those of the tree, which change while a kernel runs, and those of the kernel itself.
//!
//! | part | holds |
//! |---|---|
//! | [`source`] | where the tree comes from, and its texts |
//! | [`overlay`] | what was changed live over it |
//! | [`history`] | versions of both, on disk |
//! | [`keeper`] | what is to be in force, and how the kernel gets there |
//! | [`service`] | `/system/settings`, which does one thing after the other |
//! | [`describe`] | what a change changes, key by key |
//! | [`edit`] | a change of a file's text, its comments kept |
//! | [`layers`], [`rollbacks`] | where a setting comes from, and who has former ones back |
//! | [`watch`], [`reload`] | files that change, and others who want them looked at |
//! | [`system`] | `system.yaml`, the environment and flags, and which of them is in force |
//! | [`secrets`] | where secrets come from |

pub mod describe;
pub mod edit;
pub mod history;
pub mod keeper;
pub mod layers;
pub mod overlay;
pub mod reload;
pub mod rollbacks;
pub(crate) mod sealed;
pub mod secrets;
pub mod service;
pub mod source;
pub mod system;
pub mod watch;
