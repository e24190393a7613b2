//! `#[derive(Message)]`: names, priorities and the JSON form of an actor's messages.
//!
//! The forms are described where the trait is, in `unity_supervisors::message`. A field whose type is
//! written `Reply<…>` is the way back to the asker, one whose type is written `Delivery` the event of a subscription; a
//! variant has at most one of each.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Type, Variant};

/// Derives `unity_supervisors::Message` for an enum.
///
/// On the enum: `#[message(json)]` gives it a JSON form, `#[message(priority = "high")]` a priority
/// for all variants. On a variant: `#[message(priority = "critical")]`.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// What `#[message(…)]` says.
#[derive(Default)]
struct Options {
    json: bool,
    priority: Option<Tokens>,
}

/// One variant, read.
struct Form<'a> {
    variant: &'a Variant,
    name: String,
    priority: Tokens,
    reply: Option<usize>,
    delivery: Option<usize>,
}

fn expand(input: &DeriveInput) -> Result<Tokens, Error> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.span(),
            "a message is an enum, one variant for each thing said",
        ));
    };
    let options = read_options(&input.attrs)?;
    let default = options.priority.unwrap_or_else(|| quote!(Normal));
    let forms = data
        .variants
        .iter()
        .map(|variant| read_variant(variant, &default))
        .collect::<Result<Vec<_>, _>>()?;
    let ident = &input.ident;
    let (generics_impl, generics_type, generics_where) = input.generics.split_for_impl();

    let priorities = forms.iter().map(|form| {
        let (variant, priority) = (&form.variant.ident, &form.priority);
        quote!(Self::#variant { .. } => ::unity_supervisors::Priority::#priority)
    });
    let names = forms.iter().map(|form| {
        let (variant, name) = (&form.variant.ident, &form.name);
        quote!(Self::#variant { .. } => #name)
    });
    let all_names = forms.iter().map(|form| &form.name);
    let variants = (0u32..).zip(&forms).map(|(place, form)| {
        let variant = &form.variant.ident;
        quote!(Self::#variant { .. } => #place)
    });
    let replies = forms.iter().map(reply_arm);
    let delivery = delivery_method(&forms);
    let json = if options.json {
        json_methods(&forms)
    } else {
        Tokens::new()
    };
    let empty = forms
        .is_empty()
        .then(|| quote!(_ => ::core::unreachable!(),));

    Ok(quote! {
        #[automatically_derived]
        impl #generics_impl ::unity_supervisors::Message for #ident #generics_type #generics_where {
            const NAMES: &'static [&'static str] = &[#(#all_names),*];
            #[inline]
            fn variant(&self) -> u32 {
                match self { #(#variants,)* #empty }
            }
            fn priority(&self) -> ::unity_supervisors::Priority {
                match self { #(#priorities,)* #empty }
            }
            fn name(&self) -> &'static str {
                match self { #(#names,)* #empty }
            }
            fn reply(&mut self) -> ::core::option::Option<&mut dyn ::unity_supervisors::message::ReplyPort> {
                match self { #(#replies,)* #empty }
            }
            #delivery
            #json
        }
    })
}

fn read_options(attributes: &[Attribute]) -> Result<Options, Error> {
    let mut options = Options::default();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("message"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("json") {
                options.json = true;
                Ok(())
            } else if meta.path.is_ident("priority") {
                let text: LitStr = meta.value()?.parse()?;
                options.priority = Some(match text.value().as_str() {
                    "critical" => quote!(Critical),
                    "high" => quote!(High),
                    "normal" => quote!(Normal),
                    "low" => quote!(Low),
                    "deferred" => quote!(Deferred),
                    _ => {
                        return Err(Error::new(
                            text.span(),
                            "a priority is critical, high, normal, low or deferred",
                        ));
                    }
                });
                Ok(())
            } else {
                Err(meta.error("expected `json` or `priority = \"…\"`"))
            }
        })?;
    }
    Ok(options)
}

fn read_variant<'a>(variant: &'a Variant, default: &Tokens) -> Result<Form<'a>, Error> {
    let options = read_options(&variant.attrs)?;
    if options.json {
        return Err(Error::new(variant.span(), "`json` belongs to the enum"));
    }
    Ok(Form {
        variant,
        name: snake_case(&variant.ident.to_string()),
        priority: options.priority.unwrap_or_else(|| default.clone()),
        reply: the_one(variant, "Reply")?,
        delivery: the_one(variant, "Delivery")?,
    })
}

/// The place of the field whose type is written `name`.
fn the_one(variant: &Variant, name: &str) -> Result<Option<usize>, Error> {
    let fields = variant.fields.iter().enumerate();
    let mut its = fields.filter(|(_, field)| is_written(&field.ty, name));
    let first = its.next().map(|(index, _)| index);
    match its.next() {
        None => Ok(first),
        Some(_) => Err(Error::new(
            variant.span(),
            format!("a variant has at most one `{name}`"),
        )),
    }
}

fn is_written(kind: &Type, name: &str) -> bool {
    matches!(kind, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// `pattern => Some(reply)`.
fn reply_arm(form: &Form<'_>) -> Tokens {
    let variant = &form.variant.ident;
    let Some(reply) = form.reply else {
        return quote!(Self::#variant { .. } => ::core::option::Option::None);
    };
    let member = member(&form.variant.fields, reply);
    quote!(Self::#variant { #member: reply, .. } => ::core::option::Option::Some(reply))
}

/// The method that finds the event of a subscription, for messages that may carry one.
fn delivery_method(forms: &[Form<'_>]) -> Tokens {
    if forms.iter().all(|form| form.delivery.is_none()) {
        return Tokens::new();
    }
    let arms = forms.iter().map(|form| {
        let variant = &form.variant.ident;
        let Some(delivery) = form.delivery else {
            return quote!(Self::#variant { .. } => ::core::option::Option::None);
        };
        let member = member(&form.variant.fields, delivery);
        quote!(Self::#variant { #member: delivery, .. } => ::core::option::Option::Some(delivery))
    });
    let from_delivery = from_delivery_method(forms);
    quote! {
        #[inline]
        fn delivery(&mut self) -> ::core::option::Option<&mut ::unity_supervisors::Delivery> {
            match self { #(#arms,)* }
        }
        #from_delivery
    }
}

/// The method that makes a message of an event alone: of the first variant that needs nothing else.
fn from_delivery_method(forms: &[Form<'_>]) -> Tokens {
    let is_all = |form: &&Form<'_>| form.variant.fields.len() == 1 && form.delivery.is_some();
    let Some(form) = forms.iter().find(is_all) else {
        return Tokens::new();
    };
    let (variant, member) = (&form.variant.ident, member(&form.variant.fields, 0));
    quote! {
        fn from_delivery(
            delivery: ::unity_supervisors::Delivery,
        ) -> ::core::option::Option<Self> {
            ::core::option::Option::Some(Self::#variant { #member: delivery })
        }
    }
}

/// The name or index of a field, as in a struct pattern.
fn member(fields: &Fields, index: usize) -> Tokens {
    match fields
        .iter()
        .nth(index)
        .and_then(|field| field.ident.as_ref())
    {
        Some(name) => quote!(#name),
        None => {
            let index = syn::Index::from(index);
            quote!(#index)
        }
    }
}

fn json_methods(forms: &[Form<'_>]) -> Tokens {
    let parsers = forms.iter().map(from_json_arm);
    let printers = forms.iter().map(to_json_arm);
    let schemas = forms.iter().map(schema_of);
    quote! {
        fn from_json(
            value: ::unity_supervisors::message::derive_support::serde_json::Value,
        ) -> ::core::result::Result<Self, ::unity_supervisors::MessageError> {
            let (name, payload) =
                ::unity_supervisors::message::derive_support::split(value, Self::schema)?;
            match name.as_str() {
                #(#parsers,)*
                other => ::core::result::Result::Err(
                    ::unity_supervisors::message::derive_support::unknown(other, Self::schema),
                ),
            }
        }
        fn to_json(
            &self,
        ) -> ::core::option::Option<::unity_supervisors::message::derive_support::serde_json::Value> {
            ::core::option::Option::Some(match self { #(#printers,)* })
        }
        fn schema() -> ::core::option::Option<::unity_supervisors::message::derive_support::serde_json::Value> {
            ::core::option::Option::Some(
                ::unity_supervisors::message::derive_support::serde_json::json!({ "oneOf": [#(#schemas),*] }),
            )
        }
    }
}

/// The fields that are not the reply, with names to bind them to.
fn payload_fields<'a>(form: &'a Form<'_>) -> Vec<(Tokens, syn::Ident, &'a Type)> {
    form.variant
        .fields
        .iter()
        .enumerate()
        .filter(|(index, _)| Some(*index) != form.reply)
        .map(|(index, field)| {
            (
                member(&form.variant.fields, index),
                format_ident!("field_{index}"),
                &field.ty,
            )
        })
        .collect()
}

fn from_json_arm(form: &Form<'_>) -> Tokens {
    let (variant, name) = (&form.variant.ident, &form.name);
    let fields = payload_fields(form);
    let reply = form.reply.map(|index| {
        let member = member(&form.variant.fields, index);
        quote!(#member: ::unity_supervisors::Reply::none(),)
    });
    let members: Vec<_> = fields.iter().map(|(member, _, _)| member).collect();
    let types: Vec<_> = fields.iter().map(|(_, _, kind)| kind).collect();
    let support = quote!(::unity_supervisors::message::derive_support);
    match fields.as_slice() {
        [] => quote! {
            #name => {
                let () = #support::payload::<()>(#name, payload, Self::schema)?;
                Ok(Self::#variant { #reply })
            }
        },
        [(member, _, kind)] => quote! {
            #name => Ok(Self::#variant {
                #member: #support::payload::<#kind>(#name, payload, Self::schema)?, #reply
            })
        },
        _ if matches!(form.variant.fields, Fields::Named(_)) => quote! {
            #name => {
                #[derive(#support::serde::Deserialize)]
                #[serde(crate = "::unity_supervisors::message::derive_support::serde", deny_unknown_fields)]
                struct Payload { #(#members: #types),* }
                let payload = #support::payload::<Payload>(#name, payload, Self::schema)?;
                Ok(Self::#variant { #(#members: payload.#members,)* #reply })
            }
        },
        _ => {
            let names = fields.iter().map(|(_, name, _)| name).collect::<Vec<_>>();
            quote! {
                #name => {
                    let (#(#names),*) = #support::payload::<(#(#types),*)>(#name, payload, Self::schema)?;
                    Ok(Self::#variant { #(#members: #names,)* #reply })
                }
            }
        }
    }
}

fn to_json_arm(form: &Form<'_>) -> Tokens {
    let (variant, name) = (&form.variant.ident, &form.name);
    let fields = payload_fields(form);
    let members = fields.iter().map(|(member, _, _)| member);
    let bound: Vec<_> = fields.iter().map(|(_, bound, _)| bound).collect();
    let support = quote!(::unity_supervisors::message::derive_support);
    let payload = match fields.as_slice() {
        [] => quote!(#support::serde_json::Value::Null),
        [(_, bound, _)] => quote!(#support::value(#bound)),
        _ if matches!(form.variant.fields, Fields::Named(_)) => {
            let keys = fields.iter().map(|(member, _, _)| member.to_string());
            quote!(#support::serde_json::json!({ #(#keys: #support::value(#bound)),* }))
        }
        _ => quote!(#support::serde_json::json!([#(#support::value(#bound)),*])),
    };
    quote! {
        Self::#variant { #(#members: #bound,)* .. } => {
            #support::serde_json::json!({ #name: #payload })
        }
    }
}

fn schema_of(form: &Form<'_>) -> Tokens {
    let name = &form.name;
    let fields = payload_fields(form);
    let types: Vec<_> = fields.iter().map(|(_, _, kind)| kind).collect();
    let support = quote!(::unity_supervisors::message::derive_support);
    let payload = match fields.as_slice() {
        [] => quote!(#support::serde_json::json!({ "type": "null" })),
        [(_, _, kind)] => quote!(#support::schema_of::<#kind>()),
        _ if matches!(form.variant.fields, Fields::Named(_)) => {
            let keys: Vec<String> = fields
                .iter()
                .map(|(member, _, _)| member.to_string())
                .collect();
            quote!(#support::serde_json::json!({
                "type": "object",
                "properties": { #(#keys: #support::schema_of::<#types>()),* },
                "required": [#(#keys),*],
                "additionalProperties": false
            }))
        }
        _ => quote!(#support::schema_of::<(#(#types),*)>()),
    };
    quote!(#support::variant_schema(#name, #payload))
}
