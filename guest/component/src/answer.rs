//! What the core answers.

use crate::convert::{Convert, records, variants};
use crate::{core, wit};

records! {
    core::PolicyError => wit::PolicyError { pointer, message }

    core::Dedupe => wit::DedupeSettings { window_s, max_keys }

    core::Proof<'_> => wit::Proof { source, secret }

    core::Response => wit::Response { status, headers, body }

    core::Refusal<'_> => wit::Refusal { response, source, rejection }

    core::Route<'_> => wit::Route { rule, targets }

    core::Deliver<'_> => wit::Deliver { proof, unreadable, delivery, routes, dispatches }

    core::Dispatch<'_> => wit::Dispatch { target, events, messages }

    core::Message => wit::MessageOut { events, body, drop_headers, set_headers }

    core::Settlement => wit::Settlement { response, verdicts }
}

variants! {
    core::Rejection => wit::Rejection {
        UnknownSource, WrongMethod, TooLarge, MissingSignature, RepeatedSignature, MalformedSignature, WrongSignature,
        UnknownTenant, TooOld, WrongVerifyToken,
    }

    core::Decision<'_> => wit::Decision { NotOurs, Respond(refusal), Deliver(deliver) }

    core::BodyOut => wit::BodyOut { AsReceived, Part(span), Rewritten(body) }

    core::Verdict => wit::Verdict { Delivered, Rejected, Failed, Untouched }
}

impl Convert<wit::Settings> for &core::Gate {
    fn convert(self) -> wit::Settings {
        wit::Settings {
            sources: self.sources().iter().map(Convert::convert).collect(),
            targets: self.targets().iter().map(Convert::convert).collect(),
            dedupe: self.dedupe().convert(),
            body_bytes: self.limits().body_bytes.into(),
        }
    }
}

impl Convert<wit::SourceSettings> for &core::Source {
    fn convert(self) -> wit::SourceSettings {
        wit::SourceSettings { name: self.name().convert(), path: self.path().convert() }
    }
}

impl Convert<wit::TargetSettings> for &core::Target {
    fn convert(self) -> wit::TargetSettings {
        wit::TargetSettings {
            name: self.name().convert(),
            url: self.url().convert(),
            cluster: self.cluster().convert(),
            timeout_ms: self.timeout_ms(),
        }
    }
}

impl Convert<wit::Admission> for core::Admission<'_> {
    fn convert(self) -> wit::Admission {
        match self {
            Self::NotOurs => wit::Admission::NotOurs,
            Self::Respond(refusal) => wit::Admission::Respond(refusal.convert()),
            Self::Read(intake) => wit::Admission::Read(intake.limit()),
        }
    }
}

impl Convert<wit::Header> for core::HeaderOut {
    fn convert(self) -> wit::Header {
        wit::Header { name: self.name.convert(), value: self.value.into_bytes() }
    }
}
