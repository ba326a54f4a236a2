//! Names below `.internal`, from text to what they ask for.

use hickory_proto::rr::Name;

/// The domain of the private network. It is reserved for such networks and delegated to nobody.
pub const DOMAIN: &str = "internal";

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Not ours: for the host's name servers.
    Outside,
    /// Below `.internal`, but nothing that could be there.
    Nothing,
    Instances(Wanted),
}

/// Instances asked for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub app: String,
    /// In lower case; `None` in `<app>.internal`.
    pub process: Option<String>,
    /// `None`: all of the process type.
    pub index: Option<u32>,
}

/// Reads `<app>.internal`, `<process>.<app>.internal` and `<index>.<process>.<app>.internal`, in
/// any case of letters.
pub fn read(name: &Name) -> Asked {
    let labels: Option<Vec<String>> = name
        .iter()
        .map(|label| std::str::from_utf8(label).ok().map(str::to_ascii_lowercase))
        .collect();
    let Some(labels) = labels else {
        let last = name.iter().next_back();
        let ours = last.is_some_and(|label| label.eq_ignore_ascii_case(DOMAIN.as_bytes()));
        return if ours { Asked::Nothing } else { Asked::Outside };
    };
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let wanted = |app: &str, process: Option<&str>, index| {
        let (app, process) = (app.to_owned(), process.map(str::to_owned));
        Asked::Instances(Wanted { app, process, index })
    };
    match labels[..] {
        [app, DOMAIN] => wanted(app, None, None),
        [process, app, DOMAIN] => wanted(app, Some(process), None),
        [index, process, app, DOMAIN] => match read_index(index) {
            Some(index) => wanted(app, Some(process), Some(index)),
            None => Asked::Nothing,
        },
        [.., DOMAIN] => Asked::Nothing,
        _ => Asked::Outside,
    }
}

/// Instances are counted from 1, and `01` is not how they are written.
fn read_index(label: &str) -> Option<u32> {
    let digits = !label.starts_with('0') && label.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| label.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let all = |app: &str, process: Option<&str>, index| {
            Asked::Instances(Wanted { app: app.into(), process: process.map(Into::into), index })
        };
        let table = [
            ("shop.internal.", all("shop", None, None)),
            ("web.shop.internal.", all("shop", Some("web"), None)),
            ("Web.SHOP.Internal.", all("shop", Some("web"), None)),
            ("my_worker.my-shop-2.internal.", all("my-shop-2", Some("my_worker"), None)),
            ("1.web.shop.internal.", all("shop", Some("web"), Some(1))),
            ("4294967295.web.shop.internal.", all("shop", Some("web"), Some(u32::MAX))),
            ("4294967296.web.shop.internal.", Asked::Nothing),
            ("0.web.shop.internal.", Asked::Nothing),
            ("01.web.shop.internal.", Asked::Nothing),
            ("x.web.shop.internal.", Asked::Nothing),
            ("a.1.web.shop.internal.", Asked::Nothing),
            ("internal.", Asked::Nothing),
            ("web.shop.internal.example.com.", Asked::Outside),
            ("notinternal.", Asked::Outside),
            ("web.shop.notinternal.", Asked::Outside),
            ("example.com.", Asked::Outside),
            (".", Asked::Outside),
        ];
        for (text, asked) in table {
            assert_eq!(read(&Name::from_ascii(text).unwrap()), asked, "{text}");
        }
        let odd = Name::from_labels([&b"\xff"[..], b"internal"]).unwrap();
        assert_eq!(read(&odd), Asked::Nothing);
    }
}
