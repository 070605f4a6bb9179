//! The whole system, from outside: the real binary, real sockets, raw bytes. One module per chapter of what users rely
//! on, over `support`.

mod cli;
mod support;
