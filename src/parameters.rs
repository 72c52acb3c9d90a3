//! What a group of parameters is: one row a parameter, from which its type, its documentation, its coercion and the
//! directives it sets follow. See [`parameters!`](crate::parameters!).

use std::any::Any;
use std::fmt::Debug;

/// The type that a key's value is brought to.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true`, `"yes"`, `"on"`, `1` …
    Bool,
    /// A whole number or its decimal text.
    Int,
    /// Text; numbers and booleans become text as Python writes them.
    Str,
    /// A list of text; text is split at commas.
    List,
    /// A list of objects with these keys.
    Dicts(&'static [Field]),
    /// An object with these keys; text is read as JSON or as `k=v, k2=v2`.
    Dict(&'static [Field]),
}

/// One key of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub key: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// One key.
pub const fn field(key: &'static str, kind: Kind) -> Field {
    Field { key, kind }
}

/// A type that a parameter can have.
pub trait Typed {
    /// How a value is brought to it.
    const KIND: Kind;

    /// Returns the words that the value is written as.
    fn words(&self) -> Vec<String>;
}

impl Typed for bool {
    const KIND: Kind = Kind::Bool;

    fn words(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Typed for i64 {
    const KIND: Kind = Kind::Int;

    fn words(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Typed for String {
    const KIND: Kind = Kind::Str;

    fn words(&self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl Typed for Vec<String> {
    const KIND: Kind = Kind::List;

    fn words(&self) -> Vec<String> {
        self.clone()
    }
}

/// What a task says in one group of parameters.
pub trait Group: Any + Debug + Send + Sync {
    /// Returns the keys that are given, in the order of their rows, each with the words of its value.
    fn given(&self) -> Vec<(&'static str, Vec<String>)>;
}

/// Defines a group of parameters, one row a parameter: documentation, key, type, and the directives that the value is
/// written to, if any. Each parameter is optional, and unknown keys are refused.
///
/// The group gets `FIELDS` for coercion and `DIRECTIVES` for the table of directives, where each row has the
/// parameter's key.
///
/// ```
/// use apache_tuning::httpd::directives::{Directive, Group, Parser};
///
/// apache_tuning::parameters! {
///     /// How long a request may take.
///     pub struct Limits {
///         /// Seconds. `Timeout`.
///         timeout: i64 => [Directive::new("Timeout", Group("limits"), Parser::Atoi)];
///         /// Whether this is managed at all.
///         enabled: bool;
///     }
/// }
/// assert_eq!(Limits::DIRECTIVES[0][0].key, "timeout");
/// assert_eq!(Limits::FIELDS.len(), 2);
/// ```
#[macro_export]
macro_rules! parameters {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $key:ident: $type:ty $(=> [$($row:expr),+ $(,)?])?; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_meta])* pub $key: Option<$type>, )+
        }

        impl $name {
            /// The keys and their types.
            pub const FIELDS: &'static [$crate::parameters::Field] = &[
                $( $crate::parameters::field(
                    stringify!($key),
                    <$type as $crate::parameters::Typed>::KIND,
                ) ),+
            ];

            /// The directives that each key is written to.
            pub const DIRECTIVES: &'static [&'static [$crate::httpd::directives::Directive]] = &[
                $( &[ $( $( $row.key(stringify!($key)) ),+ )? ] ),+
            ];
        }

        impl $crate::parameters::Typed for $name {
            const KIND: $crate::parameters::Kind = $crate::parameters::Kind::Dict(Self::FIELDS);

            fn words(&self) -> Vec<String> {
                Vec::new()
            }
        }

        impl $crate::parameters::Group for $name {
            fn given(&self) -> Vec<(&'static str, Vec<String>)> {
                let mut given = Vec::new();
                $( if let Some(value) = &self.$key {
                    given.push((stringify!($key), $crate::parameters::Typed::words(value)));
                } )+
                given
            }
        }
    };
}
