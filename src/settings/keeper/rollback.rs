//! Going back: what the kernel put back by itself, and what somebody wants back.

use super::*;
use crate::settings::layers::as_written;
use crate::settings::overlay::{lay_over, normalise};

impl Keeper {
    /// Notes that the kernel gave a child its former settings back, because it crashed on probation.
    pub fn rolled_back(&mut self, kernel: &Kernel, path: &ActorPath, why: &str) {
        self.finish_pending(kernel);
        let trial = self
            .trials
            .iter_mut()
            .rev()
            .find(|trial| trial.paths.contains(path));
        let of = match trial {
            Some(trial) => {
                trial.paths.remove(path);
                trial.number
            }
            None => self.number,
        };
        let Ok(version) = self.history.get(of).cloned() else {
            return;
        };
        let former = self.before(of).cloned();
        let has_new_files = former
            .as_ref()
            .is_none_or(|former| former.hash != version.hash);
        let bad = (has_new_files && !version.files.is_empty()).then(|| Bad {
            version: of,
            reason: format!("{path}: {why}"),
            at_ms: kernel.clock().wall().unix_ms(),
        });
        if let Some(bad) = &bad {
            self.history.mark_bad(version.hash, bad.clone());
        }
        self.set_state(of, State::RolledBack);
        if let Some(former) = former {
            self.overlay.put_back(path, &former.overlay);
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
        let paths = BTreeSet::from([path.clone()]);
        let number = self.record(kernel, draft, paths, probation(kernel, path));
        if let Some(bad) = bad {
            self.file_trouble = Some(bad_trouble(&self.source, &bad, number));
        }
    }

    /// Where the files and the overlay say something else of a child than it has now, it is as if they said that: until the
    /// files change.
    fn correct(&mut self, kernel: &Kernel, path: &ActorPath) {
        let settings = |root: &SupervisorSpec| {
            let child = find(root, path)?;
            Some(child.as_worker()?.settings.clone())
        };
        let desired = kernel.desired();
        let (tree, _) = self.tree(&self.base, &self.overlay, kernel.kinds());
        let (Some(says), Some(has)) = (
            settings(&tree.root),
            desired.and_then(|desired| settings(&desired.root)),
        ) else {
            return;
        };
        let Some(patch) = patch(&says, &has) else {
            return;
        };
        self.corrections.push(Op::Set {
            path: path.clone(),
            settings: patch,
        });
        let (corrected, _) = lay_over(
            &self.base.tree,
            &normalise(self.corrections.iter().cloned()),
            &KnownKinds(kernel.kinds()),
        );
        self.base.tree = corrected;
    }

    /// What was put back is put back in other files, too, for children of which they say what they said.
    pub(super) fn keep_corrections(&self, next: &mut Next, kinds: &Kinds) {
        let Some(base) = &mut next.base else {
            return;
        };
        let written = as_written(self, kinds);
        let settings = |tree: &TreeSpec, path: &ActorPath| {
            let child = find(&tree.root, path)?;
            Some(child.as_worker()?.settings.clone())
        };
        let is_needed = |op: &&Op| {
            let path = op.path();
            path.is_some_and(|path| settings(&written, &path) == settings(&base.tree, &path))
        };
        next.corrections = self.corrections.iter().filter(is_needed).cloned().collect();
        let corrections = normalise(next.corrections.iter().cloned());
        (base.tree, _) = lay_over(&base.tree, &corrections, &KnownKinds(kinds));
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
                    return Err(CommandError::new(Code::Invalid, message)
                        .shown(reading.checked.render(false))
                        .hint("what it needs has changed, such as a variable or a kind"));
                }
            },
        };
        let left = self.base.hash;
        let is_left = base.as_ref().is_some_and(|base| base.hash != left);
        let mut marked = None;
        if is_left && !ask.dry_run {
            let bad = Bad {
                version: self.number,
                reason: format!("{} went back to version {to}", ask.by),
                at_ms: kernel.clock().wall().unix_ms(),
            };
            self.forgive(version.hash);
            self.history.mark_bad(left, bad.clone());
            marked = Some(bad);
        }
        let next = Next {
            base,
            ..Next::over_them(version.overlay, Cause::Rollback { of: to })
        };
        let done = self.turn_into(kernel, next, ask).await;
        match (marked, &done) {
            (Some(bad), Ok(_)) => {
                // The files may say something else again, above all what is in force now.
                let reading = self.source.read(kernel.kinds());
                if let Some(base) = reading.and_then(|reading| reading.base) {
                    let trouble = || bad_trouble(&self.source, &bad, self.number);
                    self.file_trouble = (base.hash == left).then(trouble);
                }
            }
            (Some(_), Err(_)) => self.forgive(left),
            (None, _) => {}
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
