//! Pages of lists that are in memory.
//!
//! A cursor holds the place of the last item of the page before it, in the list's order, and not a number: items that
//! come or go in between neither shift nor repeat the others.

use crate::error::{Error, place};
use crate::extract::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// What a client asks of a list, whatever is in it.
pub struct Paging {
    order: Order,
    limit: usize,
    after: Option<String>,
}

/// One page.
#[derive(Debug, PartialEq, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Leads to the next one, if there is one.
    pub next_cursor: Option<String>,
}

impl Paging {
    /// Reads `limit`, `cursor` and `order`.
    pub fn of(query: &Query, limit: usize, limit_max: usize, order: Order) -> Result<Paging, Error> {
        let asked = query.number("limit", 1..=limit_max as i64)?;
        let order = match query.one_of("order", &["asc", "desc"])? {
            Some("asc") => Order::Ascending,
            Some(_) => Order::Descending,
            None => order,
        };
        let decode = |text: &str| String::from_utf8(BASE64.decode(text).ok()?).ok();
        let after = query.read("cursor", "is not a cursor of this list", decode)?;
        Ok(Paging { order, limit: asked.map_or(limit, |asked| asked as usize), after })
    }

    pub fn order(&self) -> Order {
        self.order
    }

    /// The page of `items`, each with its place. Places are distinct.
    pub fn page<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let mut items: Vec<_> = items.into_iter().collect();
        let follows = |place: &String, after: &String| match self.order {
            Order::Ascending => place > after,
            Order::Descending => place < after,
        };
        items.retain(|(place, _)| self.after.as_ref().is_none_or(|after| follows(place, after)));
        items.sort_by(|(one, _), (other, _)| match self.order {
            Order::Ascending => one.cmp(other),
            Order::Descending => other.cmp(one),
        });
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next_cursor = items.last().filter(|_| more).map(|(place, _)| BASE64.encode(place));
        Page { items: items.into_iter().map(|(_, item)| item).collect(), next_cursor }
    }
}

/// 422 for a list that has too few or too many items.
pub fn check_count(field: &'static str, count: usize, max: usize) -> Result<(), Error> {
    if (1..=max).contains(&count) {
        return Ok(());
    }
    Err(Error::invalid(place(["body", field]), format!("{field} must have 1 to {max} items, not {count}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_while_items_come_and_go() {
        let mut items = vec!["a", "c", "e", "g"];
        let first = page("limit=2", &items).unwrap();
        assert_eq!(first.items, ["a", "c"]);

        items.retain(|item| *item != "c");
        items.push("b");
        let cursor = first.next_cursor.unwrap();
        let second = page(&format!("limit=2&cursor={cursor}"), &items).unwrap();
        assert_eq!((second.items, second.next_cursor), (vec!["e", "g"], None));
    }

    #[test]
    fn a_list_can_be_read_backwards() {
        let items = ["b", "a", "c"];
        let first = page("limit=1&order=desc", &items).unwrap();
        assert_eq!(first.items, ["c"]);
        let rest = page(&format!("order=desc&cursor={}", first.next_cursor.unwrap()), &items).unwrap();
        assert_eq!(rest.items, ["b", "a"]);
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        for wrong in ["limit=0", "limit=11", "limit=many", "order=up", "cursor=%00", "cursor=_w"] {
            let refused = page(wrong, &["a"]).unwrap_err().text();
            assert!(refused.contains(wrong.split('=').next().unwrap()), "{wrong}: {refused}");
        }
    }

    fn page<'a>(query: &str, items: &[&'a str]) -> Result<Page<&'a str>, Error> {
        let paging = Paging::of(&Query::parse(query), 3, 10, Order::Ascending)?;
        Ok(paging.page(items.iter().map(|item| ((*item).to_owned(), *item))))
    }
}
