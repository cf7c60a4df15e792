//! From TOML values to typed ones: all findings at once, each with its place.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use serde_json::{Value, json};

use crate::diag::{At, Code, Diagnostic, Edit, Span, did_you_mean};

/// Collects what is wrong.
pub(super) struct Decoder {
    findings: Vec<Diagnostic>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { findings: vec![] }
    }

    pub(super) fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    pub(super) fn finish(self) -> Vec<Diagnostic> {
        self.findings
    }

    /// Says that `value` is not `wanted`, and how that is written.
    pub(super) fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, wanted: &str, help: &str) {
        let found = value.get_ref().type_str();
        let message = format!("expected {wanted}, found {}", with_article(found));
        self.report(Diagnostic::error(Code::WrongType, value.span().into(), message).help(help));
    }

    /// Says which keys of `table` are not in `known`.
    pub(super) fn refuse_unknown(&mut self, table: &DeTable<'_>, known: &[&str], of: &str) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let span = Span::from(key.span());
            let name = key.get_ref();
            let finding = Diagnostic::error(Code::UnknownKey, span, format!("{of} has no key `{name}`"));
            self.report(match did_you_mean(name, known.iter().copied()) {
                Some(meant) => finding.replace(span, meant, format!("did you mean `{meant}`?")),
                None => finding.help(format!("its keys are {}", listed(known))),
            });
        }
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A type that a TOML value can be read as.
pub(super) trait Decode: Sized {
    /// The value, or `None` when the decoder was told what is wrong with it.
    fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self>;

    /// What an editor should know of it.
    fn schema() -> Value;
}

/// A type that is written as a TOML string.
pub(super) trait Word: Sized {
    /// What it is, with an article: `a port such as "22/tcp"`.
    const WHAT: &'static str;
    /// A regular expression (ECMA-262) that every spelling matches.
    const PATTERN: &'static str;
    /// Examples for editors.
    const EXAMPLES: &'static [&'static str];

    /// The value, or what is wrong with `text`, which stands at `span` quotes included. What is
    /// suggested replaces all of `text`, and has no quotes yet.
    fn read(text: &str, span: Span) -> Result<Self, Diagnostic>;
}

impl<T: Word> Decode for At<T> {
    fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self> {
        let span = Span::from(value.span());
        let read = match value.get_ref() {
            DeValue::String(text) => T::read(text, span),
            // A number where a string belongs is most often a string without its quotes: the
            // words themselves say best what is missing in it.
            DeValue::Integer(number) => {
                let text = number.to_string();
                T::read(&text, span).and_then(|_| Err(unquoted(&text, span, T::WHAT)))
            }
            _ => {
                decoder.wrong_type(value, T::WHAT, &in_quotes::<T>());
                return None;
            }
        };
        match read {
            Ok(word) => Some(At { value: word, span }),
            Err(finding) => {
                decoder.report(with_sound_suggestions::<T>(finding));
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": T::PATTERN, "examples": T::EXAMPLES })
    }
}

fn in_quotes<T: Word>() -> String {
    format!("it is a text in quotes: \"{}\"", T::EXAMPLES.join("\", \""))
}

fn unquoted(text: &str, span: Span, wanted: &str) -> Diagnostic {
    Diagnostic::error(Code::WrongType, span, format!("expected {wanted}, found a number")).replace(
        span,
        text,
        "in quotes",
    )
}

/// A finding of [`Word::read`] with its suggestions in quotes, less those that would not do.
fn with_sound_suggestions<T: Word>(mut finding: Diagnostic) -> Diagnostic {
    let sound = |edit: &Edit| T::read(&edit.replacement, edit.span).is_ok();
    finding.suggestions.retain(|suggestion| suggestion.edits.iter().all(sound));
    for edit in finding.suggestions.iter_mut().flat_map(|suggestion| &mut suggestion.edits) {
        edit.replacement = format!("\"{}\"", edit.replacement);
    }
    if finding.suggestions.is_empty() && finding.help.is_empty() {
        finding = finding.help(in_quotes::<T>());
    }
    finding
}

impl Decode for At<u32> {
    fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self> {
        let span = Span::from(value.span());
        let Some(number) = value.get_ref().as_integer() else {
            decoder.wrong_type(value, "a whole number", "it is a number without quotes: 2");
            return None;
        };
        let read = u32::from_str_radix(number.as_str(), number.radix());
        if read.is_err() {
            let message = format!("`{number}` is out of range");
            decoder.report(
                Diagnostic::error(Code::OutOfRange, span, message).help("choose a smaller one above 0"),
            );
        }
        Some(At { value: read.ok()?, span })
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
    }
}

impl Decode for At<bool> {
    fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            decoder.wrong_type(value, "`true` or `false`", "it is written without quotes");
        }
        Some(At { value: read?, span: value.span().into() })
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// A list; a single item may stand without brackets.
impl<T> Decode for At<Vec<At<T>>>
where
    At<T>: Decode,
{
    fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self> {
        let span = Span::from(value.span());
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| At::<T>::decode(item, decoder)).collect(),
            _ => vec![At::<T>::decode(value, decoder)],
        };
        // Every item is read, and so every finding made, before one of them spoils the list.
        items.into_iter().collect::<Option<_>>().map(|value| At { value, span })
    }

    fn schema() -> Value {
        let item = <At<T> as Decode>::schema();
        let list = json!({ "type": "array", "items": item });
        json!({ "oneOf": [list, item] })
    }
}

/// Tables whose keys differ from one another by name, such as `[door.ssh]`, in written order.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(At<String>, T)>);

impl<T: Decode> Decode for Named<T> {
    fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            decoder.wrong_type(value, "a table for each door", "each door has a heading: `[door.ssh]`");
            return None;
        };
        let mut items: Vec<_> = table
            .iter()
            .map(|(key, value)| {
                let name = At { value: key.get_ref().to_string(), span: key.span().into() };
                (name, T::decode(value, decoder))
            })
            .collect();
        items.sort_by_key(|(name, _)| name.span);
        items.into_iter().map(|(name, item)| Some((name, item?))).collect::<Option<_>>().map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// Defines tables by their keys: the struct, how it is read, and its schema, whose descriptions
/// are the documentation comments. `(required)` is for the schema alone: what is missing is said
/// where the draft is checked.
macro_rules! tables {
    ($(
        $(#[doc = $what:literal])+
        struct $table:ident ($called:literal, $heading:literal) {
            $(
                $(#[doc = $doc:literal])+
                $key:literal $(($must:ident))? $field:ident: $kind:ty $(= $default:literal)?,
            )+
        }
    )+) => {$(
        $(#[doc = $what])+
        #[derive(Debug)]
        pub(super) struct $table {
            $($(#[doc = $doc])+ pub(super) $field: Option<$kind>,)+
        }

        impl $table {
            const KEYS: &[&str] = &[$($key),+];

            pub(super) fn decode_table(table: &DeTable<'_>, decoder: &mut Decoder) -> Self {
                decoder.refuse_unknown(table, Self::KEYS, $called);
                Self {
                    $($field: table.get($key).and_then(|value| Decode::decode(value, decoder)),)+
                }
            }
        }

        impl Decode for $table {
            fn decode(value: &Spanned<DeValue<'_>>, decoder: &mut Decoder) -> Option<Self> {
                let Some(table) = value.get_ref().as_table() else {
                    decoder.wrong_type(value, concat!("a table for ", $called), $heading);
                    return None;
                };
                Some(Self::decode_table(table, decoder))
            }

            fn schema() -> Value {
                let mut properties = serde_json::Map::new();
                $(
                    let mut property = <$kind as Decode>::schema();
                    let description = [$($doc),+].map(str::trim).join(" ");
                    if let Value::Object(object) = &mut property {
                        object.insert("description".into(), json!(description));
                        $(object.insert("default".into(), json!($default));)?
                    }
                    properties.insert($key.into(), property);
                )+
                let what = [$($what),+].map(str::trim).join(" ");
                let required: &[&str] = &[$($((stringify!($must), $key).1,)?)+];
                json!({
                    "type": "object",
                    "description": what,
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                })
            }
        }
    )+};
}
pub(super) use tables;
