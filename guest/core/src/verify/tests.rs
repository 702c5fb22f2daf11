use alloc::string::ToString;
use alloc::vec;

use proptest::collection;
use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"phone_number_id":"1"}"#;

fn secret(name: &str) -> NamedSecret<Key> {
    let value = Key::from_secret(format!("value of {name}").as_bytes()).unwrap();
    NamedSecret { name: name.to_string(), value }
}

fn secrets(names: &[&str]) -> Vec<NamedSecret<Key>> {
    names.iter().map(|name| secret(name)).collect()
}

fn listed(names: &[&str]) -> Keys {
    Keys::new(secrets(names), vec![])
}

fn by_phone_number(tenants: &[(&str, &[&str])], others: &[&str]) -> Keys {
    let tenants = tenants.iter().map(|(id, names)| (id.to_string(), NonEmpty(secrets(names)))).collect();
    Keys::new(secrets(others), tenants)
}

fn signed_with(name: &str, body: &[u8]) -> Signatures {
    let signature = secret(name).value.sign(body);
    let headers = [Header { name: "X-Webhook-Signature", value: signature.as_bytes() }];
    Signatures::read(Scheme::Kapso, false, &headers).unwrap()
}

fn of_tenants<'a>(numbers: &[&'a str]) -> Whose<'a> {
    Whose { phone_numbers: numbers.iter().copied().map(Text::Borrowed).collect(), of_project: false }
}

fn of_project<'a>(numbers: &[&'a str]) -> Whose<'a> {
    Whose { of_project: true, ..of_tenants(numbers) }
}

fn verify<'k>(keys: &'k Keys, signer: &str, numbers: &[&str]) -> Result<&'k str, Rejection> {
    let mut verifier = Verifier::new(keys, signed_with(signer, BODY));
    verifier.feed(BODY);
    verifier.finish(keys, BODY, &of_tenants(numbers))
}

/// How many whole digests an answer cost, the streamed one among them.
fn cost(keys: &Keys, signer: &str, whose: &Whose<'_>) -> (Result<(), Rejection>, usize) {
    let verifier = Verifier::new(keys, signed_with(signer, BODY));
    let mut digests = usize::from(verifier.first.is_some());
    let answer = verifier.judge(keys, whose, |key| {
        digests += 1;
        key.digest(BODY)
    });
    (answer.map(drop), digests)
}

#[test]
fn the_vectors_of_rfc_4231() {
    let long = "aa".repeat(131);
    for (key, data, digest) in [
        (
            "0b".repeat(20).as_str(),
            hex::encode("Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            &hex::encode("Jefe"),
            hex::encode("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (&"aa".repeat(20), "dd".repeat(50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            "0102030405060708090a0b0c0d0e0f10111213141516171819",
            "cd".repeat(50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            &long,
            hex::encode("Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &long,
            hex::encode(
                "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be \
                 hashed before being used by the HMAC algorithm.",
            ),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ] {
        let key = Key::from_secret(&hex::decode(key).unwrap()).unwrap();
        assert_eq!(key.sign(&hex::decode(data).unwrap()), digest);
    }
}

#[test]
fn a_signature_is_64_digits_of_either_case_with_blanks_around_and_an_optional_prefix() {
    let keys = listed(&["A"]);
    let digits = secret("A").value.sign(BODY);
    let with = |value: &[u8]| {
        let headers = [Header { name: "x-webhook-signature", value }];
        let signatures = Signatures::read(Scheme::Kapso, false, &headers)?;
        Verifier { signatures, first: None }.finish(&keys, BODY, &Whose::default())
    };
    for genuine in [
        digits.clone(),
        digits.to_uppercase(),
        format!("  {digits}\t"),
        format!("sha256={digits}"),
        format!("SHA256={digits}"),
        format!(" Sha256={} ", digits.to_uppercase()),
    ] {
        assert_eq!(with(genuine.as_bytes()), Ok("A"), "{genuine}");
    }
    let short = &digits[1..];
    for malformed in [
        String::new(),
        String::from(" "),
        String::from("sha256="),
        short.to_string(),
        format!("{digits}0"),
        format!("{digits}00"),
        format!("sha256= {digits}"),
        format!("sha256=sha256={digits}"),
        format!("sha1={digits}"),
        format!("{digits},{digits}"),
        format!("0x{digits}"),
        format!("g{short}"),
        format!("é{}", &short[1..]),
        format!("\"{digits}\""),
    ] {
        assert_eq!(with(malformed.as_bytes()), Err(Rejection::MalformedSignature), "{malformed}");
    }
    assert_eq!(with(&[0xff; 64]), Err(Rejection::MalformedSignature));
    let wrong = format!("{}{short}", if digits.starts_with('0') { '1' } else { '0' });
    assert_eq!(with(wrong.as_bytes()), Err(Rejection::WrongSignature));
}

#[test]
fn a_scheme_reads_its_own_headers_and_no_others() {
    use Rejection::{MalformedSignature, MissingSignature, RepeatedSignature};
    let good = "0".repeat(64);
    let (webhook, kapso, hub) = (
        ("X-WEBHOOK-SIGNATURE", good.as_str()),
        ("x-kapso-signature", good.as_str()),
        ("X-Hub-Signature-256", good.as_str()),
    );
    let (bad_webhook, bad_kapso, bad_hub) = ((webhook.0, "no"), (kapso.0, "no"), (hub.0, "no"));
    for (scheme, opt_in, headers, expected) in [
        (Scheme::Kapso, false, vec![], Err(MissingSignature)),
        (Scheme::Kapso, false, vec![webhook], Ok(())),
        (Scheme::Kapso, false, vec![hub], Err(MissingSignature)),
        (Scheme::Kapso, false, vec![kapso], Err(MissingSignature)),
        (Scheme::Kapso, true, vec![kapso], Ok(())),
        (Scheme::Kapso, true, vec![bad_kapso], Err(MalformedSignature)),
        (Scheme::Kapso, true, vec![kapso, kapso], Err(RepeatedSignature)),
        // The old name counts only where the new one is missing.
        (Scheme::Kapso, true, vec![bad_webhook, kapso], Err(MalformedSignature)),
        (Scheme::Kapso, true, vec![bad_kapso, webhook], Ok(())),
        (Scheme::Kapso, false, vec![webhook, webhook], Err(RepeatedSignature)),
        (Scheme::Kapso, false, vec![bad_webhook, webhook], Err(RepeatedSignature)),
        (Scheme::Kapso, false, vec![webhook, bad_hub, bad_hub], Ok(())),
        (Scheme::Meta, false, vec![hub], Ok(())),
        (Scheme::Meta, true, vec![webhook, kapso], Err(MissingSignature)),
        (Scheme::Meta, false, vec![hub, hub], Err(RepeatedSignature)),
        (Scheme::Any, false, vec![], Err(MissingSignature)),
        (Scheme::Any, false, vec![webhook], Ok(())),
        (Scheme::Any, false, vec![hub], Ok(())),
        (Scheme::Any, false, vec![kapso], Err(MissingSignature)),
        (Scheme::Any, true, vec![kapso], Ok(())),
        (Scheme::Any, false, vec![webhook, hub], Ok(())),
        (Scheme::Any, false, vec![webhook, bad_hub], Err(MalformedSignature)),
        (Scheme::Any, false, vec![bad_webhook, hub], Err(MalformedSignature)),
        (Scheme::Any, false, vec![webhook, hub, hub], Err(RepeatedSignature)),
    ] {
        let fields: Vec<_> = headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let read = Signatures::read(scheme, opt_in, &fields).map(drop);
        assert_eq!(read, expected, "{scheme:?} {opt_in} {headers:?}");
    }
}

#[test]
fn with_any_one_of_two_signatures_is_enough() {
    let keys = listed(&["A"]);
    let (right, wrong) = (secret("A").value.sign(BODY), secret("B").value.sign(BODY));
    for (kapso, meta, expected) in [
        (&right, &wrong, Ok("A")),
        (&wrong, &right, Ok("A")),
        (&right, &right, Ok("A")),
        (&wrong, &wrong, Err(Rejection::WrongSignature)),
    ] {
        let headers = [
            Header { name: "x-webhook-signature", value: kapso.as_bytes() },
            Header { name: "x-hub-signature-256", value: meta.as_bytes() },
        ];
        let signatures = Signatures::read(Scheme::Any, false, &headers).unwrap();
        assert_eq!(Verifier { signatures, first: None }.finish(&keys, BODY, &Whose::default()), expected);
    }
}

#[test]
fn rotation_names_the_secret_that_matched() {
    let keys = listed(&["NEW", "OLD"]);
    assert_eq!(verify(&keys, "NEW", &["1"]), Ok("NEW"));
    assert_eq!(verify(&keys, "OLD", &["1"]), Ok("OLD"));
    assert_eq!(verify(&keys, "OLDER", &["1"]), Err(Rejection::WrongSignature));
}

#[test]
fn the_body_says_by_its_phone_number_which_secrets_are_tried() {
    let keys = by_phone_number(&[("1", &["A", "A_OLD"]), ("2", &["B"])], &[]);
    assert_eq!(verify(&keys, "A", &["1"]), Ok("A"));
    assert_eq!(verify(&keys, "A_OLD", &["1", "1"]), Ok("A_OLD"));
    assert_eq!(verify(&keys, "B", &["2"]), Ok("B"));
    assert_eq!(verify(&keys, "B", &["1"]), Err(Rejection::WrongSignature));
    assert_eq!(verify(&keys, "A", &["3"]), Err(Rejection::UnknownTenant));
    assert_eq!(verify(&keys, "A", &[]), Err(Rejection::UnknownTenant));
}

#[test]
fn a_tenant_cannot_speak_for_anothers_number() {
    let keys = by_phone_number(&[("1", &["A"]), ("2", &["B"]), ("3", &["A"])], &[]);
    for numbers in [["1", "2"], ["1", "9"], ["9", "1"]] {
        assert_eq!(verify(&keys, "A", &numbers), Err(Rejection::UnknownTenant), "{numbers:?}");
    }
    assert_eq!(verify(&keys, "A", &["2", "1"]), Err(Rejection::WrongSignature));
    // Two numbers of one tenant.
    assert_eq!(verify(&keys, "A", &["1", "3"]), Ok("A"));
}

#[test]
fn the_secret_must_be_the_other_tenants_too_by_name() {
    let keys = by_phone_number(&[("1", &["OWN", "SHARED"]), ("2", &["SHARED"])], &[]);
    assert_eq!(verify(&keys, "SHARED", &["1", "2"]), Ok("SHARED"));
    assert_eq!(verify(&keys, "OWN", &["1", "2"]), Err(Rejection::UnknownTenant));
}

#[test]
fn listed_secrets_serve_numbers_that_the_table_does_not_know() {
    let keys = by_phone_number(&[("1", &["A"])], &["REST"]);
    assert_eq!(verify(&keys, "REST", &["9"]), Ok("REST"));
    assert_eq!(verify(&keys, "REST", &[]), Ok("REST"));
    assert_eq!(verify(&keys, "A", &["9"]), Err(Rejection::WrongSignature));
    assert_eq!(verify(&keys, "REST", &["1"]), Err(Rejection::WrongSignature));
    assert_eq!(verify(&keys, "REST", &["9", "1"]), Err(Rejection::WrongSignature));
}

#[test]
fn listed_secrets_say_what_the_project_says_about_a_tenants_number() {
    let keys = by_phone_number(&[("1", &["A"]), ("2", &["B"])], &["REST"]);
    let verify = |signer, numbers: &[&str]| {
        Verifier::new(&keys, signed_with(signer, BODY)).finish(&keys, BODY, &of_project(numbers))
    };
    for numbers in [&["1"][..], &["1", "2"], &["9", "1"], &["9"], &[]] {
        assert_eq!(verify("REST", numbers), Ok("REST"), "{numbers:?}");
    }
    assert_eq!(verify("A", &["1"]), Ok("A"));
    assert_eq!(verify("B", &["1"]), Err(Rejection::WrongSignature));
    assert_eq!(verify("A", &["1", "2"]), Err(Rejection::UnknownTenant));
}

#[test]
fn an_id_of_more_than_64_characters_is_not_looked_up() {
    let (longest, longer) = ("é".repeat(64), "é".repeat(65));
    let keys = by_phone_number(&[(&longest, &["A"]), (&longer, &["A"])], &[]);
    assert_eq!(verify(&keys, "A", &[&longest]), Ok("A"));
    assert_eq!(verify(&keys, "A", &[&longer]), Err(Rejection::UnknownTenant));
}

#[test]
fn every_failure_costs_the_same() {
    let tenants: &[(&str, &[&str])] = &[("1", &["A"]), ("2", &["B", "B_OLD", "B_OLDER"]), ("3", &["C"])];
    for others in [&[][..], &["REST"][..], &["1", "2", "3", "4"][..]] {
        let keys = by_phone_number(tenants, others);
        let rounds = others.len() + 3;
        for numbers in [&["1"][..], &["2"], &["9"], &[], &["1", "2"], &["9", "1"]] {
            for signer in ["nobody's", "A"] {
                for whose in [of_tenants(numbers), of_project(numbers)] {
                    if let (Err(reason), digests) = cost(&keys, signer, &whose) {
                        assert_eq!(digests, rounds, "{reason} {signer} {numbers:?}");
                    }
                }
            }
        }
        assert_eq!(cost(&keys, "A", &of_tenants(&["1"])), (Ok(()), 1));
        assert_eq!(cost(&keys, "B_OLD", &of_tenants(&["2"])), (Ok(()), 2));
    }
    let nobodys = Whose::default();
    assert_eq!(cost(&listed(&["A", "B"]), "C", &nobodys), (Err(Rejection::WrongSignature), 2));
}

#[test]
fn one_digest_for_a_genuine_delivery_however_many_tenants() {
    let names: Vec<_> = (0..1000).map(|number| (number.to_string(), format!("S{number}"))).collect();
    let tenants = names.iter().map(|(id, name)| (id.clone(), NonEmpty(secrets(&[name])))).collect();
    let keys = Keys::new(vec![], tenants);
    assert_eq!(cost(&keys, "S789", &of_tenants(&["789"])), (Ok(()), 1));
}

#[test]
fn a_token_is_right_only_when_all_of_it_is() {
    let token = Token::from_secret(b"token").unwrap();
    assert!(token.is(b"token"));
    for wrong in [&b""[..], b"toke", b"tokens", b"Token", b"tokem"] {
        assert!(!token.is(wrong));
    }
}

#[test]
fn nothing_shows_a_secret() {
    let keys = listed(&["A"]);
    let shown = format!("{keys:?} {:?} {:?}", Token::from_secret(b"value of T"), secret("A").value);
    assert!(!shown.contains("value"), "{shown}");
}

proptest! {
    #[test]
    fn a_body_in_pieces_is_the_same_body(
        body in collection::vec(any::<u8>(), 0..300),
        cuts in collection::vec(any::<prop::sample::Index>(), 0..6),
        signer in prop::sample::select(vec!["FIRST", "SECOND", "OTHER"]),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let keys = listed(&["FIRST", "SECOND"]);
        let mut verifier = Verifier::new(&keys, signed_with(signer, &body));
        for piece in cuts.windows(2) {
            verifier.feed(&body[piece[0]..piece[1]]);
        }
        let expected = if signer == "OTHER" { Err(Rejection::WrongSignature) } else { Ok(signer) };
        prop_assert_eq!(verifier.finish(&keys, &body, &Whose::default()), expected);
    }

    #[test]
    fn any_flipped_bit_is_noticed(body in collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let keys = listed(&["A"]);
        let signatures = signed_with("A", &body);
        let mut other = body.clone();
        other[at.index(body.len())] ^= 1_u8 << bit;
        let mut verifier = Verifier::new(&keys, signatures);
        verifier.feed(&other);
        prop_assert_eq!(verifier.finish(&keys, &other, &Whose::default()), Err(Rejection::WrongSignature));
    }

    #[test]
    fn no_header_value_is_too_odd_to_read(value in collection::vec(any::<u8>(), 0..100)) {
        let headers = [Header { name: "x-webhook-signature", value: &value }];
        let _ = Signatures::read(Scheme::Any, true, &headers);
    }
}
