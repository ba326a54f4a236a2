//! Mutated headers of the PROXY protocol.

use super::proxy_protocol::parse;
use crate::fuzz::fuzz;

#[test]
fn proxy_headers_are_the_same_however_they_come() {
    fuzz("proxy.txt", |input, random| {
        let whole = parse(input).map(|parsed| parsed.map_err(|error| error.to_string()));
        let to = random.usize(..=input.len());
        match (parse(&input[..to]), &whole) {
            (None, _) => {}
            // Nothing that comes later changes what was found.
            (Some(Ok(part)), whole) => {
                assert!(part.1 <= to, "more than there is");
                assert_eq!(whole, &Some(Ok(part)));
            }
            (Some(Err(_)), whole) => assert!(matches!(whole, Some(Err(_)))),
        }
        match whole {
            None => "unfinished".to_owned(),
            Some(Err(why)) => why,
            Some(Ok((ends, length))) => {
                let kind = ends.map(|ends| ends.client.is_ipv4());
                format!("{kind:?} {}", length.min(40))
            }
        }
    });
}
