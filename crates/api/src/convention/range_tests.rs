use super::*;
use serde_json::json;

fn releases(versions: impl IntoIterator<Item = u32>) -> Vec<Value> {
    versions
        .into_iter()
        .map(|version| json!({"id": format!("r{version:04}"), "version": version}))
        .collect()
}

fn versions(page: &Page) -> Vec<u64> {
    page.values.iter().map(|value| value["version"].as_u64().unwrap()).collect()
}

/// Follows `Next-Range` as the CLI does.
fn all_pages(first: &str, items: &[Value]) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    let mut header = first.to_owned();
    loop {
        let page = RangeHeader::parse(&header).page(items.to_vec());
        pages.push(versions(&page));
        match page.next {
            Some((_, next)) => header = next,
            None => return pages,
        }
        assert!(pages.len() < 100, "endless: {header}");
    }
}

#[test]
fn reads_every_way_clients_write_it() {
    let cases = [
        ("version ..; max=1, order=desc", Some("version"), 1, true),
        ("version ..; order=desc,max=1", Some("version"), 1, true),
        ("version ..; order=desc,max=1;", Some("version"), 1, true),
        ("id ..; max=1000;", Some("id"), 1000, false),
        ("id ..; ;", Some("id"), 200, false),
        ("seq ..; order=desc,max=1000", Some("seq"), 1000, true),
        ("id ..; max=999999", Some("id"), 1000, false),
        ("id ..; max=0", Some("id"), 1, false),
        ("id ..; max=many", Some("id"), 200, false),
        ("", None, 200, false),
        ("..", None, 200, false),
        ("domain ..", Some("domain"), 200, false),
    ];
    for (text, field, maximum, descending) in cases {
        let range = RangeHeader::parse(text);
        assert_eq!(
            (range.field.as_deref(), range.maximum, range.descending),
            (field, maximum, descending),
            "{text}"
        );
        assert_eq!((range.from, range.to), (None, None), "{text}");
    }
    let range = RangeHeader::parse("name ]b..d; max=5");
    assert_eq!(
        (range.from.as_deref(), range.after_from, range.to.as_deref()),
        (Some("b"), true, Some("d"))
    );
}

#[test]
fn a_complete_list_has_no_next_range() {
    for header in ["", "version ..; max=3", "version ..; max=3, order=desc", "version ..3; max=200"]
    {
        let page = RangeHeader::parse(header).page(releases([1, 2, 3]));
        assert_eq!(page.next, None, "{header}");
        assert_eq!(page.into_response().status(), StatusCode::OK, "{header}");
    }
    assert_eq!(RangeHeader::parse("id ..").page(Vec::new()).next, None);
}

#[test]
fn a_part_says_how_to_go_on() {
    let page = RangeHeader::parse("version ..; max=2, order=desc").page(releases(1..=12));
    assert_eq!(versions(&page), [12, 11]);
    let response = page.into_response();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()["content-range"], "version 12..11");
    assert_eq!(response.headers()["next-range"], "version ]11..; max=2, order=desc");
    assert_eq!(response.headers()["accept-ranges"], "id, version");
}

#[test]
fn pages_cover_the_list_once() {
    let items = releases(1..=12);
    assert_eq!(all_pages("version ..; max=5", &items).concat(), (1..=12).collect::<Vec<_>>());
    assert_eq!(
        all_pages("version ..; max=5, order=desc", &items).concat(),
        (1..=12).rev().collect::<Vec<_>>()
    );
    assert_eq!(all_pages("version ]3..9; max=2", &items).concat(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(
        all_pages("version 9..3; order=desc, max=2", &items).concat(),
        [9, 8, 7, 6, 5, 4, 3]
    );
}

#[test]
fn long_lists_are_paged_even_when_nobody_asked() {
    let items = releases((1..=450).rev());
    let pages = all_pages("", &items);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
    assert_eq!(pages.concat(), (1..=450).collect::<Vec<_>>());
    assert_eq!(all_pages("domain ..", &items).concat().len(), 450, "an unknown field is no error");
}

#[test]
fn short_lists_keep_their_order_when_nobody_asked() {
    let page = RangeHeader::parse("").page(releases([3, 1, 2]));
    assert_eq!(versions(&page), [3, 1, 2]);
}

#[test]
fn equal_values_stay_on_one_page() {
    let items: Vec<Value> =
        (1..=6).map(|version| json!({"version": version, "created_at": if version < 5 { "a" } else { "b" }})).collect();
    let pages = all_pages("created_at ..; max=2", &items);
    assert_eq!(pages.concat().len(), 6);
    assert_eq!(pages[0].len(), 4);
}

#[test]
fn the_newest_first_stays_so_among_equal_ones() {
    let items: Vec<Value> =
        [3, 2, 1].map(|version| json!({"version": version, "created_at": "a"})).to_vec();
    let page = RangeHeader::parse("created_at ..; max=9, order=desc").page(items);
    assert_eq!(versions(&page), [3, 2, 1]);
}

#[test]
fn only_the_newest_are_fetched_when_that_suffices() {
    let newest = |text: &str| RangeHeader::parse(text).newest(&["version"]);
    assert_eq!(newest("version ..; max=1, order=desc"), 2);
    assert_eq!(newest("version ..; max=1"), u32::MAX);
    assert_eq!(newest("version 7..; max=1, order=desc"), u32::MAX);
    assert_eq!(newest("id ..; max=1, order=desc"), u32::MAX);
    assert_eq!(newest(""), u32::MAX);
}
