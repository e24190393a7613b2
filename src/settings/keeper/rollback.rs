//! Going back: what the kernel put back by itself, and what somebody wants back.

use super::*;

impl Keeper {
    /// Notes that the kernel gave a child its former settings back, because it crashed on probation.
    pub fn rolled_back(&mut self, kernel: &Kernel, path: &ActorPath, why: &str) {
        self.finish_pending(kernel);
        let of = self
            .trials
            .iter()
            .rev()
            .find(|trial| trial.paths.contains(path))
            .map_or(self.number, |trial| trial.number);
        let Ok(version) = self.history.get(of).cloned() else {
            return;
        };
        self.trials.retain(|trial| trial.number != of);
        let former = self.before(of).map(|version| version.overlay.clone());
        self.set_state(of, State::RolledBack);
        let is_of_files = matches!(
            version.cause,
            Cause::File | Cause::Apply | Cause::Boot | Cause::Rollback { .. }
        );
        if is_of_files && !version.files.is_empty() {
            let bad = Bad {
                version: of,
                reason: format!("{path}: {why}"),
                at_ms: version.at_ms,
            };
            if let Err(error) = on_disk(|| self.history.mark_bad(version.hash, bad.clone())) {
                tracing::warn!(%error, "a bad version is marked in memory only");
            }
            self.file_trouble = Some(bad_trouble(&self.source, &bad, self.number));
        } else if let Some(former) = former {
            self.overlay.put_back(path, &former);
        }
        self.correct(kernel, path);
        self.save_overlay();
        let cause = Cause::RolledBack {
            of,
            path: path.clone(),
            why: why.to_owned(),
        };
        let text =
            format!("{path} has its former settings back, for it crashed on probation ({why})");
        let draft = self.draft(cause, "the kernel".to_owned(), vec![text]);
        self.record(
            kernel,
            draft,
            BTreeSet::from([path.clone()]),
            probation(kernel, path),
        );
    }

    /// Lays over the files what a child has now and they do not say.
    fn correct(&mut self, kernel: &Kernel, path: &ActorPath) {
        let Some(desired) = kernel.desired() else {
            return;
        };
        let (tree, _) = self.tree(&self.base, &self.overlay, kernel.kinds());
        let settings = |root: &SupervisorSpec| {
            let child = find(root, path)?;
            Some(child.as_worker()?.settings.clone())
        };
        if let (Some(says), Some(has)) = (settings(&tree.root), settings(&desired.root))
            && let Some(patch) = patch(&says, &has)
        {
            let op = Op::Set {
                path: path.clone(),
                settings: patch,
            };
            if let Err(error) = self.overlay.change(Layer::Unsaved, op) {
                tracing::warn!(%error, "what was rolled back cannot be laid over the files");
            }
        }
    }

    pub(super) async fn roll_back(
        &mut self,
        kernel: &Kernel,
        to: Option<u64>,
        ask: &Ask,
    ) -> Result<Value, CommandError> {
        let to = match to {
            Some(to) => to,
            None => self
                .before(self.number)
                .map(|version| version.number)
                .ok_or_else(|| {
                    CommandError::new(Code::NotFound, "there is no version before this one")
                        .hint("`uk config history` lists them")
                })?,
        };
        let unknown = |error: crate::settings::history::VersionError| {
            CommandError::new(Code::NotFound, error.to_string())
                .hint("`uk config history` lists them")
        };
        let version = self.history.get(to).map_err(unknown)?.clone();
        let texts = self.history.texts(to).map_err(unknown)?;
        let base = match self.source.read_kept(&texts, kernel.kinds()) {
            None => None,
            Some(reading) => match reading.base {
                Some(base) => Some(base),
                None => {
                    let message = format!("version {to} cannot be read any more");
                    let shown = reading.checked.render(false);
                    return Err(CommandError::new(Code::Invalid, message).hint(shown));
                }
            },
        };
        let left = self.base.hash;
        let is_left = base.as_ref().is_some_and(|base| base.hash != left);
        if is_left && !ask.dry_run {
            let bad = Bad {
                version: self.number,
                reason: format!("{} went back to version {to}", ask.by),
                at_ms: kernel.clock().wall().unix_ms(),
            };
            self.forgive(version.hash);
            if let Err(error) = on_disk(|| self.history.mark_bad(left, bad.clone())) {
                tracing::warn!(%error, "a version that was left is marked in memory only");
            }
            self.file_trouble = Some(bad_trouble(&self.source, &bad, to));
        }
        let next = Next {
            base,
            overlay: version.overlay,
            cause: Cause::Rollback { of: to },
        };
        let done = self.turn_into(kernel, next, ask).await;
        if done.is_err() && is_left && !ask.dry_run {
            self.forgive(left);
            self.file_trouble = None;
        }
        done
    }
}

pub(super) fn bad_trouble(source: &Source, bad: &Bad, number: u64) -> Trouble {
    let what = format!(
        "{} is the version {} that was rolled back ({}); it is passed over, version {number} is in force",
        source.name(),
        bad.version,
        bad.reason
    );
    Trouble {
        shown: what.clone(),
        what,
        hint: "change the file, or try it again: `uk config apply --force`".to_owned(),
    }
}

/// The merge patch that makes `to` of `from`; none if they are the same.
fn patch(from: &Value, to: &Value) -> Option<Map<String, Value>> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return None;
    };
    let mut merged = Map::new();
    for (key, value) in to {
        match from.get(key) {
            Some(before) if before == value => {}
            Some(before) if before.is_object() && value.is_object() => {
                merged
                    .extend(patch(before, value).map(|inner| (key.clone(), Value::Object(inner))));
            }
            _ => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        merged.insert(key.clone(), Value::Null);
    }
    (!merged.is_empty()).then_some(merged)
}
