//! Placeholders for secrets in settings: whether what they stand for is there.

use unity_supervisors::secret::{NAME_HELP, Part, SecretProblem, parts};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::node::{harmless, shown};
use super::reader::Reader;
use super::source::Span;

impl Reader<'_> {
    /// Reports what is wrong with the secrets of a text, each at its placeholder. Those of a child of another node are
    /// there.
    pub(super) fn check_secrets(&mut self, text: &str, span: Span) {
        for part in parts(text) {
            match part {
                Part::Text(_) => {}
                Part::Secret(_) if self.is_elsewhere => {}
                Part::Secret(name) => {
                    let at = self.within(span, &format!("${{secret:{name}}}"));
                    let found = self.look(name, at);
                    found.into_iter().for_each(|found| self.report(found));
                }
                Part::Broken(expression) => {
                    let at = self.within(span, expression);
                    self.report(bad_name(expression, at));
                }
            }
        }
    }

    fn look(&self, name: &str, at: Span) -> Option<Diagnostic> {
        let (code, what, label, help) = match self.sources.kinds.secret(name) {
            Ok(None) => return None,
            Ok(Some(unwise)) => (Code::SecretOpen, unwise.what, "this one", unwise.help),
            Err(error) => {
                let (code, label) = match error.problem {
                    SecretProblem::Missing => (Code::SecretMissing, "no such secret"),
                    SecretProblem::NotHere => (Code::SecretNotHere, "not on this machine"),
                    SecretProblem::Unusable => (Code::SecretUnusable, "this one"),
                };
                (code, error.what, label, error.help)
            }
        };
        let [what, help] = [what, help].map(|text| harmless(&text).collect::<String>());
        Some(Diagnostic::new(code, what).at(at, label).help(help))
    }
}

/// A placeholder with something that is no name.
pub(super) fn bad_name(expression: &str, at: Span) -> Diagnostic {
    let message = format!("`{}` does not name a secret", shown(expression));
    Diagnostic::new(Code::SecretName, message)
        .at(at, "this cannot be a name")
        .help(NAME_HELP)
}
