//! A raw HTTP/1.1 request, as a capture holds it.

use anyhow::{Context, bail};

use super::delivery::{Delivery, Recorded};

const MAX_HEADERS: usize = 256;

/// The body is what `Content-Length` or the chunks say; without either, all the rest, byte for byte.
pub(super) fn request(bytes: &[u8]) -> anyhow::Result<Delivery> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let body = match request.parse(bytes)? {
        httparse::Status::Complete(head) => bytes.get(head..).unwrap_or_default(),
        httparse::Status::Partial => bail!("the head of the request does not end: an empty line is missing behind it"),
    };
    let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let headers: Vec<_> =
        request.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
    Ok(Delivery {
        found: String::new(),
        method: method.to_owned(),
        path: Some(path.to_owned()),
        body: framed(&headers, body)?,
        headers,
        recorded: Recorded::default(),
    })
}

fn framed(headers: &[(String, Vec<u8>)], rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let value = |name: &str| {
        let field = headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.and_then(|(_, value)| std::str::from_utf8(value).ok()).map(str::trim)
    };
    if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return chunks(rest);
    }
    let Some(length) = value("content-length") else { return Ok(rest.to_vec()) };
    let length: usize = length.parse().context("its Content-Length is not a number")?;
    match rest.get(..length) {
        Some(body) => Ok(body.to_vec()),
        None => bail!("its body has {} bytes and its Content-Length says {length}", rest.len()),
    }
}

fn chunks(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            bail!("its chunks are broken");
        };
        if size == 0 {
            return Ok(body);
        }
        let size = usize::try_from(size)?;
        let chunk = rest.get(start..).and_then(|rest| rest.split_at_checked(size));
        let (chunk, after) = chunk.context("its last chunk is cut off")?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").context("its chunks are broken")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_kept_to_the_byte() {
        let delivery =
            request(b"POST /hook?a=b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n {\"a\": 1}\r\n\n").unwrap();
        assert_eq!((delivery.method.as_str(), delivery.path.as_deref()), ("POST", Some("/hook?a=b")));
        assert_eq!(delivery.headers.iter().filter(|(name, _)| name == "X-A").count(), 2);
        assert_eq!(delivery.body, b" {\"a\": 1}\r\n\n");
    }

    #[test]
    fn a_length_bounds_the_body() {
        assert_eq!(request(b"POST / HTTP/1.1\nContent-Length: 2\n\n{}\n").unwrap().body, b"{}");
        let short = request(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}").unwrap_err().to_string();
        assert!(short.contains("Content-Length says 3"), "{short}");
    }

    #[test]
    fn chunks_are_joined() {
        let joined =
            request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n").unwrap();
        assert_eq!(joined.body, b"{}");
        for broken in ["", "5\r\n{}", "1\r\n{}", "z\r\n", "1\r\n{\r\n"] {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{broken}");
            assert!(request(text.as_bytes()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn half_a_head_is_refused() {
        assert!(request(b"POST / HTTP/1.1\r\nHost: x\r\n").is_err());
        assert!(request(b"nonsense").is_err());
    }
}
