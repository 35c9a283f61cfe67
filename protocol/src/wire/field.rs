//! How each type of field is laid out.

use bytes::Bytes;
use uuid::Uuid;

#[cfg(test)]
use super::Gen;
use super::{DecodeError, Reader, Str, Writer};

/// What a field's layout depends on besides its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub version: i16,
    /// Compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
    /// Whether this version allows null here; asked of `Option`s only.
    pub nullable: bool,
}

impl Context {
    pub(crate) fn new(version: i16, flexible_from: i16) -> Self {
        Self {
            version,
            flexible: version >= flexible_from,
            nullable: true,
        }
    }

    pub(crate) fn nullable(self, nullable: bool) -> Self {
        Self { nullable, ..self }
    }
}

/// A type that fields can have.
pub(crate) trait Field: Sized {
    fn read(r: &mut Reader, cx: Context) -> Result<Self, DecodeError>;
    fn write(&self, w: &mut Writer, cx: Context);

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, cx: Context) -> Self;
}

/// A type whose layout has a form for null; `Option` of it is a field, too.
pub(crate) trait Nullable: Default {
    fn read_nullable(r: &mut Reader, cx: Context) -> Result<Option<Self>, DecodeError>;
    fn write_nullable(value: Option<&Self>, w: &mut Writer, cx: Context);

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, cx: Context) -> Self;
}

macro_rules! primitive {
    ($($ty:ty: $name:ident;)*) => {
        $(impl Field for $ty {
            #[inline]
            fn read(r: &mut Reader, _: Context) -> Result<Self, DecodeError> {
                r.$name()
            }

            #[inline]
            fn write(&self, w: &mut Writer, _: Context) {
                w.$name(*self);
            }

            #[cfg(test)]
            fn arbitrary(g: &mut Gen, _: Context) -> Self {
                g.$name()
            }
        })*
    };
}

primitive! {
    i8: i8;
    i16: i16;
    u16: u16;
    i32: i32;
    i64: i64;
    Uuid: uuid;
}

impl Field for bool {
    fn read(r: &mut Reader, _: Context) -> Result<Self, DecodeError> {
        Ok(r.u8()? != 0)
    }

    fn write(&self, w: &mut Writer, _: Context) {
        w.i8(i8::from(*self));
    }

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, _: Context) -> Self {
        g.below(2) == 1
    }
}

impl Nullable for Str {
    #[inline]
    fn read_nullable(r: &mut Reader, cx: Context) -> Result<Option<Self>, DecodeError> {
        let len = if cx.flexible {
            r.compact_len()?
        } else {
            r.len16()?
        };
        len.map(|len| r.str(len)).transpose()
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, cx: Context) {
        match value {
            None if cx.flexible => w.uvarint(0),
            None => w.i16(-1),
            Some(s) if cx.flexible => {
                w.uvarint(s.len() as u32 + 1);
                w.raw(s.as_bytes());
            }
            Some(s) => {
                // Longer ones have no form here; what is left of them is still a string.
                let mut end = s.len().min(i16::MAX as usize);
                while !s.is_char_boundary(end) {
                    end -= 1;
                }
                let s = &s[..end];
                w.i16(s.len() as i16);
                w.raw(s.as_bytes());
            }
        }
    }

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, _: Context) -> Self {
        g.string()
    }
}

impl Nullable for Bytes {
    #[inline]
    fn read_nullable(r: &mut Reader, cx: Context) -> Result<Option<Self>, DecodeError> {
        let len = if cx.flexible {
            r.compact_len()?
        } else {
            r.len32()?
        };
        len.map(|len| r.bytes(len)).transpose()
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, cx: Context) {
        match value {
            None if cx.flexible => w.uvarint(0),
            None => w.i32(-1),
            Some(bytes) => {
                if cx.flexible {
                    w.uvarint(bytes.len() as u32 + 1);
                } else {
                    w.i32(bytes.len() as i32);
                }
                w.raw(bytes);
            }
        }
    }

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, _: Context) -> Self {
        g.bytes()
    }
}

/// What an array reserves at most before its elements have shown themselves.
const RESERVED_BYTES: usize = 4096;

impl<T: Field> Nullable for Vec<T> {
    fn read_nullable(r: &mut Reader, cx: Context) -> Result<Option<Self>, DecodeError> {
        let count = if cx.flexible {
            r.compact_len()?
        } else {
            r.len32()?
        };
        let Some(count) = count else { return Ok(None) };
        // An element takes a byte at least, so a count beyond the bytes is a lie.
        let left = r.remaining();
        if count > left {
            return Err(DecodeError::ArrayTooLong { count, left });
        }
        let mut elements = Vec::with_capacity(count.min(RESERVED_BYTES / size_of::<T>().max(1)));
        for _ in 0..count {
            elements.push(T::read(r, cx)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, cx: Context) {
        match (value, cx.flexible) {
            (None, true) => w.uvarint(0),
            (None, false) => w.i32(-1),
            (Some(elements), true) => w.uvarint(elements.len() as u32 + 1),
            (Some(elements), false) => w.i32(elements.len() as i32),
        }
        for element in value.into_iter().flatten() {
            element.write(w, cx);
        }
    }

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, cx: Context) -> Self {
        (0..g.below(3)).map(|_| T::arbitrary(g, cx)).collect()
    }
}

/// Types with a form for null are fields also where null is not allowed.
macro_rules! never_null {
    ($([$($generic:tt)*] $ty:ty;)*) => {
        $(impl<$($generic)*> Field for $ty {
            #[inline]
            fn read(r: &mut Reader, cx: Context) -> Result<Self, DecodeError> {
                Self::read_nullable(r, cx)?.ok_or(DecodeError::UnexpectedNull)
            }

            #[inline]
            fn write(&self, w: &mut Writer, cx: Context) {
                Self::write_nullable(Some(self), w, cx);
            }

            #[cfg(test)]
            fn arbitrary(g: &mut Gen, cx: Context) -> Self {
                Nullable::arbitrary(g, cx)
            }
        })*
    };
}

never_null! {
    [] Str;
    [] Bytes;
    [T: Field] Vec<T>;
}

impl<T: Nullable> Field for Option<T> {
    #[inline]
    fn read(r: &mut Reader, cx: Context) -> Result<Self, DecodeError> {
        match T::read_nullable(r, cx)? {
            None if !cx.nullable => Err(DecodeError::UnexpectedNull),
            value => Ok(value),
        }
    }

    /// Null where this version has none is written as the empty value.
    #[inline]
    fn write(&self, w: &mut Writer, cx: Context) {
        match self {
            None if !cx.nullable => T::write_nullable(Some(&T::default()), w, cx),
            value => T::write_nullable(value.as_ref(), w, cx),
        }
    }

    #[cfg(test)]
    fn arbitrary(g: &mut Gen, cx: Context) -> Self {
        (!cx.nullable || g.below(4) > 0).then(|| T::arbitrary(g, cx))
    }
}
