//! The statuses of gRPC: their numbers, their names, and which of them a status of HTTP stands for.

use std::fmt;

use http::{HeaderValue, StatusCode};

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $number:literal $text:literal $name:literal,)*) => {
        /// How a call ended: the statuses that gRPC knows, with their numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])* $code = $number,)*
        }

        impl Code {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// Its number as a field's value and as metrics say it.
            #[must_use]
            pub fn number(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
                }
            }

            /// Its name in the documents of gRPC.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }
        }
    };
}

codes! {
    /// It went well.
    Ok = 0 "0" "OK",
    /// Its client gave it up.
    Cancelled = 1 "1" "CANCELLED",
    /// Nothing better is known.
    Unknown = 2 "2" "UNKNOWN",
    /// The client asked for what can never be.
    InvalidArgument = 3 "3" "INVALID_ARGUMENT",
    /// It was not over in time.
    DeadlineExceeded = 4 "4" "DEADLINE_EXCEEDED",
    /// What was asked for is not there.
    NotFound = 5 "5" "NOT_FOUND",
    /// What was to be made is there.
    AlreadyExists = 6 "6" "ALREADY_EXISTS",
    /// The client may not.
    PermissionDenied = 7 "7" "PERMISSION_DENIED",
    /// There is too much of something.
    ResourceExhausted = 8 "8" "RESOURCE_EXHAUSTED",
    /// It cannot be now.
    FailedPrecondition = 9 "9" "FAILED_PRECONDITION",
    /// It clashed with another.
    Aborted = 10 "10" "ABORTED",
    /// It went beyond an end.
    OutOfRange = 11 "11" "OUT_OF_RANGE",
    /// Nobody here can do that.
    Unimplemented = 12 "12" "UNIMPLEMENTED",
    /// Something that must hold does not.
    Internal = 13 "13" "INTERNAL",
    /// Nobody can do it at present; it may be tried again.
    Unavailable = 14 "14" "UNAVAILABLE",
    /// Something is lost for good.
    DataLoss = 15 "15" "DATA_LOSS",
    /// The client has not said who it is.
    Unauthenticated = 16 "16" "UNAUTHENTICATED",
}

impl Code {
    /// What a value of `grpc-status` says. Clients take a number that they do not know, and what is no number, for
    /// unknown; so does this, which also bounds what is counted.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let known = Self::ALL
            .iter()
            .find(|code| code.number().as_bytes() == value);
        known.copied().unwrap_or(Self::Unknown)
    }

    /// What clients take an answer for that has no `grpc-status`, by its status of HTTP (gRPC's
    /// `http-grpc-status-mapping.md`). A 200 is among the others: a call that does not say how it ended.
    #[must_use]
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// It as a field's value.
    #[must_use]
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.number())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_protocol_and_read_back() {
        assert_eq!(Code::ALL.len(), 17);
        for (number, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, number);
            assert_eq!(code.number(), number.to_string());
            assert_eq!(Code::parse(code.number().as_bytes()), *code);
        }
    }

    #[test]
    fn what_is_no_known_number_is_unknown() {
        for value in ["17", "-1", "00", " 0", "", "OK", "99999999999"] {
            assert_eq!(Code::parse(value.as_bytes()), Code::Unknown, "{value}");
        }
    }

    #[test]
    fn an_answer_without_a_status_means_what_clients_make_of_it() {
        let cases = [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (200, Code::Unknown),
            (500, Code::Unknown),
            (301, Code::Unknown),
        ];
        for (status, code) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Code::of_http(status), code, "{status}");
        }
    }
}
