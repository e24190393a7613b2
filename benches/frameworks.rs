//! The programs of the frameworks: how each is made, and which measures what.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, build_package};

/// The command lines of the frameworks, without `--rows` and `--seconds`; or why there is none.
pub(crate) struct Programs(BTreeMap<&'static str, Result<Vec<OsString>, String>>);

impl Programs {
    /// Builds all, each by itself, as the peers' lock file says. What cannot be built is told when it is asked for.
    pub(crate) fn build() -> Result<Self> {
        let ours = env::current_exe()?;
        let target = process::target(&ours)?;
        let cargo = |package: &'static str| {
            let program = build_package(package, &target).map(|path| vec![path.into()]);
            (package, program.map_err(|error| format!("{error:#}")))
        };
        let erlang = build_erlang(&target).map_err(|error| format!("{error:#}"));
        Ok(Self(BTreeMap::from([
            ("ours", Ok(vec![ours.into(), "--ours".into()])),
            cargo("ractor_peer"),
            cargo("ractor_supervisor_peer"),
            cargo("kameo_peer"),
            cargo("actix_peer"),
            ("erlang", erlang),
        ])))
    }

    /// One process measures one group; its lines. A group that it does not have gives none.
    pub(crate) fn measure(&self, framework: &str, group: &str, seconds: f64) -> Result<String> {
        let program = match (framework, group) {
            ("ractor", "restart" | "crash") => "ractor_supervisor_peer",
            ("ractor", _) => "ractor_peer",
            ("kameo", _) => "kameo_peer",
            ("actix", _) => "actix_peer",
            (other, _) => other,
        };
        let words = match self.0.get(program) {
            Some(Ok(words)) => words,
            Some(Err(why)) => bail!("{why}"),
            None => bail!("there is no program for it"),
        };
        process::measure(words, group, seconds)
    }
}

fn build_erlang(target: &Path) -> Result<Vec<OsString>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/erlang");
    let beams = target.join("erlang");
    fs::create_dir_all(&beams)?;
    let built = Command::new("erlc")
        .arg("-o")
        .arg(&beams)
        .arg(sources.join("erlang_peer.erl"))
        .arg(sources.join("erlang_peer_server.erl"))
        .status()
        .context("`erlc` cannot be started; Debian has it in `erlang-base`")?;
    if !built.success() {
        bail!("benches/peers/erlang does not compile");
    }
    // Two schedulers, as many as the others have workers.
    let mut words: Vec<OsString> = ["erl", "+S", "2:2", "-noinput", "-pa"]
        .map(OsString::from)
        .into();
    words.push(beams.into());
    words.extend(["-s", "erlang_peer", "main", "-extra"].map(OsString::from));
    Ok(words)
}
