//! HTTP, as much of it as asks for one page (RFC 9112).

/// Bytes of a request that are read; Prometheus sends some 300.
pub(super) const LONGEST: usize = 8192;

/// The page that there is.
const PATH: &str = "/metrics";
/// What the page is (prometheus.io, "Exposition formats").
const PAGE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer to what a client has sent so far; `None` while it is not all there. `page` is asked for the
/// page, or for why there is none.
pub(super) fn answer(sent: &[u8], page: impl FnOnce() -> Result<String, String>) -> Option<Vec<u8>> {
    let Some(head) = head(sent) else {
        return (sent.len() >= LONGEST).then(|| refusal("431 Request Header Fields Too Large", true));
    };
    let Some(Asked { method, path }) = asked(head) else { return Some(refusal("400 Bad Request", true)) };
    let with_body = method != "HEAD";
    Some(match (method, path) {
        ("GET" | "HEAD", PATH) => match page() {
            Ok(page) => said("200 OK", PAGE, &page, with_body),
            Err(why) => said("503 Service Unavailable", "text/plain", &format!("{why}\n"), with_body),
        },
        ("GET" | "HEAD", _) => refusal("404 Not Found", with_body),
        _ => refusal("405 Method Not Allowed", true),
    })
}

/// What comes before the empty line.
fn head(sent: &[u8]) -> Option<&[u8]> {
    let ends = |end: &'static [u8]| sent.windows(end.len()).position(|bytes| bytes == end);
    let end = [ends(b"\r\n\r\n"), ends(b"\n\n")].into_iter().flatten().min()?;
    sent.get(..end)
}

struct Asked<'h> {
    method: &'h str,
    path: &'h str,
}

fn asked(head: &[u8]) -> Option<Asked<'_>> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return None };
    let is_token = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_token || !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return None;
    }
    // A proxy is asked with the whole address, and may pass it on (RFC 9112, section 3.2.2).
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Some(Asked { method, path })
}

fn refusal(status: &str, with_body: bool) -> Vec<u8> {
    said(status, "text/plain", &format!("{status}\n"), with_body)
}

fn said(status: &str, kind: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let body = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\n{allow}Content-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_line(sent: &str) -> Option<String> {
        let answer = answer(sent.as_bytes(), || Ok("page\n".to_owned()))?;
        let text = String::from_utf8(answer).unwrap();
        Some(text.lines().next().unwrap().to_owned())
    }

    #[test]
    fn a_request_gets_the_answer_it_deserves() {
        let long = "GET /metrics HTTP/1.1\r\nA: ".to_owned() + &"x".repeat(LONGEST);
        for (sent, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK"),
            ("GET /metrics HTTP/1.0\n\n", "200 OK"),
            ("GET /metrics?a=b HTTP/1.1\r\n\r\n", "200 OK"),
            ("GET http://localhost:9000/metrics HTTP/1.1\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("GET http://localhost HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("GET /metrics\r\n\r\n", "400 Bad Request"),
            ("GET  /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET /metrics HTTP/2.0\r\n\r\n", "400 Bad Request"),
            ("get /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("\r\n\r\n", "400 Bad Request"),
            (&long, "431 Request Header Fields Too Large"),
        ] {
            assert_eq!(first_line(sent).as_deref(), Some(format!("HTTP/1.1 {status}").as_str()), "{sent}");
        }
        for more in ["", "GET /metrics HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\nHost: a\r\n"] {
            assert_eq!(first_line(more), None, "{more}");
        }
    }

    #[test]
    fn head_has_the_length_of_a_body_that_it_leaves_out() {
        let answer = answer(b"HEAD /metrics HTTP/1.1\r\n\r\n", || Ok("page\n".to_owned())).unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains("Content-Length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn a_page_that_cannot_be_made_is_told() {
        let answer = answer(b"GET /metrics HTTP/1.1\r\n\r\n", || Err("no root".to_owned())).unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 ") && text.ends_with("\r\n\r\nno root\n"), "{text}");
    }
}
