//! The macro that declares messages.

/// Declares the structs of an API.
///
/// ```text
/// messages! {
///     flexible from 9;                         // the first flexible version, an expression
///
///     /// What it is.
///     pub struct Topic {
///         pub name: Str { ..=12 },             // in versions up to 12
///         pub id: Uuid { 13.. },               // in versions from 13 on
///         pub count: i32 = -1,                 // in all versions, -1 by default
///         pub text: Option<Str> { null 4.. },  // null from version 4 on; empty before
///         pub size: i64 { 10.., tag 0 } = -1,  // a tagged field
///     }
/// }
/// ```
///
/// An `Option` without `null` may be null wherever the field is. Each struct becomes a
/// [`Message`](crate::wire::Message).
macro_rules! messages {
    (
        flexible from $flexible:expr;
        $(
            $(#[$meta:meta])*
            pub struct $name:ident {
                $(pub $field:ident: $ty:ty $({ $($attr:tt)* })? $(= $default:expr)?,)*
            }
        )*
    ) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name {
                $(pub $field: $ty,)*
            }

            impl Default for $name {
                fn default() -> Self {
                    Self {
                        $($field: $crate::wire::messages!(@default $($default)?),)*
                    }
                }
            }

            impl $crate::wire::Field for $name {
                #[allow(unused_variables, unused_mut, clippy::redundant_else)]
                fn read(
                    r: &mut $crate::wire::Reader,
                    cx: $crate::wire::Context,
                ) -> Result<Self, $crate::wire::DecodeError> {
                    let v = cx.version;
                    let mut value = Self::default();
                    $(
                        if $crate::wire::messages!(@tag $($($attr)*)?).is_none()
                            && $crate::wire::messages!(@present v $($($attr)*)?)
                        {
                            let cx = cx.nullable($crate::wire::messages!(@null v $($($attr)*)?));
                            value.$field = $crate::wire::Field::read(r, cx)?;
                        }
                    )*
                    if cx.flexible {
                        r.tagged_fields(|tag, r| {
                            $(
                                if $crate::wire::messages!(@tag $($($attr)*)?) == Some(tag)
                                    && $crate::wire::messages!(@present v $($($attr)*)?)
                                {
                                    let cx = cx
                                        .nullable($crate::wire::messages!(@null v $($($attr)*)?));
                                    value.$field = $crate::wire::Field::read(r, cx)?;
                                    return Ok(true);
                                }
                            )*
                            Ok(false)
                        })?;
                    }
                    Ok(value)
                }

                #[allow(unused_variables, unused_mut)]
                fn write(&self, w: &mut $crate::wire::Writer, cx: $crate::wire::Context) {
                    let v = cx.version;
                    $(
                        if $crate::wire::messages!(@tag $($($attr)*)?).is_none()
                            && $crate::wire::messages!(@present v $($($attr)*)?)
                        {
                            let cx = cx.nullable($crate::wire::messages!(@null v $($($attr)*)?));
                            $crate::wire::Field::write(&self.$field, w, cx);
                        }
                    )*
                    if cx.flexible {
                        let default = Self::default();
                        let mut count = 0;
                        $(
                            if $crate::wire::messages!(@tag $($($attr)*)?).is_some()
                                && $crate::wire::messages!(@present v $($($attr)*)?)
                                && self.$field != default.$field
                            {
                                count += 1;
                            }
                        )*
                        w.uvarint(count);
                        $(
                            if let Some(tag) = $crate::wire::messages!(@tag $($($attr)*)?)
                                && $crate::wire::messages!(@present v $($($attr)*)?)
                                && self.$field != default.$field
                            {
                                let cx = cx.nullable($crate::wire::messages!(@null v $($($attr)*)?));
                                w.tagged_field(tag, |w| {
                                    $crate::wire::Field::write(&self.$field, w, cx);
                                });
                            }
                        )*
                    }
                }

                #[cfg(test)]
                #[allow(unused_variables, unused_mut)]
                fn arbitrary(g: &mut $crate::wire::Gen, cx: $crate::wire::Context) -> Self {
                    let v = cx.version;
                    let mut value = Self::default();
                    $(
                        if $crate::wire::messages!(@present v $($($attr)*)?) {
                            let cx = cx.nullable($crate::wire::messages!(@null v $($($attr)*)?));
                            value.$field = $crate::wire::Field::arbitrary(g, cx);
                        }
                    )*
                    value
                }
            }

            impl $crate::wire::Nullable for $name {
                fn read_nullable(
                    r: &mut $crate::wire::Reader,
                    cx: $crate::wire::Context,
                ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                    if r.i8()? < 0 {
                        return Ok(None);
                    }
                    $crate::wire::Field::read(r, cx).map(Some)
                }

                fn write_nullable(
                    value: Option<&Self>,
                    w: &mut $crate::wire::Writer,
                    cx: $crate::wire::Context,
                ) {
                    w.i8(if value.is_some() { 1 } else { -1 });
                    if let Some(value) = value {
                        $crate::wire::Field::write(value, w, cx);
                    }
                }

                #[cfg(test)]
                fn arbitrary(g: &mut $crate::wire::Gen, cx: $crate::wire::Context) -> Self {
                    $crate::wire::Field::arbitrary(g, cx)
                }
            }

            impl $crate::wire::Message for $name {
                fn decode(
                    reader: &mut $crate::wire::Reader,
                    version: i16,
                ) -> Result<Self, $crate::wire::DecodeError> {
                    let cx = $crate::wire::Context::new(version, $flexible);
                    $crate::wire::Field::read(reader, cx)
                }

                fn encode(&self, writer: &mut $crate::wire::Writer, version: i16) {
                    let cx = $crate::wire::Context::new(version, $flexible);
                    $crate::wire::Field::write(self, writer, cx);
                }
            }
        )*
    };

    (@default) => { Default::default() };
    (@default $default:expr) => { $default };

    (@tag) => { None::<u32> };
    (@tag tag $tag:literal) => { Some($tag) };
    (@tag null $null:expr) => { None::<u32> };
    (@tag $versions:expr) => { None::<u32> };
    (@tag $versions:expr, $($rest:tt)*) => { $crate::wire::messages!(@tag $($rest)*) };

    (@present $v:ident) => { true };
    (@present $v:ident tag $tag:literal) => { true };
    (@present $v:ident null $null:expr) => { true };
    (@present $v:ident $versions:expr $(, $($rest:tt)*)?) => { ($versions).contains(&$v) };

    (@null $v:ident) => { true };
    (@null $v:ident tag $tag:literal) => { true };
    (@null $v:ident null $null:expr) => { ($null).contains(&$v) };
    (@null $v:ident $versions:expr) => { true };
    (@null $v:ident $versions:expr, $($rest:tt)*) => {
        $crate::wire::messages!(@null $v $($rest)*)
    };
}

pub(crate) use messages;
