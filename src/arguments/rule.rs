//! What of the arguments of a command goes together: [`Rule`].

use serde_json::{Value, json};

use super::{Arg, ArgKind, Args};
use crate::error::{Code, CommandError};

/// What must be so of some arguments.
#[derive(Debug, Clone, Copy)]
pub enum Together {
    /// Exactly one of them is given.
    One(&'static [&'static str]),
    /// One of them is given at least.
    Some(&'static [&'static str]),
    /// They are not given both.
    NotBoth(&'static str, &'static str),
    /// The first is given with one of the others only.
    Needs(&'static str, &'static [&'static str]),
    /// The first is given with a list of one, the second, only.
    NeedsOne(&'static str, &'static str),
}

/// What must be so, and what is said where it is not.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What must be so.
    pub is: Together,
    /// What is wrong otherwise.
    pub message: &'static str,
    /// What to do then.
    pub hint: &'static str,
}

impl Rule {
    /// A rule with what is said.
    #[must_use]
    pub const fn new(is: Together, message: &'static str, hint: &'static str) -> Self {
        Self { is, message, hint }
    }

    /// Refuses arguments of which it is not so.
    ///
    /// # Errors
    /// Its message.
    pub fn check(&self, args: &Args) -> Result<(), CommandError> {
        let is_given = |name: &&str| args.get(name).is_some();
        let is_so = match self.is {
            Together::One(names) => names.iter().filter(|name| is_given(name)).count() == 1,
            Together::Some(names) => names.iter().any(is_given),
            Together::NotBoth(one, other) => !(is_given(&one) && is_given(&other)),
            Together::Needs(one, others) => !is_given(&one) || others.iter().any(is_given),
            Together::NeedsOne(one, list) => {
                let list = args.get(list).and_then(Value::as_array);
                !is_given(&one) || list.is_some_and(|list| list.len() == 1)
            }
        };
        match is_so {
            true => Ok(()),
            // A query cannot be told what goes together, so it is not malformed.
            false => Err(CommandError::new(Code::Conflict, self.message).hint(self.hint)),
        }
    }

    /// The same for others: a JSON Schema of an object of `args`.
    #[must_use]
    pub fn schema(&self, args: &[Arg]) -> Value {
        let given = |name: &&str| {
            let arg = args
                .iter()
                .find(|arg| arg.name == *name && arg.is_outside())?;
            let name = arg.wire_name();
            Some(match arg.kind {
                ArgKind::Flag => {
                    json!({ "required": [name], "properties": { name: { "const": true } } })
                }
                _ => json!({ "required": [name] }),
            })
        };
        let all = |names: &[&str]| names.iter().filter_map(given).collect::<Vec<_>>();
        match self.is {
            Together::One(names) => json!({ "oneOf": all(names) }),
            Together::Some(names) => json!({ "anyOf": all(names) }),
            Together::NotBoth(one, other) => json!({ "not": { "allOf": all(&[one, other]) } }),
            Together::Needs(one, others) => {
                let mut any = all(others);
                any.push(json!({ "not": given(&one) }));
                json!({ "anyOf": any })
            }
            Together::NeedsOne(one, list) => json!({ "anyOf": [
                { "not": given(&one) },
                { "required": [list], "properties": { list: { "maxItems": 1 } } },
            ] }),
        }
    }
}
