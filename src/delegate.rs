//! A stream that is of one kind or another, read and written as whichever it is.
//!
//! For enums alone, whose variants hold one stream each. What a stream does besides (counts, checks, waits) is written
//! where it lives.

/// Has an enum of streams read and written by the one it holds: `delegate_io!(Stream: Plain, Tls)`.
macro_rules! delegate_io {
    ($stream:ty: $($kind:ident),+) => {
        impl ::tokio::io::AsyncRead for $stream {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buffer: &mut ::tokio::io::ReadBuf<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$kind(inner) => ::std::pin::Pin::new(inner).poll_read(cx, buffer),)+
                }
            }
        }

        impl ::tokio::io::AsyncWrite for $stream {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                octets: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$kind(inner) => ::std::pin::Pin::new(inner).poll_write(cx, octets),)+
                }
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                slices: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$kind(inner) => ::std::pin::Pin::new(inner).poll_write_vectored(cx, slices),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $(Self::$kind(inner) => inner.is_write_vectored(),)+
                }
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$kind(inner) => ::std::pin::Pin::new(inner).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$kind(inner) => ::std::pin::Pin::new(inner).poll_shutdown(cx),)+
                }
            }
        }
    };
}

pub(crate) use delegate_io;
