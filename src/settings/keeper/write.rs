//! Changes that go into the file.

use super::*;
use crate::replace;
use crate::settings::edit;
use crate::settings::history::FileText;
use crate::tree_file::mend::Edited;

impl Keeper {
    /// Writes settings into the file that says them, and puts them in force; `null` takes a key out. The file is written
    /// once the kernel has taken them.
    pub(super) async fn write(
        &mut self,
        kernel: &Kernel,
        path: &ActorPath,
        edits: &[(Vec<String>, Value)],
        ask: &Ask,
    ) -> Result<Value, CommandError> {
        if !matches!(self.source, Source::File(_)) {
            let error = CommandError::new(Code::Failed, "this kernel has no tree file to write to");
            return Err(error.hint("--save keeps it without a file"));
        }
        let edited = self.edited(kernel, path, edits)?;
        let base = self.with_text(kernel, &edited)?;
        let mut overlay = self.overlay.clone();
        for (key, _) in edits {
            // What was laid over the file would hide what is written into it.
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            overlay.unset(Layer::Unsaved, path, &key);
            overlay.unset(Layer::Saved, path, &key);
        }
        let mut next = Next::of_files(base, overlay, Cause::Set);
        self.keep_corrections(&mut next, kernel.kinds());
        if ask.dry_run {
            return self.turn_into(kernel, next, ask).await;
        }
        let ready = replace::ready(&edited)?;
        let done = self.turn_into(kernel, next, ask).await?;
        ready.take_its_name()?;
        Ok(done)
    }

    /// The file that says the settings of a child, as it would be with the edits.
    fn edited(
        &self,
        kernel: &Kernel,
        path: &ActorPath,
        edits: &[(Vec<String>, Value)],
    ) -> Result<Edited, CommandError> {
        let located = self
            .source
            .locate(path, kernel.kinds())
            .map_err(|error| by_hand(error.to_string()))?;
        let mut text = located.text.clone();
        for (key, value) in edits {
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            let at = edit::At::Settings(&located.steps);
            let edited = match value {
                Value::Null => edit::unset(&text, at, &key),
                value => edit::set(&text, at, &key, value),
            };
            text =
                edited.map_err(|error| by_hand(format!("{}: {error}", located.file.display())))?;
        }
        Ok(Edited {
            path: located.file,
            before: located.text.into(),
            after: text,
        })
    }

    /// What the files say with one of them as it was edited.
    fn with_text(&self, kernel: &Kernel, edited: &Edited) -> Result<Base, CommandError> {
        let now = self
            .source
            .read(kernel.kinds())
            .and_then(|reading| reading.base);
        let Some(mut now) = now else {
            let message = format!("{} is at fault as it is", self.source.name());
            return Err(by_hand(message));
        };
        let name = self.source.short_name(&edited.path);
        for file in now.files.iter_mut().filter(|file| file.name == name) {
            *file = FileText {
                name: name.clone(),
                text: edited.after.as_str().into(),
            };
        }
        let Some(reading) = self.source.read_kept(&now.files, kernel.kinds()) else {
            return Err(by_hand(format!(
                "{} is not among the files",
                edited.path.display()
            )));
        };
        reading.base.ok_or_else(|| {
            let faults: Vec<String> = reading
                .checked
                .faults()
                .map(|fault| fault.in_one_line())
                .collect();
            CommandError::new(Code::Invalid, faults.join("; "))
                .hint("nothing was written; `uk config schema PATH` says what may stand there")
        })
    }
}

fn by_hand(message: String) -> CommandError {
    CommandError::new(Code::Failed, message).hint("or keep it over the file: --save")
}

/// Each key of a patch with the way to it.
pub(crate) fn flat(settings: &Map<String, Value>) -> Vec<(Vec<String>, Value)> {
    let mut all = Vec::new();
    for (key, value) in settings {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                all.extend(flat(inner).into_iter().map(|(mut way, value)| {
                    way.insert(0, key.clone());
                    (way, value)
                }));
            }
            _ => all.push((vec![key.clone()], value.clone())),
        }
    }
    all
}
